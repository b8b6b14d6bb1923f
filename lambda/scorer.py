"""Lambda handler of the scoring service: answer Perspective API requests with the bot's model.

It needs neither Slack nor SQS nor DynamoDB. No part of a text is logged, stored or traced. Responses are 200, 400, 403
for a missing or unknown key, 404, 405, 429 and 500, and 503 if the secret store fails.
"""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response

from . import perspective
from .api_keys import ApiKeys
from .classifier import Classifier
from .errors import ApiError, SecretStoreError, SettingError
from .observability import count, frames, logger
from .settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

ANALYZE, SUGGEST = "/v1alpha1/comments:analyze", "/v1alpha1/comments:suggestscore"
METHODS = {ANALYZE: "POST", SUGGEST: "POST", "/$discovery/rest": "GET"}
MAX_BODY_BYTES = 1024 * 1024  # a comment with its context
JSON = "application/json; charset=UTF-8"

settings = Settings.from_environ(os.environ)
classifier = Classifier(settings.model_dir)
MODEL_VERSION = classifier.name.encode("ascii", "replace").decode()
keys = ApiKeys(settings)
# Off regardless of the environment: debug mode prints events and sends stack traces to clients.
app = APIGatewayHttpResolver(debug=False)
# Powertools stores the request in a place that all threads share.
_lock = threading.Lock()


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Answer one request. No request makes it raise, since Lambda would log the error's text."""
    with _lock:
        try:
            return app.resolve(dict(event), context)  # type: ignore[arg-type]  # nothing here reads the context
        except Exception as error:
            logger.error("scoring failed", extra={"error": type(error).__name__, "frames": frames(error)})
            count("ScoringFailed", type(error).__name__)
            answer = _refusal(ApiError(500, "INTERNAL", "Internal error encountered."))
            return {"statusCode": 500, "headers": answer.headers | {"Content-Type": JSON}, "body": answer.body}


@app.post(ANALYZE)
def analyze() -> Response[str]:
    """Score a comment."""
    answer = perspective.analyze(_request("AnalyzeCommentRequest"), classifier, settings.attribute_aliases)
    count("TextScored", "ok")
    return _response(200, answer)


@app.post(SUGGEST)
def suggest_score() -> Response[str]:
    """Accept a score correction without storing it."""
    return _response(200, perspective.suggest_score(_request("SuggestCommentScoreRequest")))


@app.get(r"/\$discovery/rest")  # Powertools' routes are regular expressions
def discovery() -> Response[str]:
    """Return the discovery document, with the URL by which the client reached the API."""
    headers = app.current_event.headers
    host = headers.get("host") or app.current_event.request_context.domain_name
    return _response(200, perspective.discovery(f"{headers.get('x-forwarded-proto') or 'https'}://{host}/"))


@app.not_found
def not_found(_: Exception) -> Response[str]:
    """Refuse an unknown path with 404, and a wrong method with 405."""
    allowed = METHODS.get(app.current_event.path)
    if not allowed:
        return _refusal(ApiError(404, "NOT_FOUND", "Requested entity was not found."))
    return _refusal(ApiError(405, "METHOD_NOT_ALLOWED", f"Use {allowed}."), allow=allowed)


@app.exception_handler(ApiError)  # type: ignore[untyped-decorator]
def refused(error: ApiError) -> Response[str]:
    """Refuse a request in Google's format, and count the reason."""
    count("ScoringRefused", error.reason)
    return _refusal(error)


@app.exception_handler([SecretStoreError, SettingError])  # type: ignore[untyped-decorator]
def keys_unavailable(error: SecretStoreError | SettingError) -> Response[str]:
    """Answer 503 while the keys cannot be read."""
    logger.error("cannot read the API keys", extra={"error": type(error).__name__})
    return _refusal(ApiError(503, "UNAVAILABLE", "The service is currently unavailable."))


def _request(schema: str) -> dict[str, Any]:
    """Check the caller's key, and return the request."""
    event = app.current_event
    query = event.query_string_parameters or {}
    keys.check(event.headers.get("x-goog-api-key") or query.get("key") or "")
    try:
        body = event.decoded_body or ""
    except ValueError as error:
        raise ApiError(400, "INVALID_ARGUMENT", "Invalid JSON payload received. It is not UTF-8.") from error
    if len(body) > MAX_BODY_BYTES:
        message = f"Request payload size exceeds the limit: {MAX_BODY_BYTES} bytes."
        raise ApiError(400, "INVALID_ARGUMENT", message)
    return perspective.parsed(body, schema)


def _refusal(error: ApiError, **headers: str) -> Response[str]:
    body = {"code": error.code, "message": error.message, "status": error.status}
    return _response(error.code, {"error": body | ({"details": [error.detail]} if error.detail else {})}, **headers)


def _response(status: int, body: Mapping[str, Any], **headers: str) -> Response[str]:
    return Response(status, JSON, json.dumps(body), {"x-model-version": MODEL_VERSION, **headers})
