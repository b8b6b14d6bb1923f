"""Models are scored as the bot or as PyTorch does, each text once, and known by everything that changes a score."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from model_build.errors import ModelBuildError
from model_build.evaluate import models
from model_build.evaluate.models import Model, Scorer, cached_scores, milliseconds, model_in
from model_build.manifest import REFERENCE_TEXTS as TEXTS
from model_build.source import locate
from model_build.torch_model import TorchModel
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


@pytest.mark.parametrize(("field", "value", "same"), [("temperature", 2.0, False), ("threshold", 0.9, True)])
def test_what_changes_a_score_changes_the_checksum(model: Path, field: str, value: float, same: bool) -> None:
    before = model_in(model, "served", threads=1)
    fields = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps(fields | {field: value}))
    assert (model_in(model, "served", threads=1).checksum == before.checksum) == same


def test_a_checkpoint_is_scored_in_pytorch(checkpoint: Path) -> None:
    found = model_in(checkpoint, "trained", threads=1)
    expected = TorchModel(locate(str(checkpoint))).toxicities(TEXTS)
    assert found.load()([fold(text) for text in TEXTS]) == pytest.approx(expected, abs=1e-5)
    assert max(expected) - min(expected) > 0.1, "equal scores would agree with anything"
    assert found.threshold == found.threshold_maybe == 0.5


def test_pytorch_reads_as_much_of_a_text_as_fits(checkpoint: Path) -> None:
    scorer = model_in(checkpoint, "trained", threads=1).load()
    long = " ".join(TEXTS * 10)
    assert scorer([long]) == pytest.approx(scorer([long + " And more."]), abs=1e-6)
    assert 0 < scorer(["x" * 1000])[0] < 1, "no whole word fits"


def test_other_weights_are_another_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    other = shutil.copytree(checkpoint, tmp_path / "other")
    with (other / "model.safetensors").open("ab") as file:
        file.write(b" ")
    assert model_in(checkpoint, "one", threads=1).checksum != model_in(other, "one", threads=1).checksum


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelBuildError, match=r"has no config.json"):
        model_in(tmp_path, "empty", threads=1)


def test_a_damaged_model_is_refused(model: Path) -> None:
    (model / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"tokenizer.json"):
        model_in(model, "served", threads=1).load()


class Lengths:
    """Scores a text by its length, remembers which it scored, and can be interrupted."""

    def __init__(self) -> None:
        self.scored: list[str] = []
        self.interrupted_by = ""

    def __call__(self, texts: Sequence[str]) -> list[float]:
        if self.interrupted_by in texts:
            raise KeyboardInterrupt
        self.scored += texts
        return [len(text) / 100 for text in texts]

    def model(self, checksum: str = "a" * 64) -> Model:
        def load() -> Scorer:
            return self

        return Model("lengths", "a fake", checksum, 0, 0.5, 0.5, load)


def test_a_text_is_scored_once_for_each_model(tmp_path: Path) -> None:
    lengths = Lengths()
    assert cached_scores(lengths.model(), ["aaa", "b", "aaa"], tmp_path).tolist() == [0.03, 0.01, 0.03]
    assert cached_scores(lengths.model(), ["dd", "b"], tmp_path).tolist() == [0.02, 0.01]
    assert lengths.scored == ["b", "aaa", "dd"]
    cached_scores(lengths.model("b" * 64), ["b"], tmp_path)
    assert lengths.scored == ["b", "aaa", "dd", "b"]


def test_an_interrupted_run_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "CHUNK", 2)
    lengths, texts = Lengths(), ["cccc", "a", "bb", "aaa"]
    lengths.interrupted_by = "cccc"
    with pytest.raises(KeyboardInterrupt):
        cached_scores(lengths.model(), texts, tmp_path)
    lengths.interrupted_by = ""
    assert cached_scores(lengths.model(), texts, tmp_path).tolist() == [0.04, 0.01, 0.02, 0.03]
    assert lengths.scored == ["a", "bb", "aaa", "cccc"]


def test_no_text_is_scored_twice_to_measure_the_time() -> None:
    seen: list[str] = []

    def scorer(texts: Sequence[str]) -> list[float]:
        seen.extend(texts)
        return [0.5] * len(texts)

    texts = [f"text {index}" for index in range(9)]
    assert milliseconds(scorer, texts) > 0
    assert sorted(seen) == texts
    assert seen[:4] == texts[1::2], "the warm-up comes first"
