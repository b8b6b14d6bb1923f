"""How a stage is run on Hugging Face's Trainer: its options, progress, stopping after some minutes, and going on.

Every stage leaves `OUT/checkpoint-N` folders while it runs, and in OUT itself the finished checkpoint, with a
`training.json` that says how it was made.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from transformers import TrainingArguments
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from model_build.train import record

if TYPE_CHECKING:
    from pathlib import Path

    from model_build.train.trainer import ScheduledTrainer

STAGES_KEPT = 2  # checkpoints of a run in progress: the last one, and the one before in case the disk fills up
# A run may go on with another value of these and is still the same run.
FREE_TO_CHANGE = ("minutes", "save_every", "bf16", "cpu")
# While one process scores with a teacher or tokenizes, the others wait for it: seconds.
LONGEST_WAIT = 24 * 3600


@dataclass(frozen=True)
class Run:
    """What every stage can be told; the command line's options have the same names and say what they mean."""

    out: Path
    epochs: float = 2.0
    steps: int = 0
    batch: int = 64
    accumulate: int = 1
    rate: float = 5e-5
    schedule: str = "linear"
    clip: float = 1.0
    weight_decay: float = 0.01
    max_length: int = 96
    seed: int = 1
    bf16: bool = False
    cpu: bool = False
    minutes: float = 0.0
    save_every: int = 200
    deepspeed: Path | None = None
    # What comes before the first step, such as tokenizing, counts as well.
    started: float = field(default_factory=time.monotonic, init=False, compare=False)

    @property
    def until(self) -> float:
        """The reading of time.monotonic at which the run's minutes are over; infinite where they are not limited."""
        return self.started + 60 * self.minutes if self.minutes else float("inf")

    def arguments(self, **more: Any) -> TrainingArguments:
        """Return them in the Trainer's terms; `more` are fields of TrainingArguments that a stage sets itself."""
        arguments = TrainingArguments(
            output_dir=str(self.out),
            num_train_epochs=self.epochs,
            max_steps=self.steps or -1,
            per_device_train_batch_size=self.batch,
            per_device_eval_batch_size=self.batch,
            gradient_accumulation_steps=self.accumulate,
            learning_rate=self.rate,
            max_grad_norm=self.clip,
            weight_decay=self.weight_decay,
            adam_beta2=0.98,
            # DeepSpeed takes PyTorch's own for one that it knows, the fused one not on every device.
            optim="adamw_torch" if self.deepspeed else "adamw_torch_fused",
            seed=self.seed,
            data_seed=self.seed,
            bf16=self.bf16,
            use_cpu=self.cpu,
            deepspeed=str(self.deepspeed) if self.deepspeed else None,
            ddp_timeout=LONGEST_WAIT,
            ddp_find_unused_parameters=False,
            save_strategy="steps",
            save_steps=self.save_every,
            save_total_limit=STAGES_KEPT,
            logging_steps=50,
            report_to=[],
            remove_unused_columns=False,
            dataloader_pin_memory=False,
            # A bar is for a terminal; a log has lines.
            disable_tqdm=not sys.stderr.isatty(),
            **more,
        )
        # Stage 3 would divide weights while they are loaded, and none could be copied, cut or scored with; these models
        # fit into memory, so that it is soon enough when the Trainer begins.
        unset_hf_deepspeed_config()
        return arguments

    def options(self, *without: str) -> dict[str, Any]:
        """Return the options that are not in `without`, for a record: no path among them."""
        return {name: value for name, value in asdict(self).items() if name not in (*without, *_PATHS)}


_PATHS = ("out", "deepspeed", "started")


def train(trainer: ScheduledTrainer, made_of: dict[str, Any]) -> bool:
    """Train from the last checkpoint in the run's folder, if there is one; return whether all steps are done.

    The finished checkpoint, its tokenizer and `training.json` with `made_of` are written once all steps are done; a run
    that is done already is left as it is. Raises ModelBuildError if the folder holds another run.
    """
    out, run = trainer.run.out, trainer.run
    launched = {"processes": trainer.args.world_size, "deepspeed": run.deepspeed.name if run.deepspeed else None}
    begun_with = {**made_of, **run.options(*FREE_TO_CHANGE), **launched}
    last = record.go_on(out, begun_with)
    trained = last is not None and record.all_steps_done(last)
    if trained and (out / record.RECORD).is_file():
        return True
    # No process passes before all have looked: the first one writes what the others look for.
    with trainer.args.main_process_first(local=False, desc="describing the run"):
        if trainer.is_world_process_zero():
            record.begin(out, begun_with)
    if last and trained:
        trainer.finish_from(last)
    else:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
        if trainer.state.global_step < trainer.state.max_steps:
            say(f"Stopped at step {trainer.state.global_step} of {trainer.state.max_steps}: the same command goes on.")
            return False
        trainer.save_model()
    if trainer.is_world_process_zero():
        (out / "training_args.bin").unlink(missing_ok=True)  # a pickle, with paths of this machine
        record.end(out, {**made_of, "options": run.options("minutes"), **launched}, trainer.state)
    return True


def say(text: str) -> None:
    """Print a line of progress, once however many processes train."""
    if os.environ.get("RANK", "0") == "0":
        print(text, flush=True)
