"""Fixtures: a container engine, both image layers, `sam build`, and local services that containers can reach.

Everything is stopped at the end. Without an engine the tests fail, or are skipped if SAM_OPTIONAL=1 is set.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from local.services import LocalServices, addresses
from tests import ROOT
from tests.sam import stand_in
from tests.sam.application import Application
from tests.sam.engine import IMAGE, Engine, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with contextlib.ExitStack() as stack:
        try:
            engine = stack.enter_context(Engine(ROOT / "build" / "engine"))
        except EngineError as error:
            if os.environ.get("SAM_OPTIONAL") == "1":
                pytest.skip(f"no container engine: {error}")
            raise
        yield engine


@pytest.fixture(scope="session")
def lambda_base(engine: Engine) -> str:
    return stand_in.base_image(engine)


@pytest.fixture(scope="session")
def image(engine: Engine, lambda_base: str) -> str:
    """The image, with both layers."""
    command = ["make", "image", f"LAMBDA_BASE={lambda_base}"]
    built = subprocess.run(command, cwd=ROOT, env=engine.environ, capture_output=True, text=True, check=False)
    assert built.returncode == 0, f"{' '.join(command)} failed:\n{(built.stdout + built.stderr)[-3000:]}"
    return IMAGE


@pytest.fixture(scope="session")
def application(engine: Engine, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """The result of `sam build` and its local services. Leftover containers are removed at the end."""
    with LocalServices(addresses(engine.environ)[0]) as services:
        application = Application(engine, services, tmp_path_factory.mktemp("sam"))
        application.sam("build")
        yield application
    if left := engine.run("ps", "--all", "--quiet", "--filter", "label=sam.cli.container.type=lambda").split():
        engine.run("rm", "--force", *left)
