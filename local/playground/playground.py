"""What people do in the playground, and what they see of the bot: reactions reach it as Slack sends them."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import Any, Self

from local.aws import EmbeddedAws
from local.block_kit import escaped
from local.bot import BotError, LocalBot, bot_environ, verdicts
from local.events import deliver, encoded, event_callback, signed
from local.playground import view
from local.playground.feed import Feed
from local.playground.scoring import score
from local.playground.trail import Trail, Trails
from local.playground.trouble import Trouble
from local.playground.watch import WatchedAws, WatchedSlack, unwatched
from local.situations import FINE, TOXIC
from local.workspace import RefusedError, Workspace
from toxicity_bot import Classifier
from toxicity_bot.jobs import Job
from toxicity_bot.judge import key_of
from toxicity_bot.message_words import read
from toxicity_bot.settings import Settings, Thresholds

# Of the worker's time-out and delays: the job of a killed worker comes again after 11 s, in an account after 180 s.
COMPRESSION = 3


class WrongRequestError(Exception):
    """Raised if a request lacks a field, or has one that cannot be used; the message says which."""


class Playground:
    """The bot and a workspace with some messages; `feed` tells of every change."""

    def __init__(self) -> None:
        self.workspace = Workspace.example()
        self.feed = Feed(self.state)
        self.trails = Trails(self.feed.changed)
        self.trouble = Trouble(self._kill_worker)
        self._slack = WatchedSlack(self.workspace, self.trails.called)
        self._slack.faults = self.trouble
        aws = EmbeddedAws(around=lambda application: WatchedAws(application, self.trails.called))
        self.bot = LocalBot(self.workspace, slack=self._slack, aws=aws, compression=COMPRESSION)
        self._one_at_a_time = threading.Lock()
        self._replacing: threading.Thread | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.bot)
            environ = bot_environ(self.bot.aws, self.workspace)
            self.settings = Settings.from_environ(environ)
            self.classifier = Classifier(self.settings.model_dir)
            self.thresholds = self.settings.thresholds(
                Thresholds(self.classifier.threshold, self.classifier.threshold_maybe)
            )
            self._table = unwatched(self.bot.aws.client("dynamodb"))
            self._stack = stack.pop_all()
        _write_examples(self.workspace)
        return self

    def __exit__(self, *_: object) -> None:
        self.feed.close()
        if self._replacing:
            self._replacing.join()
        self._stack.close()

    def state(self) -> dict[str, Any]:
        """Return all that the page shows and that may change."""
        trail = self.trails.as_json()
        if trail:
            trail |= {"answers": self._answers(), "row": self._row(), "sign": view.emoji(trail["emoji"])}
        return {"channels": view.channels(self.workspace), "trail": trail, "trouble": sorted(self.trouble.on)}

    def _answers(self) -> int:
        """Return how many answers there are to the words that the message of the latest reaction has now."""
        trail = self.trails.latest()
        if trail is None:
            return 0
        try:
            message = self.workspace.message(trail.channel, trail.ts)
        except RefusedError:
            return trail.whispers
        job = Job(self.workspace.identity.team_id, trail.channel, trail.ts, trail.reactor, "Ev0", 0)
        key = key_of(job, read(message))
        keys = [post["metadata"]["event_payload"]["key"] for post in verdicts(self.workspace)[trail.ts]]
        return keys.count(key) + trail.whispers

    def _row(self) -> dict[str, str]:
        """Return the ledger's row of the latest reaction as the table has it, without its type letters."""
        trail = self.trails.latest()
        if trail is None or not trail.row:
            return {}
        item = self._table.get_item(TableName=self.bot.aws.table, Key={"id": {"S": trail.row}}).get("Item", {})
        return {name: str(next(iter(value.values()))) for name, value in item.items()}

    # What people do.

    def post(self, channel: str, user: str, text: str, thread_ts: str = "") -> None:
        """Post a message as a person who types it: nothing in it is markup but emoji and styles."""
        if not text.strip():
            raise WrongRequestError("There is no text in the message.")
        self.workspace.post(channel, user, escaped(text), thread_ts=thread_ts or None)

    def edit(self, channel: str, ts: str, user: str, text: str) -> None:
        if not text.strip():
            raise WrongRequestError("There is no text in the message.")
        self._own(channel, ts, user, "cant_update_message")
        self.workspace.edit(channel, ts, escaped(text))

    def delete(self, channel: str, ts: str, user: str) -> None:
        self._own(channel, ts, user, "cant_delete_message")
        self.workspace.delete(channel, ts)

    def react(self, channel: str, ts: str, user: str, emoji: str) -> None:
        """Add a person's reaction, or remove it if it is there; Slack tells the bot of it."""
        message = self.workspace.message(channel, ts)
        there = any(one["name"] == emoji and user in one["users"] for one in message.get("reactions", []))
        change = self.workspace.unreact if there else self.workspace.react
        event = change(channel, ts, user, emoji)
        self.feed.changed()
        member = self.workspace.identity.bot_user_id in self.workspace.channel(channel).members
        # Slack tells an app of what happens in public channels, even of those that it has not joined.
        if member or self.workspace.channel(channel).kind == "public":
            self._send(event, Trail(channel, ts, user, emoji, removed=there))

    def switch(self, kinds: list[str]) -> None:
        """Switch on what goes wrong from the next reaction on."""
        try:
            self.trouble.switch(kinds)
        except ValueError as error:
            raise WrongRequestError(f"{error}.") from error

    def score(self, text: str, toxic: float, maybe: float) -> dict[str, Any]:
        """Score a text, straight by the classifier."""
        if not 0 <= maybe <= toxic <= 1:
            raise WrongRequestError("The thresholds must be from 0 to 1, the lower one at most the upper one.")
        return score(self.classifier, text, Thresholds(toxic, maybe))

    def _own(self, channel: str, ts: str, user: str, refusal: str) -> None:
        if self.workspace.message(channel, ts).get("user") != user:
            raise RefusedError(refusal)

    def _send(self, event: dict[str, Any], trail: Trail) -> None:
        """Send an event to the receiver as Slack does; its trail begins now."""
        payload = event_callback(event, self.workspace.identity)
        event_id, body = payload["event_id"], encoded(payload)
        with self._one_at_a_time:
            self.trouble.arm()
            self.trails.begin(event_id, trail)
            for number in range(2 if "deliver_twice" in self.trouble.on else 1):
                reason = "http_timeout" if number else ""
                headers = signed(
                    body, self.workspace.signing_secret, int(time.time()), retry_num=number, retry_reason=reason
                )
                started = time.perf_counter()
                delivery = deliver(self.bot.request_url, body, headers, stopwatch=time.perf_counter)
                self.trails.delivered(event_id, started, delivery, " once more" if number else "")

    def _kill_worker(self) -> None:
        self.bot.worker.kill()
        self.trails.killed()
        self._replacing = threading.Thread(target=self._replace_worker, name="replace")
        self._replacing.start()

    def _replace_worker(self) -> None:
        try:
            self.bot.restart_worker()
        except BotError:
            logging.getLogger(__name__).exception("no new worker")


def _write_examples(workspace: Workspace) -> None:
    """Write some messages, so that there is something to react to."""
    workspace.add_user("katherine")
    for channel in workspace.channels:
        channel.members.add("U0KATHERINE")
    root = workspace.post("C0GENERAL", "U0ADA", FINE[0])
    workspace.post("C0GENERAL", "U0KATHERINE", "It is the flaky test again. I have a fix.", thread_ts=root["ts"])
    workspace.post("C0GENERAL", "U0GRACE", TOXIC[0])
    workspace.post("C0GENERAL", "U0KATHERINE", "Damn, that was a hell of a good talk :tada:")
    workspace.post("C0PRIVATE", "U0GRACE", "Nobody would miss you if you left the team.")
    workspace.post("C0RANDOM", "U0ADA", "The bot is not a member here. React, and it tells you so.")
