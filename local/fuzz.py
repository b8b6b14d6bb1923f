"""`make fuzz`: call the receiver and the scorer with generated requests and fail if any of them makes one raise.

The requests are those of the local Slack, changed. Most are signed correctly or have a key, so that they reach the code
behind it. Hypothesis reduces a request that fails to a small one, prints it, and keeps it in `--findings`: the next run
begins with it.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import dataclasses
import importlib
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase

from local import events
from local.aws import EmbeddedAws
from local.bot import ROOT, bot_environ
from local.events import FORM, JSON, encoded, signed
from local.situations import EMOJI, TOXIC
from local.slack_server import SlackServer
from toxicity_bot import cards, feedback, report_form
from toxicity_bot.api_keys import hashed
from toxicity_bot.gateway import api_gateway_event

if TYPE_CHECKING:
    from collections.abc import Sequence

Payload = dict[str, Any]

KEY = "local-key"
STATUSES = {200, 400, 401, 413}
SCORER_STATUSES = {200, 400, 403, 404, 405, 429}
LARGE = (256 * 1024, 700_000)  # bytes: more than the receiver reads, less than API Gateway accepts
# Seconds. None is near the receiver's limit of 300 s, where a request would fail at one time and pass at another.
CLOCK_OFFSETS = (600, -600, 10**9)
EXAMPLES = 500  # between two looks at the clock
CHANNEL, AUTHOR, PERSON = "C0GENERAL", "U0ADA", "U0GRACE"
_TEXT = {"text": "You idiot. \U0001f600 Thanks!", "type": "PLAIN_TEXT"}
COMMENTS = [
    {"comment": _TEXT, "requestedAttributes": {"TOXICITY": {"scoreType": "PROBABILITY", "scoreThreshold": 0.5}},
     "languages": ["en"], "spanAnnotations": True, "doNotStore": True, "clientToken": "a",
     "context": {"entries": [_TEXT]}},
    {"comment": _TEXT, "attributeScores": {"TOXICITY": {"summaryScore": {"value": 0.5, "type": "PROBABILITY"}}}},
]  # fmt: skip
# Values that often break a parser; the long number has more digits than Python converts.
_SCALARS = [None, True, 0, -1, 2**63, 1e308, float("nan"), "", "0", "9" * 5000, "\x00", "\ud800", "\u0661", "v0="]
ODD: st.SearchStrategy[Any] = st.sampled_from([*_SCALARS, [], {}, [[]], [{}], {"": None}]).map(copy.deepcopy)
_CONTAINERS: st.SearchStrategy[Any] = st.dictionaries(st.text(max_size=3), ODD) | st.lists(ODD)
VALUES = ODD | st.integers(-1, 1) | st.text(max_size=9) | _CONTAINERS


def sent_by(slack: SlackServer) -> tuple[list[Payload], list[Payload]]:
    """Return what Slack sends as JSON, and in forms: a command, which comes first, shortcuts, clicks and a report."""
    workspace, me = slack.workspace, slack.workspace.identity
    written = workspace.post(CHANNEL, AUTHOR, TOXIC[0])
    ts = written["ts"]
    told = [
        *(workspace.react(CHANNEL, ts, PERSON, name) for name in (EMOJI, "wave::skin-tone-2")),
        events.message_event(CHANNEL, written),
        events.message_changed(CHANNEL, written | {"text": TOXIC[1]}, written, workspace.new_ts()),
        events.message_deleted(CHANNEL, written, workspace.new_ts()),
    ]
    payloads = [*(events.event_callback(one, me) for one in told), events.url_verification(me, "a challenge")]
    shortcuts = [slack.message_action(name, CHANNEL, ts, PERSON) for name in ("check_toxicity", "report_message")]
    key = f"{me.team_id}/{CHANNEL}/{ts}/0a1b2c3d"
    verdict = feedback.verdict_blocks("A verdict.", key, {"outcome": "toxic", "score": 0.9})
    clicks = []
    for action, blocks in {feedback.ACTION_ID: verdict, cards.LOOK: cards.blocks("What", "a verdict", "why")}.items():
        shown = workspace.post(CHANNEL, me.bot_user_id, blocks=blocks)
        clicks.append(slack.click(CHANNEL, shown["ts"], PERSON, action))
    view = report_form.view(CHANNEL, ts, shortcuts[1]["response_url"], written, names=True)
    workspace.views.show(shortcuts[1]["trigger_id"], view)
    form = slack.send_form(PERSON, note="Again.")
    return [*payloads, events.app_rate_limited(me)], [
        slack.slash_command("Hi", CHANNEL, PERSON),
        *shortcuts,
        *clicks,
        form,
    ]


def mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    """Draw the usual value nine times out of ten; a request that fails is reduced towards it."""
    return st.integers(0, 9).flatmap(lambda number: st.just(usual) if number < 9 else st.sampled_from(others))


@st.composite
def changed(draw: st.DrawFn, usual: Sequence[Any]) -> Any:
    """Draw one of these payloads with up to three values replaced or removed, or any other JSON."""
    if draw(mostly(False, True)):
        return draw(VALUES)
    payload = json.loads(json.dumps(draw(st.sampled_from(usual))))
    for _ in range(draw(st.integers(0, 3))):
        place, key = payload, draw(st.sampled_from(sorted(payload)))
        while isinstance(place[key], dict) and place[key] and draw(st.booleans()):
            place = place[key]
            key = draw(st.sampled_from(sorted(place)))
        place[key] = draw(VALUES)
        if len(place) > 1 and draw(mostly(False, True)):
            del place[key]
    return payload


@st.composite
def forms(draw: st.DrawFn, command: Payload, interactions: Sequence[Payload]) -> bytes:
    """Draw the body of an interaction or a command: changed, with a field twice, or any bytes in its fields."""
    if draw(st.booleans()):
        return urlencode({"payload": encoded(draw(changed(interactions)))}).encode()
    fields = [*command.items(), *draw(mostly((), *[[field] for field in command.items()]))]
    values = st.binary(max_size=9) | st.text(max_size=9).map(lambda text: text.encode(errors="replace"))
    return urlencode([(name, draw(values) if draw(mostly(False, True)) else value) for name, value in fields]).encode()


@st.composite
def bodies(draw: st.DrawFn, usual: st.SearchStrategy[bytes], *large: int) -> bytes:
    """Draw a usual body or any other, nested deeply, or so many bytes larger."""
    body: bytes = draw(st.binary() if draw(mostly(False, True)) else usual)
    deep: int = draw(mostly(0, 100_000))
    longer: int = draw(mostly(0, *large))
    return b"[" * deep + body + b" " * longer


@st.composite
def requests(draw: st.DrawFn, secret: str, kinds: dict[str, st.SearchStrategy[bytes]]) -> Payload:
    """Draw an API Gateway event of either payload version, its body, by its type, as text or in Base64."""
    kind = draw(st.sampled_from(sorted(kinds)))
    body = draw(bodies(kinds[kind], *LARGE))
    timestamp = int(time.time()) - draw(mostly(0, *CLOCK_OFFSETS))
    headers = signed(body, draw(mostly(secret, "another")), timestamp, kind=draw(mostly(kind, JSON, FORM, "")))
    for name in draw(mostly((), sorted(headers))):
        headers |= {draw(st.sampled_from([name, name.lower()])): draw(ODD)}
    is_base64 = draw(st.booleans())
    text = base64.b64encode(body).decode() if is_base64 else body.decode("utf-8", "surrogateescape")
    event: Payload = {"headers": headers, "body": text, "isBase64Encoded": is_base64}
    if draw(st.booleans()):
        event |= {"version": "1.0", "multiValueHeaders": {name: [value, value] for name, value in headers.items()}}
    for name in draw(mostly((), *[[name] for name in event])):
        event |= {name: draw(VALUES)}
    return event


@st.composite
def scorer_requests(draw: st.DrawFn) -> Payload:
    """Draw a request as API Gateway passes it on to the scorer."""
    body = draw(bodies(changed(COMMENTS).map(encoded), 2**20))
    path = draw(mostly("comments:analyze", "comments:suggestscore", "comments:", "../x", "\ud800"))
    path = draw(mostly(f"/v1alpha1/{path}", "/$discovery/rest", "/", ""))
    query = draw(mostly("", "&key=", "&key=%F0", "&KEY=a", "&fields=a&key=b"))
    headers = draw(st.dictionaries(mostly("x-goog-api-key", "host", "content-type"), st.text(max_size=9), max_size=2))
    return api_gateway_event(
        body, headers, path=f"{path}?key={KEY}{query}", method=draw(mostly("POST", "GET", "PUT", "HEAD", "x")),
        base64_encoded=draw(st.booleans()),
    )  # fmt: skip


def check(function: Any, event: Payload, statuses: set[int]) -> int:
    """Return the status of the function's answer; raises whatever the handler raises, or ValueError."""
    answer = function.handler(event, None)
    strings = [answer["body"], *answer["headers"], *answer["headers"].values()]
    if answer["statusCode"] not in statuses or not all(isinstance(string, str) for string in strings):
        raise ValueError(f"expected one of the statuses {statuses} and strings, got {answer['statusCode']}")
    return int(answer["statusCode"])


def fuzz(
    function: Any, drawn: st.SearchStrategy[Any], rules: st.SearchStrategy[Any], seconds: float, findings: Path
) -> Counter[int]:
    """Call a function for so many seconds and count the answers; raises what a call raises.

    `rules` draws the function's settings with the statuses that they allow.
    """
    answers: Counter[int] = Counter()

    # In CI, hypothesis draws the same examples at each call unless told otherwise.
    @settings(
        derandomize=False, database=DirectoryBasedExampleDatabase(findings), max_examples=EXAMPLES, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(drawn, rules)
    def call(event: Payload, rule: tuple[Any, set[int]]) -> None:
        function.settings, statuses = rule
        answers[check(function, event, statuses)] += 1

    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        call()
    return answers


def fuzz_both(receiver: Any, slack: SlackServer, seconds: float, findings: Path) -> tuple[Counter[int], Counter[int]]:
    """Fuzz the receiver and, as long, the scorer; return their answers by status."""
    payloads, (command, *interactions) = sent_by(slack)
    kinds = {FORM: forms(command, interactions), JSON: changed(payloads).map(encoded)}
    present = receiver.settings
    missing = dataclasses.replace(present, jobs_queue_url=f"{present.jobs_queue_url}-missing")
    # There is no such function: texts are handed over, and each invocation fails.
    invoking = dataclasses.replace(present, worker_function="worker")
    rules = mostly((present, STATUSES), (missing, STATUSES | {503}), (invoking, STATUSES))
    drawn = requests(slack.workspace.signing_secret, kinds)
    answers = fuzz(receiver, drawn, rules, seconds / 2, findings)
    scorer = importlib.import_module("toxicity_bot.scorer")
    rules = st.just((scorer.settings, SCORER_STATUSES))
    return answers, fuzz(scorer, scorer_requests(), rules, seconds / 2, findings)


def _tell(error: Exception) -> None:
    """Print where each failure was raised and, from hypothesis, by which request."""
    from toxicity_bot.observability import frames  # its logger would keep standard output

    for one in error.exceptions if isinstance(error, ExceptionGroup) else [error]:
        lines = [f"{type(one).__name__}: {one}", f"  at {frames(one)[-1]}", *getattr(one, "__notes__", ())]
        print("\n".join(lines), file=sys.stderr)


def main(
    seconds: int = 300,
    receiver: Annotated[str, typer.Option(help="The module with the receiver's handler.")] = "toxicity_bot.receiver",
    findings: Annotated[Path, typer.Option(help="Where requests that failed are kept.")] = ROOT / "build" / "fuzz",
) -> None:
    """Fuzz the receiver and, as long, the scorer; exit with 0 if no request made one raise."""
    with EmbeddedAws() as aws, SlackServer() as slack, Path(os.devnull).open("w") as log:
        environ = bot_environ(aws, slack.workspace) | {
            "SLACK_API_URL": slack.url,
            "API_KEY_HASHES": hashed(KEY),
            "REQUESTS_PER_SECOND_PER_KEY": "1000",
            "CHANNEL_SETTINGS": json.dumps({CHANNEL: {"watch": True}}),
            "MODERATORS_CHANNEL": CHANNEL,
        }
        os.environ.clear()  # nothing of the user's own configuration
        os.environ.update(environ)
        with contextlib.redirect_stdout(log):  # the receiver's logger keeps the stream it finds at import
            module = importlib.import_module(receiver)
            try:
                answers, scores = fuzz_both(module, slack, seconds, findings)
            except Exception as error:
                _tell(error)
                raise typer.Exit(1) from error
    print(f"{answers.total()} requests to the receiver, none raised; answers by status: {dict(answers)}")
    print(f"{scores.total()} requests to the scorer, none raised; answers by status: {dict(scores)}")


if __name__ == "__main__":
    typer.run(main)
