"""Pretrain an encoder on plain text with masked-language modelling, for use as `finetune --base`.

Training continues from a base, or starts from random weights with a given or newly trained tokenizer.
"""

from __future__ import annotations

import tempfile
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import (
    AutoModelForMaskedLM,
    DataCollatorForLanguageModeling,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaTokenizerFast,
    set_seed,
)

from model_build import data as labelled
from model_build.errors import ModelBuildError
from model_build.safe_loading import from_pretrained
from model_build.source import locate
from model_build.train import corpus, trainer
from model_build.train.initial_model import InitialModel, origin, read_tokenizer
from toxicity_bot.message_text import fold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from transformers import PreTrainedTokenizerFast

    from model_build.train.cli import AlignOptions, PretrainOptions

HELD_OUT_SHARE, MAX_HELD_OUT = 0.01, 2000  # share and maximum number of texts held out for evaluation
# In the order of their ids; the first four are RoBERTa's own.
SPECIAL_TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
MIN_FREQUENCY = 2  # occurrences of a token pair before it is merged into one token
MAX_POSITIONS = 512
BEGINS_A_WORD = "Ġ"  # the first character of a byte-level token after a space
SEED_STRIDE = 1 << 40  # more than the masks of a run, so that different seeds never share a mask


def pretrain(options: PretrainOptions) -> bool:
    """Train, and return whether all steps are done.

    Raises ModelBuildError if the texts cannot be read, or if an option does not suit the base.
    """

    def make_trainer(initial: InitialModel, **keywords: Any) -> trainer.ResumableTrainer:
        masking = Masking(initial.tokenizer, options.mlm_probability, options.seed, whole_words=options.whole_word_mask)
        return trainer.ResumableTrainer(options, data_collator=masking, **keywords)

    return train_on_texts(options, partial(_initial_model, options), make_trainer, {"stage": "pretrain"})


def train_on_texts(
    options: PretrainOptions | AlignOptions,
    load_initial: Callable[[Sequence[Path], str], InitialModel],
    make_trainer: Callable[..., trainer.ResumableTrainer],
    described: Mapping[str, Any],
) -> bool:
    """Tokenize the texts into the run's folder, train, and return whether all steps are done.

    `load_initial` takes the files and their checksum and returns the initial model. `make_trainer` takes that model and
    a Trainer's arguments. Raises ModelBuildError if the texts cannot be read or are too few to evaluate on.
    """
    paths = corpus.files(options.data)
    checksum = labelled.checksum(*paths)
    arguments = trainer.training_arguments(options)
    set_seed(options.seed)
    with arguments.main_process_first(local=False, desc="tokenizing"):
        initial = load_initial(paths, checksum)
        initial.check_length(options.max_length)
        length, lower_cased, tokenizer = options.max_length, options.lower_cased, initial.tokenizer_sha256()
        key = {"data": checksum, "tokenizer": tokenizer, "max_length": length, "lower_cased": lower_cased}
        folder = options.out / f"tokens-{trainer.key(key)}"
        if arguments.process_index == 0:
            lines = corpus.texts(paths, skip_bad_rows=options.skip_bad_rows)
            corpus.tokenize(lines, initial.tokenizer, folder, length, lower_cased, options.until)
    if not corpus.is_tokenized(folder):
        trainer.log("Stopped before all texts were tokenized. Run the same command to resume.")
        return False
    texts = corpus.load(folder, initial.tokenizer)
    train, held_out = texts.split(min(MAX_HELD_OUT, int(HELD_OUT_SHARE * len(texts))))
    if options.eval_steps and not len(held_out):
        raise ModelBuildError(f"{len(texts)} texts are too few to hold some out for evaluation: omit --eval-steps")
    trainer.log(f"{len(train):,} texts to train on, {len(held_out):,} held out.")
    runner = make_trainer(
        initial,
        model=initial.model,
        args=arguments,
        train_dataset=train,
        eval_dataset=held_out if options.eval_steps else None,
        processing_class=initial.tokenizer,
    )
    data = {"sha256": checksum, "texts": len(train)}
    return trainer.train(runner, {**described, "base": initial.origin or None, "tokenizer": tokenizer, "data": data})


class Masking(DataCollatorForLanguageModeling):  # type: ignore[misc]  # transformers has no types
    """Pad and mask a batch of examples with `input_ids` and `draw`.

    A mask depends only on the seed and the batch, so a resumed run repeats it. Raises ModelBuildError if
    `whole_words` is set but the tokenizer's tokens do not show where a word begins.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, share: float, seed: int, *, whole_words: bool) -> None:
        # With whole words, transformers supports no random replacement: every chosen token becomes the mask token.
        replaced = {"mask_replace_prob": 1.0, "random_replace_prob": 0.0} if whole_words else {}
        super().__init__(tokenizer, mlm_probability=share, whole_word_mask=whole_words, **replaced)
        self._seed = seed
        tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        self._special = torch.zeros(len(tokens), dtype=torch.bool)
        self._special[tokenizer.all_special_ids] = True
        self._begins = torch.tensor([token.startswith(BEGINS_A_WORD) for token in tokens])
        if whole_words and not self._begins.any():
            raise ModelBuildError("--whole-word-mask needs a byte-level tokenizer such as RoBERTa's: omit it")

    def torch_call(self, examples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return input_ids, attention_mask and labels, (batch, tokens). Labels of unmasked tokens are -100."""
        self.generator = torch.Generator().manual_seed(self._seed * SEED_STRIDE + examples[0]["draw"])
        return dict(super().torch_call([{"input_ids": example["input_ids"]} for example in examples]))

    def torch_mask_tokens(self, inputs: Any, special_tokens_mask: Any = None, offset_mapping: Any = None) -> Any:
        """Return ids and labels. Special tokens and word starts are looked up by token id."""
        del special_tokens_mask
        if self.whole_word_mask:
            # transformers detects words by gaps between token offsets, so these offsets have a gap before each word.
            offsets = 2 * torch.arange(inputs.shape[1]).expand_as(inputs)
            offset_mapping = torch.stack([offsets + self._begins[inputs].long(), offsets + 2], dim=-1)
        return super().torch_mask_tokens(inputs, self._special[inputs], offset_mapping)


def train_tokenizer(texts: Iterable[str], size: int) -> RobertaTokenizerFast:
    """Train a byte-level BPE tokenizer with at most `size` tokens, or fewer if no pairs are left to merge."""
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        (fold(text) for text in texts),
        vocab_size=size,
        min_frequency=MIN_FREQUENCY,
        special_tokens=SPECIAL_TOKENS,
        show_progress=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        vocabulary, merges = tokenizer.save_model(folder)
        return RobertaTokenizerFast(vocabulary, merges, model_max_length=MAX_POSITIONS)


def _initial_model(options: PretrainOptions, paths: Sequence[Path], checksum: str) -> InitialModel:
    if options.base:
        if options.tokenizer or options.vocab_size:
            raise ModelBuildError("a base has its own tokenizer: omit --tokenizer and --vocab-size")
        source = locate(options.base, options.revision)
        model = from_pretrained(AutoModelForMaskedLM, source.folder, new_head=True).float()
        return InitialModel(model, read_tokenizer(source.folder), origin(source))
    tokenizer = _tokenizer(options, paths, checksum)
    return InitialModel(RobertaForMaskedLM(_config(options, tokenizer)), tokenizer, {})


def _tokenizer(options: PretrainOptions, paths: Sequence[Path], checksum: str) -> PreTrainedTokenizerFast:
    if options.tokenizer:
        return read_tokenizer(options.tokenizer)
    if not options.vocab_size:
        raise ModelBuildError("without --base, pass --tokenizer FOLDER, or --vocab-size 32768 to train a tokenizer")
    folder = options.out / f"tokenizer-{trainer.key({'data': checksum, 'tokens': options.vocab_size})}"
    if not folder.is_dir():
        # Tokenizing reads the texts again and prints the skipped rows then.
        lines = corpus.texts(paths, skip_bad_rows=options.skip_bad_rows, print_skipped=False)
        temporary = options.out / "new-tokenizer"
        train_tokenizer(lines, options.vocab_size).save_pretrained(temporary)
        temporary.replace(folder)
    return read_tokenizer(folder)


def _config(options: PretrainOptions, tokenizer: PreTrainedTokenizerFast) -> RobertaConfig:
    if options.hidden_size % options.num_attention_heads:
        raise ModelBuildError(
            f"--hidden-size {options.hidden_size} is not a multiple of "
            f"--num-attention-heads {options.num_attention_heads}"
        )
    return RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=options.hidden_size,
        num_hidden_layers=options.num_hidden_layers,
        num_attention_heads=options.num_attention_heads,
        intermediate_size=options.intermediate_size or 4 * options.hidden_size,
        max_position_embeddings=MAX_POSITIONS + tokenizer.pad_token_id + 1,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
