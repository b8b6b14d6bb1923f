"""Run both handlers in this process, with a local Slack and embedded AWS.

Events are signed HTTP requests to a real port, and jobs wait on a real queue. No test sleeps:
`wake` makes postponed jobs visible, and `end_claims` ends the leases in the ledger.
"""

import importlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import pytest

from local.aws import EmbeddedAws
from local.events import FORM, Delivery, as_form, deliver, encoded, event_callback, signed, sqs_event
from local.functions import InvokeApi, LocalContext
from local.slack_server import SlackServer
from local.workspace import Identity, Message, Workspace
from tests.toxicity_bot.record import Record
from toxicity_bot import invocation
from toxicity_bot.credentials import Credentials

GENERAL, PRIVATE, RANDOM = "C0GENERAL", "C0PRIVATE", "C0RANDOM"
ADA, GRACE, DEPLOYBOT, OWN = "U0ADA", "U0GRACE", "U0DEPLOYBOT", "U0TOXICITY"
EMOJI = "biohazard_sign"
VISIBLE = "ApproximateNumberOfMessages"
INSULT = "You stupid idiot, quetzalcoatlus."


def workspace() -> Workspace:
    """Two people, another app's bot and a webhook. Every name contains a canary that must not be logged."""
    made = Workspace(Identity(team_name="archaeopteryx", bot_name="archaeopteryx-bot"))
    made.add_user("archaeopteryx-webhook", "U0HOOK", bot_id="B0HOOK")
    people = {made.add_user(f"archaeopteryx-{user}", user) for user in (ADA, GRACE)}
    people.add(made.add_user("archaeopteryx-deploy", DEPLOYBOT, bot_id="B0DEPLOY", app_id="A0DEPLOY"))
    with_bot = people | {OWN, "U0HOOK"}
    for name, kind, members in (("general", "public", with_bot), ("private", "private", with_bot)):
        made.add_channel(name, kind, members)  # type: ignore[arg-type]  # mypy infers str for the kind
    made.add_channel("random", members=people)
    for channel in made.channels:
        channel.name = f"archaeopteryx-{channel.name}"
    return made


def store(aws: EmbeddedAws, secret: str) -> None:
    """Write the bot's secret to Secrets Manager."""
    secrets = aws.client("secretsmanager")
    if not secrets.list_secrets()["SecretList"]:
        secrets.create_secret(Name="bot/slack", SecretString="{}")
    secrets.put_secret_value(SecretId="bot/slack", SecretString=secret)


def about(post: Message) -> str:
    """Return the ts of the message that a post of the bot is about."""
    return str(post["metadata"]["event_payload"]["key"].split("/")[2])


def reimport(module: str, patch: pytest.MonkeyPatch, **environ: str) -> Any:
    """Import a function's module again, as a new process with these environment variables would."""
    with patch.context() as context:
        for name, value in environ.items():
            context.setenv(name, value)
        context.delitem(sys.modules, f"toxicity_bot.{module}", raising=False)
        return importlib.import_module(f"toxicity_bot.{module}")


class _KilledError(BaseException):
    """Simulates the end of a process. The bot never catches it."""


@dataclass
class Room:
    """Writes messages to the local Slack and reads the posts there and the ledger."""

    slack: SlackServer
    aws: EmbeddedAws

    def say(self, text: str = INSULT, *, by: str = ADA, channel: str = GENERAL, **fields: Any) -> Message:
        return self.slack.workspace.post(channel, by, text, **fields)

    def verdicts(self, channel: str = GENERAL, kind: str = "toxicity_verdict") -> list[Message]:
        """The bot's posts in a channel with this metadata type, oldest first."""
        posts = self.slack.workspace.conversation(channel)
        return [one for one in posts if one.get("metadata", {}).get("event_type") == kind]

    def cards(self, channel: str = PRIVATE) -> list[Message]:
        """The cards in a moderators' channel."""
        return self.verdicts(channel, "toxicity_card")

    def outcomes(self, message: Message) -> list[str]:
        """The outcomes of the verdicts on a message, in any channel."""
        posts = [post for channel in self.slack.workspace.channels for post in self.verdicts(channel.id)]
        return [post["metadata"]["event_payload"]["outcome"] for post in posts if about(post) == message["ts"]]

    def hints(self, user: str = GRACE) -> list[str]:
        conversation = self.slack.workspace.conversation(self.slack.workspace.open_im(user))
        return [one["text"] for one in conversation if "metadata" not in one]

    def private(self, user: str = GRACE) -> list[str]:
        """The ephemeral messages to this person."""
        return [one["text"] for one in self.slack.workspace.ephemerals if one["user"] == user]

    def advance_clock(self, seconds: float) -> None:
        """Advance Slack's clock."""
        clock = self.slack.workspace.clock
        self.slack.workspace.clock = lambda: clock() + seconds

    def rows(self) -> list[dict[str, Any]]:
        """The rows of the ledger."""
        items: list[dict[str, Any]] = self.aws.client("dynamodb").scan(TableName=self.aws.table)["Items"]
        return items

    def end_claims(self) -> None:
        """End the lease of every claim in the ledger, as if its invocation had ended."""
        client, past = self.aws.client("dynamodb"), {"in_progress_expiration": {"N": "0"}}
        for row in self.rows():
            if row["status"]["S"] == "INPROGRESS":
                client.put_item(TableName=self.aws.table, Item=row | past)


@dataclass
class Bot(Room):
    """Sends requests to the bot, runs its jobs and reads the results.

    `postponed` holds the queue messages of jobs that the worker postponed. `now` is the clock for reading secrets.
    """

    receiver: ModuleType
    worker: ModuleType
    record: Record
    patch: pytest.MonkeyPatch
    url: str
    invoke_api: InvokeApi
    postponed: list[Message] = field(default_factory=list)
    now: float = 1000.0

    @property
    def _sqs(self) -> Any:
        return self.aws.client("sqs")

    def set(self, **settings: Any) -> None:
        """Run both functions with other settings, as after a new deployment."""
        for module in (self.receiver, self.worker):
            self.patch.setattr(module, "settings", replace(module.settings, **settings))
        self.worker.handlers_for.cache_clear()

    def read_stored_secret(self, **changed: Any) -> None:
        """Let both functions read their secrets from the store, after changing some there. `now` is their clock."""
        self.store(**changed)
        self.set(secret_id="bot/slack", signing_secrets=(), bot_token="")
        for function in (self.receiver, self.worker):
            self.patch.setattr(function, "credentials", Credentials(function.settings, lambda: self.now))

    # What Slack does.

    def event(self, message: Message, *, by: str = GRACE, channel: str = GENERAL) -> dict[str, Any]:
        """Add a reaction to a message and return the payload of its event."""
        reaction = self.slack.workspace.react(channel, message["ts"], by, EMOJI)
        return event_callback(reaction, self.slack.workspace.identity)

    def deliver(self, payload: Mapping[str, Any], *, secret: str = "", age: float = 0, retry_num: int = 0) -> Delivery:
        """Send a signed request over HTTP; `age` is the age of its timestamp in seconds."""
        body = encoded(payload)
        reason = "http_timeout" if retry_num else ""
        sender = secret or self.slack.workspace.signing_secret
        headers = signed(body, sender, int(time.time() - age), retry_num=retry_num, retry_reason=reason)
        return deliver(self.url, body, headers, timeout=30)

    def react(self, message: Message, *, by: str = GRACE, channel: str = GENERAL) -> Delivery:
        return self.deliver(self.event(message, by=by, channel=channel))

    def ask(self, payload: Mapping[str, Any]) -> Delivery:
        """Send a signed interaction or slash command over HTTP, once."""
        body = as_form(payload)
        headers = signed(body, self.slack.workspace.signing_secret, int(time.time()), kind=FORM)
        return deliver(self.url, body, headers, timeout=30)

    def check(self, message: Message, *, by: str = GRACE, channel: str = GENERAL) -> Delivery:
        """Use the shortcut on a message."""
        return self.ask(self.slack.message_action("check_toxicity", channel, message["ts"], by))

    def report(self, message: Message, note: str = "", *, by: str = GRACE, channel: str = GENERAL) -> Delivery:
        """Use the shortcut that reports a message, and submit its form."""
        opened = self.ask(self.slack.message_action("report_message", channel, message["ts"], by))
        assert opened.status == 200, f"Slack expected 200, got {opened}"
        return self.ask(self.slack.send_form(by, note=note))

    def click(self, message: Message, action: str, *, by: str = GRACE, channel: str = GENERAL, **more: Any) -> Delivery:
        """Click on a button of a message."""
        return self.ask(self.slack.click(channel, message["ts"], by, action, **more))

    def command(self, text: str, *, by: str = GRACE, channel: str = GENERAL) -> Delivery:
        """Type the slash command in a channel."""
        return self.ask(self.slack.slash_command(text, channel, by))

    # What Lambda does, and time.

    def fail_invocations(self) -> None:
        """Make invocations fail, as if the worker ran out of memory. Jobs on the queue are still handled."""

        def fail(_event: object) -> dict[str, Any]:
            raise MemoryError

        self.patch.setattr(self.invoke_api, "invoke", fail)

    @contextmanager
    def killed_at(self, owner: object, name: str, *, after: bool = False) -> Iterator[None]:
        """Kill invocations when they call this function, or when it returns. Claims stay in the ledger."""
        work, invoke = getattr(owner, name), self.invoke_api.invoke

        def die(*arguments: Any, **named: Any) -> None:
            if after:
                work(*arguments, **named)
            raise _KilledError

        def end(event: dict[str, Any]) -> dict[str, Any]:
            try:
                return invoke(event)
            except _KilledError:
                raise MemoryError from None  # the error that Lambda reports to the caller

        with self.patch.context() as patch:
            patch.setattr(owner, name, die)
            patch.setattr(self.invoke_api, "invoke", end)
            yield

    def send_backups_at_once(self) -> None:
        """Make the backup job of an invocation visible on the queue when the invocation ends."""
        self.patch.setattr(invocation, "BACKUP_SECONDS", 0)

    def queued(self) -> list[Message]:
        """Receive every job that is visible on the queue."""
        taken: list[Message] = []
        while messages := self._receive():
            taken += messages
        return taken

    def work(self) -> int:
        """Pass each visible job to the worker, one at a time. Return how many ended."""
        return sum(self.handle([message]) for message in self.queued())

    def handle(self, batch: list[Message]) -> int:
        """Pass a batch to the worker and delete the jobs that ended. Return how many ended."""
        answer = self.worker.handler(sqs_event(batch), LocalContext("worker"))
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        for message in batch:
            if message["MessageId"] not in failed:
                self._sqs.delete_message(QueueUrl=self.aws.queue_url, ReceiptHandle=message["ReceiptHandle"])
        again = [message for message in batch if message["MessageId"] in failed]
        self.postponed += again
        return len(batch) - len(again)

    def wake(self) -> None:
        """Make all postponed jobs visible now."""
        for message in self.postponed:
            self._sqs.change_message_visibility(
                QueueUrl=self.aws.queue_url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
        asked = {"QueueUrl": self.aws.queue_url, "AttributeNames": [VISIBLE]}
        while int(self._sqs.get_queue_attributes(**asked)["Attributes"][VISIBLE]) < len(self.postponed):
            pass  # moto shows a message once its clock has advanced by a millisecond
        self.postponed.clear()

    def card_after_work(self) -> Message:
        """Run the worker and return the only card."""
        self.work()
        (card,) = self.cards()
        return card

    def judge(self, message: Message) -> list[str]:
        """React, run the worker and return the outcomes of all verdicts on the message."""
        delivery = self.react(message)
        assert delivery.status == 200, f"Slack expected 200, got {delivery}"
        self.work()
        return self.outcomes(message)

    # What users and the owner see.

    def reasons(self, metric: str) -> list[str]:
        """The reasons recorded for a metric, oldest first."""
        return [reason for name, reason in self.record.counted() if name == metric]

    def job_outcomes(self) -> list[str]:
        """The outcomes of jobs according to the metric."""
        return self.reasons("JobEnded")

    def logged(self, *levels: str) -> list[dict[str, Any]]:
        """The log lines of these levels, or of all."""
        return [line for line in self.record.lines() if "level" in line and (not levels or line["level"] in levels)]

    def delays(self) -> list[int]:
        """The visibility timeouts, in seconds, that the worker requested. `wake` requests zero."""
        asked = [request["VisibilityTimeout"] for request in self.record.requests_for("ChangeMessageVisibility")]
        return [seconds for seconds in asked if seconds]

    def dead_letters(self) -> list[Message]:
        """The messages in the dead-letter queue."""
        return self._receive(self.aws.dead_letter_queue_url)

    def enqueue(self, body: str) -> None:
        """Put a message on the queue."""
        self._sqs.send_message(QueueUrl=self.aws.queue_url, MessageBody=body)

    def store(self, **changed: Any) -> None:
        """Write the bot's secret: Slack's current values, with these changes."""
        slack = self.slack.workspace
        secret = {"signing_secrets": [slack.signing_secret], "bot_token": slack.token} | changed
        store(self.aws, json.dumps(secret))

    def _receive(self, queue_url: str = "") -> list[Message]:
        answer = self._sqs.receive_message(
            QueueUrl=queue_url or self.aws.queue_url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        )
        messages: list[Message] = answer.get("Messages", [])
        return messages
