"""Hugging Face's Trainer as each stage uses it: a model and texts come in, checkpoints of its training come out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.serialization import register_package
from transformers import Trainer, TrainerState

from model_build.train import record
from model_build.train.batches import ByLength, Epochs
from model_build.train.deadline import Deadline
from model_build.train.schedules import scheduler

if TYPE_CHECKING:
    from pathlib import Path

    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler
    from torch.utils.data import Sampler

    from model_build.train.run import Run


def _on_a_numbered_cpu(storage: Any, location: str) -> Any:
    return storage if location.startswith("cpu:") else None


# Accelerate numbers the CPU of each of several processes, and torch reads no optimizer's state to a CPU with a number.
register_package(11, lambda _: None, _on_a_numbered_cpu)


class ScheduledTrainer(Trainer):  # type: ignore[misc]  # transformers has no types
    """A Trainer with this project's schedules and an order of texts that is the same after a stop."""

    def __init__(self, run: Run, **keywords: Any) -> None:
        self._epochs = Epochs(keywords["train_dataset"])
        limits = [Deadline(run.until)] if run.minutes else []
        super().__init__(callbacks=[self._epochs, *limits], **keywords)
        # Losses here are means over a batch: several to a step are averaged by the Trainer.
        self.model_accepts_loss_kwargs = False
        self.run = run

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> LRScheduler:
        """Return the schedule that the run names, over all steps of it, made once."""
        made: LRScheduler | None = getattr(self, "lr_scheduler", None)
        if made is None:
            made = self.lr_scheduler = scheduler(self.run.schedule, optimizer or self.optimizer, num_training_steps)
        return made

    def finish_from(self, checkpoint: Path) -> None:
        """Write the weights of a checkpoint whose steps are all done as the run's own, and have its state.

        The Trainer's own way would train one more step; DeepSpeed's would need its engine, which only training makes.
        """
        self._load_from_checkpoint(str(checkpoint))
        self.state = TrainerState.load_from_json(str(checkpoint / record.STATE))
        if self.is_world_process_zero():
            self._save(str(self.run.out))

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        texts = self.train_dataset if train_dataset is None else train_dataset
        together = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        self._epochs.order = ByLength(texts, together, self.args.seed)
        return self._epochs.order
