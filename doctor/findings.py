"""The findings of the checks, as text and as JSON: a mark, a sentence and a remedy. No finding contains a secret."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Generator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 118
MARK_WIDTH, SUBJECT_WIDTH = 9, 19

_Returned = TypeVar("_Returned")


class Mark(StrEnum):
    OK = "ok"
    WRONG = "wrong"
    UNKNOWN = "unknown"  # not checked: rights are missing, or an earlier check failed


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    subject: str
    mark: Mark
    sentence: str
    mend: str = ""

    def as_text(self) -> str:
        """Return the finding as text; the remedy stays on one line, so that a command can be copied."""
        head = f"{self.mark:<{MARK_WIDTH}}{self.subject:<{SUBJECT_WIDTH}}"
        indent = " " * len(head)
        text = textwrap.fill(self.sentence, WIDTH, initial_indent=head, subsequent_indent=indent)
        return f"{text}\n{indent}-> {self.mend}" if self.mend else text


# A check yields findings and returns what later checks need.
Check = Generator[Finding, None, _Returned]


def ok(subject: str, sentence: str) -> Finding:
    return Finding(subject, Mark.OK, sentence)


def wrong(subject: str, sentence: str, mend: str) -> Finding:
    return Finding(subject, Mark.WRONG, sentence, mend)


def unknown(subject: str, sentence: str, mend: str = "") -> Finding:
    return Finding(subject, Mark.UNKNOWN, sentence, mend)


def summary(findings: Sequence[Finding]) -> str:
    """Return the number of findings with each mark."""
    number = Counter(finding.mark for finding in findings)
    return ", ".join(f"{number[mark]} {mark}" for mark in Mark if number[mark])


def as_json(findings: Sequence[Finding]) -> str:
    """Return one JSON object: whether all is well, and the findings with all their fields."""
    return json.dumps({"ok": is_well(findings), "findings": [asdict(finding) for finding in findings]}, indent=2)


def is_well(findings: Sequence[Finding]) -> bool:
    """Return whether every check was made and found nothing wrong."""
    return all(finding.mark is Mark.OK for finding in findings)
