"""A container engine: the one at hand, or one of our own on a bare Debian machine.

`docker` on the path and a daemon that answers are taken as they are. Otherwise, as root, a daemon is started with all
that it keeps under one folder, and ended by the same `with`; where that cannot be done, EngineError says what would do.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

START_SECONDS = 60


class EngineError(Exception):
    """Raised if there is no container engine and none can be had; or if one of its commands fails."""


class Engine:
    """A running engine; `environ` is what docker, and whatever uses docker, must be called with."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._daemon: subprocess.Popen[bytes] | None = None
        # The classic builder: `sam build` uses it too, and a client without buildx has no other.
        self.environ = dict(os.environ) | {"DOCKER_BUILDKIT": "0"}

    def __enter__(self) -> Self:
        if not self._answers():
            self._start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait(START_SECONDS)

    @property
    def is_ours(self) -> bool:
        """Whether it was started here, and whoever else is to use it needs its DOCKER_HOST."""
        return self._daemon is not None

    def run(self, *arguments: str) -> str:
        """Call docker and return what it writes; raises EngineError with the end of its output if it fails."""
        done = subprocess.run(
            ["docker", *arguments], env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        output = done.stdout.decode(errors="replace").strip()
        if done.returncode:
            raise EngineError(f"docker {' '.join(arguments[:3])} failed:\n{output[-2000:]}")
        return output

    def host_address(self) -> str:
        """The address of this machine as containers on the default network see it."""
        (network,) = json.loads(self.run("network", "inspect", "bridge"))
        configuration: dict[str, str] = network["IPAM"]["Config"][0]
        # A daemon that has just started names no gateway: it is the first address of the network.
        first = next(iter(ipaddress.ip_network(configuration["Subnet"]).hosts()))
        return configuration.get("Gateway") or str(first)

    def has_image(self, name: str) -> bool:
        return bool(self.run("images", "--quiet", name))

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


def install(package: str) -> None:
    """Install a Debian package; raises EngineError, with what apt-get says, where that cannot be done."""
    if shutil.which("apt-get") is None:
        raise EngineError(f"{package} is missing, and there is no apt-get to install it with.")
    for command in (["apt-get", "update"], ["apt-get", "install", "--yes", "--no-install-recommends", package]):
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            raise EngineError(f"{' '.join(command)} failed:\n{done.stderr.decode(errors='replace')[-2000:]}")
