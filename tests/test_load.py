"""`make load`: latencies that count the waiting, verdicts that are counted, and the whole of it in small."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.bot import BotError, LocalBot
from local.load.__main__ import all_judged, drained, table
from local.load.crowd import Crowd, Reaction, lost_and_doubled
from local.load.offered import Client, Figures, Request, offer

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
SERVICE_SECONDS = 0.02


class OneAtATime(BaseHTTPRequestHandler):
    """Takes a fixed time for each request, and one request at a time."""

    protocol_version = "HTTP/1.1"
    turn = threading.Lock()
    status = 200

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        with self.turn:
            time.sleep(SERVICE_SECONDS)
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), OneAtATime) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_latency_counts_from_when_the_request_was_due(address: str) -> None:
    number, rate = 150, 2 / SERVICE_SECONDS
    requests = offer(address, "secret", [b"{}"] * number, rate)
    assert [request.number for request in requests] == list(range(number))
    assert {request.status for request in requests} == {200}
    # Twice as many as it holds: the last one waited for all that were in front of it, as a person would.
    shortest = number * SERVICE_SECONDS - (number - 1) / rate
    assert requests[-1].due == (number - 1) / rate
    assert max(request.seconds for request in requests[-32:]) >= shortest


def test_a_receiver_that_is_not_there_is_an_error_and_not_an_end() -> None:
    requests = offer("http://127.0.0.1:9/", "secret", [b"{}"] * 3, 1000)
    assert [request.status for request in requests] == [0, 0, 0]


def test_what_is_held_is_what_was_acknowledged_in_the_time_it_took() -> None:
    requests = [Request(number, number / 10, number / 10 + 0.05, 200) for number in range(19)]
    figures = Figures.of(10, [*requests, Request(19, 1.9, 4.0, 503)])
    assert (figures.held, figures.errors) == (4.8, 1)  # 19 in 4 seconds
    assert figures.p50 == 50.0
    assert 50 < figures.p99 <= 2100


def test_errors_are_shown_beside_the_figures_that_they_are_in() -> None:
    rows = [Figures(10, 10, 1, 2, 3, errors=0), Figures(200, 120, 4, 5, 6, errors=37)]
    *_, last = table(rows).splitlines()
    assert last == "at 200/s, 37 requests were not acknowledged"


def test_a_worker_is_not_measured_with_jobs_that_it_never_got(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a receiver that refuses everything, when its queue is to be drained, then there is no figure."""
    monkeypatch.setattr(OneAtATime, "status", 503)
    crowd = Crowd()
    with pytest.raises(BotError, match=r"3 of 3 reactions got no job; .*: \{503: 3\}"):
        drained(LocalBot(crowd.workspace), crowd, Client(address, "secret"), 3)


@pytest.mark.parametrize(
    ("accepted", "lost", "doubled", "well"),
    [(5, 0, 0, True), (0, 0, 0, False), (5, 1, 0, False), (5, 0, 1, False)],
)
def test_a_spike_went_well_if_something_was_acknowledged_and_has_its_verdict(
    accepted: int, lost: int, doubled: int, well: bool
) -> None:
    assert all_judged({"accepted": accepted, "lost": lost, "doubled": doubled}) is well


def test_each_accepted_reaction_is_looked_for() -> None:
    reactions = [Reaction(ts, b"") for ts in ("1.1", "1.2", "1.3", "1.4")]
    assert lost_and_doubled(reactions, Counter({"1.1": 1, "1.2": 2, "1.3": 1})) == (1, 1)


def test_a_crowds_reactions_are_told_each_on_its_own() -> None:
    crowd = Crowd()
    reactions = crowd.react(205)
    assert len({reaction.ts for reaction in reactions}) == len({reaction.body for reaction in reactions}) == 205
    assert crowd.verdicts() == {}


def test_the_whole_of_it_in_small(tmp_path: Path) -> None:
    figures = tmp_path / "load.json"
    command = [sys.executable, "-m", "local.load", "--rates", "20", "--seconds", "0.5", "--jobs", "8"]
    shown = subprocess.run([*command, "--json", str(figures)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stderr) == (0, ""), shown.stdout
    written = json.loads(figures.read_text())
    (row,) = written["acknowledgements"]
    assert (row["offered"], row["errors"]) == (20, 0)
    spike = written["overload"]
    assert spike["accepted"] == spike["requests"] > 0
    assert (spike["lost"], spike["doubled"]) == (0, 0)
    assert spike["offered"] == pytest.approx(10 * written["jobs_a_second"], rel=0.05)
