"""What only processes of their own show: how they start, on which libraries and files, and how they die.

The local Slack and AWS are in this process, receiver and worker are not; the watch reads their logs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local.bot import ROOT, BotError, LocalBot, Process
from local.events import Deliveries, Delivery, event_callback, url_verification
from local.faults import Call, RateLimited
from tests.failures.bot import ADA, EMOJI, GENERAL, GRACE, INSULT, workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.workspace import Message
    from tests.failures.record import Record

MODEL = ROOT / "model"
NATIVE = ("onnxruntime", "tokenizers", "numpy", "fasttext")

# Refuses, before anything else is imported, to look up or call any host but this one, and notes which were asked for.
LOCKED_IN = """
import os, sys
def hook(event, arguments):
    if event in ("socket.getaddrinfo", "socket.connect"):
        host = arguments[0] if event == "socket.getaddrinfo" else arguments[1][0]
        with open(os.environ["HOSTS_ASKED_FOR"], "a") as file:
            file.write(f"{host}\\n")
        if host not in ("127.0.0.1", "localhost"):
            raise OSError("there is no network here")
sys.addaudithook(hook)
"""


@pytest.fixture(scope="module")
def running() -> Iterator[LocalBot]:
    with LocalBot(workspace()) as bot:
        yield bot


@pytest.fixture
def bot(running: LocalBot, record: Record) -> Iterator[LocalBot]:
    """The bot in processes; each test finds the worker alive."""
    if running.worker.ended:
        running.restart_worker()
    record.requests.clear()
    yield running
    watch(record, running)


def watch(record: Record, bot: LocalBot) -> None:
    for log in bot.logs.iterdir():
        record.watch(log)


def say(bot: LocalBot, text: str = INSULT) -> Message:
    return bot.workspace.post(GENERAL, ADA, text)


def react(bot: LocalBot, message: Message, url: str = "") -> Delivery:
    event = event_callback(bot.workspace.react(GENERAL, message["ts"], GRACE, EMOJI), bot.workspace.identity)
    return send(bot, event, url)


def send(bot: LocalBot, payload: dict[str, Any], url: str = "") -> Delivery:
    slack = Deliveries(url or bot.request_url, bot.workspace.signing_secret, delays=(), timeout=30)
    return slack.send(payload)[-1]


def outcomes(bot: LocalBot, message: Message) -> list[str]:
    """The outcomes of the verdicts on a message, once the queue is empty."""
    bot.wait_until_idle(timeout=60)
    payloads = [post["metadata"]["event_payload"] for post in bot.workspace.conversation(GENERAL) if "metadata" in post]
    return [payload["outcome"] for payload in payloads if payload["key"].split("/")[2] == message["ts"]]


def wait_until(condition: Callable[[], object], what: str, timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"expected within {timeout} s: {what}"
        time.sleep(0.02)


def mapped(process: Process) -> set[str]:
    """Which of the heavy libraries a process has in its memory."""
    maps = Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8")
    return {name for name in NATIVE if f"/{name}" in maps}


def test_f4_the_receiver_holds_no_model_in_memory_and_the_worker_does(bot: LocalBot) -> None:
    message = say(bot)
    assert react(bot, message).status == 200
    assert outcomes(bot, message) == ["toxic"]
    assert mapped(bot.receiver) == set()
    assert {"onnxruntime", "tokenizers", "numpy"} <= mapped(bot.worker)


def test_f4_the_receiver_imports_nothing_that_it_can_do_without(bot: LocalBot) -> None:
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import receiver"],
        env=bot.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in ended.stderr.splitlines()}
    assert {"boto3", "hmac", "jobs"} <= imported
    heavy = {"slack_sdk", "slack_bolt", "requests", "torch", "transformers", "classifier", "confusable_homoglyphs"}
    assert imported & {*NATIVE, *heavy} == set()


def test_f15_the_first_request_of_a_cold_receiver_may_be_the_challenge(bot: LocalBot) -> None:
    cold = Process("local.gateway", bot.environ, bot.logs / "cold.log")
    try:
        url = f"http://127.0.0.1:{cold.wait_until_ready()}/slack/events"
        delivery = send(bot, url_verification(bot.workspace.identity, "a challenge"), url)
    finally:
        cold.stop()
    assert (delivery.status, json.loads(delivery.body)) == (200, {"challenge": "a challenge"})


def test_f49_a_worker_killed_between_post_and_ledger_leaves_one_verdict(bot: LocalBot, record: Record) -> None:
    """Given that the worker is killed once the post stands, when its claim has ended, then the post is found."""
    sqs, dynamodb = bot.aws.client("sqs"), bot.aws.client("dynamodb")
    sqs.set_queue_attributes(QueueUrl=bot.aws.queue_url, Attributes={"VisibilityTimeout": "2"})
    bot.slack.faults.add("chat.postMessage", Call(bot.worker.kill, before_work=False))
    message = say(bot)
    react(bot, message)
    wait_until(lambda: bot.worker.ended, "the worker is killed while it posts")
    (row,) = [row for row in dynamodb.scan(TableName=bot.aws.table)["Items"] if row["status"]["S"] == "INPROGRESS"]

    bot.restart_worker()
    watch(record, bot)
    wait_until(lambda: ("JobPostponed", "ClaimedError") in record.counted(), "the claim of the dead worker holds")
    dynamodb.put_item(TableName=bot.aws.table, Item=row | {"in_progress_expiration": {"N": "0"}})
    assert outcomes(bot, message) == ["toxic"]
    assert ("JobEnded", "found") in record.counted()
    sqs.set_queue_attributes(QueueUrl=bot.aws.queue_url, Attributes={"VisibilityTimeout": "180"})


def broken_model(folder: Path, how: str) -> str:
    """Make a model directory that is broken; return the file that an error should name."""
    for file in MODEL.iterdir():
        (folder / file.name).symlink_to(file)
    weights = folder / "model.onnx.data"
    if how == "missing":
        (folder / "model.json").unlink()
        return "model.json"
    content = bytearray(weights.read_bytes())
    weights.unlink()
    if how == "truncated":
        del content[-1:]
    elif how == "damaged":
        content[30_000_000:32_000_000] = bytes(2_000_000)  # weights of a layer, which every text needs
    else:  # another model's of the same size
        half = len(content) // 2
        content = content[half:] + content[:half]
    weights.write_bytes(content)
    return "model.onnx.data" if how == "truncated" else "model.onnx"


@pytest.mark.parametrize("how", ["missing", "truncated", "damaged", "swapped"])
def test_f50_f51_a_broken_model_is_refused_at_the_start_by_the_name_of_its_file(
    how: str, bot: LocalBot, tmp_path: Path
) -> None:
    named = broken_model(tmp_path, how)
    worker = Process("local.event_source", bot.environ | {"MODEL_DIR": str(tmp_path)}, bot.logs / f"{how}.log")
    with pytest.raises(BotError, match="exit code 1") as failure:
        worker.wait_until_ready()
    assert f"ModelError: {tmp_path / named} " in str(failure.value)
    assert "make model" in str(failure.value), "what would do"


def test_f50_jobs_wait_for_a_worker_that_cannot_start_and_nothing_is_said_meanwhile(
    bot: LocalBot, tmp_path: Path
) -> None:
    bot.worker.stop()
    failing = Process("local.event_source", bot.environ | {"MODEL_DIR": str(tmp_path)}, bot.logs / "failing.log")
    message = say(bot)
    assert react(bot, message).status == 200, "the receiver needs no model"
    with pytest.raises(BotError):
        failing.wait_until_ready()
    assert len(bot.workspace.thread(GENERAL, message["ts"])) == 1
    bot.restart_worker()
    assert outcomes(bot, message) == ["toxic"]


def test_f59_what_the_bot_says_brings_no_work(bot: LocalBot, record: Record) -> None:
    message = say(bot)
    react(bot, message)
    assert outcomes(bot, message) == ["toxic"]
    verdict = bot.workspace.thread(GENERAL, message["ts"])[-1]
    assert react(bot, verdict).status == 200
    bot.wait_until_idle()
    assert len(record.asked("SendMessage")) == 1, "a reaction to a verdict is no job, and the worker sends none"
    assert len(bot.workspace.thread(GENERAL, message["ts"])) == 2


def test_a_full_disk_for_logs_costs_nobody_a_verdict(bot: LocalBot) -> None:
    bot.worker.stop()
    full = Path("/dev/full")
    receiver = Process("local.gateway", bot.environ, full)
    worker = Process("local.event_source", bot.environ, full)
    try:
        url = f"http://127.0.0.1:{receiver.wait_until_ready()}/slack/events"
        worker.wait_until_ready()
        message = say(bot)
        bot.slack.faults.add("chat.postMessage", RateLimited("1"))  # which the worker's logger tells
        assert send(bot, {"type": "nonsense"}, url).status == 200
        assert react(bot, message, url).status == 200
        assert outcomes(bot, message) == ["toxic"]
        assert bot.slack.faults.left() == 0, "the job was postponed"
        assert not receiver.ended
        assert not worker.ended
    finally:
        receiver.stop()
        worker.stop()


def test_f52_no_host_but_this_machine_is_ever_asked_for(tmp_path: Path, running: LocalBot, record: Record) -> None:
    """Given no network and an empty home, when both functions start and work, then neither looks for more."""
    (tmp_path / "sitecustomize.py").write_text(LOCKED_IN, encoding="utf-8")
    (tmp_path / "home").mkdir()
    asked = {"local.gateway": tmp_path / "by-the-receiver", "local.event_source": tmp_path / "by-the-worker"}
    environ = running.environ | {"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path / "home")}
    running.worker.stop()
    receiver, worker = (
        Process(module, environ | {"HOSTS_ASKED_FOR": str(hosts)}, running.logs / f"{module}.locked-in.log")
        for module, hosts in asked.items()
    )
    try:
        url = f"http://127.0.0.1:{receiver.wait_until_ready()}/slack/events"
        worker.wait_until_ready()
        message = say(running)
        assert react(running, message, url).status == 200
        assert outcomes(running, message) == ["toxic"]
    finally:
        receiver.stop()
        worker.stop()
        watch(record, running)
    for module, hosts in asked.items():
        assert set(hosts.read_text(encoding="utf-8").split()) == {"127.0.0.1"}, f"asked for by {module}"
    assert os.listdir(tmp_path / "home") == [], "no cache, no telemetry"  # noqa: PTH208 - names alone read better
