"""Models are scored like the bot or with PyTorch, each text once. Their checksum covers all that affects scores.

The baseline learns from words and is trained once, never on test rows.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_build.data import Row, read
from model_build.errors import ModelBuildError
from model_build.evaluate import models
from model_build.evaluate.evaluation_set import load
from model_build.evaluate.models import cached_scores, milliseconds, model_in, train_baseline
from model_build.manifest import REFERENCE_TEXTS as TEXTS
from model_build.metrics import auc
from model_build.source import locate
from model_build.torch_model import TorchModel
from tests.model_build.conftest import edit_json
from tests.model_build.evaluate.conftest import fake_model
from toxicity_bot.classifier import Classifier
from toxicity_bot.errors import ModelError
from toxicity_bot.message_text import fold


def test_a_model_directory_is_scored_as_the_bot_does(model: Path) -> None:
    found = model_in(model, "served", threads=1)
    classifier = Classifier(model, threads=1)
    assert found.load()(TEXTS[:4]) == [classifier.toxicity(text) for text in TEXTS[:4]]
    assert (found.threshold, found.threshold_maybe) == (classifier.threshold, classifier.threshold_maybe)
    assert found.threshold_maybe < found.threshold
    assert found.bytes == sum(
        (model / name).stat().st_size for name in ("model.onnx", "model.onnx.data", "tokenizer.json")
    )


def test_any_change_that_affects_scores_changes_the_checksum(model: Path, checkpoint: Path, tmp_path: Path) -> None:
    def checksum(folder: Path) -> str:
        return model_in(folder, "any", threads=1).checksum

    before = checksum(model)
    edit_json(model / "model.json", threshold=0.9)
    assert checksum(model) == before
    edit_json(model / "model.json", temperature=2.0)
    assert checksum(model) != before
    other = shutil.copytree(checkpoint, tmp_path / "other")
    with (other / "model.safetensors").open("ab") as file:
        file.write(b" ")
    assert checksum(other) != checksum(checkpoint)


def test_a_checkpoint_is_scored_with_pytorch_up_to_its_maximum_length(checkpoint: Path) -> None:
    found = model_in(checkpoint, "trained", threads=1)
    scorer, expected = found.load(), TorchModel(locate(str(checkpoint))).toxicities(TEXTS)
    assert scorer([fold(text) for text in TEXTS]) == pytest.approx(expected, abs=1e-5)
    assert max(expected) - min(expected) > 0.1, "equal scores would agree with anything"
    assert found.threshold == found.threshold_maybe == 0.5
    half = model_in(checkpoint, "trained", threads=1, bf16=True)
    assert half.checksum != found.checksum, "each precision needs a cache of its own"
    assert 0 < np.abs(np.array(half.load()([fold(text) for text in TEXTS])) - expected).max() < 0.05
    long = " ".join(TEXTS * 10)
    assert scorer([long]) == pytest.approx(scorer([long + " And more."]), abs=1e-6)
    assert 0 < scorer(["x" * 1000])[0] < 1, "no whole word fits"


def test_a_folder_with_an_incomplete_model_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelBuildError, match=r"has no config.json"):
        model_in(tmp_path, "empty", threads=1)
    (model / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"tokenizer.json"):
        model_in(model, "served", threads=1).load()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, "rename them in the checkpoint's config.json, or"),
        ({"model_type": "camembert"}, "is a camembert, but only"),
    ],
)
def test_a_checkpoint_that_cannot_be_scored_is_refused_before_anything_is(
    checkpoint: Path, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "copy")
    edit_json(folder / "config.json", **change)
    with pytest.raises(ModelBuildError, match=reason):
        model_in(folder, "any", threads=1)


def test_each_text_is_scored_once_per_model_even_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[str] = []
    interrupting = "cccc"

    def lengths(texts: Sequence[str]) -> list[float]:
        if interrupting in texts:
            raise KeyboardInterrupt
        scored.extend(texts)
        return [len(text) / 100 for text in texts]

    monkeypatch.setattr(models, "CHUNK", 2)
    first, second = (fake_model("lengths", lengths, checksum=letter * 64) for letter in "ab")
    with pytest.raises(KeyboardInterrupt):
        cached_scores(first, ["cccc", "a", "bb", "aaa", "a"], tmp_path)
    assert scored == ["a", "bb"]
    interrupting = "none"
    assert cached_scores(first, ["cccc", "a", "bb", "aaa", "a"], tmp_path).tolist() == [0.04, 0.01, 0.02, 0.03, 0.01]
    assert cached_scores(first, ["dd", "bb"], tmp_path).tolist() == [0.02, 0.02]
    assert scored == ["a", "bb", "aaa", "cccc", "dd"]
    cached_scores(second, ["bb"], tmp_path)
    assert scored[5:] == ["bb"]


def test_two_evaluations_can_score_the_same_text_at_once(tmp_path: Path) -> None:
    other = fake_model("other", lambda texts: [0.5] * len(texts))

    def scorer(texts: Sequence[str]) -> list[float]:
        cached_scores(other, texts, tmp_path)
        return [0.25] * len(texts)

    assert cached_scores(fake_model("first", scorer), ["a"], tmp_path).tolist() == [0.25]
    assert cached_scores(other, ["a"], tmp_path).tolist() == [0.25], "the score saved last"


def test_a_score_that_is_not_a_number_is_not_saved(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ModelBuildError, match="not a number"):
            cached_scores(fake_model("broken", lambda texts: [float("nan")] * len(texts)), ["a"], tmp_path)


def test_no_text_is_scored_twice_to_measure_the_time() -> None:
    seen: list[str] = []

    def scorer(texts: Sequence[str]) -> list[float]:
        seen.extend(texts)
        return [0.5] * len(texts)

    texts = [f"text {index}" for index in range(9)]
    assert milliseconds(scorer, texts) > 0
    assert sorted(seen) == texts
    assert seen[:4] == texts[1::2], "the warm-up must come first"


def test_the_baseline_is_trained_once_and_not_on_test_rows(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tested, rows = load(read(labelled), "test"), read(labelled).of_split("train")
    leaked = [Row(text.upper(), 1, "x", "train") for text in tested.texts]
    first = train_baseline([*rows, *leaked], tested, tmp_path)
    assert "training the baseline on 100 texts" in capsys.readouterr().out
    scores = first.load()(tested.texts)
    assert auc(tested.labels, np.array(scores)) == 1.0
    again = train_baseline(rows, tested, tmp_path)
    assert capsys.readouterr().out == ""
    assert (again.checksum, again.load()(tested.texts)) == (first.checksum, scores)
    rows[0] = Row(rows[0].text, 1 - rows[0].label, rows[0].source, rows[0].split)
    assert train_baseline(rows, tested, tmp_path).checksum != first.checksum
    with pytest.raises(ModelBuildError, match="pass another --data file"):
        train_baseline([Row("a", 0), Row("b", 0)], tested, tmp_path)
