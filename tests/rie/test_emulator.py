"""The functions under the emulator of Lambda's runtime protocol, with the files in events/."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from local.aws import aws_environ
from local.events import FORM, as_form, signed
from local.faults import Slow
from local.functions import poll
from local.services import LocalServices
from local.situations import receiver_events
from tests import ROOT
from tests.rie.emulator import EmulatedFunction, EmulatorError
from toxicity_bot.gateway import api_gateway_event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def services() -> Iterator[LocalServices]:
    with LocalServices() as services:
        yield services


@pytest.fixture(scope="module")
def environ(services: LocalServices) -> dict[str, str]:
    """The functions' settings, without this machine's AWS configuration."""
    return aws_environ(services.aws.url) | services.environ() | {"MODEL_DIR": str(ROOT / "model")}


@pytest.fixture(scope="module")
def worker(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedFunction]:
    with EmulatedFunction("worker", environ, tmp_path_factory.mktemp("worker") / "log") as function:
        yield function


@pytest.fixture(scope="module")
def receiver(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedFunction]:
    with EmulatedFunction("receiver", environ, tmp_path_factory.mktemp("receiver") / "log") as function:
        yield function


def event(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return read


def outcomes(services: LocalServices, name: str) -> list[str]:
    """Return the outcomes of the bot's posts about a situation's message."""
    item = services.situations.events[name]["item"]
    return services.outcomes(item["ts"])


@pytest.mark.parametrize(
    ("name", "about", "said"),
    [
        ("fine", "fine", ["fine"]),
        ("delivered-twice", "fine", ["fine"]),
        ("toxic", "toxic", ["toxic"]),
        ("thread-reply", "thread-reply", ["toxic"]),
        ("words-in-blocks", "words-in-blocks", ["toxic"]),
        ("nothing-to-judge", "nothing-to-judge", ["cannot_judge"]),
        ("not-english", "not-english", ["cannot_judge"]),
        ("deleted", "deleted", []),
        ("not-a-member", "not-a-member", []),
    ],
)
def test_an_event_file_of_the_worker_has_its_outcome(
    services: LocalServices, worker: EmulatedFunction, name: str, about: str, said: list[str]
) -> None:
    assert worker.invoke(event(f"worker-{name}")) == {"batchItemFailures": []}
    assert outcomes(services, about) == said


def test_only_the_malformed_job_of_a_batch_is_redelivered(services: LocalServices, worker: EmulatedFunction) -> None:
    batch = event("worker-one-of-two-poisoned")
    poisoned = batch["Records"][0]["messageId"]
    assert worker.invoke(batch) == {"batchItemFailures": [{"itemIdentifier": poisoned}]}
    assert outcomes(services, "toxic") == ["toxic"]


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("reaction", 200),
        ("retry", 200),
        ("base64", 200),
        ("other-emoji", 200),
        ("forged", 401),
        ("url-verification", 200),
        ("rate-limited", 200),
    ],
)
def test_an_event_file_of_the_receiver_has_its_status(
    services: LocalServices, receiver: EmulatedFunction, name: str, status: int
) -> None:
    answer = receiver.invoke(receiver_events(services.situations, time.time())[f"receiver-{name}"])
    assert answer["statusCode"] == status
    if name == "url-verification":
        assert json.loads(answer["body"]) == {"challenge": "challenge-0123456789"}


def test_a_reaction_becomes_a_verdict(
    services: LocalServices, receiver: EmulatedFunction, worker: EmulatedFunction
) -> None:
    sqs = services.aws.client("sqs")
    sqs.purge_queue(QueueUrl=services.aws.queue_url)
    message = services.situations.workspace.post("C0PRIVATE", "U0ADA", "You stupid idiot.")
    reaction = services.situations.workspace.react("C0PRIVATE", message["ts"], "U0GRACE", "biohazard_sign")
    services.situations.events["new"] = reaction
    request = receiver_events(services.situations, time.time(), about="new")["receiver-reaction"]
    assert receiver.invoke(request)["statusCode"] == 200
    assert poll(sqs, services.aws.queue_url, lambda batch, _: worker.invoke(batch), wait_seconds=5) == 1
    assert outcomes(services, "new") == ["toxic"]


@pytest.mark.failure(101)
def test_the_receiver_invokes_the_worker_and_neither_logs_the_text(
    services: LocalServices, environ: dict[str, str], worker: EmulatedFunction, tmp_path: Path
) -> None:
    body = as_form(services.slack.slash_command("You stupid idiot, quetzalcoatlus.", "C0RANDOM", "U0GRACE"))
    headers = signed(body, services.situations.workspace.signing_secret, int(time.time()), kind=FORM)
    invoking = environ | {"WORKER_FUNCTION": "function", "AWS_ENDPOINT_URL_LAMBDA": worker.url}
    with EmulatedFunction("receiver", invoking, tmp_path / "log") as receiver:
        assert receiver.invoke(api_gateway_event(body, headers))["statusCode"] == 200
        deadline = time.monotonic() + 30
        while not (shown := services.situations.workspace.ephemerals) and time.monotonic() < deadline:
            time.sleep(0.02)  # on a busy machine the worker takes longer than the receiver waits
        output = receiver.output() + worker.output()
    assert [(one["user"], "Likely toxic" in one["text"]) for one in shown] == [("U0GRACE", True)]
    assert "WorkerInvoked" in output
    assert "quetzalcoatlus" not in output


def test_the_scorer_responds_and_does_not_log_the_text(environ: dict[str, str], tmp_path: Path) -> None:
    request = {"comment": {"text": "You stupid idiot."}, "requestedAttributes": {"TOXICITY": {}}}
    asked = api_gateway_event(json.dumps(request).encode(), {}, path="/v1alpha1/comments:analyze")
    with EmulatedFunction("scorer", environ | {"API_KEY_HASHES": "none"}, tmp_path / "log") as function:
        answer = function.invoke(asked)
        assert answer["statusCode"] == 200
        assert json.loads(answer["body"])["attributeScores"]["TOXICITY"]["summaryScore"]["value"] > 0.8
        assert "idiot" not in function.output()


def test_the_worker_loads_in_its_init_phase(worker: EmulatedFunction) -> None:
    assert "INIT START" in worker.output()
    assert worker.output().count("INIT REPORT") == 1


def test_without_its_model_the_function_fails_with_a_clear_error(environ: dict[str, str], tmp_path: Path) -> None:
    broken = environ | {"MODEL_DIR": str(tmp_path)}
    with (
        EmulatedFunction("worker", broken, tmp_path / "log") as function,
        pytest.raises(EmulatorError, match=r"model\.json is missing.*ModelError"),
    ):
        function.invoke(event("worker-fine"))


def test_an_invocation_that_times_out_is_killed(
    services: LocalServices, environ: dict[str, str], tmp_path: Path
) -> None:
    services.slack.faults.add("conversations.history", Slow(seconds=20))
    with (
        EmulatedFunction("worker", environ, tmp_path / "log", timeout_seconds=2) as function,
        pytest.raises(EmulatorError, match="timed out"),
    ):
        function.invoke(event("worker-fine"))
