"""`make bench-image`: measure the image's size, and the speed of its functions with Lambda's share of a CPU.

It writes docs/image.md and docs/image.json. Slack, SQS and DynamoDB are local servers in this process. Containers
reach them over the engine's bridge. As root it drops the page cache before each cold start. The report states this.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Template

from local.aws import REGION
from local.bench import TEXTS, Stopwatch
from local.functions import poll
from local.services import LocalServices, addresses
from local.situations import EMOJI, REACTOR, receiver_events
from tests import ROOT
from tests.rie.emulator import EmulatorError
from tests.sam import stand_in
from tests.sam.engine import IMAGE, Container, Engine, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Lambda allocates CPU in proportion to memory: one CPU at 1,769 MB.
SETTINGS = ((0.3, 531), (1.0, 1769), (2.0, 3538))
STARTS = 7
WARM = 60
WARM_UP = 10


class Bench:
    """Starts containers of both functions and sends reactions through them."""

    def __init__(self, engine: Engine, services: LocalServices) -> None:
        self._engine, self._services = engine, services
        self._sqs = services.aws.client("sqs")
        self._slack = Stopwatch(services.slack, "answer")
        keys = {"AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
        self._environ = services.environ() | keys

    @contextlib.contextmanager
    def _functions(self, cpus: float, memory_mb: int) -> Iterator[tuple[Container, Container]]:
        """Yield new containers of the receiver and of the worker."""
        receiver, worker = (
            Container(self._engine, f"toxicity_bot.{module}.handler", self._environ, cpus, memory_mb)
            for module in ("receiver", "worker")
        )
        with receiver, worker:
            yield receiver, worker

    def react(self, receiver: Container, worker: Container, text: str) -> tuple[float, float, float]:
        """React to a message. Return the milliseconds of the receiver, the worker, and Slack calls in both."""
        situations = self._services.situations
        message = situations.workspace.post("C0GENERAL", "U0ADA", text)
        situations.events["measured"] = situations.workspace.react("C0GENERAL", message["ts"], REACTOR, EMOJI)
        request = receiver_events(situations, time.time(), about="measured")["receiver-reaction"]
        self._slack.milliseconds = 0
        started = time.perf_counter()
        if receiver.invoke(request)["statusCode"] != 200:
            raise EmulatorError("the receiver did not take a reaction")
        taken = time.perf_counter()
        answered = []

        def work(batch: dict[str, Any], _: object) -> dict[str, Any]:
            began = time.perf_counter()
            answer: dict[str, Any] = worker.invoke(batch)
            answered.append((time.perf_counter() - began) * 1000)
            return answer

        poll(self._sqs, self._services.aws.queue_url, work, wait_seconds=5, timeout_seconds=60)
        thread = situations.workspace.thread("C0GENERAL", message["ts"])
        if len(thread) != 2:
            raise EmulatorError(f"a reaction got {len(thread) - 1} answers instead of one")
        return (taken - started) * 1000, answered[0], self._slack.milliseconds

    def measure(self, cpus: float, memory_mb: int) -> dict[str, float]:
        """Measure cold starts of both functions, then warm ones: medians in milliseconds, memory in bytes."""
        cold = []
        for _ in range(STARTS):
            with self._functions(cpus, memory_mb) as (receiver, worker):
                drop_caches()
                cold.append(self.react(receiver, worker, TEXTS[0]))
        with self._functions(cpus, memory_mb) as (receiver, worker):
            warm = [self.react(receiver, worker, TEXTS[turn % len(TEXTS)]) for turn in range(WARM_UP + WARM)][WARM_UP:]
            peaks = {"receiver_peak": receiver.peak(), "worker_peak": worker.peak()}
        own = [taken + answered - slack for taken, answered, slack in warm]
        return {
            "cpus": cpus,
            "memory_mb": memory_mb,
            "receiver_cold": statistics.median(taken for taken, _, _ in cold),
            "worker_cold": statistics.median(answered for _, answered, _ in cold),
            "warm": statistics.median(own),
            "warm_p95": statistics.quantiles(own, n=20)[-1],
            "slack": statistics.median(slack for _, _, slack in warm),
            **peaks,
        }


def drop_caches() -> bool:
    """Drop the kernel's page cache. Return whether this user has the permission."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
    except OSError:
        return False
    return True


def layer_bytes(engine: Engine) -> dict[str, int]:
    """Return the size in bytes of each part of the image."""
    parts = {"wheels, byte-compiled": 0, "model": 0, "app layer": 0}
    base = engine.layers(f"{IMAGE}-base")
    for size, made_by in base[: 1 + max(number for number, (_, line) in enumerate(base) if "/opt/" in line)]:
        parts["model" if "/opt/model" in made_by else "wheels, byte-compiled"] += size
    parts["app layer"] = sum(size for size, _ in engine.layers(IMAGE)) - sum(size for size, _ in base)
    return parts | {"in all, without the Lambda base": sum(parts.values())}


def main() -> int:
    try:
        with Engine(ROOT / "build" / "engine") as engine:
            base = stand_in.base_image(engine)
            print(f"Building the image on {base} ...", flush=True)
            subprocess.run(["make", "image", f"LAMBDA_BASE={base}"], cwd=ROOT, env=engine.environ, check=True)
            with LocalServices(addresses(engine.environ)[0]) as services:
                bench = Bench(engine, services)
                settings = []
                for cpus, memory_mb in SETTINGS:
                    print(f"{cpus:g} CPUs, {memory_mb:,} MB ...", flush=True)
                    settings.append(bench.measure(cpus, memory_mb))
            started = time.perf_counter()
            engine.run("build", "--no-cache", "--file", str(ROOT / "Dockerfile.app"), "--tag", IMAGE, str(ROOT))
            facts = {
                "date": time.strftime("%Y-%m-%d"),
                "machine": f"{platform.machine()}, {os.cpu_count()} cores",
                "base": base,
                "page_cache_dropped": drop_caches(),
                "starts": STARTS,
                "warm": WARM,
                "app_layer_seconds": time.perf_counter() - started,  # without a cache, on an existing base
                "bytes": layer_bytes(engine),
                "settings": settings,
            }
    except (EngineError, EmulatorError) as error:
        print(f"The image was not measured: {error}", file=sys.stderr)
        return 1
    (ROOT / "docs" / "image.json").write_text(json.dumps(facts, indent=2) + "\n")
    template = Path(__file__).with_name("image.md.j2").read_text(encoding="utf-8")
    report = Template(template, trim_blocks=True, keep_trailing_newline=True).render(facts)
    (ROOT / "docs" / "image.md").write_text(report)
    print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
