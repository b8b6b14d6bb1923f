"""Pretraining: plain text comes in, a masked-language model that `finetune --base` takes comes out.

It goes on from a base, or begins from random weights with a shape and a tokenizer of its own.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from transformers import AutoModelForMaskedLM, RobertaConfig, RobertaForMaskedLM, set_seed

from model_build.errors import ModelBuildError
from model_build.source import locate
from model_build.train import record, run, texts, tokens, words
from model_build.train.masking import Masking
from model_build.train.start import Start, origin, read_tokenizer
from model_build.train.trainer import ScheduledTrainer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from transformers import PreTrainedTokenizerFast

    from model_build.train.run import Run

HELD_OUT_SHARE, MOST_HELD_OUT = 0.01, 2000  # texts whose loss is measured and not learnt from


@dataclass(frozen=True)
class Shape:
    """A RoBERTa's size: layers, width, attention heads, and the width inside a layer, 0 for four times its own."""

    layers: int = 6
    width: int = 768
    heads: int = 12
    inner: int = 0


@dataclass(frozen=True)
class Task:
    """What is learnt from which texts; without a base from random weights of this shape.

    `tokenizer` is a folder; without it and without a base, one with `vocabulary` tokens is trained on the texts.
    """

    data: tuple[str, ...]
    base: str = ""
    revision: str | None = None
    tokenizer: str = ""
    vocabulary: int = 0
    shape: Shape = Shape()
    masked: float = 0.15
    whole_words: bool = False
    lower_cased: float = 0.0
    skip_bad_rows: bool = False
    evaluate_every: int = 0


def pretrain(task: Task, settings: Run) -> bool:
    """Train and return whether all steps are done; tokens, and a new tokenizer, are kept in the run's folder.

    Raises ModelBuildError if the texts cannot be read, or if base and options do not fit together.
    """
    paths = texts.files(task.data)
    checksum = texts.checksum(paths)
    arguments = settings.arguments(
        eval_strategy="steps" if task.evaluate_every else "no", eval_steps=task.evaluate_every or None
    )
    set_seed(settings.seed)
    with arguments.main_process_first(local=False, desc="tokenizing"):
        begun = _begin(task, settings, paths, checksum)
        begun.check_length(settings.max_length)
        described = {
            "data": checksum,
            "tokenizer": begun.tokenizer_sha256(),
            "max_length": settings.max_length,
            "lower_cased": task.lower_cased,
        }
        folder = settings.out / f"tokens-{record.key(described)}"
        if arguments.process_index == 0:
            lines = texts.lines(paths, skip_bad_rows=task.skip_bad_rows)
            tokens.write(
                lines, begun.tokenizer, folder, settings.max_length, lower_cased=task.lower_cased, until=settings.until
            )
    if not tokens.Progress.read(folder).done:
        run.say("Stopped before all texts were tokenized: the same command goes on.")
        return False
    everything = tokens.read(folder, begun.tokenizer)
    train, held_out = everything.split(min(MOST_HELD_OUT, int(HELD_OUT_SHARE * len(everything))))
    if task.evaluate_every and not len(held_out):
        raise ModelBuildError(f"{len(everything)} texts are too few to hold some out: leave --evaluate-every out")
    run.say(f"{len(train):,} texts to learn from, {len(held_out):,} held out.")
    trainer = ScheduledTrainer(
        settings,
        model=begun.model,
        args=arguments,
        train_dataset=train,
        eval_dataset=held_out if task.evaluate_every else None,
        data_collator=Masking(begun.tokenizer, task.masked, settings.seed, whole_words=task.whole_words),
        processing_class=begun.tokenizer,
    )
    return run.train(trainer, _made_of(task, begun, checksum, len(train)))


def _made_of(task: Task, begun: Start, checksum: str, number: int) -> dict[str, Any]:
    return {
        "stage": "pretrain",
        "base": begun.origin or None,
        "shape": None if task.base else asdict(task.shape),
        "vocabulary": len(begun.tokenizer),
        "tokenizer": begun.tokenizer_sha256(),
        "data": {"sha256": checksum, "texts": number},
        "masking": {"share": task.masked, "whole_words": task.whole_words},
        "lower_cased": task.lower_cased,
    }


def _begin(task: Task, settings: Run, paths: Sequence[Path], checksum: str) -> Start:
    if task.base:
        if task.tokenizer or task.vocabulary:
            raise ModelBuildError("a base brings its own tokenizer: leave --tokenizer and --train-tokenizer out")
        source = locate(task.base, task.revision)
        model = AutoModelForMaskedLM.from_pretrained(source.folder).float()
        return Start(model, read_tokenizer(source.folder), origin(source))
    tokenizer = _tokenizer(task, settings.out, paths, checksum)
    return Start(RobertaForMaskedLM(_config(task.shape, tokenizer)), tokenizer, {})


def _tokenizer(task: Task, out: Path, paths: Sequence[Path], checksum: str) -> PreTrainedTokenizerFast:
    if task.tokenizer:
        return read_tokenizer(task.tokenizer)
    if not task.vocabulary:
        raise ModelBuildError("without a base, pass --tokenizer FOLDER, or --train-tokenizer 32768 to have one trained")
    folder = out / f"tokenizer-{record.key({'data': checksum, 'tokens': task.vocabulary})}"
    if not (folder / "tokenizer.json").is_file():
        lines = texts.lines(paths, skip_bad_rows=task.skip_bad_rows)
        words.train(lines, task.vocabulary).save_pretrained(folder)
    return read_tokenizer(folder)


def _config(shape: Shape, tokenizer: PreTrainedTokenizerFast) -> RobertaConfig:
    if shape.width % shape.heads:
        raise ModelBuildError(f"--width {shape.width} is no multiple of --heads {shape.heads}")
    return RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.inner or 4 * shape.width,
        max_position_embeddings=words.MOST_TOKENS + tokenizer.pad_token_id + 1,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
