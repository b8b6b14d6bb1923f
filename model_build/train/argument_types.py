"""Words of the command line come in, values come out, or argparse's own error that says what was meant."""

from __future__ import annotations

import argparse
import math
import re
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3}
Number = TypeVar("Number", int, float)


def per_source(text: str) -> tuple[str, int]:
    """Return SOURCE=NUMBER as both."""
    source, _, number = text.rpartition("=")
    if not source or not number.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not SOURCE=NUMBER")
    return source, int(number)


def share(text: str) -> float:
    """Return a number from 0 to 1."""
    return _within(text, float, lambda number: 0 <= number <= 1, "a number from 0 to 1")


def above_zero(text: str) -> float:
    """Return a finite number above 0."""
    return _within(text, float, lambda number: 0 < number < math.inf, "a number above 0")


def from_zero(text: str) -> float:
    """Return a finite number that is not negative."""
    return _within(text, float, lambda number: 0 <= number < math.inf, "a number from 0 on")


def at_least(least: int) -> Callable[[str], int]:
    """Return what reads a whole number that is not below `least`."""
    return lambda text: _within(text, int, lambda number: number >= least, f"a whole number from {least} on")


def names(text: str) -> tuple[str, ...]:
    """Return NAME,.. as a tuple."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def places(text: str) -> tuple[int, ...]:
    """Return 0,2,4 as a tuple."""
    try:
        return tuple(int(place) for place in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers such as 0,2,4") from None


def size(text: str) -> int:
    """Return a number of bytes such as 16MB, 512KB or 1000000."""
    found = re.fullmatch(r"(\d+)\s*([KMG]?)B?", text.strip(), re.IGNORECASE)
    if not found or not int(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 16MB")
    return int(found[1]) * UNITS[found[2].upper()]


def _within(text: str, kind: type[Number], fits: Callable[[Number], bool], meant: str) -> Number:
    try:
        number = kind(text)
    except ValueError:
        number = None
    if number is None or not fits(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not {meant}")
    return number
