"""What Lambda hands to the functions: an HTTP API's event for the receiver, an SQS batch for the worker. Pure."""

from __future__ import annotations

import hashlib
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def api_gateway_event(
    body: bytes,
    headers: Mapping[str, str],
    *,
    source_ip: str = "203.0.113.7",
    base64_encoded: bool = False,
    clock: Callable[[], float] = time.time,
    path: str = "/slack/events",
) -> dict[str, Any]:
    """The HTTP API's event, payload format 2.0; API Gateway encodes whatever is not declared as text."""
    now = clock()
    names = {name.lower(): value for name, value in headers.items()}
    http = {"method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": source_ip}
    return {
        "version": "2.0",
        "routeKey": f"POST {path}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": names | {"content-length": str(len(body))},
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": "local.execute-api.eu-central-1.amazonaws.com",
            "domainPrefix": "local",
            "http": http | {"userAgent": names.get("user-agent", "")},
            "requestId": hashlib.sha256(body + str(now).encode()).hexdigest()[:16],
            "routeKey": f"POST {path}",
            "stage": "$default",
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(now * 1000),
        },
        "body": b64encode(body).decode() if base64_encoded else body.decode(),
        "isBase64Encoded": base64_encoded,
    }


def sqs_event(
    messages: Sequence[Mapping[str, Any]], queue_arn: str = "arn:aws:sqs:eu-central-1:000000000000:jobs"
) -> dict[str, Any]:
    """The event that Lambda makes of the messages of boto3's `receive_message`."""
    return {"Records": [_sqs_record(message, queue_arn) for message in messages]}


def _sqs_record(message: Mapping[str, Any], queue_arn: str) -> dict[str, Any]:
    if "Attributes" not in message:
        raise ValueError(
            f"message {message['MessageId']} has no attributes, which Lambda always sends: "
            'call receive_message with MessageSystemAttributeNames=["All"]'
        )
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message["Attributes"]),
        "messageAttributes": {
            name: _sqs_attribute(value) for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }


def _sqs_attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    binary = {"binaryValue": b64encode(value["BinaryValue"]).decode()} if "BinaryValue" in value else {}
    text = {"stringValue": value["StringValue"]} if "StringValue" in value else {}
    return text | binary | {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
