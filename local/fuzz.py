"""`make fuzz`: call the receiver and the scorer with generated requests, and fail if one raises an exception.

The requests are those of the local Slack and of the scorer's clients, modified before and after they are signed. Most
have a valid signature or key, so that they get past authentication. Hypothesis shrinks a failing request, prints it,
and saves it in `--findings`. The next run starts with it.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import json
import os
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
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

KEY = "local-key"
STATUSES = {200, 400, 401, 413}
SCORER_STATUSES = {200, 400, 403, 404, 405, 429}
LARGE = (700_000, 2**20, 2**21)  # bytes; the last is more than a function reads, and less than API Gateway accepts
# Seconds. None is near the receiver's limit of 300 s, where results would depend on the timing.
CLOCK_OFFSETS = (600, -600, 10**9)
EXAMPLES = 500  # between two checks of the time
CHANNEL, AUTHOR, PERSON = "C0GENERAL", "U0ADA", "U0GRACE"
_TEXT = {"text": "You idiot. \U0001f600 Thanks!", "type": "PLAIN_TEXT"}
COMMENT = {
    "comment": _TEXT, "requestedAttributes": {"TOXICITY": {"scoreType": "PROBABILITY", "scoreThreshold": 0.5}},
    "languages": ["en"], "spanAnnotations": True, "doNotStore": True, "clientToken": "a",
    "context": {"entries": [_TEXT]},
}  # fmt: skip
SUGGESTION = {
    "comment": _TEXT, "attributeScores": {"TOXICITY": {"summaryScore": {"value": 0.5, "type": "PROBABILITY"}}},
}  # fmt: skip
# Values that often break parsers. The long number has more digits than Python converts.
_SCALARS = [None, True, 0, -1, 2**63, 1e308, float("nan"), "", "0", "9" * 5000, "\x00", "\ud800", "\u0661", "v0="]
ODD: st.SearchStrategy[Any] = st.sampled_from([*_SCALARS, [], {}, [[]], [{}], {"": None}]).map(copy.deepcopy)
VALUES = ODD | st.integers(-1, 1) | st.text(max_size=9) | st.dictionaries(st.text(max_size=3), ODD) | st.lists(ODD)


class ValidRequest(NamedTuple):
    """A valid request. Interactions have their JSON in the form field `payload`."""

    kind: str
    payload: dict[str, Any]
    method: str = "POST"
    path: str = "/slack/events"


SCORER_REQUESTS = [
    ValidRequest(JSON, COMMENT, path=f"/v1alpha1/comments:analyze?key={KEY}"),
    ValidRequest(JSON, SUGGESTION, path=f"/v1alpha1/comments:suggestscore?key={KEY}&fields=a"),
    ValidRequest(JSON, {}, "GET", "/$discovery/rest"),
    ValidRequest(JSON, COMMENT, "PUT", f"/v1alpha1/comments:analyze?KEY=%F0&key={KEY}"),
    ValidRequest(JSON, COMMENT, path="/v1alpha1/comments:analyze?key=&key=%F0"),
    ValidRequest(JSON, COMMENT, path="/v1alpha1/comments:"),
]


def slack_requests(slack: SlackServer) -> list[ValidRequest]:
    """Return the requests that Slack sends: events as JSON; shortcuts, a command, clicks and a report as forms."""
    workspace, me = slack.workspace, slack.workspace.identity
    written = workspace.post(CHANNEL, AUTHOR, TOXIC[0])
    ts = written["ts"]
    sent = [
        *(workspace.react(CHANNEL, ts, PERSON, name) for name in (EMOJI, "wave::skin-tone-2")),
        events.message_event(CHANNEL, written),
        events.message_changed(CHANNEL, written | {"text": TOXIC[1]}, written, workspace.new_ts()),
        events.message_deleted(CHANNEL, written, workspace.new_ts()),
    ]
    payloads = [*(events.event_callback(one, me) for one in sent), events.url_verification(me, "a challenge")]
    shortcuts = [slack.message_action(name, CHANNEL, ts, PERSON) for name in ("check_toxicity", "report_message")]
    key = f"{me.team_id}/{CHANNEL}/{ts}/0a1b2c3d"
    verdict = feedback.verdict_blocks("A verdict.", key, {"outcome": "toxic", "score": 0.9})
    clicks = []
    for action, blocks in {feedback.ACTION_ID: verdict, cards.LOOK: cards.blocks("What", "a verdict", "why")}.items():
        shown = workspace.post(CHANNEL, me.bot_user_id, blocks=blocks)
        clicks.append(slack.click(CHANNEL, shown["ts"], PERSON, action))
    detail = {"response_url": shortcuts[1]["response_url"]}
    view = report_form.view(CHANNEL, ts, detail, written, names=True)
    workspace.views.show(shortcuts[1]["trigger_id"], view)
    interactions = [*shortcuts, *clicks, slack.send_form(PERSON, note="Again.")]
    return [
        *(ValidRequest(JSON, payload) for payload in (*payloads, events.app_rate_limited(me))),
        *(ValidRequest(FORM, {"payload": payload}) for payload in interactions),
        ValidRequest(FORM, slack.slash_command("Hi", CHANNEL, PERSON)),
    ]


def mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    """Draw `usual` nine times out of ten. Failing requests shrink towards it."""
    return st.integers(0, 9).flatmap(lambda number: st.just(usual) if number < 9 else st.sampled_from(others))


@st.composite
def modified(draw: st.DrawFn, valid: dict[str, Any]) -> Any:
    """Draw a JSON object with up to three values replaced or removed, or other JSON."""
    if draw(mostly(False, True)):
        return draw(VALUES)
    value = copy.deepcopy(valid)
    for _ in range(draw(st.integers(0, 3)) if value else 0):
        place, key = value, draw(st.sampled_from(sorted(value)))
        while isinstance(place[key], dict) and place[key] and draw(st.booleans()):
            place = place[key]
            key = draw(st.sampled_from(sorted(place)))
        place[key] = draw(VALUES)
        if len(place) > 1 and draw(mostly(False, True)):
            del place[key]
    return value


@st.composite
def requests(draw: st.DrawFn, valid: Sequence[ValidRequest], secret: str) -> dict[str, Any]:
    """Draw an API Gateway event in either payload version, with a body that is valid, modified or garbage."""
    kind, payload, method, path = draw(st.sampled_from(valid))
    value = draw(modified(payload))
    body = encoded(value)
    if kind == FORM and isinstance(value, dict):
        fields = {name: one if isinstance(one, str) else json.dumps(one) for name, one in value.items()}
        # Sometimes repeat all fields.
        body = "&".join([urlencode(fields, errors="replace")] * draw(mostly(1, 2))).encode()
    body = draw(mostly(body, b"", b"\xff", b"payload=%ff", b"payload=["))
    body = b"[" * draw(mostly(0, 100_000)) + body + b" " * draw(mostly(0, *LARGE))
    timestamp = int(time.time()) - draw(mostly(0, *CLOCK_OFFSETS))
    headers = signed(body, draw(mostly(secret, "another")), timestamp, kind=draw(mostly(kind, JSON, FORM, "")))
    event = api_gateway_event(body, headers, base64_encoded=draw(st.booleans()), path=path, method=method)
    if draw(st.booleans()):
        many = {name: [value, value] for name, value in event["headers"].items()}
        event |= {"version": "1.0", "multiValueHeaders": many}
    return event


def check(function: Any, event: dict[str, Any], statuses: set[int]) -> int:
    """Return the status of the function's response. Raises what the handler raises, or ValueError."""
    answer = function.handler(event, None)
    strings = [answer["body"], *answer["headers"], *answer["headers"].values()]
    if answer["statusCode"] not in statuses or not all(isinstance(string, str) for string in strings):
        raise ValueError(f"expected one of the statuses {statuses} and strings, got {answer['statusCode']}")
    return int(answer["statusCode"])


def fuzz(
    function: Any, drawn: st.SearchStrategy[Any], statuses: set[int], seconds: float, findings: Path
) -> Counter[int]:
    """Call a function for `seconds` and count the responses by status. Raises what a call raises."""
    answers: Counter[int] = Counter()

    # In CI, hypothesis would draw the same examples at each call.
    @settings(
        derandomize=False, database=DirectoryBasedExampleDatabase(findings), max_examples=EXAMPLES, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(drawn)
    def call(event: dict[str, Any]) -> None:
        answers[check(function, event, statuses)] += 1

    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        call()
    return answers


def main(
    seconds: int = 300,
    receiver: Annotated[str, typer.Option(help="The module with the receiver's handler.")] = "toxicity_bot.receiver",
    findings: Annotated[Path, typer.Option(help="Folder for failing requests.")] = ROOT / "build" / "fuzz",
) -> None:
    """Fuzz the receiver and the scorer, half of the time each. Exit with 0 if no request raised an exception."""
    with EmbeddedAws() as aws, SlackServer() as slack, Path(os.devnull).open("w") as log:
        environ = bot_environ(aws, slack.workspace) | {
            "SLACK_API_URL": slack.url,
            "WORKER_FUNCTION": "worker",  # does not exist, so each invocation with a text fails
            "API_KEY_HASHES": hashed(KEY),
            "REQUESTS_PER_SECOND_PER_KEY": "1000",
            "CHANNEL_SETTINGS": json.dumps({CHANNEL: {"watch": True}}),
            "MODERATORS_CHANNEL": CHANNEL,
        }
        os.environ.clear()  # ignore the user's configuration
        os.environ.update(environ)
        with contextlib.redirect_stdout(log):  # the receiver's logger keeps the stream that it finds on import
            module, scorer = importlib.import_module(receiver), importlib.import_module("toxicity_bot.scorer")
            sent = requests(slack_requests(slack), slack.workspace.signing_secret)
            odd = sent.flatmap(modified).filter(lambda event: isinstance(event, dict))
            try:
                answers = fuzz(module, sent | sent | sent | odd, STATUSES, seconds / 2, findings)
                scores = fuzz(scorer, requests(SCORER_REQUESTS, "none"), SCORER_STATUSES, seconds / 2, findings)
            except Exception as error:
                traceback.print_exception(error)  # includes hypothesis' note with the request
                raise typer.Exit(1) from error
    print(f"{answers.total()} requests to the receiver without an exception; responses by status: {dict(answers)}")
    print(f"{scores.total()} requests to the scorer without an exception; responses by status: {dict(scores)}")


if __name__ == "__main__":
    typer.run(main)
