"""Findings as people and as programs read them."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

from doctor.findings import Mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doctor.findings import Finding

WIDTH = 118
MARK_WIDTH, SUBJECT_WIDTH = 9, 19


def lines(finding: Finding) -> str:
    """Return one finding as text. What mends it stays on one line, so that a command can be copied."""
    head = f"{finding.mark:<{MARK_WIDTH}}{finding.subject:<{SUBJECT_WIDTH}}"
    indent = " " * len(head)
    text = textwrap.fill(finding.sentence, WIDTH, initial_indent=head, subsequent_indent=indent)
    return f"{text}\n{indent}-> {finding.mend}" if finding.mend else text


def summary(findings: Sequence[Finding]) -> str:
    """Return how many there are of each mark."""
    number = Counter(finding.mark for finding in findings)
    return ", ".join(f"{number[mark]} {mark}" for mark in Mark if number[mark])


def as_json(findings: Sequence[Finding]) -> str:
    """Return one JSON object: whether all is well, and the findings with all their fields."""
    return json.dumps({"ok": is_well(findings), "findings": [asdict(finding) for finding in findings]}, indent=2)


def is_well(findings: Sequence[Finding]) -> bool:
    """Return whether every check could be made and found nothing amiss."""
    return all(finding.mark is Mark.OK for finding in findings)
