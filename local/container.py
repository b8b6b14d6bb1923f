"""A function of the image in a container, with so much CPU and memory, behind the emulator that the base brings.

Nobody's user, no capability and a read-only file system, as on Lambda.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.emulator import INVOCATIONS, EmulatorError

if TYPE_CHECKING:
    from local.engine import Engine

IMAGE = "slack-toxicity-bot"
START_SECONDS = 30


class Container:
    """One function in a container with so much of the machine; `invoke` speaks to the emulator in the image."""

    def __init__(self, engine: Engine, handler: str, environ: dict[str, str], cpus: float, memory_mb: int) -> None:
        variables = [argument for item in environ.items() for argument in ("--env", "=".join(item))]
        size = ["--cpus", str(cpus), "--memory", f"{memory_mb}m", "--user", "65534", "--read-only", "--cap-drop", "ALL"]
        self._engine = engine
        self._id = engine.run("run", "--detach", *size, *variables, "--publish", "127.0.0.1::8080", IMAGE, handler)
        self._address = f"http://{engine.run('port', self._id, '8080/tcp')}"
        self._wait()

    def invoke(self, event: dict[str, Any]) -> Any:
        request = urllib.request.Request(self._address + INVOCATIONS, data=json.dumps(event).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def peak(self) -> int:
        """The most bytes that the function's process, not the emulator, has held in memory."""
        processes = self._engine.run("top", self._id, "-o", "pid,args").splitlines()[1:]
        (python,) = [line.split()[0] for line in processes if "bootstrap.py" in line and "aws-lambda-rie" not in line]
        status = Path(f"/proc/{python}/status").read_text()
        (kilobytes,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
        return int(kilobytes) * 1024

    def remove(self) -> None:
        self._engine.run("rm", "--force", self._id)

    def _wait(self) -> None:
        """Return once the emulator listens; it starts the function with the first request for it, not before."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(self._address, timeout=5).close()
            except urllib.error.HTTPError as error:
                error.close()
                return
            except OSError:
                time.sleep(0.05)
        raise EmulatorError(f"the container does not listen:\n{self._engine.run('logs', self._id)[-1000:]}")
