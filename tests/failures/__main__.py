"""Run the tests that are marked with a failure's number and print a line per failure.

Exit with status 1 if a test fails or is skipped, or if a failure has no test. Arguments such as `-x` go to pytest.
"""

import sys
import time
from collections import Counter

import pytest

from tests import ROOT
from tests.failures.catalogue import FAILURES

TESTS = [
    str(ROOT / "tests" / name)
    for name in ("toxicity_bot", "test_template.py", "local/test_socket_mode.py", "local/test_sqlite.py")
]


class Table:
    """A pytest plugin that adds up the test results per failure."""

    def __init__(self) -> None:
        self.numbers: dict[str, list[int]] = {}
        """The failure numbers of each collected test, by node id."""
        self.passed, self.failed = Counter[int](), Counter[int]()
        self.seconds = dict.fromkeys(FAILURES, 0.0)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            self.numbers[item.nodeid] = [number for mark in item.iter_markers("failure") for number in mark.args]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for number in self.numbers[report.nodeid]:
            self.seconds[number] += report.duration
            self.passed[number] += report.when == "call" and report.passed
            self.failed[number] += not report.passed

    def word(self, number: int) -> str:
        return "FAILED" if self.failed[number] else "passed" if self.passed[number] else "MISSING"

    def lines(self) -> list[str]:
        width = max(map(len, FAILURES.values()))
        return [
            f"{one:3}  {failure:{width}}  {self.word(one):7}  {self.passed[one]:3}  {self.seconds[one]:6.2f}"
            for one, failure in FAILURES.items()
        ]


def main(arguments: list[str]) -> int:
    table, started = Table(), time.monotonic()
    code = pytest.main(["-q", "-m", "failure", *TESTS, *arguments], plugins=[table])
    passed, seconds = [table.word(number) for number in FAILURES].count("passed"), time.monotonic() - started
    print("\n".join(["", *table.lines(), f"{passed} of {len(FAILURES)} failures passed in {seconds:.0f} s."]))
    return 1 if code or passed < len(FAILURES) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
