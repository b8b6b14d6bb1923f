"""Runs the tests of this folder and prints a line for each failure: its number, what is right, whether it holds.

Ends with 1 if one does not hold, has no test, or had none run. Arguments are pytest's: `-k f33`, say.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.failures.catalogue import FAILURES, numbers_of

FOLDER = Path(__file__).parent


@dataclass
class Result:
    """What the tests of one number came to."""

    tests: int = 0
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def word(self) -> str:
        return "FAILED" if self.failed else "passed" if self.tests else "MISSING"


class Table:
    """A pytest plugin that adds up, for every number, how its tests went."""

    def __init__(self) -> None:
        self.results = {number: Result() for number in FAILURES}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for number in numbers_of(report.nodeid.rpartition("::")[2]):
            result = self.results[number]
            result.tests += report.when == "call" and report.passed
            result.seconds += report.duration
            if not report.passed:
                result.failed.append(report.nodeid)

    def lines(self) -> list[str]:
        width = max(map(len, FAILURES.values()))
        return [
            f"{number:3}  {FAILURES[number]:{width}}  {result.word:7}  {result.tests:3}  {result.seconds:6.2f}"
            for number, result in self.results.items()
        ]


def main(arguments: list[str]) -> int:
    table = Table()
    code = pytest.main(["-q", str(FOLDER), *arguments], plugins=[table])
    held = [number for number, result in table.results.items() if result.word == "passed"]
    seconds = sum(result.seconds for result in table.results.values())
    print("\n".join(["", *table.lines(), f"{len(held)} of {len(FAILURES)} failures are met, in {seconds:.0f} s."]))
    return 1 if code or len(held) < len(FAILURES) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
