"""`make load`: latencies include waiting, verdicts are counted, and a small measurement from start to end."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

from werkzeug import wrappers

from local.bot import LocalBot
from local.load import ONE_TOXIC_IN, Load, Request, latencies, offer
from local.serving import Server
from local.workspace import Workspace
from tests import run_module
from toxicity_bot.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

SERVICE_SECONDS = 0.02


def test_latency_is_measured_from_when_the_request_was_due() -> None:
    """At twice the rate that the server can handle, the last request waits for all earlier ones."""
    number, rate, turn = 150, 2 / SERVICE_SECONDS, threading.Lock()

    @wrappers.Request.application
    def one_at_a_time(request: wrappers.Request) -> wrappers.Response:
        request.get_data()
        with turn:
            time.sleep(SERVICE_SECONDS)
        return wrappers.Response()

    with Server(one_at_a_time) as server:
        requests = offer(server.address, "secret", [b"{}"] * number, rate)
    assert {request.status for request in requests} == {200}
    assert requests[-1].due == (number - 1) / rate
    shortest = number * SERVICE_SECONDS - (number - 1) / rate
    assert max(request.ended - request.due for request in requests[-32:]) >= shortest


def test_a_request_without_a_response_counts_as_an_error() -> None:
    requests = offer("http://127.0.0.1:9/", "secret", [b"{}"] * 3, 1000)
    assert [request.status for request in requests] == [0, 0, 0]


def test_the_held_rate_is_the_rate_of_acknowledged_requests() -> None:
    requests = [Request(number / 10, number / 10 + 0.05, 200) for number in range(19)]
    result = latencies(10, [*requests, Request(1.9, 4.0, 503)])
    assert (result["held"], result["errors"], result["p50"]) == (4.8, 1, 50.0)  # 19 requests in 4 seconds
    assert 50 < result["p99"] <= 2100


def test_the_measured_channels_are_the_watched_channels() -> None:
    load = Load(LocalBot(Workspace()), watched=True)
    assert Settings.from_environ(load.environ).channels.watched() == load.channels
    bodies, due = load.write(2 * ONE_TOXIC_IN)
    events = [json.loads(body)["event"] for body in bodies]
    assert {event["channel"] for event in events} == set(load.channels)
    assert len({event["text"] for event in events}) == len(events), (
        "repeated texts would be scored from the worker's cache"
    )
    assert len([ts for ts in due if ts]) == 2


def test_a_small_load_measurement(tmp_path: Path) -> None:
    file = tmp_path / "load.json"
    size = ["--rates", "20", "--seconds", "0.5", "--jobs", "8"]
    shown = run_module("local.load", *size, "--json", str(file))
    assert (shown.returncode, shown.stderr) == (0, ""), shown.stdout
    written = json.loads(file.read_text())
    (row,) = written["acknowledgements"]
    assert (row["offered"], row["errors"]) == (20, 0)
    worker = written["worker"]
    assert worker["jobs_a_second"] > 0
    assert (worker["errors"], worker["lost"], worker["doubled"]) == (0, 0, 0)
