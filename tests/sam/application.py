"""Run the built application with `sam local`: single invocations, or servers for its HTTP API and functions."""

from __future__ import annotations

import contextlib
import json
import subprocess
from typing import TYPE_CHECKING, Any

from local.aws import REGION, aws_environ
from tests import ROOT
from tests.rie.emulator import free_port, wait_until_listening

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local.services import LocalServices
    from tests.sam.engine import Engine

SAM = ROOT / ".venv-sam" / "bin" / "sam"
START_SECONDS = 60


class Application:
    def __init__(self, engine: Engine, services: LocalServices, folder: Path) -> None:
        self.services = services
        self._folder = folder
        self._environ = aws_environ(services.aws.url, engine.environ) | {"SAM_CLI_TELEMETRY": "0"}
        # Prevent the command line from calling any service, whatever variables this machine has.
        self._environ.pop("AWS_ENDPOINT_URL")
        self._env_file = folder / "env.json"
        self._env_file.write_text(json.dumps({"Parameters": services.environ()}))

    @property
    def _local(self) -> list[str]:
        return ["--env-vars", str(self._env_file), "--region", REGION]

    def sam(self, *arguments: str) -> str:
        """Run SAM's command line and return its stdout. A failure shows the end of its output."""
        command = [str(SAM), *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self._environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def invoke(self, function: str, event: str) -> Any:
        """Return a function's response to an event file."""
        output = self.sam("local", "invoke", function, "--event", event, *self._local)
        return json.loads(output.strip().splitlines()[-1])

    @contextlib.contextmanager
    def serving(self, what: str) -> Iterator[str]:
        """Run `start-api` or `start-lambda` and yield its address. Containers stay warm until the server stops."""
        port = free_port()
        command = [str(SAM), "local", what, "--port", str(port), "--warm-containers", "LAZY", *self._local]
        log = self._folder / f"{what}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=ROOT, env=self._environ, stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_until_listening(port, process, START_SECONDS, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(START_SECONDS)
