import json
from contextlib import suppress
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.toxicity_bot import JSON
from toxicity_bot.errors import JobError
from toxicity_bot.jobs import Job, retry_delay

JOB = Job("T0LOCAL", "C0GENERAL", "1731000000.000100", "U0ADA", "Ev0001", 1731000000)


def test_a_job_survives_a_json_round_trip_with_and_without_an_installation() -> None:
    assert Job.from_json(JOB.to_json()) == JOB
    fields = json.loads(JOB.to_json())
    assert fields.keys() == {"team", "channel", "ts", "reactor", "event_id", "event_time", "installation"}
    del fields["installation"]
    assert Job.from_json(json.dumps(fields)) == JOB
    for other in (
        replace(JOB, kind="check", shared=True),
        replace(JOB, kind="command", ts="", detail={"word": "help"}),
    ):
        assert Job.from_json(other.to_json()) == other


@pytest.mark.parametrize(
    "body",
    [
        *("", "canary", "null", "[]", '"canary"', "{}", "[" * 100_000),
        *(json.dumps(asdict(JOB) | change) for change in (
            {"text": "canary"}, {"team": ""}, {"ts": 1731000000.0001}, {"channel": None}, {"event_time": "canary"},
            {"installation": ["canary"]}, {"kind": 1}, {"kind": ""}, {"kind": "check", "ts": ""},
            {"detail": ["canary"]}, {"detail": {"canary": 1}}, {"detail": "canary"})),
        json.dumps({name: value for name, value in asdict(JOB).items() if name != "reactor"}),
    ],
    ids=lambda body: str(body)[:40],
)  # fmt: skip
def test_a_malformed_job_is_refused_and_not_quoted(body: str) -> None:
    with pytest.raises(JobError, match="dead-letter queue") as refusal:
        Job.from_json(body)
    assert "canary" not in str(refusal.value)
    assert refusal.value.__cause__ is None


@given(JSON, st.text())
def test_any_queue_message_is_parsed_or_raises_job_error(value: object, text: str) -> None:
    for body in (text, json.dumps(value), json.dumps(asdict(JOB) | {"team": value})):
        with suppress(JobError):
            assert isinstance(Job.from_json(body), Job)


@pytest.mark.parametrize(
    ("attempt", "shortest", "longest"),
    [(1, 1, 2), (2, 2, 4), (3, 4, 8), (9, 256, 512), (10, 450, 900), (100, 450, 900)],
)
def test_the_delay_doubles_up_to_15_minutes(attempt: int, shortest: int, longest: int) -> None:
    assert (retry_delay(attempt, jitter=0), retry_delay(attempt, jitter=1)) == (shortest, longest)


def test_the_delays_of_jobs_that_fail_together_differ() -> None:
    delays = {retry_delay(10) for _ in range(50)}
    assert len(delays) > 10
    assert delays <= {*range(450, 901)}
