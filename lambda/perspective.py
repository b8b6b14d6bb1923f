"""Answer requests in the format of Google's Perspective API, which has many clients.

`perspective.json` is the API's discovery document: clients read it, and requests are validated against its schemas. The
scores come from the classifier, spans count UTF-16 code units, and errors have Google's wording. This module does not
depend on HTTP or API keys.
https://github.com/conversationai/perspectiveapi/tree/main/2-api
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .errors import ApiError
from .message_language import foreign_language
from .message_text import FoldedText

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .classifier import Classifier

Json = dict[str, Any]

ATTRIBUTE = "TOXICITY"
MAX_COMMENT_BYTES = 20_480
BUDGET_SECONDS = 8.0  # for a comment, and again for its spans; API Gateway waits 30 s
MAX_SPANS = 32  # if a comment has more sentences, a span has several

_DESCRIPTION: Json = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
_SCHEMAS: Json = _DESCRIPTION["schemas"]
_KINDS: dict[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)
}  # fmt: skip
_SENTENCE = re.compile(r"\S[^\n]*?(?:[.!?\u2026]+(?=\s)|(?=\n)|\Z)")
_SNAKE = re.compile(r"_([a-z])")


def discovery(root_url: str) -> Json:
    """Return the discovery document, from which Google's client libraries build their methods."""
    return _DESCRIPTION | {"rootUrl": root_url, "baseUrl": root_url}


def parsed(body: str, schema: str) -> Json:
    """Return the request in a body, validated against a schema. Unset fields are omitted."""
    try:
        request = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "INVALID_ARGUMENT", "Invalid JSON payload received. It is not JSON.") from error
    checked: Json = _checked(request, {"$ref": schema}, "")
    return checked


def analyze(request: Json, classifier: Classifier, aliases: Mapping[str, str]) -> Json:
    """Score a comment. `aliases` has the attributes that get the score of TOXICITY."""
    text, languages = _text(request), request.get("languages", [])
    requested: Json = request.get("requestedAttributes", {})
    if not requested:
        _refuse("NO_REQUESTED_ATTRIBUTES", "Missing requested_attributes")
    for attribute, parameters in requested.items():
        if attribute != ATTRIBUTE and attribute not in aliases:
            _refuse("INVALID_REQUEST", f"Unknown requested attribute: {attribute}")
        score_type = parameters.get("scoreType", "PROBABILITY")
        if score_type not in ("PROBABILITY", "SCORE_TYPE_UNSPECIFIED"):
            message = f"Requested score type {score_type} is not supported by attribute {attribute}"
            _refuse("INVALID_REQUEST", message)
    folded = _folded(text)
    detected = foreign_language(folded) or "en"
    _check_languages(languages, [detected], next(iter(requested)))
    if not languages and not folded.has_words:
        _refuse("LANGUAGE_DETECTION_FAILED", "Unable to detect language")
    scores = _scores(text, folded, classifier, spans=request.get("spanAnnotations", False))
    value = scores["summaryScore"]["value"]
    wanted = {name: scores for name, parameters in requested.items() if value >= parameters.get("scoreThreshold", 0)}
    answer: Json = {"attributeScores": wanted} if wanted else {}
    return answer | {"languages": languages or [detected], "detectedLanguages": [detected]} | _token(request)


def suggest_score(request: Json) -> Json:
    """Accept a score correction without storing it."""
    _folded(_text(request))
    if not request.get("attributeScores"):
        _refuse("INVALID_REQUEST", "Missing attribute_scores")
    return _token(request)


def _text(request: Json) -> str:
    comment, context = request.get("comment", {}), request.get("context", {})
    # Replace unpaired surrogates, which tokenizers reject.
    text = str(comment.get("text", "")).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if not text:
        _refuse("COMMENT_EMPTY", "Comment must be non-empty.")
    if len(text.encode()) > MAX_COMMENT_BYTES:
        _refuse("COMMENT_TOO_LONG", "Comment text too long.")
    if comment.get("type") == "HTML":
        _refuse("INVALID_REQUEST", "Currently, only 'PLAIN_TEXT' comments are supported")
    if "entries" in context and "articleAndParentComment" in context:
        either = "Context can have either entries or article_and_parent_comment, but both fields were populated."
        _refuse("INVALID_REQUEST", either)
    return text


def _folded(text: str) -> FoldedText:
    try:
        return FoldedText.of(text)
    except ValueError:
        _refuse("COMMENT_EMPTY", "Comment must be non-empty.")


def _check_languages(requested: list[str], detected: list[str], attribute: str) -> None:
    """Refuse languages other than English, even if English is one of several, as Google does."""
    unsupported = [code for code in requested or detected if code.split("-")[0].casefold() != "en"]
    if unsupported:
        kind = "requestedLanguages" if requested else "detectedLanguages"
        message = f"Attribute {attribute} does not support request languages: {', '.join(unsupported)}"
        error = {"languageNotSupportedByAttributeError": {kind: unsupported, "attribute": attribute}}
        _refuse("LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE", message, **error)


def _scores(text: str, folded: FoldedText, classifier: Classifier, *, spans: bool) -> Json:
    """Return the scores of the text and of its spans: a span per sentence, or one for the whole text."""
    try:
        whole = _score(classifier.assess(folded, BUDGET_SECONDS).toxicity)
    except ValueError:
        _refuse("COMMENT_EMPTY", "Comment must be non-empty.")
    parts = list(_sentences(text)) if spans else [(0, len(text))]
    if len(parts) < 2:
        return {"spanScores": [_span(text, 0, len(text), whole)], "summaryScore": whole}
    scored = []
    for begin, end in parts:
        try:
            score = _score(classifier.assess(text[begin:end], BUDGET_SECONDS / len(parts)).toxicity)
        except ValueError:  # nothing visible in the sentence
            score = _score(0.0)
        scored.append(_span(text, begin, end, score))
    return {"spanScores": scored, "summaryScore": whole}


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    """Yield the start and end of at most `MAX_SPANS` spans of whole sentences."""
    found = [(match.start(), match.start() + len(match[0].rstrip())) for match in _SENTENCE.finditer(text)]
    size = math.ceil(len(found) / MAX_SPANS)
    for first in range(0, len(found), max(size, 1)):
        group = found[first : first + size]
        yield group[0][0], group[-1][1]


def _span(text: str, begin: int, end: int, score: Json) -> Json:
    return {"begin": _utf16_units(text[:begin]), "end": _utf16_units(text[:end]), "score": score}


def _utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _score(toxicity: float) -> Json:
    return {"value": toxicity, "type": "PROBABILITY"}


def _token(request: Json) -> Json:
    return {"clientToken": request["clientToken"]} if request.get("clientToken") else {}


def _checked(value: Any, schema: Json, path: str) -> Any:
    """Return a value, validated against its schema. Names may be in snake case, and null means unset."""
    schema = _SCHEMAS[schema["$ref"]] if "$ref" in schema else schema
    kind = _KINDS[schema["type"]]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        _refuse_value(path, schema["type"])
    if isinstance(value, float) and not math.isfinite(value):
        _refuse_value(path, schema["type"])
    if "enum" in schema and value not in schema["enum"]:
        _refuse_value(path, "enum")
    if isinstance(value, list):
        return [_checked(item, schema["items"], f"{path}[{number}]") for number, item in enumerate(value)]
    return _checked_fields(value, schema, path) if isinstance(value, dict) else value


def _checked_fields(value: Json, schema: Json, path: str) -> Json:
    fields: Json = {}
    for key, item in value.items():
        of_map = schema.get("additionalProperties")
        name = key if of_map else _SNAKE.sub(lambda match: match[1].upper(), key)
        if not (inner := of_map or schema["properties"].get(name)):
            at = f" at '{path}'" if path else ""
            _refuse_payload(path, f'Unknown name "{key}"{at}: Cannot find field.')
        if item is not None:
            fields[name] = _checked(item, inner, f"{path}.{name}".lstrip("."))
    return fields


def _refuse(kind: str, message: str, **fields: Any) -> NoReturn:
    details = {"@type": "type.googleapis.com/google.commentanalyzer.v1alpha1.Error", "errorType": kind, **fields}
    raise ApiError(400, "INVALID_ARGUMENT", message, details)


def _refuse_value(path: str, kind: str) -> NoReturn:
    _refuse_payload(path, f"Invalid value at '{path}' (TYPE_{kind.upper()}).")


def _refuse_payload(path: str, sentence: str) -> NoReturn:
    message = f"Invalid JSON payload received. {sentence}"
    violation = {"description": message} | ({"field": path} if path else {})
    details = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}
    raise ApiError(400, "INVALID_ARGUMENT", message, details)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
