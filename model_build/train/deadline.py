"""The end of a run's time: a stage stops with a checkpoint, and the same command goes on from there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments


class Deadline(TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Saves and stops once the clock, that of time.monotonic, passes `until`."""

    def __init__(self, until: float) -> None:
        self._until = until

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Ask for a checkpoint and the end once the time is over in any of the processes."""
        over = time.monotonic() >= self._until
        if args.world_size > 1:
            # Clocks differ, and a process that stops alone leaves the others waiting for it.
            heard = torch.tensor(int(over), device=args.device)
            torch.distributed.all_reduce(heard, torch.distributed.ReduceOp.MAX)
            over = bool(heard)
        if over and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True
        return control
