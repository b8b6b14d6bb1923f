"""Build a replacement for Lambda's Python base image from Debian's Python, for use without a registry.

It contains what the Dockerfiles and `sam local` need: `LAMBDA_TASK_ROOT`, the entry script with a runtime emulator,
the runtime client, and the search path of Lambda's bootstrap. It does not test Amazon Linux.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.rie.emulator import binary
from tests.sam.engine import Engine, EngineError, install

IMAGE = "lambda-base-stand-in"
SUITE = "trixie"  # its Python is 3.13, like the Lambda base image in Dockerfile.base
PACKAGES = "python3,python3-pip,ca-certificates"
HERE = Path(__file__).parent
ROOT = HERE.parents[2]
BUILD = ROOT / "build"
# This machine's pip settings and trusted certificates.
HOST_FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf")


def base_image(engine: Engine) -> str:
    """Return the name of Lambda's base image: LAMBDA_BASE, or this stand-in after building it."""
    return os.environ.get("LAMBDA_BASE") or build(engine)


def build(engine: Engine) -> str:
    """Build the image and return its name. The engine caches it for the next build."""
    context = BUILD / "stand-in"
    context.mkdir(parents=True, exist_ok=True)
    if not (root := context / "root.tar").exists():
        _make_root(root)
    for name in ("Dockerfile", "bootstrap.py", "lambda-entrypoint.sh"):
        shutil.copy(HERE / name, context / name)
    shutil.copy(ROOT / "requirements" / "emulator.txt", context / "emulator.txt")
    shutil.copy(binary(), context / "aws-lambda-rie")
    shutil.rmtree(context / "host", ignore_errors=True)
    for file in map(Path, HOST_FILES):
        copy = context / "host" / file.relative_to("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes() if file.exists() else b"")
    engine.run("build", "--quiet", "--tag", IMAGE, str(context))
    return IMAGE


def _make_root(archive: Path) -> None:
    if os.geteuid() != 0:
        raise EngineError("debootstrap needs root: run this as root, or give make LAMBDA_BASE=... a base image.")
    if shutil.which("debootstrap") is None:
        install("debootstrap")
    folder = archive.with_suffix("")
    shutil.rmtree(folder, ignore_errors=True)
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(folder)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise EngineError(f"{' '.join(command)} failed:\n{done.stdout.decode(errors='replace')[-2000:]}")
    for unneeded in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man"):
        shutil.rmtree(folder / unneeded, ignore_errors=True)
    part = archive.with_suffix(".part")
    with tarfile.open(part, "w") as tar:
        tar.add(folder, arcname=".", filter=_no_devices)
    part.rename(archive)
    shutil.rmtree(folder)


def _no_devices(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Skip device nodes, because the engine creates its own."""
    return None if member.isdev() else member
