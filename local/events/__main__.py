"""Write events/: one file per situation, for `sam local invoke`. Those for the receiver are signed now."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.events.situations import Morning, receiver_events, worker_events

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(__file__).parents[2] / "events"


def write(events: Mapping[str, dict[str, Any]], folder: Path = FOLDER) -> list[Path]:
    """Write each event to a file of its name, whole or not at all; return the files."""
    folder.mkdir(exist_ok=True)
    files = []
    for name, event in events.items():
        file = folder / f"{name}.json"
        part = file.with_suffix(".part")
        part.write_text(json.dumps(event, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        files.append(part.replace(file))
    return files


def write_all(folder: Path = FOLDER) -> list[Path]:
    morning = Morning(time.time)
    return write(worker_events(morning) | receiver_events(morning, time.time()), folder)


if __name__ == "__main__":
    for file in write_all():
        print(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)
