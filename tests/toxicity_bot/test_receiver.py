import json
import socket
import time
from types import ModuleType
from typing import Any

import pytest

from local.events import Deliveries, app_rate_limited, encoded, signed, url_verification
from local.interactions import Interactions
from local.workspace import Identity, Workspace
from tests import run
from tests.toxicity_bot.bot import OWN, Bot, reimport
from toxicity_bot.gateway import api_gateway_event
from toxicity_bot.jobs import Job
from toxicity_bot.slack_request import MAX_BODY_BYTES

SECRET = "local-signing-secret"
REFUSED = "This request was refused."
LATER = "Please send this again later."
FIRST, SECOND, FORGED = "first signing-secret", "second signing-secret", "a forger's signing-secret"


def answer_of(receiver: ModuleType, payload: Any, secret: str = SECRET, age: float = 0) -> dict[str, Any]:
    """Return the handler's response to a signed request."""
    body = encoded(payload)
    event = api_gateway_event(body, signed(body, secret, int(time.time() - age)))
    answer: dict[str, Any] = receiver.handler(event, None)
    return answer


def test_a_reaction_becomes_one_job_with_ids_only(bot: Bot) -> None:
    payload = bot.event(bot.say()) | {"an_unknown_field": "quetzalcoatlus"}
    headers = {"content-type": "text/plain; charset=utf-8"}
    assert answer_of(bot.receiver, payload) == {"statusCode": 200, "headers": headers, "body": ""}
    (message,) = bot.queued()
    ts = payload["event"]["item"]["ts"]
    expected = Job("T0LOCAL", "C0GENERAL", ts, "U0GRACE", payload["event_id"], payload["event_time"], "T0LOCAL")
    assert Job.from_json(message["Body"]) == expected
    assert bot.record.counted() == [("JobQueued", "reaction")]


@pytest.mark.failure(1, 8, 46)
def test_a_request_delivered_again_makes_no_second_verdict(bot: Bot) -> None:
    message = bot.say()
    event = bot.event(message)
    assert [bot.deliver(event, retry_num=number).status for number in range(3)] == [200] * 3
    assert bot.work() == 3, "each delivery is a job, and each job ends"
    assert bot.job_outcomes() == ["toxic"] * 3, "later deliveries get the outcome from the ledger"
    assert bot.deliver(event).status == 200, "a delivery after the verdict is accepted too"
    bot.work()
    assert bot.outcomes(message) == ["toxic"]


@pytest.mark.failure(3)
def test_in_a_retry_storm_each_request_costs_one_queue_call(bot: Bot) -> None:
    event = bot.event(bot.say())
    deliveries = [bot.deliver(event, retry_num=number) for number in range(30)]
    assert {delivery.status for delivery in deliveries} == {200}
    assert [action for action, _ in bot.record.requests] == ["SendMessage"] * 30
    assert bot.slack.calls == []


@pytest.mark.failure(15)
@pytest.mark.parametrize(
    ("challenge", "echoed"),
    [("a challenge", "a challenge"), ({"canary": 1}, ""), (None, ""), (1.5, ""), ([[]], "")],
)
def test_the_challenge_is_echoed_only_to_slack(challenge: object, echoed: str, receiver: ModuleType) -> None:
    payload = url_verification(Identity(), "") | {"challenge": challenge}
    answer = answer_of(receiver, payload)
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"challenge": echoed})
    assert answer["headers"]["content-type"] == "application/json"
    forged = answer_of(receiver, payload, FORGED)
    assert (forged["statusCode"], forged["body"]) == (401, REFUSED)


@pytest.mark.failure(6, 16, 17, 19, 20, 59)
@pytest.mark.parametrize(
    ("payload", "event", "reason"),
    [
        ({}, {"user": OWN}, "own_reaction"),
        ({}, {"item_user": OWN}, "own_message"),
        ({"type": "canary"}, {}, "unknown_type"),
        ({"type": "block_actions"}, {}, "unknown_interaction"),
        (app_rate_limited(Identity()), {}, "app_rate_limited"),
    ],
)
def test_an_event_that_needs_no_verdict_is_acknowledged_and_counted(
    payload: dict[str, Any], event: dict[str, Any], reason: str, bot: Bot
) -> None:
    sent = bot.event(bot.say()) | payload
    sent["event"] |= event
    assert bot.deliver(sent).status == 200
    assert bot.record.counted() == [("EventIgnored", reason)]
    assert bot.queued() == []


@pytest.mark.failure(7, 10)
@pytest.mark.parametrize(
    ("change", "reason", "offsets"),
    [({"secret": FORGED}, "bad_signature", 0), ({"age": 400}, "stale", 1), ({"age": -400}, "stale", 1)],
)
def test_a_forged_or_stale_request_is_refused(change: dict[str, Any], reason: str, offsets: int, bot: Bot) -> None:
    delivery = bot.deliver(bot.event(bot.say()), **change)
    assert (delivery.status, delivery.no_retry, delivery.body.decode()) == (401, True, REFUSED)
    assert ("RequestRefused", reason) in bot.record.counted()
    measured = [line["ClockOffset"] for line in bot.record.lines() if "ClockOffset" in line]
    assert measured == [[pytest.approx(400, abs=5)]] * offsets
    assert bot.queued() == []


@pytest.mark.failure(6, 12)
@pytest.mark.parametrize(
    ("event", "status"),
    [
        ({"headers": None, "body": None}, 401),
        ({"body": "{", "isBase64Encoded": True}, 400),
        ({"body": ["{"]}, 400),
        ({"body": "x" * (MAX_BODY_BYTES + 1)}, 413),
        (None, 400),
    ],
    ids=range(5),
)
def test_a_malformed_request_is_refused(event: dict[str, Any] | None, status: int, receiver: ModuleType) -> None:
    # Sign here instead of in the parameters: a signature expires after five minutes.
    answer = answer_of(receiver, []) if event is None else receiver.handler(event, None)
    assert (answer["statusCode"], answer["body"], answer["headers"]["x-slack-no-retry"]) == (status, REFUSED, "1")


@pytest.mark.failure(2, 5)
def test_without_a_queue_slack_retries_and_the_retry_gets_its_verdict(bot: Bot) -> None:
    message = bot.say()
    event = bot.event(message)
    bot.aws.client("sqs").delete_queue(QueueUrl=bot.aws.queue_url)
    refused = bot.deliver(event)
    assert (refused.status, refused.no_retry) == (503, False)
    assert bot.record.counted() == [("ReceiverFailed", "QueueDoesNotExist")]
    assert bot.rows() == []
    bot.aws.clear()
    bot.aws.create()
    assert bot.deliver(event, retry_num=1).status == 200
    bot.work()
    assert bot.outcomes(message) == ["toxic"]


@pytest.mark.failure(5)
@pytest.mark.parametrize("error", ["ReadTimeoutError", "SecretStoreError", "SettingError"])
def test_a_silent_queue_or_an_unusable_secret_makes_slack_retry(error: str, bot: Bot) -> None:
    environ = {"SLACK_SECRET_ID": "bot/slack", "SLACK_SIGNING_SECRET": ""}
    if error == "SettingError":
        bot.store(signing_secrets="quetzalcoatlus")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        if error == "ReadTimeoutError":
            environ = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        answer = answer_of(reimport("receiver", bot.patch, **environ), bot.event(bot.say()))
    assert (answer["statusCode"], answer["body"]) == (503, LATER)
    assert "x-slack-no-retry" not in answer["headers"]
    assert bot.record.counted() == [("ReceiverFailed", error)]


@pytest.mark.failure(44)
def test_changing_the_signing_secret_without_warning_loses_no_event(bot: Bot) -> None:
    """Slack uses a new secret just after the bot read the old one. One of Slack's retries comes late enough."""

    def wait(seconds: float) -> None:
        bot.now += seconds

    statuses = []
    bot.read_stored_secret(signing_secrets=[FIRST])
    for secret in (FIRST, SECOND):
        bot.store(signing_secrets=[secret])
        slack = Deliveries(bot.url, secret, timeout=30, wait=wait)
        statuses.append([delivery.status for delivery in slack.send(bot.event(bot.say()))])
    (first,), (refused, *_, last) = statuses
    assert (first, refused, last) == (200, 401, 200), statuses


ENVIRON = {"SLACK_SIGNING_SECRET": SECRET, "JOBS_QUEUE_URL": "https://sqs/jobs"}
ENVIRON |= {"SLACK_API_URL": "", "AWS_DEFAULT_REGION": "eu-west-1"}
HEAVY = ["numpy", "onnxruntime", "slack_sdk", "slack_bolt", "tokenizers", "fasttext", "confusable_homoglyphs"]


@pytest.mark.failure(4, 15)
def test_a_cold_receiver_handles_requests_without_loading_the_model_or_slacks_client() -> None:
    body = encoded(url_verification(Identity(), "a challenge"))
    event = api_gateway_event(body, signed(body, SECRET, int(time.time())))
    workspace = Workspace.example()
    message = workspace.post("C0GENERAL", "U0ADA", ":tada: *P\u0430y* p@l!")
    slack = Interactions(workspace, "https://hooks.slack.com")
    names = ("check_toxicity", "report_message")
    shortcuts = [slack.message_action(name, "C0GENERAL", message["ts"], "U0GRACE") for name in names]
    click = {"type": "block_actions", "actions": [{"action_id": "verdict_feedback", "value": "{}"}]}
    code = (
        f"import sys; from toxicity_bot import receiver; answer = receiver.handler({event!r}, None);"
        f"asks = [receiver.interactions.request_or_reason(x, receiver.settings, 0) for x in {[*shortcuts, click]!r}];"
        "print(answer['body'], [type(ask).__name__ for ask in asks]);"
        f"print([name for name in {HEAVY!r} if name in sys.modules], 'boto3' in sys.modules)"
    )
    ended = run("-c", code, environ=ENVIRON | {"MODERATORS_CHANNEL": "C0MODS"})
    assert ended.stdout == "{\"challenge\": \"a challenge\"} ['UserRequest', 'Form', 'str']\n[] True\n", ended.stderr


@pytest.mark.parametrize("missing", ["SLACK_SIGNING_SECRET", "JOBS_QUEUE_URL"])
def test_a_missing_setting_fails_the_start_with_its_name(missing: str) -> None:
    ended = run("-c", "import toxicity_bot.receiver", environ=ENVIRON | {missing: ""})
    assert ended.returncode != 0
    assert f"SettingError: {missing} is not set" in ended.stderr.splitlines()[-1]
