"""The build: scores match PyTorch, model.json is complete, and a failed build keeps the old model."""

import json
import shutil
import stat
from pathlib import Path

import pytest
import torch
from onnxruntime.quantization import quantize_dynamic
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from model_build import graph, manifest
from model_build.assemble import measure
from model_build.build import build
from model_build.errors import ModelBuildError
from model_build.graph import FOLDERS, operators
from model_build.manifest import REFERENCE_TEXTS
from tests.model_build.conftest import Built, edit_json
from toxicity_bot.classifier import Classifier
from toxicity_bot.message_text import fold

OTHER_TEXTS = ("Nobody asked you.", "What a great party, see you tomorrow!", "the flaky test is 🎉 again", "a")


def test_served_scores_match_pytorch(built: Built) -> None:
    tokenizer = AutoTokenizer.from_pretrained(built.checkpoint)
    module = AutoModelForSequenceClassification.from_pretrained(built.checkpoint).eval()
    classifier = Classifier(built.model, threads=1)
    for text in (*REFERENCE_TEXTS, *OTHER_TEXTS):
        with torch.inference_mode():
            expected = module(**tokenizer(fold(text), return_tensors="pt")).logits.softmax(-1)[0]
        found = classifier.scores(text)
        assert list(found) == ["NOT_TOXIC", "TOXIC"]
        assert list(found.values()) == pytest.approx(expected.tolist(), abs=0.03), text
    scores = [classifier.toxicity(text) for text in REFERENCE_TEXTS]
    assert max(scores) - min(scores) > 0.3, "comparing equal scores proves nothing"
    assert classifier.assess(" ".join(REFERENCE_TEXTS)).windows > 1


def test_each_build_step_has_its_effect(built: Built) -> None:
    steps = {folder: measure(built.work / folder) for folder in FOLDERS}
    assert steps["exported"]["difference"] < 1e-5
    assert steps["fused"]["difference"] < 1e-5
    assert steps["fused"]["nodes"] < steps["exported"]["nodes"]
    fused, quantized = operators(built.work / "fused"), operators(built.work / "quantized")
    assert fused["Gelu"] == fused["MultiHeadAttention"] == built.layers
    # Query, key, value, output, up and down in each layer, and two in the head.
    assert quantized["MatMulInteger"] == 6 * built.layers + 2
    assert steps["quantized"]["bytes"] < steps["fused"]["bytes"]
    assert steps["optimized"]["nodes"] < steps["quantized"]["nodes"]
    assert steps["optimized"]["difference"] == pytest.approx(steps["quantized"]["difference"], abs=1e-3)


def test_a_step_is_timed_with_tokens_of_its_vocabulary(built: Built, tmp_path: Path) -> None:
    folder = shutil.copytree(built.work / "exported", tmp_path / "exported")
    last = len(AutoTokenizer.from_pretrained(built.checkpoint)) - 1
    edit_json(folder / "checkpoint.json", special_token_ids={"bos": 0, "eos": last, "pad": 1})
    assert measure(folder)["milliseconds"][32] > 0


def test_the_model_json_is_complete_and_contains_no_local_path(built: Built) -> None:
    text = (built.model / "model.json").read_text(encoding="utf-8")
    fields = json.loads(text)
    assert (fields["source"], fields["licence"], fields["threshold"], fields["max_length"]) == ("tiny", "MIT", 0.6, 64)
    assert fields["threshold_maybe"] == 0.6, "a single threshold is used for both"
    assert fields["revision"].startswith("sha256:")
    assert fields["special_token_ids"] == {"bos": 0, "eos": 2, "pad": 1}
    assert {"torch", "transformers", "tokenizers", "optimum", "onnxruntime"} <= set(fields["versions"])
    assert str(built.checkpoint.parent) not in text
    uncertainty = [abs(row["toxicity"] - 0.5) for row in fields["reference"]["scores"]]
    assert len(uncertainty) == len(REFERENCE_TEXTS)
    assert uncertainty == sorted(uncertainty), "the self-test must use the least certain texts"
    card = (built.model / "MODEL_CARD.md").read_text(encoding="utf-8")
    size = (built.model / "model.onnx").stat().st_size
    for expected in ("# tiny", "MIT", f"{size:,} bytes", "toxic: TOXIC", REFERENCE_TEXTS[0]):
        assert expected in card
    for path in (built.model, *built.model.iterdir()):
        assert path.stat().st_mode & stat.S_IROTH, f"the function, which runs as another user, cannot read {path}"


def test_a_successful_build_replaces_the_old_model_and_a_failed_build_does_not(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "model"
    for threshold, maybe in ((0.5, None), (0.9, 0.3)):
        build(out=out, work=built.work, step="assemble", threshold=threshold, threshold_maybe=maybe)
    classifier = Classifier(out, threads=1)
    assert (classifier.threshold, classifier.threshold_maybe) == (0.9, 0.3)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    monkeypatch.setattr("model_build.verify.check_scores.__defaults__", (0.0,))
    with pytest.raises(ModelBuildError, match=r"more than 0\.0 apart; do not serve this model"):
        build(out=out, work=built.work, step="assemble", threshold=0.8)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"], "a build left files behind"


def test_a_model_with_independent_labels_is_built_and_served(checkpoint: Path, tmp_path: Path) -> None:
    """A multi-label head whose toxic labels can only be given as an argument."""
    source = shutil.copytree(checkpoint, tmp_path / "changed")
    labels = ["LABEL_0", "LABEL_1"]
    edit_json(source / "config.json", problem_type="multi_label_classification", id2label=dict(enumerate(labels)))
    classifier = Classifier(build(str(source), tmp_path / "model", toxic_labels=labels), threads=1)
    scores = classifier.scores("You are an idiot.")
    assert sum(scores.values()) != pytest.approx(1)
    assert classifier.toxicity("You are an idiot.") == max(scores.values())


def test_a_model_that_reads_too_few_tokens_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    source = shutil.copytree(checkpoint, tmp_path / "short")
    config = RobertaConfig.from_pretrained(checkpoint, max_position_embeddings=10)
    RobertaForSequenceClassification(config).save_pretrained(source)
    with pytest.raises(ModelBuildError, match="short reads 8 tokens, fewer than the longest text"):
        build(str(source), tmp_path / "model")


def test_a_window_that_the_model_cannot_read_is_refused_first(built: Built, tmp_path: Path) -> None:
    out, reason = tmp_path / "model", "--window 65 is more than the 64 tokens that the model reads"
    with pytest.raises(ModelBuildError, match=reason):
        build(str(built.checkpoint), out, window=65, work=tmp_path / "work")
    with pytest.raises(ModelBuildError, match=reason):
        build(out=out, window=65, work=built.work, step="assemble")
    assert not list(tmp_path.iterdir()), "no step was run"


def test_an_optimizer_that_fuses_nothing_is_an_error(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The optimizer does not know this model type and only logs a warning."""
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
def test_a_quantizer_that_skips_weights_is_an_error(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, list[str]], reason: str
) -> None:
    monkeypatch.setattr(graph, "quantize_dynamic", lambda *paths, **given: quantize_dynamic(*paths, **given | options))
    with pytest.raises(ModelBuildError, match=reason):
        graph.quantize(built.work / "fused", tmp_path / "quantized")


def test_8_bit_weights_are_refused(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "REDUCE_RANGE", False)
    with pytest.raises(ModelBuildError, match="more than 7 bits: 8-bit products overflow on CPUs without VNNI"):
        build(str(built.checkpoint), tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(("threshold", "maybe"), [(0.5, 0.6), (1.1, 0.5), (0.5, -0.1), (float("nan"), 0.1)])
def test_thresholds_out_of_order_are_refused(built: Built, threshold: float, maybe: float) -> None:
    checkpoint = manifest.read_checkpoint(built.work / "optimized")
    with pytest.raises(ModelBuildError, match="the second must not be above the first"):
        manifest.describe(checkpoint, built.model, threshold, checkpoint["reference"], {}, maybe)
    with pytest.raises(ModelBuildError, match="the second must not be above the first"):
        build("no-such-checkpoint", threshold=threshold, threshold_maybe=maybe)


def test_a_folder_with_other_files_is_not_replaced(built: Built, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ModelBuildError, match="is not empty and not a model directory"):
        build(out=tmp_path, work=built.work, step="assemble")
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("step", ["fuse", "quantize", "optimize", "assemble"])
def test_a_step_requires_the_earlier_steps(tmp_path: Path, step: str) -> None:
    with pytest.raises(ModelBuildError, match="is missing: run the steps in order"):
        build(out=tmp_path / "model", work=tmp_path, step=step)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "is not a JSON object"),
        ('{"training": "one step"}', "training in .*json is not a list"),
        (
            '{"data": [{"name": "a", "licence": "MIT", "use": "all"}]}',
            "a row of data in .*json lacks one of name, origin",
        ),
    ],
)
def test_about_must_have_the_fields_of_the_card(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "about.json"
    with pytest.raises(ModelBuildError, match=r"is missing.*pass another --about"):
        build("no-such-checkpoint", tmp_path / "model", about=path)
    path.write_text(content)
    with pytest.raises(ModelBuildError, match=rf"{reason}.*pass another --about"):
        build("no-such-checkpoint", tmp_path / "model", about=path)
