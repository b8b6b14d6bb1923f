"""Data and a base come in, what each option of training gives at equal steps comes out, measured on split dev.

Every variant is trained from several seeds. What is measured is kept in a folder, so that a comparison that stops goes
on with the next variant.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import AutoModelForSequenceClassification, set_seed

from model_build import data as labelled
from model_build.errors import ModelBuildError
from model_build.source import locate
from model_build.train import record, start
from model_build.train.distill import Teachers, distill
from model_build.train.finetune import Task, finetune
from model_build.train.measure import of_checkpoint, serving
from model_build.train.progress import tell_of_bad_rows
from model_build.train.run import say
from model_build.train.variants import DISTILLED, VARIANTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from model_build.data import Row
    from model_build.train.run import Run
    from model_build.train.variants import Variant

TEACHER_STEPS = 3  # times those of a student
STUDENT = "student"  # the folder of the one whose use in service is measured


@dataclass(frozen=True)
class Comparison:
    """What is compared on what; `run` is that of the first variant, and what is measured is kept in its folder."""

    data: Path
    base: str
    run: Run
    seeds: int = 2
    dev_rows: int = 3000
    variants: tuple[Variant, ...] = VARIANTS
    serving: bool = True
    skip_bad_rows: bool = False


@dataclass(frozen=True)
class _Setting:
    """What all variants share: rows to learn from and to judge, the teacher, and which of its layers are kept."""

    sample: Path
    dev: list[Row]
    teacher: Path
    layers: tuple[int, ...]


def compare(comparison: Comparison) -> dict[str, Any]:
    """Return `rows`: each variant's measures, a value a seed; and `serving`: what quantizing adds to distilling.

    Raises ModelBuildError if the data has no rows of both labels in train and dev, or if there are no steps.
    """
    if comparison.run.steps < 1:
        raise ModelBuildError("variants are compared at equal steps: pass --steps, 1 at least")
    work = _work(comparison)
    work.mkdir(parents=True, exist_ok=True)
    sample, dev = _sample(comparison, work / "sample.jsonl")
    run = replace(comparison.run, out=work)
    teacher = _teacher(comparison, sample, work / "teacher")
    depth = AutoModelForSequenceClassification.from_pretrained(teacher).config.num_hidden_layers
    setting = _Setting(sample, dev, teacher, tuple(range(0, depth, 2)))
    seeds = range(comparison.run.seed, comparison.run.seed + comparison.seeds)
    rows = []
    for variant in comparison.variants:
        values = [_measured(replace(run, seed=seed), variant, setting) for seed in seeds]
        rows.append({"group": variant.group, "name": variant.name, "values": values})
        say(f"{variant.group}: {variant.name}: {np.mean([value['mean_source_auc'] for value in values]):.4f}")
    return {
        "layers": {"teacher": depth, "student": list(setting.layers)},
        "train_rows": len(labelled.read(sample).rows),
        "dev_rows": len(dev),
        "rows": rows,
        "serving": serving(teacher, work / STUDENT, dev, work) if comparison.serving else [],
    }


def _work(comparison: Comparison) -> Path:
    """Return the folder with what is measured already on this data, from this base, with these options."""
    asked = {
        "data": labelled.checksum(comparison.data),
        "base": start.revision_of(comparison.base),
        "dev_rows": comparison.dev_rows,
        **comparison.run.options(),
    }
    return comparison.run.out / record.key(asked)


def _sample(comparison: Comparison, path: Path) -> tuple[Path, list[Row]]:
    """Write as many train rows as the steps read, as evenly from all sources as they allow; return dev rows alike."""
    data = labelled.read(comparison.data, skip_bad_rows=comparison.skip_bad_rows)
    tell_of_bad_rows(data.bad)
    train = _even(data.of_split("train"), comparison.run.steps * comparison.run.batch)
    dev = _even(data.of_split("dev"), comparison.dev_rows)
    for split, rows in (("train", train), ("dev", dev)):
        if {row.label for row in rows} != {0, 1}:
            raise ModelBuildError(f"{comparison.data} has no {split} rows of both labels: nothing can be compared")
    path.write_text("".join(json.dumps(asdict(row)) + "\n" for row in train), encoding="utf-8")
    return path, dev


def _even(rows: Sequence[Row], wanted: int) -> list[Row]:
    """Draw rows, always the same: one from each source in turn until there are enough."""
    turns: dict[str, int] = {}
    ranked = []
    for place in np.random.default_rng(0).permutation(len(rows)):
        source = rows[place].source
        turns[source] = turns.get(source, 0) + 1
        ranked.append((turns[source], int(place)))
    return [rows[place] for _, place in sorted(ranked)[:wanted]]


def _teacher(comparison: Comparison, sample: Path, folder: Path) -> Path:
    if not (folder / record.RECORD).is_file():
        say("training the teacher")
        steps = TEACHER_STEPS * comparison.run.steps
        finetune(Task(sample, comparison.base), replace(comparison.run, out=folder, steps=steps))
    return folder


def _measured(run: Run, variant: Variant, setting: _Setting) -> dict[str, float]:
    """Train and measure one variant from one seed, unless that is done already."""
    work, changed = run.out, replace(run, **variant.run)
    changed = replace(changed, steps=max(1, run.steps // changed.accumulate))
    told = {"variant": asdict(variant), "teacher": locate(str(setting.teacher)).revision, "rows": len(setting.dev)}
    key = record.key({**changed.options(), **told})
    result, out = work / f"{key}.json", work / f"run-{key}"
    if not result.is_file():
        base = _at_random(setting, run.seed, work / "random") if variant.random else setting.teacher
        task = Task(setting.sample, str(base), layers=() if variant.random else setting.layers)
        changed = replace(changed, out=out)
        if variant.targets:
            distill(task, Teachers((str(setting.teacher),)), variant.targets, changed)
        else:
            finetune(task, changed)
        found = of_checkpoint(out, setting.dev, cpu=run.cpu)
        if variant == DISTILLED:
            shutil.rmtree(work / STUDENT, ignore_errors=True)
            out.rename(work / STUDENT)
        shutil.rmtree(out, ignore_errors=True)
        result.write_text(json.dumps(found) + "\n", encoding="utf-8")
    read: dict[str, float] = json.loads(result.read_text(encoding="utf-8"))
    return read


def _at_random(setting: _Setting, seed: int, folder: Path) -> Path:
    """Write a student of the same shape whose weights nobody has trained."""
    begun = start.load(str(setting.teacher), layers=setting.layers)
    set_seed(seed)
    AutoModelForSequenceClassification.from_config(begun.model.config).save_pretrained(folder)
    begun.tokenizer.save_pretrained(folder)
    return folder
