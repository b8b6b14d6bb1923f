"""Answer the calls of a boto3 client on this machine: nothing is sent. botocore's own Stubber works in the same way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

# By the names of AWS's operations: each takes the arguments of the call and returns the answer.
Operations = Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]


class RefusedCallError(Exception):
    """Raised by an operation that refuses a call; the client raises its own error with this code."""

    def __init__(self, code: str, **details: Any) -> None:
        super().__init__(code)
        self.code = code
        self.details = details


def answer_here(client: Any, operations: Operations) -> None:
    """Let operations answer the calls of a client; other calls raise KeyError."""

    def note(params: Mapping[str, Any], context: dict[str, Any], **_: object) -> None:
        context["asked"] = params

    def answer(model: Any, context: Mapping[str, Any], **_: object) -> tuple[AWSResponse, dict[str, Any]]:
        try:
            status, answered = 200, operations[model.name](context["asked"])
        except RefusedCallError as error:
            status, answered = 400, {"Error": {"Code": error.code, "Message": error.code}, **error.details}
        return AWSResponse("", status, HTTPHeaders(), None), {
            **answered,
            "ResponseMetadata": {"HTTPStatusCode": status},
        }

    client.meta.events.register("before-parameter-build", note)
    client.meta.events.register("before-call", answer)
