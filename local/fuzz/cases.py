"""One case of the fuzzer: bytes that a person can read -> the event that API Gateway would hand to the receiver.

A case is JSON that says how a request is made: its payload, whether and how it is signed, in which shape the gateway
hands it over. What is no such JSON is itself the body of a rightly signed request. Pure, and total: every byte string
is a case.
"""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from local.events import app_rate_limited, event_callback, signed, url_verification
from local.workspace import Identity

SECRET = "local-signing-secret"
MOST_PADDING = 700_000  # bytes, in base64 more than the receiver reads, and less than API Gateway takes
MOST_NESTING = 200_000

# What a case may say of its request, besides `body`.
KNOWN = ("payload", "headers", "event", "shape", "base64", "flag", "secret", "age", "pad", "nest", "queue")

Case = dict[str, Any]


def seeds() -> dict[str, bytes]:
    """The cases to begin with: what Slack sends, in every shape, and what others have sent."""
    item = {"type": "message", "channel": "C0GENERAL", "ts": "1731000000.000100"}
    inner = {"type": "reaction_added", "user": "U0GRACE", "reaction": "biohazard_sign", "item": item}
    reaction = event_callback(inner | {"item_user": "U0ADA", "event_ts": "1731000000.000200"}, Identity())
    payloads = {
        "reaction": reaction,
        "skin_tone": reaction | {"event": inner | {"reaction": "wave::skin-tone-2"}},
        "no_reaction": reaction | {"event": {"type": "app_home_opened"}},
        "url_verification": url_verification(Identity(), "a challenge"),
        "app_rate_limited": app_rate_limited(Identity()),
        "list": [1, None, {"a": "b"}],
    }
    cases: dict[str, Case] = {name: {"payload": payload} for name, payload in payloads.items()}
    cases |= {
        "payload_v1": {"payload": reaction, "shape": "v1"},
        "base64": {"payload": reaction, "base64": True},
        "base64_by_mistake": {"payload": reaction, "flag": True},
        "unsigned": {"payload": reaction, "headers": {"x-slack-signature": None, "X-Slack-Request-Timestamp": None}},
        "forged": {"payload": reaction, "secret": "another"},
        "stale": {"payload": reaction, "age": 301},
        "hostile_headers": {"payload": {}, "headers": {"x-slack-request-timestamp": "9" * 40, "X-SLACK-SIGNATURE": []}},
        "huge": {"payload": reaction, "pad": 300_000},
        "deep": {"payload": {}, "nest": 100_000},
        "no_queue": {"payload": reaction, "queue": False},
        "odd_event": {"payload": {}, "event": {"body": [1], "headers": [], "isBase64Encoded": "no"}},
    }
    return {name: json.dumps(case).encode() for name, case in cases.items()} | {"bytes": b'\xff{"type":'}


def parsed(data: bytes) -> Case:
    """Read a case; any JSON object is one, whatever else is a body."""
    try:
        case = json.loads(data)
    except (ValueError, RecursionError):
        case = None
    return case if isinstance(case, dict) else {"body": data.decode("latin-1")}


def event(case: Case) -> dict[str, Any]:
    """Return the event: signed unless the case says otherwise, with whatever the case puts over it."""
    body = _body(case)
    secret = str(case.get("secret", SECRET)).encode("utf-8", "replace").decode()
    headers: dict[str, Any] = {**signed(body, secret, int(time.time()) - _size(case.get("age"), 10**9))}
    if isinstance(case.get("headers"), dict):
        headers |= case["headers"]
    made: dict[str, Any] = {"headers": headers, "isBase64Encoded": bool(case.get("base64"))}
    made["body"] = base64.b64encode(body).decode() if case.get("base64") else body.decode("utf-8", "surrogateescape")
    if case.get("shape") == "v1":
        listed = {name: [value, value] for name, value in headers.items()}
        made |= {"version": "1.0", "httpMethod": "POST", "path": "/slack/events", "multiValueHeaders": listed}
    else:
        made |= {"version": "2.0", "rawPath": "/slack/events", "requestContext": {"http": {"method": "POST"}}}
    if "flag" in case:
        made["isBase64Encoded"] = case["flag"]
    return made | (case["event"] if isinstance(case.get("event"), dict) else {})


def _body(case: Case) -> bytes:
    if "body" in case:
        body = str(case["body"]).encode("latin-1", "replace")
    else:
        body = json.dumps(case.get("payload")).encode()
    nesting, padding = _size(case.get("nest"), MOST_NESTING), _size(case.get("pad"), MOST_PADDING)
    return b"[" * nesting + body + b" " * padding


def _size(value: object, most: int) -> int:
    return value % most if isinstance(value, int) else 0
