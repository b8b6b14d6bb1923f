"""Train with Hugging Face's Trainer so that an interrupted run can be resumed exactly.

During a run, its folder holds `checkpoint-N` folders and `run.json`, the configuration that a resumed run must match.
After the run, it also holds the final checkpoint and `training.json`, the record of the training. Neither JSON file
contains local paths or messages.
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
from model_build.manifest import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from transformers import TrainerControl

    from model_build.train.cli import TrainingOptions
    from model_build.train.corpus import TokenizedTexts
    from model_build.train.examples import Examples

RUN_FILE, RECORD_FILE = "run.json", "training.json"
STATE_FILE = "trainer_state.json"  # written by the Trainer as the last file of a checkpoint
CHECKPOINTS_KEPT = 2  # the newest, and the previous one in case the disk fills up while the newest is written
SEED_STRIDE = 1_000_000  # more than the epochs of a run, so that different seeds never share a text order
# Seconds that the other processes wait while the main process tokenizes or scores with a teacher.
PROCESS_TIMEOUT = 24 * 3600
# Options that a resumed run may change.
CHANGEABLE = {"max_minutes", "save_steps", "eval_steps", "bf16", "use_cpu", "skip_bad_rows"}
# Options that `run.json` records as checksums, names or revisions, to keep paths out of it.
NOT_RECORDED_VERBATIM = {
    "out", "data", "chat", "base", "revision", "tokenizer", "teacher", "unlabelled", "toxic_labels", "deepspeed"
}  # fmt: skip


def training_arguments(options: TrainingOptions, **more: Any) -> TrainingArguments:
    """Return the Trainer's arguments. Most are options of the same name; `more` holds those of a single stage.

    Raises ModelBuildError if the folder holds a run with other options, before anything is scored or tokenized.
    """
    if (options.out / RECORD_FILE).is_file() or _newest_checkpoint(options.out, quiet=True):
        values = _recorded_values(options)
        _check_config(options.out, values, values.keys())
    known = {argument.name for argument in fields(TrainingArguments)} - {"eval_steps", "deepspeed"}
    arguments = TrainingArguments(
        output_dir=str(options.out),
        **{option.name: getattr(options, option.name) for option in fields(options) if option.name in known},
        per_device_eval_batch_size=options.per_device_train_batch_size,
        eval_strategy="steps" if options.eval_steps else "no",
        eval_steps=options.eval_steps or None,
        adam_beta2=0.98,
        # DeepSpeed supports PyTorch's optimizer everywhere, but its fused version only on some devices.
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
        disable_tqdm=not sys.stderr.isatty(),  # no progress bar in a log
        **more,
    )
    # ZeRO stage 3 would partition the weights on loading, but they still have to be copied or converted. These models
    # fit into memory, so they can be partitioned when training begins.
    unset_hf_deepspeed_config()
    return arguments


# Accelerate names the CPU of each process `cpu:N`, and torch cannot load an optimizer state to such a device.
register_package(11, lambda _: None, lambda storage, location: storage if location.startswith("cpu:") else None)


class ResumableTrainer(Trainer):  # type: ignore[misc]  # transformers has no types
    """A Trainer with a time limit, whose text order depends only on the seed and the epoch."""

    def __init__(self, options: TrainingOptions, **keywords: Any) -> None:
        super().__init__(callbacks=[TimeLimit(options.until)], **keywords)
        # `compute_loss` returns the mean of a batch, so the Trainer must average over the batches of a step.
        self.model_accepts_loss_kwargs = False
        self.options = options

    def finish_from(self, checkpoint: Path) -> None:
        """Load weights and state from the checkpoint of the last step. `train` would run one more step."""
        self._load_from_checkpoint(str(checkpoint))
        self.state = TrainerState.load_from_json(str(checkpoint / STATE_FILE))
        if self.is_world_process_zero():
            # `save_model` needs the DeepSpeed engine, which only `train` creates.
            self._save(str(self.options.out))

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return LengthGroupedSampler(self, self.train_dataset if train_dataset is None else train_dataset)


class LengthGroupedSampler(Sampler[int]):  # type: ignore[misc]  # torch has no types here
    """Shuffled indices that group texts of similar length in each step, to reduce padding.

    The epoch comes from the Trainer, because Accelerate's calls of `set_epoch` restart at 0 in a resumed run.
    """

    def __init__(self, trainer: ResumableTrainer, texts: Examples | TokenizedTexts) -> None:
        self._trainer, self._texts = trainer, texts

    def __len__(self) -> int:
        return len(self._texts)

    def __iter__(self) -> Iterator[int]:
        args, epoch = self._trainer.args, int(self._trainer.state.epoch or 0)
        self._texts.begin_epoch(epoch)
        step = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        random = torch.Generator().manual_seed(args.seed * SEED_STRIDE + epoch)
        return iter(get_length_grouped_indices(list(self._texts.lengths()), step, generator=random))


class TimeLimit(TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Save and stop once time.monotonic() passes `until`."""

    def __init__(self, until: float) -> None:
        self._until = until

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Use this command's save and evaluation intervals, not those stored in the checkpoint."""
        del control
        state.compute_steps(args, state.max_steps)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Stop all processes when the time of any one is up: if only one stopped, the others would wait for it."""
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
    """Train, from the newest checkpoint in the run's folder if there is one; return whether all steps are done.

    `described` is the stage's part of the configuration, such as its data. A finished run is left unchanged. Raises
    ModelBuildError if the folder holds a run with another or no configuration.
    """
    options = trainer.options
    out, deepspeed = options.out, options.deepspeed.name if options.deepspeed else None
    values = _recorded_values(options)
    config = {**described, **values, "processes": trainer.args.world_size, "deepspeed": deepspeed}
    last, finished = _newest_checkpoint(out), (out / RECORD_FILE).is_file()
    if last or finished:
        _check_config(out, config)
    if finished:
        return True
    # All processes must check the folder before the main process changes it.
    with trainer.args.main_process_first(local=False, desc="writing the run's configuration"):
        if trainer.is_world_process_zero():
            write_json(out / RUN_FILE, {name: value for name, value in config.items() if name not in CHANGEABLE})
    if last and _all_steps_done(last):
        trainer.finish_from(last)
    else:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
        if trainer.state.global_step < trainer.state.max_steps:
            done = f"step {trainer.state.global_step} of {trainer.state.max_steps}"
            log(f"Stopped at {done}. Run the same command to resume.")
            return False
        trainer.save_model()
    if trainer.is_world_process_zero():
        (out / "training_args.bin").unlink(missing_ok=True)  # a pickle with local paths
        del config["max_minutes"]
        outcome = {
            "steps": trainer.state.global_step,
            "log": [entry for entry in trainer.state.log_history if "loss" in entry or "eval_loss" in entry],
            "versions": {name: version(name) for name in ("torch", "transformers", "accelerate")},
        }
        write_json(out / RECORD_FILE, config | outcome)
    return True


def _recorded_values(options: TrainingOptions) -> dict[str, Any]:
    names = {option.name for option in fields(options) if option.init} - NOT_RECORDED_VERBATIM
    return {name: getattr(options, name) for name in sorted(names)}


def _check_config(out: Path, config: Mapping[str, Any], names: Collection[str] = ()) -> None:
    """Raise ModelBuildError if one of these values, or by default any, differs from the run in the folder."""
    before = read_json(out / RUN_FILE, "pass another --out")
    config = json.loads(json.dumps(config))  # with lists for tuples
    compared = set(names or before.keys() | config.keys()) - CHANGEABLE
    if differing := sorted(name for name in compared if before.get(name) != config.get(name)):
        raise ModelBuildError(
            f"{out} holds a run with another {', '.join(differing)}: pass the values of that run, or another --out"
        )


def _newest_checkpoint(out: Path, *, quiet: bool = False) -> Path | None:
    """Return the newest complete checkpoint. A process killed while saving leaves one without a state file."""
    found = [folder for folder in out.glob("checkpoint-*") if folder.name.rpartition("-")[2].isdecimal()]
    for folder in sorted(found, key=lambda folder: -int(folder.name.rpartition("-")[2])):
        try:
            _all_steps_done(folder)
        except (OSError, ValueError):
            if not quiet:
                log(f"Skipping {folder.name}, which is incomplete.")
        else:
            return folder
    return None


def _all_steps_done(checkpoint: Path) -> bool:
    state = json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
    return bool(state["global_step"] >= state["max_steps"])


def key(described: Mapping[str, Any]) -> str:
    """Return a short hash of these values, for the name of the file or folder made from them."""
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]


def log(text: str) -> None:
    """Print a line of progress, in the main process only."""
    if os.environ.get("RANK", "0") == "0":
        print(text, flush=True)
