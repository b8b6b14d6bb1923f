"""Fixtures: a playground in a separate process, as `make playground` starts it, and Debian's Chromium."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

from tests import ROOT
from tests.playground.page import Playground

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.fail("There is no chromium here: apt-get install chromium, or set CHROMIUM to its path.")
    with sync_playwright() as playwright:
        # The sandbox needs permissions that containers lack, and Chromium only opens the playground.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def address() -> Iterator[str]:
    """The address of a new playground."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local.playground", "--port", "0", "--no-browser"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    lines = [process.stdout.readline(), process.stdout.readline()]
    if not lines[1]:
        pytest.fail(f"The playground did not start: {process.communicate()[1]}")
    yield lines[1].split()[4]
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


@pytest.fixture
def ada(browser: Browser, address: str) -> Iterator[Playground]:
    """Ada's window at the new playground. Errors in its console fail the test."""
    window = Playground(browser, address)
    yield window
    assert window.problems == []


@pytest.fixture
def grace(browser: Browser, address: str) -> Iterator[Playground]:
    """Grace's window at the same playground."""
    window = Playground(browser, address)
    window.act_as("grace")
    yield window
    assert window.problems == []
