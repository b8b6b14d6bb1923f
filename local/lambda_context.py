"""Replace what Lambda provides to a function: the import of its module, and the context of an invocation."""

from __future__ import annotations

import importlib
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


def load(module: str) -> ModuleType:
    """Import a function's module, which reads the environment at that moment."""
    return importlib.import_module(f"toxicity_bot.{module}")


@dataclass(frozen=True)
class LocalContext:
    """The part of Lambda's context that the bot and Powertools use."""

    function_name: str
    timeout_seconds: float = 30
    memory_limit_in_mb: int = 1769
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    _started: float = field(default_factory=time.monotonic, repr=False)

    @property
    def invoked_function_arn(self) -> str:
        return f"arn:aws:lambda:eu-west-1:000000000000:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, round((self.timeout_seconds - (time.monotonic() - self._started)) * 1000))
