"""Requests and responses of the Perspective API as it documents them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toxicity_bot import perspective
from toxicity_bot.classifier import Classifier
from toxicity_bot.errors import ApiError

TOXICITY: dict[str, Any] = {"TOXICITY": {}}
# The example in the documentation, which gives its spans.
FOO = "What kind of idiot name is foo? Sorry, I like your name."
GERMAN = "Das ist ein ganz gew\u00f6hnlicher Satz in deutscher Sprache."


def analyzed(classifier: Classifier, text: str, *aliases: str, **fields: Any) -> dict[str, Any]:
    body = json.dumps({"comment": {"text": text}, "requestedAttributes": TOXICITY} | fields)
    request = perspective.parsed(body, "AnalyzeCommentRequest")
    return perspective.analyze(request, classifier, dict.fromkeys(aliases, "TOXICITY"))


def refused(classifier: Classifier, text: str = "hello there", **fields: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        analyzed(classifier, text, **fields)
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")
    return caught.value


def test_an_answer_has_the_classifiers_score_for_the_whole_text(classifier: Classifier) -> None:
    score = {"value": classifier.toxicity(FOO), "type": "PROBABILITY"}
    scores = {"spanScores": [{"begin": 0, "end": 56, "score": score}], "summaryScore": score}
    expected = {"attributeScores": {"TOXICITY": scores}, "languages": ["en"], "detectedLanguages": ["en"]}
    assert analyzed(classifier, FOO) == expected
    ignored = {"doNotStore": True, "sessionId": "7", "communityId": "/forum", "context": {"entries": [{"text": "x"}]}}
    assert analyzed(classifier, FOO, clientToken="c-1", **ignored) == expected | {"clientToken": "c-1"}
    assert analyzed(classifier, FOO, languages=None, span_annotations=False, do_not_store=True) == expected


def test_spans_are_sentences_in_utf16_code_units(classifier: Classifier) -> None:
    (toxicity,) = analyzed(classifier, f"\U0001f600 Ok.\n{FOO}", spanAnnotations=True)["attributeScores"].values()
    spans = [(span["begin"], span["end"]) for span in toxicity["spanScores"]]
    assert spans == [(0, 6), (7, 38), (39, 63)]
    values = [span["score"]["value"] for span in toxicity["spanScores"]]
    assert values[1] == classifier.toxicity("What kind of idiot name is foo?") > 0.5 > values[2]


@given(text=st.text(st.sampled_from("ab. !?\n\u2026\U0001f600\ud800"), min_size=1, max_size=200))
def test_spans_are_ordered_limited_and_within_the_text(classifier: Classifier, text: str) -> None:
    try:
        answer = analyzed(classifier, f"a{text}", languages=["en"], spanAnnotations=True)
    except ApiError as error:
        assert error.reason == "COMMENT_EMPTY"  # noqa: PT017 - any other error fails
        return
    spans = answer["attributeScores"]["TOXICITY"]["spanScores"]
    ends = [end for span in spans for end in (span["begin"], span["end"])]
    assert ends == sorted(ends)
    assert ends[-1] <= len(f"a{text}".encode("utf-16-le", "surrogatepass")) / 2
    assert 1 <= len(spans) <= perspective.MAX_SPANS


def test_other_attributes_are_scored_only_if_they_are_aliases(classifier: Classifier) -> None:
    asked = {"TOXICITY": {}, "SEVERE_TOXICITY": {"scoreType": "PROBABILITY"}}
    scores = analyzed(classifier, FOO, "SEVERE_TOXICITY", requestedAttributes=asked)["attributeScores"]
    assert scores.keys() == asked.keys()
    assert scores["SEVERE_TOXICITY"] == scores["TOXICITY"]
    error = refused(classifier, requestedAttributes=asked)
    assert (error.message, error.reason) == ("Unknown requested attribute: SEVERE_TOXICITY", "INVALID_REQUEST")


@pytest.mark.parametrize(("threshold", "answered"), [(0, True), (0.3, True), (0.999, False)])
def test_scores_below_the_threshold_are_left_out(classifier: Classifier, threshold: float, answered: bool) -> None:
    answer = analyzed(classifier, FOO, requestedAttributes={"TOXICITY": {"scoreThreshold": threshold}})
    assert ("attributeScores" in answer) == answered
    assert answer["languages"] == ["en"]


def test_languages_are_detected_unless_the_request_names_them(classifier: Classifier) -> None:
    error = refused(classifier, GERMAN)
    assert error.message == "Attribute TOXICITY does not support request languages: de"
    details = {"detectedLanguages": ["de"], "attribute": "TOXICITY"}
    assert error.detail == {
        "@type": "type.googleapis.com/google.commentanalyzer.v1alpha1.Error",
        "errorType": "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE",
        "languageNotSupportedByAttributeError": details,
    }
    believed = analyzed(classifier, GERMAN, languages=["en"])
    assert (believed["languages"], believed["detectedLanguages"]) == (["en"], ["de"])
    assert analyzed(classifier, FOO, languages=["en-GB"])["languages"] == ["en-GB"]
    unread = refused(classifier, FOO, languages=["en", "fr", "de-AT"]).detail["languageNotSupportedByAttributeError"]
    assert unread == {"requestedLanguages": ["fr", "de-AT"], "attribute": "TOXICITY"}
    assert refused(classifier, "\U0001f600 12:30").reason == "LANGUAGE_DETECTION_FAILED"
    assert "attributeScores" in analyzed(classifier, "\U0001f595", languages=["en"])


PERCENTILE = {"requestedAttributes": {"TOXICITY": {"scoreType": "PERCENTILE"}}}
BOTH = {"context": {"entries": [], "articleAndParentComment": {"article": {"text": "a"}}}}


@pytest.mark.parametrize(
    ("fields", "reason", "message"),
    [
        ({"comment": {"text": ""}}, "COMMENT_EMPTY", "Comment must be non-empty."),
        ({"comment": {"text": " \n\u200b"}}, "COMMENT_EMPTY", "Comment must be non-empty."),
        ({"comment": None}, "COMMENT_EMPTY", "Comment must be non-empty."),
        ({"comment": {"text": "\u00e9" * 10_241}}, "COMMENT_TOO_LONG", "Comment text too long."),
        ({"comment": {"text": "a", "type": "HTML"}}, "INVALID_REQUEST", "Currently, only 'PLAIN_TEXT' comments"),
        ({"requestedAttributes": {}}, "NO_REQUESTED_ATTRIBUTES", "Missing requested_attributes"),
        (PERCENTILE, "INVALID_REQUEST", "Requested score type PERCENTILE is not supported by attribute TOXICITY"),
        (BOTH, "INVALID_REQUEST", "Context can have either entries or article_and_parent_comment"),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused_with_its_reason(
    classifier: Classifier, fields: dict[str, Any], reason: str, message: str
) -> None:
    error = refused(classifier, **fields)
    assert (error.reason, error.detail["errorType"]) == (reason, reason)
    assert error.message.startswith(message)


def test_a_comment_of_the_maximum_size_is_scored(classifier: Classifier) -> None:
    assert "attributeScores" in analyzed(classifier, ("fine. " * 4000)[:20_480], spanAnnotations=True)


@pytest.mark.parametrize(
    ("body", "field", "sentence"),
    [
        ('{"comment": {"text": "a"}, "foo": 1}', "", 'Unknown name "foo": Cannot find field.'),
        ('{"comment": {"txt": "a"}}', "comment", "Unknown name \"txt\" at 'comment': Cannot find field."),
        ('{"comment": {"text": 1}}', "comment.text", "Invalid value at 'comment.text' (TYPE_STRING)."),
        ('{"comment": {"type": "XML"}}', "comment.type", "Invalid value at 'comment.type' (TYPE_ENUM)."),
        ('{"languages": "en"}', "languages", "Invalid value at 'languages' (TYPE_ARRAY)."),
        ('{"languages": [null]}', "languages[0]", "Invalid value at 'languages[0]' (TYPE_STRING)."),
        ('{"doNotStore": 1}', "doNotStore", "Invalid value at 'doNotStore' (TYPE_BOOLEAN)."),
        ('{"requestedAttributes": {"A": {"scoreThreshold": true}}}', "requestedAttributes.A.scoreThreshold", "Invalid"),
        ('{"requestedAttributes": {"A": {"scoreThreshold": 1e999}}}', "requestedAttributes.A.scoreThreshold", "Inv"),
        ("[]", "", "Invalid value at '' (TYPE_OBJECT)."),
        ("", None, "It is not JSON."),
        ('{"languages": NaN}', None, "It is not JSON."),
        ("[" * 100_000, None, "It is not JSON."),
        (f'{{"a": {"9" * 5000}}}', None, "It is not JSON."),
    ],
)
def test_a_malformed_body_is_refused_with_the_name_of_its_field(body: str, field: str | None, sentence: str) -> None:
    with pytest.raises(ApiError) as caught:
        perspective.parsed(body, "AnalyzeCommentRequest")
    error = caught.value
    assert (error.code, error.status) == (400, "INVALID_ARGUMENT")
    assert error.message.startswith(f"Invalid JSON payload received. {sentence}")
    if field is not None:
        assert error.detail["fieldViolations"][0].get("field", "") == field


def test_a_suggested_score_is_accepted_and_not_stored() -> None:
    body = {"comment": {"text": "a"}, "attributeScores": {"TOXICITY": {"summaryScore": {"value": 0}}}}
    schema = "SuggestCommentScoreRequest"
    request = perspective.parsed(json.dumps(body | {"clientToken": "t"}), schema)
    assert perspective.suggest_score(request) == {"clientToken": "t"}
    unusable: list[dict[str, Any]] = [{"comment": {"text": ""}}, {"attributeScores": {}}]
    for lacking in unusable:
        with pytest.raises(ApiError):
            perspective.suggest_score(perspective.parsed(json.dumps(body | lacking), schema))


def test_the_description_is_complete_and_names_the_server() -> None:
    description = perspective.discovery("http://127.0.0.1:8000/")
    assert description["rootUrl"] == description["baseUrl"] == "http://127.0.0.1:8000/"
    references = set(json.dumps(description).split('{"$ref": "')[1:])
    assert {reference.partition('"')[0] for reference in references} <= description["schemas"].keys()
