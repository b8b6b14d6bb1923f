"""The receiver as the fuzzer calls it: what may come back, and what is a finding.

The handler's own code runs, with a queue of embedded AWS in another process behind it; a case may ask for a queue that
is not there, and then 503 is right.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING, Any

from local.fuzz.cases import event, parsed

if TYPE_CHECKING:
    from types import ModuleType

STATUSES = (200, 400, 401, 413)


class WrongAnswerError(Exception):
    """Raised if the receiver answers with something that API Gateway or Slack should never see."""


class Target:
    """Calls the handler of a receiver's module with one case after the other, and counts the answers."""

    def __init__(self, receiver: ModuleType) -> None:
        self.answers: Counter[int] = Counter()
        self._receiver = receiver
        there = receiver.settings
        missing = dataclasses.replace(there, jobs_queue_url=f"{there.jobs_queue_url}-that-is-not-there")
        self._settings = {True: there, False: missing}

    def __call__(self, data: bytes) -> None:
        """Raise whatever the handler raises, and WrongAnswerError for an answer that is none."""
        case = parsed(data)
        there = case.get("queue", True) is not False
        self._receiver.settings = self._settings[there]  # type: ignore[attr-defined]
        answer = self._receiver.handler(event(case), None)
        self._check(answer, STATUSES if there else (*STATUSES, 503))
        self.answers[answer["statusCode"]] += 1

    def _check(self, answer: Any, statuses: tuple[int, ...]) -> None:
        if answer.keys() != {"statusCode", "headers", "body"} or answer["statusCode"] not in statuses:
            raise WrongAnswerError(f"expected one of {statuses}, came {answer.get('statusCode')}")
        strings = [answer["body"], *answer["headers"], *answer["headers"].values()]
        if not all(isinstance(string, str) for string in strings):
            raise WrongAnswerError(f"the headers or the body of a {answer['statusCode']} are no strings")
