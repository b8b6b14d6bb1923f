"""Run a function under AWS's runtime interface emulator, which speaks Lambda's protocol without a container.

The emulator is part of SAM's command line, which `make test-rie` installs. It handles one request at a time.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Self

from tests import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

START_SECONDS = 30
INVOCATIONS = "/2015-03-31/functions/function/invocations"


class EmulatorError(Exception):
    """Raised if the emulator is missing or does not start. The message contains the end of its log."""


def binary() -> Path:
    """Return the path in SAM's files of the emulator for this machine's processor."""
    machine = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
    pattern = f".venv-sam/lib/python3*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}"
    if not (found := sorted(ROOT.glob(pattern))):
        raise EmulatorError("the runtime interface emulator is missing: make .venv-sam/sam installs it.")
    return found[0]


class EmulatedFunction:
    """Runs the handler of a module such as `worker` during the `with` block. Its output goes to `log`."""

    def __init__(self, module: str, environ: Mapping[str, str], log: Path, timeout_seconds: int = 30) -> None:
        self._log = log
        self._port, runtime_api = free_port(), free_port()
        self._command = [
            str(binary()),
            "--runtime-interface-emulator-address", f"127.0.0.1:{self._port}",
            "--runtime-api-address", f"127.0.0.1:{runtime_api}",
            sys.executable, "-m", "awslambdaric", f"toxicity_bot.{module}.handler",
        ]  # fmt: skip
        self.url = f"http://127.0.0.1:{self._port}"
        """Lambda's API, for a function named `function`."""
        settings = {
            "AWS_LAMBDA_FUNCTION_NAME": module,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout_seconds),
            "LAMBDA_TASK_ROOT": str(ROOT),
        }
        self._environ = {**environ, **settings}

    def __enter__(self) -> Self:
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environ, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        try:
            wait_until_listening(self._port, self._process, START_SECONDS, self._log)
        except EmulatorError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # The runtime is the emulator's child, so stop the whole process group.
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait()

    def invoke(self, event: Mapping[str, Any]) -> Any:
        """Return the handler's result. Raises EmulatorError with Lambda's message if it crashed or timed out."""
        body = json.dumps(event).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}{INVOCATIONS}", data=body, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise EmulatorError(error.read().decode(errors="replace")) from error
        try:
            return json.loads(text)
        except ValueError:
            # The response to a timeout is 200 with a sentence.
            raise EmulatorError(text.decode(errors="replace")) from None

    def output(self) -> str:
        """Return the output of the function and the emulator so far."""
        return self._log.read_text(errors="replace")


def free_port() -> int:
    """Return an unused port on this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_listening(port: int, process: subprocess.Popen[bytes], seconds: float, log: Path) -> None:
    """Wait until a process listens on a port. Raises EmulatorError with the end of its log if it does not."""
    deadline = time.monotonic() + seconds
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise EmulatorError(f"{process.args!r} did not start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)
