"""Train with Hugging Face's Trainer so that a run which stops, for whatever reason, can be resumed exactly.

While a run lasts, its folder holds `checkpoint-N` folders and `run.json`, the configuration that a resumed run must
share. In the end it holds the checkpoint itself and `training.json`, which says how it was made. Neither file has a
path of this machine or a message in it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
import time
from dataclasses import fields
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from torch.serialization import register_package
from torch.utils.data import Sampler
from transformers import Trainer, TrainerCallback, TrainerState, TrainingArguments
from transformers.integrations.deepspeed import unset_hf_deepspeed_config
from transformers.trainer_pt_utils import get_length_grouped_indices

from model_build.errors import ModelBuildError
from model_build.manifest import write_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from transformers import TrainerControl

    from model_build.train.cli import TrainingOptions
    from model_build.train.corpus import TokenizedTexts
    from model_build.train.examples import Examples

RUN_FILE, RECORD_FILE = "run.json", "training.json"
STATE_FILE = "trainer_state.json"  # the Trainer's own, the last file that it writes into a checkpoint
CHECKPOINTS_KEPT = 2  # the newest, and the one before in case the disk fills up while the newest is written
SEEDS_APART = 1_000_000  # more than the epochs of a run, so that no two seeds share an order of texts
# Other processes wait this long, in seconds, while one of them tokenizes or scores with a teacher.
PROCESS_TIMEOUT = 24 * 3600
# Options that a resumed run may change, and those that `run.json` describes without a path.
FREE_TO_CHANGE = {"max_minutes", "save_steps", "eval_steps", "bf16", "use_cpu", "skip_bad_rows"}
DESCRIBED = {
    "out", "data", "chat", "base", "revision", "tokenizer", "teacher", "unlabelled", "toxic_labels", "deepspeed"
}  # fmt: skip


def training_arguments(options: TrainingOptions, **more: Any) -> TrainingArguments:
    """Return the Trainer's arguments, most of which are options of the same name; `more` are those of one stage."""
    known = {argument.name for argument in fields(TrainingArguments)} - {"eval_steps", "deepspeed"}
    arguments = TrainingArguments(
        output_dir=str(options.out),
        **{option.name: getattr(options, option.name) for option in fields(options) if option.name in known},
        per_device_eval_batch_size=options.per_device_train_batch_size,
        eval_strategy="steps" if options.eval_steps else "no",
        eval_steps=options.eval_steps or None,
        adam_beta2=0.98,
        # DeepSpeed knows PyTorch's optimizer, and the fused one not on every device.
        optim="adamw_torch" if options.deepspeed else "adamw_torch_fused",
        data_seed=options.seed,
        deepspeed=str(options.deepspeed) if options.deepspeed else None,
        ddp_timeout=PROCESS_TIMEOUT,
        ddp_find_unused_parameters=False,
        save_strategy="steps",
        save_total_limit=CHECKPOINTS_KEPT,
        logging_steps=50,
        report_to=[],
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        disable_tqdm=not sys.stderr.isatty(),  # a log has lines instead of a bar
        **more,
    )
    # Stage 3 would divide the weights while they are loaded, when they must still be copied or converted. These models
    # fit into memory, so dividing them when training begins is early enough.
    unset_hf_deepspeed_config()
    return arguments


# Accelerate numbers the CPU of each process, and torch does not load an optimizer's state to a CPU with a number.
register_package(11, lambda _: None, lambda storage, location: storage if location.startswith("cpu:") else None)


class ResumableTrainer(Trainer):  # type: ignore[misc]  # transformers has no types
    """A Trainer that stops in time, and whose order of texts depends on the seed and the epoch alone."""

    def __init__(self, options: TrainingOptions, **keywords: Any) -> None:
        super().__init__(callbacks=[TimeLimit(options.until)], **keywords)
        # Each loss is a mean over its batch, so the Trainer must average the batches of a step.
        self.model_accepts_loss_kwargs = False
        self.options = options

    def finish_from(self, checkpoint: Path) -> None:
        """Take the weights and the state of a checkpoint after the last step; `train` would train one step more."""
        self._load_from_checkpoint(str(checkpoint))
        self.state = TrainerState.load_from_json(str(checkpoint / STATE_FILE))
        if self.is_world_process_zero():
            # `save_model` needs DeepSpeed's engine, which only training makes.
            self._save(str(self.options.out))

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return LengthGroupedSampler(self, self.train_dataset if train_dataset is None else train_dataset)


class LengthGroupedSampler(Sampler[int]):  # type: ignore[misc]  # torch has no types here
    """Shuffled indices, with texts of similar length in each step, so that little of a batch is padding.

    It asks the Trainer for the epoch: what Accelerate passes to `set_epoch` starts from 0 in a resumed run.
    """

    def __init__(self, trainer: ResumableTrainer, texts: Examples | TokenizedTexts) -> None:
        self._trainer, self._texts = trainer, texts

    def __len__(self) -> int:
        return len(self._texts)

    def __iter__(self) -> Iterator[int]:
        args, epoch = self._trainer.args, int(self._trainer.state.epoch or 0)
        self._texts.begin_epoch(epoch)
        step = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        random = torch.Generator().manual_seed(args.seed * SEEDS_APART + epoch)
        return iter(get_length_grouped_indices(list(self._texts.lengths()), step, generator=random))


class TimeLimit(TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Save and stop once time.monotonic() passes `until`."""

    def __init__(self, until: float) -> None:
        self._until = until

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Save and evaluate as often as this command says, not the one that wrote the checkpoint."""
        del control
        state.compute_steps(args, state.max_steps)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Stop all processes once the time of one is over: one that stopped alone would leave the others waiting."""
        if math.isinf(self._until):
            return
        over = time.monotonic() >= self._until
        if args.world_size > 1:
            vote = torch.tensor(int(over), device=args.device)
            torch.distributed.all_reduce(vote, torch.distributed.ReduceOp.MAX)
            over = bool(vote)
        if over and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True


def train(trainer: ResumableTrainer, described: Mapping[str, Any]) -> bool:
    """Train from the newest checkpoint in the run's folder, if there is one; return whether all steps are done.

    `described` says what the stage trains on. A run that is done is left as it is. Raises ModelBuildError if the folder
    holds a run with another configuration.
    """
    options = trainer.options
    out, deepspeed = options.out, options.deepspeed.name if options.deepspeed else None
    names = {option.name for option in fields(options) if option.init} - DESCRIBED
    values = {name: getattr(options, name) for name in sorted(names)}
    config = {**described, **values, "processes": trainer.args.world_size, "deepspeed": deepspeed}
    last = _newest_checkpoint(out)
    if last:
        _check_config(out, config)
    trained = last is not None and _all_steps_done(last)
    if trained and (out / RECORD_FILE).is_file():
        return True
    # No process continues before all have looked: the first one writes what the others look for.
    with trainer.args.main_process_first(local=False, desc="writing the run's configuration"):
        if trainer.is_world_process_zero():
            (out / RECORD_FILE).unlink(missing_ok=True)
            write_json(out / RUN_FILE, {name: value for name, value in config.items() if name not in FREE_TO_CHANGE})
    if last and trained:
        trainer.finish_from(last)
    else:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
        if trainer.state.global_step < trainer.state.max_steps:
            say(f"Stopped at step {trainer.state.global_step} of {trainer.state.max_steps}: the same command resumes.")
            return False
        trainer.save_model()
    if trainer.is_world_process_zero():
        (out / "training_args.bin").unlink(missing_ok=True)  # a pickle with paths of this machine
        del config["max_minutes"]
        outcome = {
            "steps": trainer.state.global_step,
            "log": [entry for entry in trainer.state.log_history if "loss" in entry or "eval_loss" in entry],
            "versions": {name: version(name) for name in ("torch", "transformers", "accelerate")},
        }
        write_json(out / RECORD_FILE, config | outcome)
    return True


def _check_config(out: Path, config: Mapping[str, Any]) -> None:
    if not (out / RUN_FILE).is_file():
        return
    before = json.loads((out / RUN_FILE).read_text(encoding="utf-8"))
    config = json.loads(json.dumps(config))  # with lists for tuples
    names = (before.keys() | config.keys()) - FREE_TO_CHANGE
    if differing := sorted(name for name in names if before.get(name) != config.get(name)):
        raise ModelBuildError(
            f"{out} holds a run with another {', '.join(differing)}: pass the values that it began with, "
            "or another --out"
        )


def _newest_checkpoint(out: Path) -> Path | None:
    """Return the newest checkpoint that is whole: a process that is killed while it saves leaves one without state."""
    found = [folder for folder in out.glob("checkpoint-*") if folder.name.rpartition("-")[2].isdecimal()]
    for folder in sorted(found, key=lambda folder: -int(folder.name.rpartition("-")[2])):
        try:
            _all_steps_done(folder)
        except (OSError, ValueError):
            say(f"{folder.name} is incomplete and is not used.")
        else:
            return folder
    return None


def _all_steps_done(checkpoint: Path) -> bool:
    state = json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
    return bool(state["global_step"] >= state["max_steps"])


def key(described: Mapping[str, Any]) -> str:
    """Return a short name for what is made from these values; it changes with each of them."""
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]


def say(text: str) -> None:
    """Print a line of progress, from one of the processes that train together."""
    if os.environ.get("RANK", "0") == "0":
        print(text, flush=True)
