"""`make bench-image`: measure the image's size, and its functions as containers with Lambda's share of a CPU.

It writes docs/image.md and docs/image.json. Slack, SQS and DynamoDB are local servers in this process, which containers
reach over the engine's bridge. As root it drops the page cache before each cold start; the report says whether.
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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.aws import REGION
from local.bench import TEXTS, Stopwatch
from local.functions import poll
from local.services import LocalServices
from local.situations import EMOJI, REACTOR, receiver_events
from tests.rie.emulator import EmulatorError
from tests.sam import stand_in
from tests.sam.engine import Container, Engine, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
# Lambda gives one CPU at 1,769 MB, and in proportion to the memory.
SETTINGS = ((0.3, 531), (1.0, 1769), (2.0, 3538))
STARTS = 7
WARM = 60
WARM_UP = 10
MB = 1_000_000


@dataclass(frozen=True)
class Figures:
    """The results for one size, in milliseconds (medians) and bytes; `warm` is without the local Slack's time."""

    cpus: float
    memory_mb: int
    receiver_cold: float
    worker_cold: float
    warm: float
    warm_p95: float
    slack: float
    receiver_peak: int
    worker_peak: int


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
        with contextlib.ExitStack() as stack:
            containers = []
            for handler in ("toxicity_bot.receiver.handler", "toxicity_bot.worker.handler"):
                container = Container(self._engine, handler, self._environ, cpus, memory_mb)
                stack.callback(container.remove)
                containers.append(container)
            yield containers[0], containers[1]

    def react(self, receiver: Container, worker: Container, text: str) -> tuple[float, float, float]:
        """React to a message; return the milliseconds of the receiver, of the worker, and of Slack in both."""
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

    def measure(self, cpus: float, memory_mb: int) -> Figures:
        """Measure several cold starts of both functions, and then warm ones."""
        receivers, workers = [], []
        for _ in range(STARTS):
            with self._functions(cpus, memory_mb) as (receiver, worker):
                drop_caches()
                taken, answered, _slack = self.react(receiver, worker, TEXTS[0])
                receivers.append(taken)
                workers.append(answered)
        with self._functions(cpus, memory_mb) as (receiver, worker):
            times = [self.react(receiver, worker, TEXTS[turn % len(TEXTS)]) for turn in range(WARM + WARM_UP)][WARM_UP:]
            own = [taken + answered - slack for taken, answered, slack in times]
            return Figures(
                cpus,
                memory_mb,
                statistics.median(receivers),
                statistics.median(workers),
                statistics.median(own),
                statistics.quantiles(own, n=20)[-1],
                statistics.median(slack for _, _, slack in times),
                receiver.peak(),
                worker.peak(),
            )


def drop_caches() -> bool:
    """Drop the kernel's page cache; return whether this user may."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
    except OSError:
        return False
    return True


def layer_bytes(engine: Engine) -> dict[str, int]:
    """Return the bytes of the image's parts."""

    def layers(image: str) -> list[tuple[int, str]]:
        history = engine.run("history", "--no-trunc", "--human=false", "--format", "{{.Size}} {{.CreatedBy}}", image)
        return [(int(line.split()[0]), line) for line in history.splitlines()]

    parts = {"wheels, byte-compiled": 0, "model": 0, "app layer": 0}
    base = layers("slack-toxicity-bot-base")
    for size, made_by in base[: 1 + max(number for number, (_, line) in enumerate(base) if "/opt/" in line)]:
        parts["model" if "/opt/model" in made_by else "wheels, byte-compiled"] += size
    parts["app layer"] = sum(size for size, _ in layers("slack-toxicity-bot")) - sum(size for size, _ in base)
    return parts | {"in all, without the Lambda base": sum(parts.values())}


def seconds_of(command: list[str], environ: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True)
    return time.perf_counter() - started


def app_layer_seconds(engine: Engine) -> float:
    """Return the seconds for building the app layer without a cache on an existing base."""
    command = "build --no-cache --file Dockerfile.app --tag slack-toxicity-bot ."
    return seconds_of(["docker", *command.split()], engine.environ)


def report(facts: dict[str, Any]) -> str:
    """Return docs/image.md."""
    rows = [
        f"| {one['cpus']:g} | {one['memory_mb']:,} | {one['receiver_cold']:,.0f} | {one['worker_cold']:,.0f} "
        f"| {one['warm']:.0f} | {one['warm_p95']:.0f} | {one['slack']:.0f} "
        f"| {one['receiver_peak'] / MB:.0f} | {one['worker_peak'] / MB:.0f} |"
        for one in facts["settings"]
    ]
    sizes = [f"| {name} | {size / MB:,.1f} |" for name, size in facts["bytes"].items()]
    cache = "dropped before each cold start" if facts["page_cache_dropped"] else "NOT dropped: only root may"
    return f"""# The image, measured

Written by `make bench-image`; the same figures are in `image.json`. {facts["date"]}, {facts["machine"]}, base image
{facts["base"]}, page cache {cache}.

| part | MB |
| --- | --- |
{chr(10).join(sizes)}

The app layer is built in {facts["app_layer_seconds"]:.1f} s.

Both functions run as containers of this image, as nobody, on a read-only file system, with the share of a CPU that
Lambda gives for that memory. Milliseconds are medians: {facts["starts"]} cold starts, {facts["warm"]} warm
reactions; memory is in MB.

| CPUs | memory | receiver, cold | worker, cold | reaction to answer | p95 | Slack | receiver, peak | worker, peak |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
{chr(10).join(rows)}

- Cold: from the first request to a new container until its answer. It includes the runtime, imports, the model, the
  clients' first connections, the secret and one whole job, but not the download of the image.
- Reaction to answer: the receiver's answer and the worker's invocation, both warm, with queue and table, without the
  time of the local Slack, which has a column of its own. The time that a job waits in SQS is not included.
- Peak: the largest memory of the function's process (VmHWM) after all reactions.
"""


def main() -> int:
    try:
        with Engine(ROOT / "build" / "engine") as engine:
            base = os.environ.get("LAMBDA_BASE") or stand_in.build(engine)
            print(f"Building the image on {base} ...", flush=True)
            seconds_of(["make", "image", f"LAMBDA_BASE={base}"], engine.environ)
            with LocalServices(engine.host_address()) as services:
                bench = Bench(engine, services)
                settings = []
                for cpus, memory_mb in SETTINGS:
                    print(f"{cpus:g} CPUs, {memory_mb:,} MB ...", flush=True)
                    settings.append(asdict(bench.measure(cpus, memory_mb)))
            facts = {
                "date": time.strftime("%Y-%m-%d"),
                "machine": f"{platform.machine()}, {os.cpu_count()} cores",
                "base": base,
                "page_cache_dropped": drop_caches(),
                "starts": STARTS,
                "warm": WARM,
                "app_layer_seconds": app_layer_seconds(engine),
                "bytes": layer_bytes(engine),
                "settings": settings,
            }
    except (EngineError, EmulatorError) as error:
        print(f"The image was not measured: {error}", file=sys.stderr)
        return 1
    (ROOT / "docs" / "image.json").write_text(json.dumps(facts, indent=2) + "\n")
    (ROOT / "docs" / "image.md").write_text(report(facts))
    print(report(facts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
