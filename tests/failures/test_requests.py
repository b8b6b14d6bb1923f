"""Requests that are not, or not quite, what Slack sends: over real sockets where HTTP lets them pass."""

from __future__ import annotations

import hmac
import json
import socket
import time
from base64 import b64encode
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from local.events import encoded, signed, url_verification
from toxicity_bot import slack_request

if TYPE_CHECKING:
    from tests.failures.bot import Bot

REFUSED = b"This request was refused."


def send(bot: Bot, body: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    """Send headers as bytes, whatever they hold, as no HTTP client would; return the status."""
    address = urlsplit(bot.url)
    lines = [b"POST /slack/events HTTP/1.1", b"Host: bot", b"Connection: close", b"Content-Length: %d" % len(body)]
    lines += [name + b": " + value for name, value in headers]
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=30) as connection:
        connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        with connection.makefile("rb") as answer:
            return int(answer.readline().split()[1])


def headers_for(bot: Bot, body: bytes) -> dict[str, str]:
    return signed(body, bot.slack.workspace.signing_secret, int(time.time()))


def test_f7_a_forged_request_is_refused_whoever_seems_to_ask(bot: Bot) -> None:
    message = bot.say()
    delivery = bot.deliver(bot.event(message), secret="a forger's signing-secret")
    assert (delivery.status, delivery.no_retry, delivery.body) == (401, True, REFUSED)
    assert bot.record.counted() == [("RequestRefused", "bad_signature")]
    assert bot.queued() == []


def test_f7_the_time_it_takes_tells_nothing(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given two secrets, when the first, the second or none signed, then each is compared, in constant time."""
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def seen(ours: bytes, given: bytes) -> bool:
        compared.append(given)
        return compare(ours, given)

    monkeypatch.setattr(hmac, "compare_digest", seen)
    secrets = ("first signing-secret", "second signing-secret")
    values = bot.receiver.credentials._values._replace(signing_secrets=secrets)
    monkeypatch.setattr(bot.receiver.credentials, "_values", values)
    event = bot.event(bot.say())
    statuses = {secret: bot.deliver(event, secret=secret).status for secret in (*secrets, "third signing-secret")}
    assert list(statuses.values()) == [200, 200, 401]
    assert len(compared) == 6, "each of three requests is compared with both secrets"


@pytest.mark.parametrize(("age", "status"), [(280, 200), (320, 401), (86_400, 401), (-320, 401)])
def test_f8_a_replayed_request_is_refused_once_it_is_old(age: float, status: int, bot: Bot) -> None:
    assert bot.deliver(bot.event(bot.say()), age=age).status == status


def test_f8_a_request_replayed_inside_the_window_is_harmless(bot: Bot) -> None:
    message = bot.say()
    body = encoded(bot.event(message))
    headers = [(name.encode(), value.encode()) for name, value in headers_for(bot, body).items()]
    assert [send(bot, body, headers) for _ in range(5)] == [200] * 5
    bot.work()
    assert bot.outcomes(message) == ["toxic"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Slack-Request-Timestamp", b"abc"),
        ("X-Slack-Request-Timestamp", b""),
        ("X-Slack-Request-Timestamp", b"1.5"),
        ("X-Slack-Request-Timestamp", b"inf"),
        ("X-Slack-Request-Timestamp", b"-1"),
        ("X-Slack-Request-Timestamp", b"9" * 5000),
        ("X-Slack-Request-Timestamp", "\u0661\u0662\u0663".encode()),
        ("X-Slack-Request-Timestamp", None),
        ("X-Slack-Signature", b"\xff\xfe"),
        ("X-Slack-Signature", b""),
        ("X-Slack-Signature", b"v0="),
        ("X-Slack-Signature", b"v0=" + b"0" * 50_000),
        ("X-Slack-Signature", None),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_f9_a_hostile_header_is_refused_and_the_next_request_served(name: str, value: bytes | None, bot: Bot) -> None:
    body = encoded(bot.event(bot.say()))
    right = headers_for(bot, body)
    hostile = [(other.encode(), text.encode()) for other, text in right.items() if other != name]
    assert send(bot, body, hostile + ([(name.encode(), value)] if value is not None else [])) == 401
    assert send(bot, body, [(other.encode(), text.encode()) for other, text in right.items()]) == 200


@pytest.mark.parametrize("name", ["X-Slack-Request-Timestamp", "X-Slack-Signature"])
def test_f9_a_doubled_header_is_refused(name: str, bot: Bot) -> None:
    body = encoded(bot.event(bot.say()))
    headers = headers_for(bot, body)
    # API Gateway joins them with a comma.
    joined = {other.lower(): text for other, text in headers.items()} | {
        name.lower(): f"{headers[name]},{headers[name]}"
    }
    assert bot.invoke(body, headers=joined)["statusCode"] == 401


@pytest.mark.parametrize("minutes", [10, -10])
def test_f10_a_clock_ten_minutes_off_is_measured_and_put_right_loses_nothing_more(
    minutes: int, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = bot.say()
    event = bot.event(message)
    with monkeypatch.context() as wrong:
        wrong.setattr(bot.receiver, "time", SimpleNamespace(time=lambda: time.time() + minutes * 60))
        assert bot.deliver(event).status == 401
    (offset,) = next(line["ClockOffset"] for line in bot.record.lines() if "ClockOffset" in line)
    assert offset == pytest.approx(600, abs=60)
    assert ("RequestRefused", "stale") in bot.record.counted()
    assert bot.deliver(event, retry_num=1).status == 200
    bot.work()
    assert bot.outcomes(message) == ["toxic"]


@pytest.mark.parametrize(
    ("sent", "flag", "status"),
    [
        ("encoded", True, 200),
        ("encoded", None, 200),
        ("encoded", False, 401),
        ("plain", False, 200),
        ("plain", None, 200),
        ("plain", True, 400),
        ("broken", True, 400),
    ],
)
def test_f11_a_body_is_decoded_before_its_signature_is_checked(
    sent: str, flag: bool | None, status: int, bot: Bot
) -> None:
    raw = encoded(bot.event(bot.say()))
    text = b64encode(raw).decode()
    body = {"plain": raw.decode(), "encoded": text, "broken": f"{text[:-3]}\u00e9"}[sent]
    assert bot.invoke(raw, body=body, isBase64Encoded=flag)["statusCode"] == status
    assert len(bot.queued()) == (status == 200)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"1e999", b"quetzalcoatlus", b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 50_000],
    ids=lambda body: repr(body[:16]),
)
def test_f12_signed_nonsense_is_refused_without_a_word_about_it(body: bytes, bot: Bot) -> None:
    delivery = bot.post(body)
    assert (delivery.status, delivery.body, delivery.no_retry) == (400, REFUSED, True)
    assert bot.record.counted() == [("RequestRefused", "malformed")]


def test_f12_unsigned_nonsense_is_not_even_parsed(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    monkeypatch.setattr(slack_request, "json", SimpleNamespace(loads=parsed.append))
    assert bot.post(b"[" * 100_000, secret="a forger's signing-secret").status == 401
    assert parsed == []


def test_f13_a_huge_body_is_refused_by_its_length_before_any_hmac(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []
    signature = slack_request.signature

    def seen(secret: str, timestamp: str, body: bytes) -> bytes:
        computed.append(len(body))
        return signature(secret, timestamp, body)

    monkeypatch.setattr(slack_request, "signature", seen)
    assert bot.post(b"x" * (slack_request.MAX_BODY_BYTES + 1)).status == 413
    assert bot.post(b"\xff" * (slack_request.MAX_BODY_BYTES + 1)).status == 413, "in base64"
    assert computed == []
    assert bot.record.counted() == [("RequestRefused", "too_large")] * 2
    assert bot.post(b"x" * slack_request.MAX_BODY_BYTES).status == 400
    assert computed == [slack_request.MAX_BODY_BYTES]


@pytest.mark.parametrize("change", [str.lower, str.upper, str.title, str.swapcase])
def test_f14_header_names_count_in_any_case(change: Any, bot: Bot) -> None:
    body = encoded(bot.event(bot.say()))
    headers = {change(name): text for name, text in headers_for(bot, body).items()}
    assert bot.invoke(body, headers=headers)["statusCode"] == 200
    assert send(bot, body, [(name.encode(), text.encode()) for name, text in headers.items()]) == 200
    assert len(bot.queued()) == 2


def test_f15_a_challenge_is_echoed_to_slack_alone(bot: Bot) -> None:
    payload = url_verification(bot.slack.workspace.identity, "a challenge")
    delivery = bot.deliver(payload)
    assert (delivery.status, json.loads(delivery.body)) == (200, {"challenge": "a challenge"})
    forged = bot.deliver(payload, secret="a forger's signing-secret")
    assert (forged.status, forged.body) == (401, REFUSED)
