"""What each option gives: variants that differ in one thing, measures that are right, and a page that is kept."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from model_build.data import Row
from model_build.errors import ModelBuildError
from model_build.train import comparison, measure, options_page
from model_build.train.comparison import Comparison, compare
from model_build.train.variants import VARIANTS, Variant

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_build.train.run import Run

pytestmark = pytest.mark.filterwarnings("ignore:mtime may not be reliable:UserWarning")
FEW = tuple(variant for variant in VARIANTS if variant.name in ("labels only", "both, temperature 2", "one-cycle"))


def test_variants_are_told_apart_and_their_settings_exist(a_run: Callable[..., Run]) -> None:
    assert len({(variant.group, variant.name) for variant in VARIANTS}) == len(VARIANTS)
    for variant in VARIANTS:
        changed = replace(a_run(), **variant.run)
        assert (changed != a_run()) == bool(variant.run)
    assert {variant.targets.temperature for variant in VARIANTS if variant.targets} == {1.0, 2.0, 4.0}


def test_a_comparison_is_measured_once_and_written(
    messages: Path, base: Path, a_run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Comparison(messages, str(base), a_run(steps=2, out=tmp_path / "work"), 2, 30, FEW, serving=False)
    found = compare(wanted)
    assert [row["name"] for row in found["rows"]] == [variant.name for variant in FEW]
    assert all(len(row["values"]) == 2 for row in found["rows"])
    assert found["layers"] == {"teacher": 2, "student": [0]}
    assert (found["train_rows"], found["dev_rows"]) == (32, 30)
    assert not list((tmp_path / "work").rglob("run-*"))

    def trained_again(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(comparison, "finetune", trained_again)
    monkeypatch.setattr(comparison, "distill", trained_again)
    assert compare(wanted) == found
    # On other data or rows, from another base or with other options, nothing has been measured.
    for other in ({"dev_rows": 20}, {"run": replace(wanted.run, rate=1e-3)}):
        with pytest.raises(AssertionError):
            compare(replace(wanted, **other))

    page = tmp_path / "docs" / "training.md"
    page.parent.mkdir()
    page.write_text(f"# Mine\n\n{options_page.BEGIN}\nold\n{options_page.END}\n\nMore of mine.\n")
    told = {"command": "compare", "date": "2026-11-21", "steps": 2, "batch": 16, "seeds": 2, **found}
    options_page.write(told, page.parent)
    text = page.read_text()
    assert text.startswith("# Mine\n\n<!-- options: begin -->\n")
    assert text.endswith("<!-- options: end -->\n\nMore of mine.\n")
    assert "old" not in text
    value = np.mean([row["auc"] for row in found["rows"][0]["values"]])
    assert f"| {value:.4f} ± " in text
    assert json.loads((page.parent / "training-options.json").read_text())["rows"] == found["rows"]


def test_a_page_without_the_marks_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "training.md").write_text("# Mine\n")
    with pytest.raises(ModelBuildError, match="lacks the lines <!-- options: begin -->"):
        options_page.write({"rows": []}, tmp_path)
    assert (tmp_path / "training.md").read_text() == "# Mine\n"


def test_a_student_at_random_does_not_depend_on_the_teachers_weights(
    messages: Path, base: Path, a_run: Callable[..., Run], tmp_path: Path
) -> None:
    variants = (FEW[0], Variant("the student begins with", "random weights, labels only", random=True))
    wanted = Comparison(messages, str(base), a_run(steps=1, rate=0.0, out=tmp_path / "work"), 2, 40, variants, False)
    kept, random = (row["values"] for row in compare(wanted)["rows"])
    # At a rate of nought nothing is learnt: the teacher's layers are the same from every seed, random ones are not.
    assert kept[0] == kept[1]
    assert random[0] != random[1]


def test_the_page_of_the_project_has_the_marks() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / options_page.PAGE).read_text()
    assert text.count(options_page.BEGIN) == text.count(options_page.END) == 1


def test_rates_at_which_toxic_texts_are_found() -> None:
    labels = np.array([0] * 100 + [1] * 4)
    scores = np.concatenate([np.arange(100), [99.5, 98.5, 97.5, 50.0]])
    assert measure.true_positive_rate(labels, scores, 1e-2) == 0.5
    assert measure.true_positive_rate(labels, scores, 1e-3) == 0.25
    assert measure.true_positive_rate(labels, scores, 0.5) == 1.0
    rows = [Row("t", int(label), "ab"[place % 2]) for place, label in enumerate(labels)]
    found = measure.quality(rows, scores)
    assert found["tpr_at_fpr_1e-2"] == 0.5
    assert 0.5 < found["mean_source_auc"] <= 1.0


def test_what_quantizing_adds_to_distilling(
    messages: Path, base: Path, a_run: Callable[..., Run], tmp_path: Path
) -> None:
    variants = tuple(variant for variant in FEW if variant.name == "both, temperature 2")
    # Few steps: eight bits lose more of a model this small when its scores are far apart.
    run = a_run(steps=6, rate=2e-3, out=tmp_path / "work")
    found = compare(Comparison(messages, str(base), run, 1, 40, variants))["serving"]
    assert [row["name"] for row in found] == ["neither", "quantization alone", "distillation alone", "both"]
    by_name = {row["name"]: row for row in found}
    assert by_name["both"]["megabytes"] < by_name["quantization alone"]["megabytes"] < by_name["neither"]["megabytes"]
    assert by_name["both"]["auc"] == pytest.approx(by_name["distillation alone"]["auc"], abs=0.1)
    shutil.rmtree(tmp_path / "work")


def test_what_the_build_refuses_is_a_row_that_says_so() -> None:
    served = {**dict.fromkeys(options_page.COLUMNS, 0.5), "megabytes": 1.0, "milliseconds": 2.0}
    found: list[dict[str, Any]] = [{"name": "neither", **served}, {"name": "both", "refused": "too far"}]
    page = options_page._serving(found, "figures")
    assert "| neither | 0.5000 | 0.5000 | 0.5000 | 0.5000 | 1.0 | 2.0 |" in page
    assert "| both: the build refused it |" in page


def test_a_comparison_needs_steps(messages: Path, base: Path, a_run: Callable[..., Run]) -> None:
    with pytest.raises(ModelBuildError, match="pass --steps, 1 at least"):
        compare(Comparison(messages, str(base), a_run(steps=0)))
