"""The fuzzer's cases and mutations, which need no atheris; that it finds what is wrong is tested in tests/fuzz."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.fuzz.cases import event, parsed, seeds
from local.fuzz.mutations import mutated
from local.fuzz.target import Target, WrongAnswerError

if TYPE_CHECKING:
    from types import ModuleType

ANSWERS = {
    "unsigned": 401, "forged": 401, "stale": 401, "hostile_headers": 401, "list": 400, "bytes": 400, "deep": 400,
    "base64_by_mistake": 400, "odd_event": 400, "huge": 413, "no_queue": 503,
}  # fmt: skip


def mutation(data: bytes, seed: int) -> bytes:
    """A mutation, in which turning bytes around stands for what the fuzzer does to them."""
    return mutated(data, Random(seed), lambda raw: raw[::-1])  # noqa: S311 - a test's dice


@pytest.fixture
def target(receiver: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Target:
    monkeypatch.setattr(receiver, "settings", receiver.settings)  # the target changes it
    return Target(receiver)


@pytest.mark.parametrize("name", seeds())
def test_each_seed_gets_the_answer_that_it_stands_for(name: str, target: Target) -> None:
    target(seeds()[name])
    assert target.answers == {ANSWERS.get(name, 200): 1}


@given(st.binary() | st.dictionaries(st.text(), st.none() | st.text()).map(lambda case: json.dumps(case).encode()))
def test_any_bytes_are_a_case(data: bytes) -> None:
    made = event(parsed(data))
    assert {"headers", "body", "isBase64Encoded"} <= made.keys()


def test_bytes_that_are_no_case_are_the_body_of_a_signed_request() -> None:
    made = event(parsed(b"\x00 no case"))
    assert made["body"] == "\x00 no case"
    assert made["headers"]["X-Slack-Signature"].startswith("v0=")


@given(st.sampled_from(sorted(seeds().values())), st.integers(0, 2**32))
def test_a_mutation_is_a_case_and_the_same_for_the_same_dice(data: bytes, seed: int) -> None:
    changed = mutation(data, seed)
    assert changed == mutation(data, seed)
    event(parsed(changed))


def test_mutations_reach_into_the_payload_and_keep_the_signature_right(target: Target) -> None:
    changed = [mutation(seeds()["reaction"], seed) for seed in range(100)]
    for data in changed:
        target(data)
    assert len(set(changed)) > 75
    assert target.answers[200] > 20, f"hardly any mutation was still signed: {target.answers}"


class BrokenReceiver:
    """Gives one answer, whatever comes."""

    def __init__(self, answer: dict[str, Any], settings: Any) -> None:
        self.answer, self.settings = answer, settings

    def handler(self, event: dict[str, Any], context: object) -> dict[str, Any]:
        return self.answer


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": 500, "headers": {}, "body": ""},
        {"statusCode": 503, "headers": {}, "body": ""},
        {"statusCode": 200, "headers": {}},
        {"statusCode": 200, "headers": {"x": 1}, "body": ""},
        {"statusCode": 200, "headers": {}, "body": None},
    ],
)
def test_an_answer_that_should_never_be_seen_is_a_finding(answer: dict[str, Any], receiver: ModuleType) -> None:
    broken: Any = BrokenReceiver(answer, receiver.settings)
    with pytest.raises(WrongAnswerError):
        Target(broken)(seeds()["reaction"])
