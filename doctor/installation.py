"""What is examined: the variables that the functions run with, and where the rest of the installation is.

Without a stack it is the environment of this process: local services, or one machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from doctor.findings import Check, ok, wrong
from toxicity_bot.errors import SettingError
from toxicity_bot.settings import DEFAULTS, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doctor.functions import Function

RECEIVER_NEEDS = ("SLACK_SIGNING_SECRET", "JOBS_QUEUE_URL")
WORKER_NEEDS = ("SLACK_BOT_TOKEN", "LEDGER_TABLE")


class Part(NamedTuple):
    """Something that runs with variables of its own, and those that it cannot do without."""

    name: str
    environ: Mapping[str, str]
    needs: tuple[str, ...]
    mend: str


@dataclass(frozen=True)
class Installation:
    """The parts, and all their variables together; a stack has functions, as far as AWS lets them be read."""

    parts: tuple[Part, ...]
    environ: Mapping[str, str] = field(repr=False)
    request_url: str = ""
    functions: tuple[Function, ...] = ()
    stack: str = ""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], request_url: str = "") -> Installation:
        """One machine: receiver and worker share the environment."""
        mend = "set it in the environment that the bot runs with; docs/configuration.md explains each variable"
        part = Part("settings", environ, RECEIVER_NEEDS + WORKER_NEEDS, mend)
        return cls((part,), environ, request_url)


def check_settings(installation: Installation) -> Check[Settings]:
    """Name each variable that is missing or cannot be used; return the settings, with defaults for those."""
    for part in installation.parts:
        usable, problems = _sorted(part.environ)
        problems += _missing(usable, part.needs)
        for problem in problems:
            yield wrong(part.name, str(problem), part.mend)
        if not problems:
            set_here = [name for name in DEFAULTS if part.environ.get(name)]
            yield ok(part.name, f"{len(set_here)} variables are set, and all can be used")
    usable, _ = _sorted(installation.environ)
    return Settings.from_environ(usable)


def _sorted(environ: Mapping[str, str]) -> tuple[dict[str, str], list[SettingError]]:
    """Part the variables that can be used from those that cannot; Settings itself stops at the first of these."""
    usable, problems = dict(environ), []
    while True:
        try:
            Settings.from_environ(usable)
        except SettingError as error:
            problems.append(error)
            del usable[error.name]
        else:
            return usable, problems


def _missing(usable: Mapping[str, str], needs: tuple[str, ...]) -> list[SettingError]:
    problems = []
    for need in needs:
        try:
            Settings.from_environ(usable, needs=(need,))
        except SettingError as error:
            problems.append(error)
    return problems
