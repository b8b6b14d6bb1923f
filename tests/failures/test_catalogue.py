"""Every failure has a test, and what `python -m tests.failures` says of it is true."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.failures.__main__ import Table
from tests.failures.catalogue import FAILURES, numbers_of

FOLDER = Path(__file__).parent


def names() -> list[str]:
    return [
        node.name
        for file in FOLDER.glob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def test_the_numbers_are_1_to_59_and_each_has_a_test() -> None:
    assert list(FAILURES) == list(range(1, 60))
    tested = {number for name in names() for number in numbers_of(name)}
    assert tested == FAILURES.keys(), f"without a test: {FAILURES.keys() - tested}"


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("test_f1_x", [1]), ("test_f30_f31_x[f5_a]", [30, 31]), ("test_f59_f", [59]), ("test_x_f7_y", []), ("test_x", [])],
)
def test_a_test_tells_its_numbers(name: str, numbers: list[int]) -> None:
    assert numbers_of(name) == numbers


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
def test_a_number_is_met_if_its_tests_ran_and_passed_with_all_around_them(outcomes: dict[str, str], word: str) -> None:
    table = Table()
    for when, outcome in outcomes.items():
        table.pytest_runtest_logreport(
            pytest.TestReport("tests/failures/test_x.py::test_f7_x", ("", 0, ""), {}, outcome, None, when)  # type: ignore[arg-type]
        )
    assert table.results[7].word == word
    assert word in table.lines()[6]
