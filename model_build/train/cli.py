"""The commands pretrain, align, finetune, distill and convert, with their options and defaults.

Each dataclass holds the options of one command, and its docstring is the command's help. Typer reads the fields, and
the training code takes the same object, so that a default is stated once. Torch and transformers take seconds to
import, so a command imports its module when it is called.
"""

import importlib
import inspect
import math
import re
import sys
import time
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from toxicity_bot.command_line import STOPPED

# The status of a run that stopped with a checkpoint; EX_TEMPFAIL, "try again", in sysexits.h.
EXIT_UNFINISHED = 75


def _checked(meaning: str, fits: Callable[[Any], object]) -> Callable[[str], Any]:
    """Return a function that makes an option of its help; the option accepts only values that fit."""

    def check(value: Any) -> Any:
        if not all(fits(one) for one in (value if isinstance(value, list) else [value])):
            raise typer.BadParameter(f"{value} is not {meaning}")
        return value

    return lambda text: typer.Option(callback=check, help=text)


_share = _checked("a number from 0 to 1", lambda value: 0 <= value <= 1)
_positive = _checked("a number above 0", lambda value: 0 < value < math.inf)
_not_negative = _checked("a number from 0 on", lambda value: 0 <= value < math.inf)
_layer_numbers = _checked("a list of numbers such as 0,2,4", lambda value: re.fullmatch(r"(\d+(,\d+)*)?", value))
_per_source = _checked("SOURCE=NUMBER", lambda value: re.fullmatch(r".+=\d+", value))

Schedule = Literal[
    "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt"
]
# Options that several commands have, perhaps with another default.
Base = Annotated[str, typer.Option(help="A checkpoint's folder, a model directory such as model/, or a hub id.")]
Texts = Annotated[
    list[str],
    typer.Option(help="A file or pattern, once or more: .txt or .xz with a text per line, or labelled rows."),
]
LearningRate = Annotated[float, _not_negative("The highest learning rate.")]
LowerCased = Annotated[float, _share("The share of texts that is read in lower case.")]
Revision = Annotated[str | None, typer.Option(help="The commit of a hub model; by default the newest one.")]
Tokenizer = Annotated[str, typer.Option(help="A tokenizer's folder; a BERT is converted to its vocabulary.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same model on the same machine.")]


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Options of every run; those that transformers.TrainingArguments has as well mean the same."""

    out: Annotated[Path, typer.Option(help="The folder to write; a run that stopped is resumed from it.")]
    revision: Revision = None
    num_train_epochs: Annotated[float, _positive("Passes over the data.")] = 2.0
    max_steps: Annotated[int, typer.Option(min=-1, help="Optimizer steps; if above 0, instead of the epochs.")] = -1
    per_device_train_batch_size: Annotated[int, typer.Option(min=1, help="Texts at once on each device.")] = 64
    gradient_accumulation_steps: Annotated[int, typer.Option(min=1, help="Batches in one optimizer step.")] = 1
    learning_rate: LearningRate = 5e-5
    lr_scheduler_type: Annotated[Schedule, typer.Option(help="The schedule of the learning rate.")] = "linear"
    warmup_ratio: Annotated[float, _share("The share of steps in which the learning rate rises.")] = 0.06
    max_grad_norm: Annotated[float, _not_negative("Gradients are clipped to this norm; 0 clips nothing.")] = 1.0
    weight_decay: Annotated[float, _not_negative("Of matrices only.")] = 0.01
    max_length: Annotated[int, typer.Option(min=3, help="Tokens read of each text.")] = 96
    seed: Seed = 1
    bf16: Annotated[bool, typer.Option("--bf16", help="Compute in bfloat16; weights stay in float32.")] = False
    use_cpu: Annotated[bool, typer.Option("--use-cpu", help="Do not use a GPU.")] = False
    max_minutes: Annotated[
        float,
        _not_negative(f"Stop after so many minutes with status {EXIT_UNFINISHED}; the same command resumes. 0: never."),
    ] = 0.0
    save_steps: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 200
    eval_steps: Annotated[
        int, typer.Option(min=0, help="Steps between evaluations: on split dev or on held-out texts; 0: none.")
    ] = 0
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Skip bad rows and name their lines, instead of stopping.")
    ] = False
    deepspeed: Annotated[
        Path | None, typer.Option(help="A DeepSpeed configuration, such as model_build/train/zero2.json.")
    ] = None
    # What precedes the first step, such as tokenizing, counts towards --max-minutes.
    started: float = field(default_factory=time.monotonic, init=False, compare=False)

    @property
    def until(self) -> float:
        """The time.monotonic() at which the run must stop; infinity without a limit."""
        return self.started + 60 * self.max_minutes if self.max_minutes else math.inf


@dataclass(frozen=True, kw_only=True)
class PretrainOptions(TrainingOptions):
    """Train an encoder to predict masked words of plain text."""

    data: Texts
    base: Base = ""
    learning_rate: LearningRate = 5e-4
    lower_cased: LowerCased = 0.0
    mlm_probability: Annotated[float, _share("The share of tokens that is masked.")] = 0.15
    whole_word_mask: Annotated[bool, typer.Option("--whole-word-mask", help="Mask words, not single tokens.")] = False
    tokenizer: Annotated[str, typer.Option(help="Without --base: the folder of a tokenizer.")] = ""
    vocab_size: Annotated[int, typer.Option(min=0, help="Without --base: train a tokenizer of so many tokens.")] = 0
    num_hidden_layers: Annotated[int, typer.Option(min=1, help="Without --base: layers.")] = 6
    hidden_size: Annotated[int, typer.Option(min=1, help="Without --base: width of a token's vector.")] = 768
    num_attention_heads: Annotated[int, typer.Option(min=1, help="Without --base: heads in a layer.")] = 12
    intermediate_size: Annotated[
        int, typer.Option(min=0, help="Without --base: width inside a layer; 0 means four times --hidden-size.")
    ] = 0


@dataclass(frozen=True, kw_only=True)
class AlignOptions(TrainingOptions):
    """Train a checkpoint to reproduce the hidden states of another, on plain text."""

    data: Texts
    base: Base
    teacher: Annotated[str, typer.Option(help="The checkpoint whose hidden states are learnt, a folder or hub id.")]
    learning_rate: LearningRate = 1e-4
    lower_cased: LowerCased = 0.0


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions(TrainingOptions):
    """Train a classifier on labelled messages."""

    data: Annotated[
        list[Path],
        typer.Option(help="JSON lines or CSV, plain or .xz, with text, label, source and split; once or more."),
    ]
    base: Base
    chat: Annotated[
        Path | None, typer.Option(help="Messages, one a line, plain or .xz: the texts of rows that have text_sha256.")
    ] = None
    tokenizer: Tokenizer = ""
    cap: Annotated[list[str], _per_source("SOURCE=N: use at most N rows of each label.")] = field(default_factory=list)
    times: Annotated[list[str], _per_source("SOURCE=N: read each row N times in an epoch.")] = field(
        default_factory=list
    )
    lower_cased: LowerCased = 0.5
    augment: Annotated[
        bool, typer.Option("--augment", help="Vary texts as people do: capitals, typing errors, stars, ...")
    ] = False
    label_smoothing_factor: Annotated[float, _share("Label smoothing.")] = 0.0
    layer_decay: Annotated[float, _share("A layer's learning rate as a share of the next higher one's.")] = 1.0
    layers: Annotated[str, _layer_numbers("Keep only these layers of the base, counted from 0: 0,2,4.")] = ""
    freeze_layers: Annotated[
        int, typer.Option(min=0, help="Do not train the embeddings and so many of the lowest layers; 0: train all.")
    ] = 0


@dataclass(frozen=True, kw_only=True)
class DistillOptions(FinetuneOptions):
    """Train a classifier on labelled messages and on the scores of one teacher or more."""

    teacher: Annotated[list[str], typer.Option(help="A classifier's folder or hub id, or `ngrams`; once or more.")]
    unlabelled: Annotated[
        list[str], typer.Option(help="Texts without labels, once or more: a file or pattern as for pretrain.")
    ] = field(default_factory=list)
    base: Annotated[str, typer.Option(help="As for finetune; by default the first teacher.")] = ""
    toxic_labels: Annotated[str, typer.Option(help="NAME,..: a teacher's toxic labels, if their names do not say.")] = (
        ""
    )
    distill_alpha: Annotated[float, _share("The weight of the teachers' scores; the labels have the rest.")] = 0.5
    temperature: Annotated[float, _positive("Softens student and teacher alike.")] = 2.0


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """Write a checkpoint in another form: architecture, vocabulary, precision or size of files."""

    source: Annotated[str, typer.Argument(help="A checkpoint's folder, a model directory such as model/, or a hub id.")]
    out: Annotated[Path, typer.Option(help="A new or empty folder for the checkpoint.")]
    revision: Revision = None
    tokenizer: Tokenizer = ""
    to_roberta: Annotated[
        bool, typer.Option("--to-roberta", help="Make a RoBERTa of an MPNet, without its bias; train it afterwards.")
    ] = False
    float16: Annotated[bool, typer.Option("--float16", help="Store the weights in 16 bits.")] = False
    max_shard_size: Annotated[str, typer.Option(help="The largest file of weights, such as 500MB.")] = "5GB"
    seed: Seed = 1


def _command(name: str, kind: type[TrainingOptions | ConvertOptions]) -> Callable[..., None]:
    """Return the command that passes options of this kind to the function `name` of the module of that name.

    It has an option for each field. It exits with EXIT_UNFINISHED if the function returns False.
    """

    def command(**given: Any) -> None:
        try:
            options = kind(**given)  # whose clock runs while the module is imported
            done = getattr(importlib.import_module(f"model_build.train.{name}"), name)(options)
            # A launcher kills processes that are still saving as soon as one of them exits with 75.
            _processes("barrier")
        except KeyboardInterrupt:
            if issubclass(kind, TrainingOptions):
                print("The same command goes on from the last checkpoint.", file=sys.stderr)
            raise typer.Exit(STOPPED) from None
        finally:
            # Gloo's threads may abort a process that exits without this.
            _processes("destroy_process_group")
        if done is False:
            raise typer.Exit(EXIT_UNFINISHED)

    command.__name__, command.__doc__ = name, kind.__doc__
    parameters = [_parameter(option) for option in fields(kind) if option.init]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command


def _parameter(option: Field[Any]) -> inspect.Parameter:
    default = option.default if option.default_factory is MISSING else option.default_factory()
    default = inspect.Parameter.empty if default is MISSING else default
    return inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=option.type)


def _processes(call: str) -> None:
    """Call a function of torch.distributed if several processes train together."""
    distributed = sys.modules.get("torch.distributed")
    if distributed and distributed.is_initialized():
        getattr(distributed, call)()


pretrain = _command("pretrain", PretrainOptions)
align = _command("align", AlignOptions)
finetune = _command("finetune", FinetuneOptions)
distill = _command("distill", DistillOptions)
convert = _command("convert", ConvertOptions)
