import pytest

from tests import ROOT
from tests.failures.__main__ import TESTS, Table
from tests.failures.catalogue import FAILURES


def test_every_failure_has_a_test_and_every_number_is_in_the_catalogue() -> None:
    table = Table()
    pytest.main(["--collect-only", "-qq", "-m", "failure", *TESTS], plugins=[table])
    assert {number for numbers in table.numbers.values() for number in numbers} == FAILURES.keys()
    assert list(FAILURES) == sorted(FAILURES)
    assert {*range(1, 60)} <= FAILURES.keys()
    assert f"| {len(FAILURES)} ways" in (ROOT / "docs" / "development.md").read_text()


@pytest.mark.parametrize(
    ("outcomes", "word"),
    [
        ({"setup": "passed", "call": "passed", "teardown": "passed"}, "passed"),
        ({"setup": "passed", "call": "failed", "teardown": "passed"}, "FAILED"),
        ({"setup": "passed", "call": "passed", "teardown": "failed"}, "FAILED"),
        ({"setup": "failed", "teardown": "passed"}, "FAILED"),
        ({"setup": "skipped", "teardown": "passed"}, "FAILED"),
        ({}, "MISSING"),
    ],
)
def test_a_failure_passes_if_its_tests_pass_with_setup_and_teardown(outcomes: dict[str, str], word: str) -> None:
    table = Table()
    table.numbers["test_x.py::test_x"] = [7]
    for when, outcome in outcomes.items():
        report = pytest.TestReport("test_x.py::test_x", ("", 0, ""), {}, outcome, None, when)  # type: ignore[arg-type]
        table.pytest_runtest_logreport(report)
    assert table.word(7) == word
    assert word in table.lines()[6]
