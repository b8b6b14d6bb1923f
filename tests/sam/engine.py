"""Run containers with the running Docker daemon, or start one (on Debian, as root).

If no daemon responds, one is started that stores everything in one folder. It is stopped at the end of the `with`
block. If that is impossible, EngineError says what is missing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

from tests.rie.emulator import INVOCATIONS, EmulatorError

IMAGE = "slack-toxicity-bot"
LIMITS = ["--user", "65534", "--read-only", "--cap-drop", "ALL"]  # nobody, as on Lambda
START_SECONDS = 60


class EngineError(Exception):
    """Raised if no container engine is available or one of its commands fails."""


class Engine:
    """A running engine. `environ` is the environment for `docker` and programs that call it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._daemon: subprocess.Popen[bytes] | None = None
        # Use the classic builder, as `sam build` does. A client without buildx has no other builder.
        self.environ = dict(os.environ) | {"DOCKER_BUILDKIT": "0"}

    def __enter__(self) -> Self:
        if not self._answers():
            self._start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait(START_SECONDS)

    def run(self, *arguments: str) -> str:
        """Call docker and return its output. Raises EngineError with the end of the output if it fails."""
        done = subprocess.run(
            ["docker", *arguments], env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        output = done.stdout.decode(errors="replace").strip()
        if done.returncode:
            raise EngineError(f"docker {' '.join(arguments[:3])} failed:\n{output[-2000:]}")
        return output

    def layers(self, image: str) -> list[tuple[int, str]]:
        """Return the size in bytes of each layer and the command that created it, newest first."""
        history = self.run("history", "--no-trunc", "--human=false", "--format", "{{.Size}} {{.CreatedBy}}", image)
        return [(int(line.split()[0]), line) for line in history.splitlines()]

    def _answers(self) -> bool:
        if shutil.which("docker") is None:
            return False
        return subprocess.run(["docker", "info"], env=self.environ, capture_output=True, check=False).returncode == 0

    def _start(self) -> None:
        if os.geteuid() != 0:
            raise EngineError("no container engine answers: start Docker, or run this as root to have one started.")
        if shutil.which("dockerd") is None or shutil.which("docker") is None:
            install("docker.io")
        self._folder.mkdir(parents=True, exist_ok=True)
        socket = f"unix://{self._folder}/docker.sock"
        self.environ["DOCKER_HOST"] = socket
        log = self._folder / "dockerd.log"
        folders = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        with log.open("wb") as output:
            self._daemon = subprocess.Popen(
                ["dockerd", "--host", socket, *(f"--{name}={self._folder / at}" for name, at in folders.items())],
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise EngineError(f"dockerd did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.2)


class Container:
    """A function of the image in a container with a share of the CPU and memory, as restricted as on Lambda.

    It runs as nobody, without capabilities, on a read-only file system, under the emulator of the base image.
    """

    def __init__(self, engine: Engine, handler: str, environ: dict[str, str], cpus: float, memory_mb: int) -> None:
        variables = [argument for item in environ.items() for argument in ("--env", "=".join(item))]
        size = ["--cpus", str(cpus), "--memory", f"{memory_mb}m"]
        self._engine = engine
        self._command = ["run", "--detach", *size, *LIMITS, *variables, "--publish", "127.0.0.1::8080", IMAGE, handler]

    def __enter__(self) -> Self:
        self._id = self._engine.run(*self._command)
        self._address = f"http://{self._engine.run('port', self._id, '8080/tcp')}"
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.run("rm", "--force", self._id)

    def invoke(self, event: dict[str, Any]) -> Any:
        request = urllib.request.Request(self._address + INVOCATIONS, data=json.dumps(event).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def peak(self) -> int:
        """Return the peak memory, in bytes, of the function's process without the emulator."""
        processes = self._engine.run("top", self._id, "-o", "pid,args").splitlines()[1:]
        (python,) = [line.split()[0] for line in processes if "bootstrap.py" in line and "aws-lambda-rie" not in line]
        status = Path(f"/proc/{python}/status").read_text()
        (kilobytes,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
        return int(kilobytes) * 1024

    def _wait(self) -> None:
        """Wait until the emulator listens. It starts the function at the first request."""
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


def install(package: str) -> None:
    """Install a Debian package. Raises EngineError with apt-get's message if that fails."""
    if shutil.which("apt-get") is None:
        raise EngineError(f"{package} is missing, and there is no apt-get to install it with.")
    for command in (["apt-get", "update"], ["apt-get", "install", "--yes", "--no-install-recommends", package]):
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            raise EngineError(f"{' '.join(command)} failed:\n{done.stderr.decode(errors='replace')[-2000:]}")
