"""Messages and reactions in any number, and whether each of them has its verdict."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local.events import encoded, event_callback
from local.events.situations import EMOJI, FINE, TOXIC
from local.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable

# The local Slack reads a whole channel for one message of it.
CHANNELS = 100
TEXTS = (FINE[0], TOXIC[0], FINE[1])


@dataclass(frozen=True)
class Reaction:
    """The only one to its message, and the body of the request that tells of it."""

    ts: str
    body: bytes


class Crowd:
    def __init__(self) -> None:
        self.workspace = Workspace()
        self._users = [self.workspace.add_user(name) for name in ("ada", "grace")]
        members = {*self._users, self.workspace.identity.bot_user_id}
        self._channels = [self.workspace.add_channel(f"channel{number}", members=members) for number in range(CHANNELS)]

    def react(self, number: int) -> list[Reaction]:
        """Write so many messages, each with a reaction."""
        return [self._reaction(turn) for turn in range(number)]

    def verdicts(self) -> Counter[str]:
        """How many verdicts each message has, by its ts."""
        posts = (post for channel in self._channels for post in self.workspace.conversation(channel))
        return Counter(str(post["thread_ts"]) for post in posts if "metadata" in post)

    def _reaction(self, turn: int) -> Reaction:
        author, reactor = self._users
        channel = self._channels[turn % CHANNELS]
        ts = self.workspace.post(channel, author, TEXTS[turn % len(TEXTS)])["ts"]
        event = self.workspace.react(channel, ts, reactor, EMOJI)
        return Reaction(ts, encoded(event_callback(event, self.workspace.identity)))


def lost_and_doubled(accepted: Iterable[Reaction], verdicts: Counter[str]) -> tuple[int, int]:
    """How many reactions have no verdict, and how many more than one."""
    numbers = [verdicts[reaction.ts] for reaction in accepted]
    return numbers.count(0), sum(number > 1 for number in numbers)
