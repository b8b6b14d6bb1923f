"""What a run leaves beside the weights: `run.json` says what it was begun with, `training.json` how it ended.

Neither names a path of this machine, and no message stands in them.
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from transformers import TrainerState

BEGUN = "run.json"
RECORD = "training.json"
STATE = "trainer_state.json"  # the Trainer's own, in each of its checkpoints


def go_on(out: Path, begun_with: Mapping[str, Any]) -> Path | None:
    """Return the newest whole checkpoint of the run in `out`, None where there is none.

    Raises ModelBuildError if the run there was begun with something else: it would be neither one nor the other.
    """
    last = _last_whole(out)
    described = json.loads(json.dumps(begun_with))
    if last and (out / BEGUN).is_file():
        before = json.loads((out / BEGUN).read_text(encoding="utf-8"))
        if differing := sorted(
            key for key in before.keys() | described.keys() if before.get(key) != described.get(key)
        ):
            raise ModelBuildError(
                f"{out} holds a run that was begun with another {', '.join(differing)}: "
                "pass what it was begun with, or another --out"
            )
    return last


def begin(out: Path, begun_with: Mapping[str, Any]) -> None:
    """Write what a run is begun with; how an earlier one in the same folder ended is not said of it."""
    (out / RECORD).unlink(missing_ok=True)
    _write(out / BEGUN, begun_with)


def all_steps_done(checkpoint: Path) -> bool:
    """Whether a whole checkpoint is that of a run's last step."""
    state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    return bool(state["global_step"] >= state["max_steps"])


def end(out: Path, fields: Mapping[str, Any], state: TrainerState) -> None:
    """Write how the checkpoint in `out` was made."""
    losses = [[entry["step"], round(entry["loss"], 4)] for entry in state.log_history if "loss" in entry]
    measured = [
        {
            name.removeprefix("eval_"): value
            for name, value in entry.items()
            if name in ("step", "eval_loss") or "auc" in name
        }
        for entry in state.log_history
        if "eval_loss" in entry
    ]
    versions = {name: version(name) for name in ("torch", "transformers", "accelerate")}
    _write(
        out / RECORD,
        {**fields, "steps": state.global_step, "losses": losses, "measured": measured, "versions": versions},
    )


def key(fields: Mapping[str, Any]) -> str:
    """Return a short name for what is made from these fields: another one as soon as any of them changes."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]


def _last_whole(out: Path) -> Path | None:
    """A process that is killed while it saves leaves a folder without the state, which is written last."""
    found = [folder for folder in out.glob("checkpoint-*") if folder.name.rpartition("-")[2].isdecimal()]
    for folder in sorted(found, key=lambda folder: -int(folder.name.rpartition("-")[2])):
        try:
            json.loads((folder / STATE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            print(f"{folder.name} was not written to its end: not used.", flush=True)
        else:
            return folder
    return None


def _write(path: Path, fields: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")
    beside.replace(path)
