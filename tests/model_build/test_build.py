"""From a checkpoint to a model directory: it scores as PyTorch does, says what it is, and never stands half built."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import torch
import transformers

from model_build import manifest, stage
from model_build.__main__ import main
from model_build.assemble import assemble
from model_build.checkpoint import Checkpoint
from model_build.errors import ModelBuildError
from model_build.reference import TEXTS
from toxicity_bot.classifier import Classifier
from toxicity_bot.message_text import fold

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Built

OTHER_TEXTS = ("Nobody asked you.", "What a great party, see you tomorrow!", "the flaky test is 🎉 again", "a")


@pytest.mark.parametrize("text", [*TEXTS, *OTHER_TEXTS])
def test_served_scores_are_those_of_pytorch(built: Built, text: str) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(built.checkpoint)
    module = transformers.AutoModelForSequenceClassification.from_pretrained(built.checkpoint).eval()
    with torch.inference_mode():
        expected = module(**tokenizer(fold(text), return_tensors="pt")).logits.softmax(-1)[0]
    found = Classifier(built.model, threads=1).scores(text)
    assert list(found) == ["NOT_TOXIC", "TOXIC"]
    assert list(found.values()) == pytest.approx(expected.tolist(), abs=0.03)


def test_scores_differ_enough_for_a_comparison_to_mean_something(built: Built) -> None:
    classifier = Classifier(built.model, threads=1)
    scores = [classifier.toxicity(text) for text in TEXTS]
    assert max(scores) - min(scores) > 0.3, scores


def test_fused_graph_is_exact(built: Built) -> None:
    stages = {name: stage.measure(built.work / name) for name in ("exported", "fused", "quantized", "optimized")}
    assert stages["exported"].difference < 1e-5
    assert stages["fused"].difference < 1e-5
    assert stages["fused"].nodes < stages["exported"].nodes
    assert stages["fused"].operators["Gelu"] == stages["fused"].operators["MultiHeadAttention"] == built.layers
    assert stages["quantized"].operators["MatMulInteger"] == 6 * built.layers + 2  # q, k, v, o, up, down; 2 in the head
    assert stages["quantized"].bytes < stages["fused"].bytes
    assert stages["optimized"].nodes < stages["quantized"].nodes
    assert stages["optimized"].difference == pytest.approx(stages["quantized"].difference, abs=1e-3)


def test_f53_no_product_of_8_bit_numbers_can_overflow_16_bits(built: Built) -> None:
    """What a CPU with AVX2 alone adds up in 16 bits: two products of an unsigned activation and a weight."""
    graph = onnx.load(built.model / "model.onnx").graph
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    used = [weights[node.input[1]] for node in graph.node if node.op_type == "DynamicQuantizeMatMul"]
    used += [weights[node.input[1]] for node in graph.node if node.op_type == "MatMulIntegerToFloat"]
    assert len(used) == 6 * built.layers + 2
    for weight in used:
        assert weight.dtype == np.int8
        assert 2 * 255 * np.abs(weight.astype(np.int32)).max() <= np.iinfo(np.int16).max


def test_model_json_says_what_it_is_and_names_no_path(built: Built) -> None:
    text = (built.model / "model.json").read_text(encoding="utf-8")
    fields = json.loads(text)
    assert (fields["source"], fields["licence"], fields["threshold"], fields["max_length"]) == ("tiny", "MIT", 0.6, 64)
    assert fields["threshold_maybe"] == 0.6, "asked for one threshold, it is both"
    assert fields["revision"].startswith("sha256:")
    assert fields["special_token_ids"] == {"bos": 0, "eos": 2, "pad": 1}
    assert {"torch", "transformers", "tokenizers", "optimum", "onnxruntime"} <= set(fields["versions"])
    assert str(built.checkpoint.parent) not in text
    uncertainty = [abs(row["toxicity"] - 0.5) for row in fields["reference"]["scores"]]
    assert len(uncertainty) == len(TEXTS)
    assert uncertainty == sorted(uncertainty), "the self-test's text, the first, is not the most telling one"


def test_model_card_states_the_numbers(built: Built) -> None:
    card = (built.model / "MODEL_CARD.md").read_text(encoding="utf-8")
    size = (built.model / "model.onnx").stat().st_size
    for expected in ("# tiny", "MIT", f"{size:,} bytes", "toxic: TOXIC", TEXTS[0]):
        assert expected in card


def test_everybody_can_read_the_directory(built: Built) -> None:
    """The function runs as another user than the one that builds the image."""
    for path in (built.model, *built.model.iterdir()):
        assert path.stat().st_mode & stat.S_IROTH, path


def test_a_long_text_is_scored_in_windows(built: Built) -> None:
    assessment = Classifier(built.model, threads=1).assess(" ".join(TEXTS))
    assert assessment.windows > 1


def test_a_failed_build_leaves_the_old_model(
    built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "model"
    assert main(["assemble", "--work", str(built.work), "--out", str(out)]) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    monkeypatch.setattr("model_build.verify.check_difference.__defaults__", (0.0,))
    assert main(["assemble", "--work", str(built.work), "--out", str(out), "--threshold", "0.9"]) == 1
    assert "more than 0.0 apart: do not serve this model" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"], "something of the failed build was left behind"


def test_a_good_build_replaces_the_old_model(built: Built, tmp_path: Path) -> None:
    out = tmp_path / "model"
    for threshold in ("0.5", "0.9"):
        assert main(["assemble", "--work", str(built.work), "--out", str(out), "--threshold", threshold]) == 0
    assert Classifier(out).threshold == 0.9
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_two_thresholds_are_what_the_bot_reads(built: Built, tmp_path: Path) -> None:
    assemble(built.work, tmp_path / "model", 0.8, 0.3)
    classifier = Classifier(tmp_path / "model", threads=1)
    assert (classifier.threshold, classifier.threshold_maybe) == (0.8, 0.3)


@pytest.mark.parametrize(("threshold", "maybe"), [(0.5, 0.6), (1.1, 0.5), (0.5, -0.1), (float("nan"), 0.1)])
def test_thresholds_out_of_order_are_refused(built: Built, threshold: float, maybe: float) -> None:
    checkpoint = Checkpoint.read(built.work / "optimized")
    with pytest.raises(ModelBuildError, match="the second is not above the first"):
        manifest.describe(checkpoint, built.model, threshold, checkpoint.reference, {}, maybe)


def test_a_folder_with_other_things_is_not_replaced(
    built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["assemble", "--work", str(built.work), "--out", str(tmp_path)]) == 1
    assert "holds other things than a model" in capsys.readouterr().err
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_steps_run_alone_in_order_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for step in ("fuse", "quantize", "assemble"):
        assert main([step, "--work", str(tmp_path)]) == 1
        assert "is missing: run the steps in order" in capsys.readouterr().err
