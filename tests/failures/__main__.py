"""Run the tests that are marked with a failure's number and print a line for each failure.

Exit with status 1 if a test fails or is skipped, or if a failure has no test. Arguments are pytest's: `-x`, say.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import pytest

from tests import ROOT
from tests.failures.catalogue import FAILURES

TESTS = [
    str(ROOT / "tests" / name)
    for name in ("toxicity_bot", "test_template.py", "local/test_socket_mode.py", "local/test_sqlite.py")
]


@dataclass
class Result:
    """The result of all tests of one failure."""

    tests: int = 0
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def word(self) -> str:
        return "FAILED" if self.failed else "passed" if self.tests else "MISSING"


class Table:
    """A pytest plugin that adds up the results of the tests of each failure."""

    def __init__(self) -> None:
        self.results = {number: Result() for number in FAILURES}
        self.numbers: dict[str, list[int]] = {}
        """The numbers of each collected test, by its node id."""
        self.seconds = 0.0

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            self.numbers[item.nodeid] = [number for mark in item.iter_markers("failure") for number in mark.args]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds += report.duration
        for number in self.numbers[report.nodeid]:
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
    code = pytest.main(["-q", "-m", "failure", *TESTS, *arguments], plugins=[table])
    met = [number for number, result in table.results.items() if result.word == "passed"]
    print("\n".join(["", *table.lines(), f"{len(met)} of {len(FAILURES)} failures are met, in {table.seconds:.0f} s."]))
    return 1 if code or len(met) < len(FAILURES) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
