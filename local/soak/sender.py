"""Slack's side of a soak: each delivery is sent until the right answer comes; those that never get it are kept."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from local.events import deliver, signed

if TYPE_CHECKING:
    from local.soak.people import People
    from local.soak.plan import Step

# Seconds between the tries of one delivery, which Slack makes at once, after one minute and after five.
RETRY_DELAYS = (0, 0.2, 1)
ANSWER_SECONDS = 10.0  # more than Slack waits: two cores have everything else to do as well
NO_PATIENCE = 0.001  # loses an acknowledgement


class Sender:
    """Sends to one receiver, from many threads; people note which reactions it was told of."""

    def __init__(self, people: People, url: str) -> None:
        self.statuses: Counter[str] = Counter()
        self.refused: list[str] = []
        self._people, self._url = people, url
        self._lock = threading.Lock()

    def deliver(self, step: Step, body: bytes) -> None:
        """Send it as often as Slack would: a forged one is to be refused, any other one taken."""
        forged = step.act == "forge"
        right = 401 if forged else 200
        secret = "somebody else's" if forged else self._people.workspace.signing_secret
        timeout = NO_PATIENCE if step.act == "lose_ack" else ANSWER_SECONDS
        answers: list[str] = []
        for delay in (0, *RETRY_DELAYS):
            time.sleep(delay)
            sent_at = time.monotonic()
            attempt = deliver(self._url, body, signed(body, secret, int(time.time())), timeout)
            answers.append(str(attempt.status or attempt.failure))
            if attempt.status == right:
                if not forged:
                    self._people.told(step.number, sent_at)
                break
            timeout = ANSWER_SECONDS
        else:
            self.refused.append(f"a request about message {step.number}, expected {right}, came {', '.join(answers)}")
        with self._lock:
            self.statuses.update(answers)
