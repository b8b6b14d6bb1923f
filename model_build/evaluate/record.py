"""A report and a model directory come in; the model's figures stand in its `model.json` and card afterwards.

Under `measured.evaluation`: `Evaluation` says which fields that has. Under `measured.examples`: messages written for
the purpose, as the model judges them now.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from model_build import manifest, model_card
from model_build.errors import ModelBuildError
from model_build.evaluate import examples
from model_build.evaluate.contestants import bots_classifier, served_checksum

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Evaluation:
    """What `model.json` has under `measured.evaluation`.

    `model` and `baseline` are `Judgement.as_json` without `reliability`, so both have the same keys: `mean_source_auc`,
    `all`, `mean`, `sources` and `slices` by name, each with `auc`, `sensitivity`, `false_positive_rate` and the other
    figures, `all`, `mean` and each source with `auc_interval`, a pair. A figure that could not be had is null.
    `slices` tells of each slice its `rule`, `rows` and `toxic`; `data` the `file`, its `sha256`, `split`, `rows`,
    `toxic` and, under `sources`, rows and toxic ones of each.
    """

    date: str
    machine: str
    command: str
    data: dict[str, Any]
    slices: dict[str, Any]
    baseline: dict[str, Any]
    model: dict[str, Any]

    @classmethod
    def of_report(cls, report: dict[str, Any], name: str) -> Evaluation:
        """Raises KeyError if the report has no model of that name."""
        models = {key: _without_bins(model) for key, model in report["models"].items()}
        return cls(
            date=report["date"],
            machine=report["machine"],
            command=report["command"],
            data=report["data"],
            slices=report["slices"],
            baseline=models[report["baseline"]],
            model=models[name],
        )


def record(folder: Path, path: Path, name: str) -> None:
    """Raises ModelBuildError if `folder` has no whole model, or not the one of which the report at `path` tells."""
    fields = manifest.read(folder)
    report = _read(path)
    try:
        evaluation = Evaluation.of_report(report, name)
    except KeyError as error:
        known = ", ".join(report.get("models", {})) or "no model at all"
        raise ModelBuildError(f"{path} lacks {error}; it tells of {known}: pass another --name or report") from error
    now = {"checksum": served_checksum(fields), "threshold": float(fields["threshold"])}
    if changed := [key for key, value in now.items() if evaluation.model[key] != value]:
        raise ModelBuildError(
            f"{path} tells of another {' and another '.join(changed)} under the name {name} than {folder} has now: "
            "write the report anew"
        )
    fields["measured"]["evaluation"] = asdict(evaluation)
    fields["measured"]["examples"] = examples.judged(bots_classifier(folder).toxicity, float(fields["threshold"]))
    manifest.write(folder, fields)
    model_card.write(folder)
    print(f"record: {folder / manifest.FILE_NAME} has the figures of {path}", flush=True)


def _without_bins(model: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in model.items() if key != "reliability"}


def _read(path: Path) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelBuildError(f"{path} is missing: run python -m model_build.evaluate report first") from error
    except ValueError as error:
        raise ModelBuildError(f"{path} is not JSON ({error}): write the report anew") from error
    return report
