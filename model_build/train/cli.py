"""The commands pretrain, align, finetune, distill and convert, with their options and defaults.

Each dataclass holds the options of one command, and its docstring is the command's help text. Typer reads the fields
and the training code takes the same object, so each default is defined once. A command imports its module only when it
is called, because torch and transformers take seconds to import.
"""

import errno
import importlib
import inspect
import math
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from model_build.evaluate.cli import SkipBadRows
from toxicity_bot.command_line import STOPPED

# Exit status of a run that stopped with a checkpoint: EX_TEMPFAIL ("try again") in sysexits.h.
EXIT_UNFINISHED = 75
# How Rust libraries such as safetensors, torch.save and numpy report a full disk, all without an errno. Free space
# proves nothing: safetensors and numpy do not leave the partial file that filled it.
FULL_DISK = re.compile(r"os error 28|unexpected pos \d|iostream error|Not enough free space|requested and \d+ written")


def _checked(meaning: str, fits: Callable[[Any], object]) -> Callable[[str], Any]:
    """Return a function that takes a help text and returns an option that accepts only values that fit."""

    def check(value: Any) -> Any:
        if not all(fits(one) for one in (value if isinstance(value, list) else [value])):
            raise typer.BadParameter(f"{value} is not {meaning}")
        return value

    return lambda text: typer.Option(callback=check, help=text)


_share = _checked("a number from 0 to 1", lambda value: 0 <= value <= 1)
_positive = _checked("a number above 0", lambda value: 0 < value < math.inf)
_not_negative = _checked("a number of at least 0", lambda value: 0 <= value < math.inf)
_layer_numbers = _checked("a list of numbers such as 0,2,4", lambda value: re.fullmatch(r"(\d+(,\d+)*)?", value))
_file_size = _checked("a size such as 500MB", lambda value: re.fullmatch(r"(?i)\d+(\.\d+)?[KMGT]B", value))
_per_source = _checked("SOURCE=NUMBER", lambda value: re.fullmatch(r".+=\d+", value))

Schedule = Literal[
    "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt"
]
# Options shared by several commands, with possibly different defaults.
Base = Annotated[str, typer.Option(help="Checkpoint folder, model directory such as model/, or hub id.")]
Encoder = Annotated[str, typer.Option(help="Checkpoint folder or hub id; default: random weights.")]
Texts = Annotated[
    list[str],
    typer.Option(help="File or glob pattern: .txt or .xz with one text per line, or labelled rows. Repeatable."),
]
LearningRate = Annotated[float, _not_negative("Peak learning rate.")]
LowerCased = Annotated[float, _share("Share of texts to convert to lower case.")]
Revision = Annotated[str | None, typer.Option(help="Commit of a hub model; default: the newest one.")]
Tokenizer = Annotated[str, typer.Option(help="Tokenizer folder. A BERT is converted to its vocabulary.")]
Seed = Annotated[
    int,  # `pretrain` multiplies it by 2**40, and the product must fit into 64 bits
    typer.Option(min=0, max=2**24 - 1, help="Random seed. The same seed gives the same model on the same machine."),
]


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Options of all training commands. Names from transformers.TrainingArguments have the same meaning there."""

    out: Annotated[Path, typer.Option(help="Output folder. An interrupted run resumes from it.")]
    revision: Revision = None
    num_train_epochs: Annotated[float, _positive("Passes over the data.")] = 2.0
    max_steps: Annotated[int, typer.Option(min=-1, help="Optimizer steps; if positive, overrides the epochs.")] = -1
    per_device_train_batch_size: Annotated[int, typer.Option(min=1, help="Texts per batch on each device.")] = 64
    gradient_accumulation_steps: Annotated[int, typer.Option(min=1, help="Batches per optimizer step.")] = 1
    learning_rate: LearningRate = 5e-5
    lr_scheduler_type: Annotated[Schedule, typer.Option(help="Learning-rate schedule.")] = "linear"
    warmup_ratio: Annotated[float, _share("Share of steps for learning-rate warm-up.")] = 0.06
    max_grad_norm: Annotated[float, _not_negative("Clip gradients to this norm; 0: no clipping.")] = 1.0
    weight_decay: Annotated[float, _not_negative("Weight decay, applied to matrices only.")] = 0.01
    max_length: Annotated[int, typer.Option(min=3, help="Maximum tokens read per text.")] = 96
    seed: Seed = 1
    bf16: Annotated[bool, typer.Option("--bf16", help="Compute in bfloat16; the weights stay in float32.")] = False
    use_cpu: Annotated[bool, typer.Option("--use-cpu", help="Do not use a GPU.")] = False
    max_minutes: Annotated[
        float,
        _not_negative(f"Stop after N minutes with status {EXIT_UNFINISHED}; the same command resumes. 0: no limit."),
    ] = 0.0
    save_steps: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 200
    eval_steps: Annotated[
        int, typer.Option(min=0, help="Steps between evaluations on split dev or held-out texts; 0: none.")
    ] = 0
    skip_bad_rows: SkipBadRows = False
    deepspeed: Annotated[
        Path | None, typer.Option(help="DeepSpeed configuration, such as model_build/train/zero2.json.")
    ] = None
    # Work before the first step, such as tokenizing, counts towards --max-minutes.
    started: float = field(default_factory=time.monotonic, init=False, compare=False)

    @property
    def until(self) -> float:
        """The time.monotonic() value at which the run must stop, or infinity."""
        return self.started + 60 * self.max_minutes if self.max_minutes else math.inf


@dataclass(frozen=True, kw_only=True)
class PretrainOptions(TrainingOptions):
    """Train an encoder on plain text to predict masked words."""

    data: Texts
    base: Encoder = ""
    learning_rate: LearningRate = 5e-4
    lower_cased: LowerCased = 0.0
    mlm_probability: Annotated[float, _share("Share of tokens to mask.")] = 0.15
    whole_word_mask: Annotated[bool, typer.Option("--whole-word-mask", help="Mask whole words, not tokens.")] = False
    tokenizer: Annotated[str, typer.Option(help="Without --base: tokenizer folder.")] = ""
    vocab_size: Annotated[int, typer.Option(min=0, help="Without --base: train a tokenizer with this many tokens.")] = 0
    num_hidden_layers: Annotated[int, typer.Option(min=1, help="Without --base: number of layers.")] = 6
    hidden_size: Annotated[int, typer.Option(min=1, help="Without --base: hidden size.")] = 768
    num_attention_heads: Annotated[int, typer.Option(min=1, help="Without --base: attention heads per layer.")] = 12
    intermediate_size: Annotated[
        int, typer.Option(min=0, help="Without --base: feed-forward size; 0: four times --hidden-size.")
    ] = 0


@dataclass(frozen=True, kw_only=True)
class AlignOptions(TrainingOptions):
    """Train a checkpoint on plain text to reproduce a teacher's hidden states."""

    data: Texts
    base: Base
    teacher: Annotated[str, typer.Option(help="Checkpoint that provides the target hidden states: a folder or hub id.")]
    learning_rate: LearningRate = 1e-4
    lower_cased: LowerCased = 0.0


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions(TrainingOptions):
    """Train a classifier on labelled messages."""

    data: Annotated[
        list[Path],
        typer.Option(help="JSON lines or CSV, plain or .xz, with text, label, source and split. Repeatable."),
    ]
    base: Base
    chat: Annotated[
        Path | None, typer.Option(help="Messages, one per line, plain or .xz: the texts of rows with text_sha256.")
    ] = None
    tokenizer: Tokenizer = ""
    cap: Annotated[list[str], _per_source("SOURCE=N: use at most N rows per label.")] = field(default_factory=list)
    times: Annotated[list[str], _per_source("SOURCE=N: use each row N times per epoch.")] = field(default_factory=list)
    lower_cased: LowerCased = 0.5
    augment: Annotated[
        bool, typer.Option("--augment", help="Augment texts with capitals, typing errors, stars and so on.")
    ] = False
    label_smoothing_factor: Annotated[float, _share("Label smoothing.")] = 0.0
    layer_decay: Annotated[float, _share("Learning rate of each layer relative to the layer above; 1: the same.")] = 1.0
    layers: Annotated[str, _layer_numbers("Keep only these layers of the base, counted from 0, such as 0,2,4.")] = ""
    freeze_layers: Annotated[
        int, typer.Option(min=0, help="Freeze the embeddings and this many of the lowest layers; 0: train all.")
    ] = 0


@dataclass(frozen=True, kw_only=True)
class DistillOptions(FinetuneOptions):
    """Train a classifier on labelled messages and on the scores of one or more teachers."""

    teacher: Annotated[list[str], typer.Option(help="Classifier folder, hub id, or `ngrams`. Repeatable.")]
    unlabelled: Annotated[
        list[str], typer.Option(help="Texts without labels: files or patterns as for pretrain. Repeatable.")
    ] = field(default_factory=list)
    base: Annotated[str, typer.Option(help="As for finetune; default: the first teacher.")] = ""
    toxic_labels: Annotated[str, typer.Option(help="NAME,..: the teachers' toxic labels, if not clear by name.")] = ""
    distill_alpha: Annotated[float, _share("Weight of the teachers' scores in the loss, relative to the labels.")] = 0.5
    temperature: Annotated[float, _positive("Temperature that softens student and teacher.")] = 2.0


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """Convert a checkpoint: architecture, vocabulary, precision or file size, or average several."""

    source: Annotated[str, typer.Argument(help="Checkpoint folder, model directory such as model/, or hub id.")]
    out: Annotated[Path, typer.Option(help="New or empty folder for the checkpoint.")]
    revision: Revision = None
    tokenizer: Tokenizer = ""
    to_roberta: Annotated[
        bool, typer.Option("--to-roberta", help="Convert an MPNet to a RoBERTa without its bias; train it afterwards.")
    ] = False
    average: Annotated[
        list[str], typer.Option(help="Another checkpoint of the same shape, to average the weights with. Repeatable.")
    ] = field(default_factory=list)
    float16: Annotated[bool, typer.Option("--float16", help="Store the weights in 16 bits.")] = False
    max_shard_size: Annotated[str, _file_size("Maximum size of a weights file, such as 500MB.")] = "5GB"
    seed: Seed = 1


def _command(name: str, kind: type[TrainingOptions | ConvertOptions]) -> Callable[..., None]:
    """Return a command that passes its options to the function `name` of the module `name`.

    The fields of `kind` are its options. It exits with EXIT_UNFINISHED if the function returns False.
    """

    def command(**given: Any) -> None:
        try:
            options = kind(**given)  # created first, so that the import counts towards --max-minutes
            done = getattr(importlib.import_module(f"model_build.train.{name}"), name)(options)
            # When one process exits with 75, the launcher kills the others, even while they are saving.
            if _processes("barrier"):
                # DistributedDataParallel keeps Gloo's threads, which may abort the process at a normal exit.
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(EXIT_UNFINISHED if done is False else 0)
        except KeyboardInterrupt:
            if issubclass(kind, TrainingOptions):
                print("Run the same command to resume from the last checkpoint.", file=sys.stderr)
            raise typer.Exit(STOPPED) from None
        except Exception as error:
            if FULL_DISK.search(str(error)):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise
        finally:
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


def _processes(call: str) -> bool:
    """Call a function of torch.distributed if this is a distributed run. Return whether it is one."""
    distributed = sys.modules.get("torch.distributed")
    if not (distributed and distributed.is_initialized()):
        return False
    getattr(distributed, call)()
    return True


pretrain = _command("pretrain", PretrainOptions)
align = _command("align", AlignOptions)
finetune = _command("finetune", FinetuneOptions)
distill = _command("distill", DistillOptions)
convert = _command("convert", ConvertOptions)
