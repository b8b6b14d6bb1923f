"""The state of the playground and the actions on its page. The bot gets requests as Slack would send them."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from local.aws import EmbeddedAws
from local.block_kit import escaped
from local.bot import BotError, LocalBot, bot_environ, verdicts
from local.events import FORM, JSON, Deliveries, as_form, encoded, event_callback
from local.playground import view
from local.playground.scoring import score
from local.playground.trail import RecordedAws, Trail
from local.playground.trouble import Trouble
from local.serving import WrongRequestError
from local.situations import FINE, TOXIC
from local.slack_server import SlackServer
from local.workspace import RefusedError, Workspace
from toxicity_bot import Classifier
from toxicity_bot.jobs import Job
from toxicity_bot.judge import key_of
from toxicity_bot.message_words import read
from toxicity_bot.settings import Settings, Thresholds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.slack_server import RecordedCall

HEARTBEAT = 10.0  # seconds; a closed page is only noticed when a write fails
# Divides the worker's timeout and delays. The job of a killed worker is retried after 11 s, in AWS after 180 s.
COMPRESSION = 3
MODERATORS = "C0MODERATORS"
# As in slack/manifest.yaml.
SHORTCUTS = {"check_toxicity": "Check for toxicity", "report_message": "Report to moderators"}


class Feed:
    """Server-sent events with the state, for any number of pages. Changes in quick succession are one event."""

    def __init__(self, state: Callable[[], dict[str, Any]]) -> None:
        self._state = state
        self._version = 0
        self._closed = False
        self._condition = threading.Condition()

    def changed(self) -> None:
        with self._condition:
            self._version += 1
            self._condition.notify_all()

    def close(self) -> None:
        """End all streams."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def stream(self) -> Iterator[bytes]:
        """Yield the state now and after each change, until the feed is closed."""
        seen = -1
        while True:
            with self._condition:
                if self._version == seen and not self._closed:
                    self._condition.wait(HEARTBEAT)
                if self._closed:
                    return
                changed, seen = self._version != seen, self._version
            yield f"data: {json.dumps(self._state())}\n\n".encode() if changed else b": still here\n\n"


class Playground:
    """The bot and a workspace with some messages. `feed` reports every change."""

    def __init__(self) -> None:
        self.workspace = Workspace.example()
        self.feed = Feed(self.state)
        self.trail: Trail | None = None
        """The trail of the latest request."""
        self._requests = itertools.count(1)
        self.trouble = Trouble(self._kill_worker)
        self._slack = SlackServer(self.workspace)
        self._slack.faults, self._slack.on_call = self.trouble, self._record
        aws = EmbeddedAws(around=lambda application: RecordedAws(application, self._record))
        self.bot = LocalBot(self.workspace, slack=self._slack, aws=aws, compression=COMPRESSION)
        self._delivery_lock = threading.Lock()
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
            self._stack = stack.pop_all()
        _write_examples(self.workspace)
        return self

    def __exit__(self, *_: object) -> None:
        self.feed.close()
        if self._replacing:
            self._replacing.join()
        self._stack.close()

    def state(self) -> dict[str, Any]:
        """Return everything on the page that can change."""
        trail = self.trail and self.trail.as_json() | {
            "answers": self._answers(self.trail),
            "row": self.bot.aws.row(self.trail.row),
        }
        shown = {"channels": view.channels(self.workspace), "forms": view.forms(self.workspace)}
        return shown | {"trail": trail, "trouble": sorted(self.trouble.on)}

    def _answers(self, trail: Trail) -> int:
        """Return the number of answers to the message's current text."""
        if trail.private:
            return trail.private_answers
        try:
            message = self.workspace.message(trail.channel, trail.ts)
        except RefusedError:
            return trail.private_answers
        job = Job(self.workspace.identity.team_id, trail.channel, trail.ts, trail.person, "Ev0", 0)
        key = key_of(job, read(message))
        keys = [post["metadata"]["event_payload"]["key"] for post in verdicts(self.workspace)[trail.ts]]
        return keys.count(key) + trail.private_answers

    # Actions.

    def post(self, channel: str, user: str, text: str, thread_ts: str = "") -> None:
        """Post a message as if a person typed it. Only emoji and styles in it are markup."""
        if not text.strip():
            raise WrongRequestError("The message has no text.")
        self.workspace.post(channel, user, escaped(text), thread_ts=thread_ts or None)

    def edit(self, channel: str, ts: str, user: str, text: str) -> None:
        if not text.strip():
            raise WrongRequestError("The message has no text.")
        self._check_author(channel, ts, user, "cant_update_message")
        self.workspace.edit(channel, ts, escaped(text))

    def delete(self, channel: str, ts: str, user: str) -> None:
        self._check_author(channel, ts, user, "cant_delete_message")
        self.workspace.delete(channel, ts)

    def react(self, channel: str, ts: str, user: str, emoji: str) -> None:
        """Add a person's reaction, or remove it if it is there. Slack sends the event to the bot."""
        message = self.workspace.message(channel, ts)
        there = any(one["name"] == emoji and user in one["users"] for one in message.get("reactions", []))
        change = self.workspace.unreact if there else self.workspace.react
        event = change(channel, ts, user, emoji)
        self.feed.changed()
        member = self.workspace.identity.bot_user_id in self.workspace.channel(channel).members
        # Slack sends events from public channels even to apps that have not joined them.
        if member or self.workspace.channel(channel).kind == "public":
            did = "took back" if there else "reacted with"
            self._send_event(event, Trail(channel, ts, user, f"{did} {view.emoji(emoji)}"))

    def shortcut(self, channel: str, ts: str, user: str, callback_id: str) -> None:
        """Choose a shortcut in a message's menu."""
        payload = self._slack.message_action(callback_id, channel, ts, user)
        label = SHORTCUTS.get(callback_id, callback_id)
        self._send_interaction(payload, Trail(channel, ts, user, f"chose \u201c{label}\u201d", private=True))

    def command(self, channel: str, user: str, text: str) -> None:
        """Type /toxicity and a text. Nobody else sees it."""
        payload = self._slack.slash_command(text, channel, user)
        self._send_interaction(payload, Trail(channel, "", user, "typed /toxicity", private=True))

    def click(self, channel: str, ts: str, user: str, action_id: str, value: str) -> None:
        """Click on a button of one of the bot's messages."""
        payload = self._slack.click(channel, ts, user, action_id, value=value)
        label = payload["actions"][0]["text"]["text"]
        self._send_interaction(payload, Trail(channel, ts, user, f"clicked on \u201c{label}\u201d", private=True))

    def send_form(self, user: str, note: str) -> None:
        """Submit the open form of a person."""
        payload = self._slack.send_form(user, note=note)
        self._send_interaction(payload, Trail("", "", user, "sent the form", private=True))

    def close_form(self, user: str) -> None:
        if payload := self._slack.close_form(user):
            self._send_interaction(payload, Trail("", "", user, "closed the form", private=True))

    def switch(self, kinds: list[str]) -> None:
        """Switch on faults of these kinds from the next reaction on."""
        self.trouble.switch(kinds)

    def score(self, text: str, toxic: float, maybe: float) -> dict[str, Any]:
        """Score a text directly with the classifier."""
        if not 0 <= maybe <= toxic <= 1:
            raise WrongRequestError("Both thresholds must be from 0 to 1, and maybe must not exceed toxic.")
        return score(self.classifier, text, Thresholds(toxic, maybe))

    def _check_author(self, channel: str, ts: str, user: str, refusal: str) -> None:
        if self.workspace.message(channel, ts).get("user") != user:
            raise RefusedError(refusal)

    def _send_event(self, event: dict[str, Any], trail: Trail) -> None:
        """Send an event to the receiver as Slack does, with the faults that are switched on."""
        self._deliver(encoded(event_callback(event, self.workspace.identity)), JSON, trail, self.trouble.on)

    def _send_interaction(self, payload: dict[str, Any], trail: Trail) -> None:
        """Send an interaction or a command to the receiver once, as Slack does."""
        self._deliver(as_form(payload), FORM, trail)

    def _deliver(self, body: bytes, kind: str, trail: Trail, trouble: frozenset[str] = frozenset()) -> None:
        """Deliver one request at a time. From now on, calls and jobs belong to its trail."""
        slack = Deliveries(self.bot.request_url, self.workspace.signing_secret)
        with self._delivery_lock:
            self.trouble.arm(trouble)
            trail.number, self.trail = next(self._requests), trail
            for again in range(2 if "deliver_twice" in trouble else 1):
                started = time.perf_counter()
                delivery = slack.attempt(body, kind=kind, retry_num=again, retry_reason="http_timeout")
                trail.delivered(started, delivery, " once more" if again else "")
                self.feed.changed()

    def _record(self, call: RecordedCall) -> None:
        """Record a call of the receiver or the worker."""
        if self.trail:
            self.trail.called(call)
            self.feed.changed()

    def _kill_worker(self) -> None:
        self.bot.worker.kill()
        if self.trail:
            self.trail.killed()
        self._replacing = threading.Thread(target=self._replace_worker, name="replace")
        self._replacing.start()

    def _replace_worker(self) -> None:
        try:
            self.bot.restart_worker()
        except BotError:
            logging.getLogger(__name__).exception("the new worker did not start")


def _write_examples(workspace: Workspace) -> None:
    """Write some messages to react to."""
    workspace.add_user("katherine")
    for channel in workspace.channels:
        channel.members.add("U0KATHERINE")
    workspace.add_channel("moderators", "private", {"U0GRACE", workspace.identity.bot_user_id})
    root = workspace.post("C0GENERAL", "U0ADA", FINE[0])
    workspace.post("C0GENERAL", "U0KATHERINE", "It is the flaky test again. I have a fix.", thread_ts=root["ts"])
    workspace.post("C0GENERAL", "U0GRACE", TOXIC[0])
    workspace.post("C0GENERAL", "U0KATHERINE", "Damn, that was a hell of a good talk :tada:")
    workspace.post("C0PRIVATE", "U0GRACE", "Nobody would miss you if you left the team.")
    workspace.post("C0RANDOM", "U0ADA", "The bot is not a member here. If you react, it tells you so.")
