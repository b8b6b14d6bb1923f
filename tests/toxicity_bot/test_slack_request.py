import hashlib
import hmac
import json
from base64 import b64encode
from contextlib import nullcontext, suppress
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.toxicity_bot import JSON as JSON_VALUES
from toxicity_bot import slack_request
from toxicity_bot.errors import RefusedRequestError, StaleRequestError
from toxicity_bot.slack_request import FORM, MAX_BODY_BYTES

JSON = "application/json"
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
NOW = 1531420618
PAYLOAD = {"type": "event_callback", "team_id": "T1DC2JH3J"}
BODY = json.dumps(PAYLOAD).encode()


def signature(body: bytes, secret: str = SECRET, timestamp: int | str = NOW) -> str:
    """Slack's scheme, implemented a second time, independently of the code under test."""
    return "v0=" + hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()


def request(
    body: bytes = BODY, secret: str = SECRET, *, base64: bool = False, kind: str = JSON, **changes: Any
) -> dict[str, Any]:
    """The event that the gateway creates for a signed request."""
    headers = {"x-slack-request-timestamp": str(NOW), "x-slack-signature": signature(body, secret)}
    headers["content-type"] = kind
    text = b64encode(body).decode() if base64 else body.decode()
    return {"headers": headers, "body": text, "isBase64Encoded": base64} | changes


def refusal(event: dict[str, Any], now: float = NOW) -> tuple[int, str]:
    with pytest.raises(RefusedRequestError) as refused:
        slack_request.read(event, [SECRET], now)
    return refused.value.status, refused.value.reason


def test_slacks_published_example_has_slacks_published_signature() -> None:
    """The example of https://docs.slack.dev/authentication/verifying-requests-from-slack."""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    published = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert slack_request.signature(SECRET, str(NOW), body).decode() == published
    headers = {"X-Slack-Request-Timestamp": str(NOW), "X-Slack-Signature": published}
    # Without a content type the body is parsed as JSON, so it is refused after the signature check.
    assert refusal({"headers": headers, "body": body.decode()}) == (400, "malformed")
    headers["Content-Type"] = FORM
    command = slack_request.read({"headers": headers, "body": body.decode()}, [SECRET], NOW)
    expected = {"type": "slash_command", "command": "/webhook-collect", "text": "", "user_id": "U2CERLKJA"}
    assert command.items() >= expected.items()


@pytest.mark.failure(8, 14)
@pytest.mark.parametrize("age", [-300, 0, 299.9, 300])
@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title])
def test_a_request_is_accepted_within_five_minutes_with_header_names_in_any_case(age: float, spell: Any) -> None:
    headers = {spell(name): value for name, value in request()["headers"].items()}
    assert slack_request.read(request(headers=headers), [SECRET], NOW + age) == PAYLOAD


@pytest.mark.failure(10, 105)
@pytest.mark.parametrize("age", [-301, 301, 86_400, -86_400])
@pytest.mark.parametrize("kind", [JSON, FORM])
def test_a_correctly_signed_old_or_future_request_is_refused_with_its_offset(age: int, kind: str) -> None:
    with pytest.raises(StaleRequestError) as refused:
        slack_request.read(request(kind=kind), [SECRET], NOW + age)
    assert (refused.value.status, refused.value.reason, refused.value.offset) == (401, "stale", age)


@pytest.mark.failure(7, 12, 105)
@pytest.mark.parametrize("kind", [JSON, FORM])
@pytest.mark.parametrize("secrets", [[], ["new", "old"], [SECRET]])
@pytest.mark.parametrize("late", [0, 1000])
@pytest.mark.parametrize(
    "event",
    [
        *(request(body, secret="forger") for body in (BODY, b"[" * 100_000)),
        *(request() | {"body": changed.decode()} for changed in (BODY + b" ", BODY[:-1], BODY.replace(b"T1", b"T2"))),
    ],
    ids=range(5),
)
def test_a_signature_is_checked_before_age_and_body(
    event: dict[str, Any], late: int, secrets: list[str], kind: str
) -> None:
    event["headers"]["content-type"] = kind
    with pytest.raises(RefusedRequestError, match="401: bad_signature"):
        slack_request.read(event, secrets, NOW + late)


@pytest.mark.failure(7)
@pytest.mark.parametrize("signer", ["first", "second", "forger"])
def test_every_secret_is_compared_whichever_one_signed(signer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def seen(ours: bytes, given: bytes) -> bool:
        compared.append(given)
        return compare(ours, given)

    monkeypatch.setattr(hmac, "compare_digest", seen)
    with suppress(RefusedRequestError) if signer == "forger" else nullcontext():
        assert slack_request.read(request(secret=signer), ["first", "second"], NOW) == PAYLOAD
    assert len(compared) == 2


@pytest.mark.failure(9)
@pytest.mark.parametrize(
    ("timestamp", "given"),
    [
        (None, signature(BODY)),
        (str(NOW), None),
        (None, None),
        # The last one consists of digits that are not ASCII.
        *((stamp, signature(BODY, timestamp=stamp))
          for stamp in ("", "abc", "1.5", "inf", "nan", "-1", f"{NOW}\n", "9" * 5000, "\u0661\u0665\u0663")),
        (f"{NOW},{NOW}", signature(BODY)),  # how a gateway combines a header that was sent twice
        (str(NOW), f"{signature(BODY)},{signature(BODY)}"),
        (str(NOW), "\u00e9\u00e9\u00e9"),
        (str(NOW), "\ud800"),
        (str(NOW), "v0="),
        (str(NOW), signature(BODY).removeprefix("v0=")),
        (str(NOW), signature(BODY).replace("v0=", "v1=")),
        (str(NOW), signature(BODY)[:-1]),
        (str(NOW), "v0=" + "0" * 100_000),
    ],
    ids=lambda value: repr(value)[:24],
)  # fmt: skip
def test_hostile_headers_are_refused_like_any_bad_signature(timestamp: str | None, given: str | None) -> None:
    headers = {"x-slack-request-timestamp": timestamp, "x-slack-signature": given}
    sent = {name: value for name, value in headers.items() if value is not None}
    status, reason = refusal(request(headers=sent))
    assert (status, reason) in {(401, "unsigned"), (401, "bad_signature")}, (status, reason)


@pytest.mark.failure(11)
def test_base64_is_decoded_if_the_flag_says_so_or_detected_if_there_is_no_flag() -> None:
    plain, encoded = request(), request(base64=True)
    assert refusal(encoded | {"isBase64Encoded": False}) == (401, "bad_signature"), "the flag decides if it is present"
    assert slack_request.read(encoded, [SECRET], NOW) == PAYLOAD
    for event in (plain, encoded):
        del event["isBase64Encoded"]
        assert slack_request.read(event, [SECRET], NOW) == PAYLOAD


@pytest.mark.failure(11)
@pytest.mark.parametrize("body", ["{", "====", "e30", "e30=e30=", "\u00e9"])
def test_broken_base64_is_refused(body: str) -> None:
    assert refusal(request() | {"body": body, "isBase64Encoded": True}) == (400, "undecodable")


@pytest.mark.failure(12, 105)
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        *((JSON, body) for body in (
            b"", b"[]", b"null", b"1", b'"text"', b"{", b"[" * 100_000, b'{"a":' * 50_000, b"1" * 5000, b"\xff\xfe{}",
            b'{"a": "\xe9"}', b'\xef\xbb\xbf{"type": "with a byte order mark"}')),
        *((FORM, body) for body in (
            b"", b"&", b"payload", b"payload=", b"payload=[]", b"payload=%7B", b"payload=%FF", b"text=a",
            b"payload=" + b"[" * 100_000, b"payload=%7B%7D&payload=%7B%7D", b"command=%2Fa&command=%2Fb",
            b"command=\xe9", b"command=%80", b"command=a;text=b&&", b"&".join([b"command=a"] * 1000), BODY)),
    ],
    ids=lambda value: repr(value)[:24],
)  # fmt: skip
def test_a_signed_body_that_is_neither_a_json_object_nor_a_slack_form_is_refused(kind: str, body: bytes) -> None:
    assert refusal(request(body, base64=True, kind=kind)) == (400, "malformed")


@pytest.mark.failure(13)
@pytest.mark.parametrize("base64", [True, False])
@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 4 * MAX_BODY_BYTES])
def test_a_huge_body_is_refused_by_its_length_alone(size: int, base64: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    largest = {"a": "x" * (MAX_BODY_BYTES - len('{"a": ""}'))}
    data = json.dumps(largest).encode()
    assert len(data) == MAX_BODY_BYTES
    assert slack_request.read(request(data, base64=base64), [SECRET], NOW) == largest

    def hash_nothing(*_: object) -> bytes:
        raise AssertionError("the body was hashed before its size was looked at")

    monkeypatch.setattr(slack_request, "signature", hash_nothing)
    assert refusal(request(b"x" * size, base64=base64)) == (413, "too_large")


def test_the_edit_of_a_long_message_of_emoji_is_accepted() -> None:
    emoji = [{"type": "emoji", "name": "hankey", "unicode": "1f4a9"}] * 2800
    section = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": emoji}]}
    message = {"text": ":hankey:" * 2800, "blocks": [section]}
    edit = PAYLOAD | {"event": {"type": "message", "message": message, "previous_message": message}}
    body = json.dumps(edit).encode()
    assert len(body) > 300_000
    assert slack_request.read(request(body), [SECRET], NOW) == edit


@pytest.mark.parametrize("base64", [True, False, None])
@pytest.mark.parametrize("kind", [FORM, f"{FORM.title()}; charset=utf-8"])
@pytest.mark.parametrize("payload", [{"type": "message_action", "text": "\u2623 & +\ud83d\ude00%"}, {"type": "x" * 9}])
def test_an_interaction_is_read_from_the_json_in_its_form(
    payload: dict[str, Any], kind: str, base64: bool | None
) -> None:
    event = request(urlencode({"payload": json.dumps(payload)}).encode(), base64=bool(base64), kind=kind)
    if base64 is None:
        del event["isBase64Encoded"]
    assert slack_request.read(event, [SECRET], NOW) == json.loads(json.dumps(payload))


HEADERS = st.fixed_dictionaries(
    {"X-Slack-Request-Timestamp": st.text() | st.integers().map(str), "X-Slack-Signature": st.text()}
)


@given(
    st.dictionaries(st.sampled_from(["headers", "body", "isBase64Encoded"]), JSON_VALUES)
    | st.fixed_dictionaries({"headers": HEADERS, "body": st.text(), "isBase64Encoded": st.booleans()})
)
def test_no_event_raises_anything_but_a_refusal(event: dict[str, Any]) -> None:
    with pytest.raises(RefusedRequestError):
        slack_request.read(event, [SECRET], NOW)


@pytest.mark.failure(105)
@given(st.binary() | st.text().map(lambda text: urlencode({"payload": text}).encode()), st.sampled_from([JSON, FORM]))
def test_no_signed_body_raises_anything_but_a_refusal(body: bytes, kind: str) -> None:
    with suppress(RefusedRequestError):
        payload = slack_request.read(request(body, base64=True, kind=kind), [SECRET], NOW)
        assert isinstance(payload, dict)
        assert kind == FORM or payload == json.loads(body)
