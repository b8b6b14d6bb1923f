"""What a check found out: a mark, a sentence and, unless all is well, what mends it. No secret ever stands in one."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

_Returned = TypeVar("_Returned")


class Mark(StrEnum):
    OK = "ok"
    WRONG = "wrong"
    UNKNOWN = "unknown"
    """It could not be looked at: rights are missing, or an earlier check failed."""


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    subject: str
    mark: Mark
    sentence: str
    mend: str = ""


# What every check is: findings on the way, and in the end what later checks need.
Check = Generator[Finding, None, _Returned]


def ok(subject: str, sentence: str) -> Finding:
    return Finding(subject, Mark.OK, sentence)


def wrong(subject: str, sentence: str, mend: str) -> Finding:
    return Finding(subject, Mark.WRONG, sentence, mend)


def unknown(subject: str, sentence: str, mend: str = "") -> Finding:
    return Finding(subject, Mark.UNKNOWN, sentence, mend)
