"""The installation to check: the variables of the functions, where the rest is, and the model on this machine.

Without a stack it is the environment of this process: local services, or one machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from doctor.findings import Check, ok, wrong
from toxicity_bot.errors import ModelError, SettingError
from toxicity_bot.settings import DEFAULTS, Settings, Thresholds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from doctor.functions import Function

RECEIVER_NEEDS = ("SLACK_SIGNING_SECRET", "JOBS_QUEUE_URL")
WORKER_NEEDS = ("SLACK_BOT_TOKEN", "LEDGER_TABLE")


class Part(NamedTuple):
    """A function or process with its own variables, and the variables that it requires."""

    name: str
    environ: Mapping[str, str]
    needs: tuple[str, ...]
    mend: str


@dataclass(frozen=True)
class Installation:
    """The parts, and all their variables together; a stack has those functions that AWS lets this identity read."""

    parts: tuple[Part, ...]
    environ: Mapping[str, str] = field(repr=False)
    request_url: str = ""
    functions: tuple[Function, ...] = ()
    stack: str = ""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], request_url: str = "") -> Installation:
        """Return an installation on one machine, where receiver and worker share the environment."""
        mend = "set it in the environment that the bot runs with; docs/configuration.md explains each variable"
        part = Part("settings", environ, RECEIVER_NEEDS + WORKER_NEEDS, mend)
        return cls((part,), environ, request_url)


def check_settings(installation: Installation) -> Check[Settings]:
    """Report each variable that is missing or invalid; return the settings, with defaults for those."""
    for part in installation.parts:
        usable, problems = _split(part.environ)
        problems += _missing(usable, part.needs)
        for problem in problems:
            yield wrong(part.name, str(problem), part.mend)
        if not problems:
            set_here = [name for name in DEFAULTS if part.environ.get(name)]
            yield ok(part.name, f"{len(set_here)} variables are set, and all are valid")
    usable, _ = _split(installation.environ)
    return Settings.from_environ(usable)


def check_model(settings: Settings) -> Check[None]:
    """Load the model as the worker does, with its self-test, and compare it with the settings."""
    from toxicity_bot.classifier import Classifier  # takes a quarter of a second, needed only here

    try:
        classifier = Classifier(settings.model_dir)
        toxic, maybe = settings.thresholds(Thresholds(classifier.threshold, classifier.threshold_maybe))
    except (ModelError, SettingError) as error:
        sentence, _, mend = str(error).rpartition(": ")
        yield wrong("model", sentence, mend)
    else:
        may_be = f", and may be from {maybe:g}" if maybe < toxic else ""
        yield ok("model", f"the model in {settings.model_dir} passes its self-test; toxic from {toxic:g}{may_be}")


def _split(environ: Mapping[str, str]) -> tuple[dict[str, str], list[SettingError]]:
    """Separate valid variables from invalid ones; Settings itself stops at the first invalid one."""
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
