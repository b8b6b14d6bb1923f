"""The scoring service over HTTP: keys, quotas and errors. Texts must not appear in logs or responses."""

import http.client
import importlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest

from local.aws import EmbeddedAws
from tests.toxicity_bot.bot import store
from tests.toxicity_bot.record import Record
from toxicity_bot.api_keys import ApiKeys, hashed
from toxicity_bot.gateway import Gateway

ANALYZE, SUGGEST = "/v1alpha1/comments:analyze", "/v1alpha1/comments:suggestscore"
INSULT = "You stupid idiot, quetzalcoatlus."
KEY, OTHER = "coelacanth-1", "coelacanth-2"
SLACK = {"signing_secrets": ["replace-me"], "bot_token": "replace-me"}


class Answer(NamedTuple):
    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]

    @property
    def error(self) -> tuple[int, str]:
        return self.status, self.body["error"]["status"]


class Service:
    """The scorer behind the local gateway, with its keys in Secrets Manager and a stopped clock."""

    def __init__(self, scorer: ModuleType, address: str, aws: EmbeddedAws, patch: pytest.MonkeyPatch) -> None:
        self.scorer, self._address, self.aws, self._patch = scorer, address, aws, patch
        self.now = 1000.0
        self.set(secret_id="bot/slack")

    def set(self, **settings: Any) -> None:
        changed = replace(self.scorer.settings, **settings)
        self._patch.setattr(self.scorer, "settings", changed)
        self._patch.setattr(self.scorer, "keys", ApiKeys(changed, lambda: self.now))

    def store(self, **keys: str) -> None:
        store(self.aws, json.dumps(SLACK | {"api_keys": {name: hashed(key) for name, key in keys.items()}}))

    def call(
        self, path: str, body: bytes | None = None, *, key: str = "", method: str = "POST", **headers: str
    ) -> Answer:
        connection = http.client.HTTPConnection(self._address, timeout=30)
        connection.request(method, f"{path}?{urlencode({'key': key, 'alt': 'json'})}" if key else path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return Answer(answer.status, json.loads(content) if content else {}, dict(answer.headers))

    def analyze(self, text: str = INSULT, *, key: str = KEY, **fields: Any) -> Answer:
        request = {"comment": {"text": text}, "requestedAttributes": {"TOXICITY": {}}} | fields
        return self.call(ANALYZE, json.dumps(request).encode(), key=key)


@pytest.fixture
def service(aws: EmbeddedAws, record: Record, _gateway: str, monkeypatch: pytest.MonkeyPatch) -> Service:
    scorer = importlib.import_module("toxicity_bot.scorer")
    monkeypatch.setattr(Gateway, "function", scorer, raising=False)
    made = Service(scorer, urlsplit(_gateway).netloc, aws, monkeypatch)
    made.store(coral=KEY)
    return made


def test_a_text_is_scored_and_never_logged(service: Service, record: Record) -> None:
    answer = service.analyze(clientToken="quetzalcoatlus-7")
    assert answer.status == 200
    score = answer.body["attributeScores"]["TOXICITY"]["summaryScore"]["value"]
    assert score == service.scorer.classifier.toxicity(INSULT) > 0.5
    assert answer.body["clientToken"] == "quetzalcoatlus-7"
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert answer.headers["x-model-version"] == service.scorer.classifier.name
    suggestion = {"comment": {"text": INSULT}, "attributeScores": {"TOXICITY": {"summaryScore": {"value": 0}}}}
    assert service.call(SUGGEST, json.dumps(suggestion).encode(), key=KEY).body == {}
    assert record.counted() == [("TextScored", "ok")]


@pytest.mark.parametrize("variable", ["POWERTOOLS_DEV", "POWERTOOLS_EVENT_HANDLER_DEBUG", "POWERTOOLS_DEBUG"])
def test_no_debug_variable_logs_a_request(service: Service, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "true")
    assert service.analyze().status == 200
    assert service.analyze(text="", stupid=INSULT).status == 400


@pytest.mark.parametrize("key", ["", OTHER, "\U0001f511", hashed(KEY)])
def test_without_a_valid_key_there_is_no_score(service: Service, key: str) -> None:
    answer = service.analyze(key=key)
    assert answer.error == (403, "PERMISSION_DENIED")
    assert answer.body["error"]["details"][0]["reason"] == ("API_KEY_INVALID" if key else "API_KEY_MISSING")


def test_the_key_can_be_in_a_header_and_can_be_one_of_several(service: Service) -> None:
    service.store(coral=KEY, forum=OTHER)
    body = json.dumps({"comment": {"text": "hello"}, "requestedAttributes": {"TOXICITY": {}}}).encode()
    assert service.call(ANALYZE, body, **{"X-Goog-Api-Key": OTHER}).status == 200
    assert service.analyze().status == 200


def test_new_and_revoked_keys_take_effect_within_a_minute(service: Service) -> None:
    assert service.analyze().status == 200
    service.store(forum=OTHER)
    assert (service.analyze().status, service.analyze(key=OTHER).status) == (200, 403)
    service.now += 60
    assert (service.analyze().status, service.analyze(key=OTHER).status) == (403, 200)


def test_keys_can_come_from_the_environment_or_be_absent(service: Service) -> None:
    service.set(api_key_hashes=(hashed(OTHER),))
    assert (service.analyze().status, service.analyze(key=OTHER).status) == (403, 200)
    service.set(api_key_hashes=("none",))
    assert service.analyze(key="").status == 200
    service.set(api_key_hashes=(), secret_id="")
    assert service.analyze().status == 403


@pytest.mark.parametrize("secret", ["", "[]", '{"api_keys": ["a"]}', '{"api_keys": {"a": "coelacanth-1"}}', "{"])
def test_a_malformed_secret_responds_503(service: Service, secret: str) -> None:
    store(service.aws, secret or '{"api_keys": null}')
    assert service.analyze().status == 503


def test_a_failing_secret_store_responds_503_until_the_keys_have_been_read(service: Service, aws: EmbeddedAws) -> None:
    service.set(secret_id="bot/missing")
    assert service.analyze().error == (503, "UNAVAILABLE")
    service.set(secret_id="bot/slack")
    assert service.analyze().status == 200
    aws.client("secretsmanager").delete_secret(SecretId="bot/slack", ForceDeleteWithoutRecovery=True)
    service.now += 60
    assert service.analyze().status == 200


def test_each_key_has_a_quota(service: Service) -> None:
    service.store(coral=KEY, forum=OTHER)
    service.set(requests_per_second_per_key=0.5)
    statuses = [service.analyze("hello").status for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    assert service.analyze("hello", key=OTHER).status == 200
    service.now += 2
    assert service.analyze("hello").status == 200
    assert service.analyze("hello").error == (429, "RESOURCE_EXHAUSTED")


@pytest.mark.parametrize(
    ("path", "method", "status", "name"),
    [
        ("/v1alpha1/comments:judge", "POST", 404, "NOT_FOUND"),
        ("/", "GET", 404, "NOT_FOUND"),
        (ANALYZE, "GET", 405, "METHOD_NOT_ALLOWED"),
        (SUGGEST, "DELETE", 405, "METHOD_NOT_ALLOWED"),
        ("/$discovery/rest", "POST", 405, "METHOD_NOT_ALLOWED"),
    ],
)
def test_other_paths_and_methods_are_refused(service: Service, path: str, method: str, status: int, name: str) -> None:
    answer = service.call(path, b"", method=method, key=KEY)
    assert answer.error == (status, name)
    assert answer.headers.get("allow") == (service.scorer.METHODS[path] if status == 405 else None)


@pytest.mark.parametrize("body", [b"", b"quetzalcoatlus", b"\xff\xfe", b"[]", b"{}" + b" " * 1024 * 1024])
def test_an_invalid_body_is_refused_and_not_logged(service: Service, body: bytes) -> None:
    assert service.call(ANALYZE, body, key=KEY).error == (400, "INVALID_ARGUMENT")


def test_the_description_needs_no_key_and_names_the_host_of_the_request(service: Service) -> None:
    answer = service.call("/$discovery/rest", method="GET", Host="scores.example:8000")
    assert (answer.status, answer.body["rootUrl"]) == (200, "http://scores.example:8000/")


def test_an_internal_error_does_not_reveal_the_text(
    service: Service, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(text: Any, *_: Any) -> None:
        raise RuntimeError(f"cannot read {INSULT}")

    monkeypatch.setattr(service.scorer.classifier, "assess", fail)
    assert service.analyze().error == (500, "INTERNAL")
    (line,) = [line for line in record.lines() if line.get("level") == "ERROR"]
    assert line["error"] == "RuntimeError"
    assert any("perspective.py" in frame for frame in line["frames"])
    assert ("ScoringFailed", "RuntimeError") in record.counted()


def test_concurrent_requests_get_their_own_scores(service: Service) -> None:
    texts = [f"this is message number {number}" for number in range(24)]
    service.set(api_key_hashes=("none",))

    def ask(text: str) -> tuple[str, float]:
        body = service.analyze(text, clientToken=text).body
        return body["clientToken"], body["attributeScores"]["TOXICITY"]["summaryScore"]["value"]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, texts))
    assert answers == [(text, service.scorer.classifier.toxicity(text)) for text in texts]
