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
from local.events import FORM, JSON, as_form, deliver, encoded, event_callback, signed
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
MODERATORS = "C0MODERATORS"
# As in slack/manifest.yaml.
SHORTCUTS = {"check_toxicity": "Check for toxicity", "report_message": "Report to moderators"}


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
            trail |= {"answers": self._answers(), "row": self._row()}
        shown = {"channels": view.channels(self.workspace), "forms": view.forms(self.workspace)}
        return shown | {"trail": trail, "trouble": sorted(self.trouble.on)}

    def _answers(self) -> int:
        """Return how many answers there are to the words that the message of the latest reaction has now."""
        trail = self.trails.latest
        if trail is None:
            return 0
        if trail.private:
            return trail.whispers
        try:
            message = self.workspace.message(trail.channel, trail.ts)
        except RefusedError:
            return trail.whispers
        job = Job(self.workspace.identity.team_id, trail.channel, trail.ts, trail.person, "Ev0", 0)
        key = key_of(job, read(message))
        keys = [post["metadata"]["event_payload"]["key"] for post in verdicts(self.workspace)[trail.ts]]
        return keys.count(key) + trail.whispers

    def _row(self) -> dict[str, str]:
        """Return the ledger's row of the latest reaction as the table has it, without its type letters."""
        trail = self.trails.latest
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
            did = "took back" if there else "reacted with"
            self._send(event, Trail(channel, ts, user, f"{did} {view.emoji(emoji)}"))

    def shortcut(self, channel: str, ts: str, user: str, callback_id: str) -> None:
        """Choose a shortcut in the menu of a message."""
        payload = self._slack.message_action(callback_id, channel, ts, user)
        label = SHORTCUTS.get(callback_id, callback_id)
        self._ask(payload, Trail(channel, ts, user, f"chose \u201c{label}\u201d", private=True))

    def command(self, channel: str, user: str, text: str) -> None:
        """Type /toxicity with some words, which nobody else sees."""
        payload = self._slack.slash_command(text, channel, user)
        self._ask(payload, Trail(channel, "", user, "typed /toxicity", private=True))

    def click(self, channel: str, ts: str, user: str, action_id: str, value: str) -> None:
        """Click on a button of one of the bot's messages."""
        private = next((one for one in self.workspace.ephemerals if one["ts"] == ts), None)
        payload = self._slack.click(channel, ts, user, action_id, value=value, message=private)
        label = payload["actions"][0]["text"]["text"]
        self._ask(payload, Trail(channel, ts, user, f"clicked on \u201c{label}\u201d", private=True))

    def send_form(self, user: str, note: str) -> None:
        """Send the form that a person has before them."""
        payload = self._slack.send_form(user, note=note)
        self._ask(payload, Trail("", "", user, "sent the form", private=True))

    def close_form(self, user: str) -> None:
        if payload := self._slack.close_form(user):
            self._ask(payload, Trail("", "", user, "closed the form", private=True))

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
        """Send an event to the receiver as Slack does, with the trouble that is switched on."""
        body = encoded(event_callback(event, self.workspace.identity))
        with self._one_at_a_time:
            self.trouble.arm(self.trouble.on)
            self.trails.begin(trail)
            self._deliver(body, JSON, trail)
            if "deliver_twice" in self.trouble.on:
                self._deliver(body, JSON, trail, again=1)

    def _ask(self, payload: dict[str, Any], trail: Trail) -> None:
        """Send what a person asked for to the receiver as Slack does: once."""
        with self._one_at_a_time:
            self.trouble.arm(())
            self.trails.begin(trail)
            self._deliver(as_form(payload), FORM, trail)

    def _deliver(self, body: bytes, kind: str, trail: Trail, again: int = 0) -> None:
        reason = "http_timeout" if again else ""
        secret = self.workspace.signing_secret
        headers = signed(body, secret, int(time.time()), retry_num=again, retry_reason=reason, kind=kind)
        started = time.perf_counter()
        delivery = deliver(self.bot.request_url, body, headers, stopwatch=time.perf_counter)
        self.trails.delivered(trail, started, delivery, " once more" if again else "")

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
    workspace.add_channel("moderators", "private", {"U0GRACE", workspace.identity.bot_user_id})
    root = workspace.post("C0GENERAL", "U0ADA", FINE[0])
    workspace.post("C0GENERAL", "U0KATHERINE", "It is the flaky test again. I have a fix.", thread_ts=root["ts"])
    workspace.post("C0GENERAL", "U0GRACE", TOXIC[0])
    workspace.post("C0GENERAL", "U0KATHERINE", "Damn, that was a hell of a good talk :tada:")
    workspace.post("C0PRIVATE", "U0GRACE", "Nobody would miss you if you left the team.")
    workspace.post("C0RANDOM", "U0ADA", "The bot is not a member here. React, and it tells you so.")
