"""The steps refuse graphs in which too little was fused or quantized, and checkpoints that they do not support."""

import json
import shutil
from pathlib import Path

import pytest
from onnxruntime.quantization import quantize_dynamic

from model_build import graph
from model_build.build import build
from model_build.errors import ModelBuildError
from tests.model_build.conftest import Built
from toxicity_bot.classifier import Classifier


def test_an_optimizer_that_fuses_nothing_is_found_out(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Onnxruntime does not know this model type and only logs a warning."""
    monkeypatch.setattr(graph, "MODEL_TYPE", "roberta")
    with pytest.raises(ModelBuildError, match="asked for model type roberta, the optimizer fused 0 of 2 Gelu"):
        graph.fuse(built.work / "exported", tmp_path / "fused")
    assert not (tmp_path / "fused" / "model.onnx").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"op_types_to_quantize": ["Conv"]}, "0 of 14 matrix products .*classifier.dense.weight"),
        ({"nodes_to_exclude": ["/classifier/dense/Gemm_MatMul"]}, "13 of 14 matrix products .*classifier.dense.weight"),
    ],
)
def test_a_quantizer_that_leaves_weights_is_found_out(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, list[str]], reason: str
) -> None:
    def lazy(*paths: Path, **given: object) -> None:
        quantize_dynamic(*paths, **given | options)

    monkeypatch.setattr(graph, "quantize_dynamic", lazy)
    with pytest.raises(ModelBuildError, match=reason):
        graph.quantize(built.work / "fused", tmp_path / "quantized")


def changed_checkpoint(checkpoint: Path, folder: Path, changes: dict[str, object]) -> Path:
    copy = shutil.copytree(checkpoint, folder / "changed")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | changes))
    return copy


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, "pass --toxic-labels"),
        ({"model_type": "gpt2"}, "is a gpt2; roberta, bert, distilbert, mpnet can be built"),
    ],
)
def test_a_checkpoint_that_cannot_be_read_ends_the_build(
    checkpoint: Path, tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    source = changed_checkpoint(checkpoint, tmp_path, changes)
    with pytest.raises(ModelBuildError, match=reason):
        build(str(source), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_independent_labels_are_built_and_served(checkpoint: Path, tmp_path: Path) -> None:
    """A multi-label head whose labels only an argument can name."""
    changes: dict[str, object] = {
        "problem_type": "multi_label_classification",
        "id2label": {"0": "LABEL_0", "1": "LABEL_1"},
    }
    source = changed_checkpoint(checkpoint, tmp_path, changes)
    model = build(str(source), tmp_path / "model", toxic_labels=["LABEL_0", "LABEL_1"])
    classifier = Classifier(model, threads=1)
    scores = classifier.scores("You are an idiot.")
    assert sum(scores.values()) != pytest.approx(1)
    assert classifier.toxicity("You are an idiot.") == max(scores.values())
