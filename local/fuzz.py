"""`make fuzz`: call the receiver and the scorer with generated requests and fail if any of them makes one raise.

Most requests are signed correctly or have a key, so that they reach the code behind it. Hypothesis reduces a request
that fails to a small one, prints it, and keeps it in `--findings`: the next run begins with it.
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

from local.aws import EmbeddedAws
from local.bot import ROOT
from local.events import FORM, JSON, app_rate_limited, encoded, event_callback, signed, url_verification
from local.workspace import Identity
from toxicity_bot.api_keys import hashed
from toxicity_bot.gateway import api_gateway_event
from toxicity_bot.model_directory import embedded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECRET = "local-signing-secret"
KEY = "local-key"
STATUSES = {200, 400, 401, 413}
SCORER_STATUSES = {200, 400, 403, 404, 405, 429}
LARGE = (256 * 1024, 700_000)  # bytes: more than the receiver reads, less than API Gateway accepts
# Seconds. None is near the receiver's limit of 300 s, where a request would fail at one time and pass at another.
CLOCK_OFFSETS = (600, -600, 10**9)
EXAMPLES = 500  # between two looks at the clock
EVERY = list(HealthCheck)

ITEM = {"type": "message", "channel": "C0GENERAL", "ts": "1731000000.000100"}
REACTION = {"type": "reaction_added", "user": "U0GRACE", "reaction": "biohazard_sign", "item": ITEM}
PAYLOADS = [
    event_callback(REACTION | {"item_user": "U0ADA", "event_ts": "1731000000.000200"}, Identity()),
    event_callback(REACTION | {"reaction": "wave::skin-tone-2"}, Identity()),
    url_verification(Identity(), "a challenge"),
    app_rate_limited(Identity()),
]
IDS = {
    "user": {"id": "U0GRACE", "team_id": "T0LOCAL"},
    "channel": {"id": "C0GENERAL"},
    "team": {"id": "T0LOCAL"},
    "enterprise": {"id": "E0GRID"},
    "is_enterprise_install": True,
    "trigger_id": "1.2.a",
    "response_url": "https://hooks.slack.com/app/T0LOCAL/1/a",
}
MESSAGE = {"ts": ITEM["ts"], "thread_ts": ITEM["ts"], "text": "You idiot.", "blocks": [{"type": "section"}]}
KEPT = {
    "channel": "C0GENERAL", "ts": ITEM["ts"], "response_url": IDS["response_url"],
    "own": "You idiot.", "quoted": "", "code": False, "whole": True,
}  # fmt: skip
FORM_VIEW = {
    "id": "V0LOCAL", "callback_id": "report", "private_metadata": json.dumps(KEPT), "app_id": "A0TOXICITY",
    "state": {"values": {"note": {"note": {"type": "plain_text_input", "value": "Again."}}}},
}  # fmt: skip
OPINION = {"choice": "agreed", "key": f"E0GRID/C0GENERAL/{ITEM['ts']}/0a1b2c3d", "outcome": "toxic", "score": "0.9000"}
CLICK = {"value": json.dumps(OPINION), "action_ts": ITEM["ts"]}
INTERACTIONS = [
    IDS | {"type": "message_action", "callback_id": "check_toxicity", "message_ts": ITEM["ts"], "message": MESSAGE},
    IDS | {"type": "block_actions", "actions": [{"action_id": "a", "value": "b"}]},
    IDS | {"type": "view_submission", "view": {"callback_id": "a"}},
    IDS | {"type": "view_submission", "view": FORM_VIEW},
    IDS | {"type": "view_closed", "view": FORM_VIEW},
    IDS | {"type": "block_actions", "actions": [CLICK | {"action_id": "verdict_feedback"}]},
    IDS
    | {
        "type": "block_actions",
        "actions": [CLICK | {"action_id": "report_look"}],
        "container": {"message_ts": ITEM["ts"]},
    },
]
COMMAND = {
    "command": "/toxicity", "text": "You idiot.", "response_url": IDS["response_url"], "trigger_id": "1.2.a",
    "team_id": "T0LOCAL", "channel_id": "C0GENERAL", "user_id": "U0GRACE", "is_enterprise_install": "false",
}  # fmt: skip
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
def forms(draw: st.DrawFn) -> bytes:
    """Draw the body of an interaction or a command: changed, with a field twice, or any bytes in its fields."""
    if draw(st.booleans()):
        return urlencode({"payload": encoded(draw(changed(INTERACTIONS)))}).encode()
    fields = [*COMMAND.items(), *draw(mostly((), *[[field] for field in COMMAND.items()]))]
    values = st.binary(max_size=9) | st.text(max_size=9).map(lambda text: text.encode(errors="replace"))
    return urlencode([(name, draw(values) if draw(mostly(False, True)) else value) for name, value in fields]).encode()


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an API Gateway event of either payload version, its body as text or in Base64."""
    kind = draw(st.sampled_from([JSON, FORM]))
    usual = forms() if kind == FORM else changed(PAYLOADS).map(encoded)
    body = draw(st.binary() if draw(mostly(False, True)) else usual)
    body = draw(mostly(b"", b"[" * 100_000)) + body + b" " * draw(mostly(0, *LARGE))
    timestamp = int(time.time()) - draw(mostly(0, *CLOCK_OFFSETS))
    headers = signed(body, draw(mostly(SECRET, "another")), timestamp, kind=draw(mostly(kind, JSON, FORM, "")))
    for name in draw(mostly((), sorted(headers))):
        headers |= {draw(st.sampled_from([name, name.lower()])): draw(ODD)}
    is_base64 = draw(st.booleans())
    text = base64.b64encode(body).decode() if is_base64 else body.decode("utf-8", "surrogateescape")
    event: dict[str, Any] = {"headers": headers, "body": text, "isBase64Encoded": is_base64}
    if draw(st.booleans()):
        event |= {"version": "1.0", "multiValueHeaders": {name: [value, value] for name, value in headers.items()}}
    for name in draw(mostly((), *[[name] for name in event])):
        event |= {name: draw(VALUES)}
    return event


@st.composite
def scorer_requests(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a request as API Gateway passes it on to the scorer."""
    body = draw(st.binary() if draw(mostly(False, True)) else changed(COMMENTS).map(encoded))
    body = draw(mostly(b"", b"[" * 100_000)) + body + b" " * draw(mostly(0, 2**20))
    path = draw(mostly("comments:analyze", "comments:suggestscore", "comments:", "../x", "\ud800"))
    path = draw(mostly(f"/v1alpha1/{path}", "/$discovery/rest", "/", ""))
    query = draw(mostly("", "&key=", "&key=%F0", "&KEY=a", "&fields=a&key=b"))
    headers = draw(st.dictionaries(mostly("x-goog-api-key", "host", "content-type"), st.text(max_size=9), max_size=2))
    return api_gateway_event(
        body, headers, path=f"{path}?key={KEY}{query}", method=draw(mostly("POST", "GET", "PUT", "HEAD", "x")),
        base64_encoded=draw(st.booleans()),
    )  # fmt: skip


def check(receiver: Any, event: dict[str, Any], statuses: set[int]) -> int:
    """Return the status of the receiver's answer; raises whatever the handler raises, or ValueError."""
    answer = receiver.handler(event, None)
    strings = [answer["body"], *answer["headers"], *answer["headers"].values()]
    if answer["statusCode"] not in statuses or not all(isinstance(string, str) for string in strings):
        raise ValueError(f"expected one of the statuses {statuses} and strings, got {answer['statusCode']}")
    return int(answer["statusCode"])


def fuzz(receiver: Any, seconds: float, findings: Path) -> Counter[int]:
    """Call the receiver for so many seconds and count the answers; raises what a call raises."""
    answers: Counter[int] = Counter()
    present = receiver.settings
    missing = dataclasses.replace(present, jobs_queue_url=f"{present.jobs_queue_url}-missing")
    # There is no such function: texts are handed over, and each invocation fails.
    invoking = dataclasses.replace(present, worker_function="worker")

    @drawing(findings)
    @given(requests(), mostly(present, missing, invoking))
    def call(event: dict[str, Any], chosen: Any) -> None:
        receiver.settings = chosen
        answers[check(receiver, event, STATUSES | {503} if chosen is missing else STATUSES)] += 1

    repeat(call, seconds)
    return answers


def fuzz_scorer(scorer: Any, seconds: float, findings: Path) -> Counter[int]:
    """Call the scorer for so many seconds and count the answers; raises what a call raises."""
    answers: Counter[int] = Counter()

    @drawing(findings)
    @given(scorer_requests())
    def call(event: dict[str, Any]) -> None:
        answers[check(scorer, event, SCORER_STATUSES)] += 1

    repeat(call, seconds)
    return answers


def drawing(findings: Path) -> settings:
    """In CI, hypothesis draws the same examples at each call unless told otherwise."""
    database = DirectoryBasedExampleDatabase(findings)
    return settings(
        derandomize=False, database=database, max_examples=EXAMPLES, deadline=None, suppress_health_check=EVERY
    )


def repeat(call: Callable[[], None], seconds: float) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        call()


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
    with EmbeddedAws() as aws, Path(os.devnull).open("w") as log:
        environ = aws.environ | {"SLACK_SIGNING_SECRET": SECRET, "API_KEY_HASHES": hashed(KEY)}
        environ |= {"MODEL_DIR": str(embedded()), "REQUESTS_PER_SECOND_PER_KEY": "1000"}
        environ |= {"MODERATORS_CHANNEL": "C0GENERAL"}
        os.environ.clear()  # nothing of the user's own configuration
        os.environ.update(environ)
        with contextlib.redirect_stdout(log):  # the receiver's logger keeps the stream it finds at import
            module = importlib.import_module(receiver)
            try:
                answers = fuzz(module, seconds / 2, findings)
                scorer = importlib.import_module("toxicity_bot.scorer")
                scores = fuzz_scorer(scorer, seconds / 2, findings)
            except Exception as error:
                _tell(error)
                raise typer.Exit(1) from error
    print(f"{answers.total()} requests to the receiver, none raised; answers by status: {dict(answers)}")
    print(f"{scores.total()} requests to the scorer, none raised; answers by status: {dict(scores)}")


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
