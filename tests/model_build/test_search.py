"""The search: candidates are built beside the model as it ships, measured and written down; no knob stays changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import onnx
import pytest

from model_build import embeddings, quantize, serving_form
from model_build.errors import ModelBuildError
from model_build.reference import TEXTS
from model_build.search import measure
from model_build.search.__main__ import main
from model_build.search.build import Builder
from model_build.search.candidate import Candidate, Change, applied
from model_build.search.candidates import CANDIDATES, SHIPPED
from model_build.search.finding import Finding, Speed
from model_build.search.report import faster, noise

if TYPE_CHECKING:
    from pathlib import Path

WITHIN = 0.02  # of toxicity: what another order of the same sums changes after rounding to 8 bits


@pytest.fixture(scope="session")
def builder(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Builder:
    return Builder(str(checkpoint), [], tmp_path_factory.mktemp("search"))


@pytest.fixture(scope="session")
def models(builder: Builder) -> dict[str, Path]:
    """Every candidate that a checkpoint 32 numbers wide can be built as: blocks of 64 do not fit."""
    too_wide = {"words_in_blocks_of_64", "words_in_blocks_of_128"}
    return {candidate.name: builder.build(candidate) for candidate in CANDIDATES if candidate.name not in too_wide}


@pytest.fixture(scope="session")
def findings(models: dict[str, Path]) -> dict[str, Finding]:
    return {finding.name: finding for finding in measure.measure(models, SHIPPED, {12: 1, 64: 1, 128: 1}, 1, 1)}


@pytest.mark.parametrize(
    ("name", "operators"),
    [
        ("control", {}),
        ("plain_attention", {"MultiHeadAttention": -2, "Softmax": 2}),
        ("quantized_attention", {"QAttention": 1, "MultiHeadAttention": -1}),
        ("merged_matrix", {"Split": 2}),
        ("bias_gelu", {"BiasGelu": 2, "Gelu": -2}),
        ("plain_gelu", {"Erf": 2, "Gelu": -2}),
        ("fast_gelu", {"FastGelu": 2, "Gelu": -2}),
        ("skip_layer_normalization", {"SkipLayerNormalization": 4, "LayerNormalization": -4, "Add": -4}),
        ("float_head", {"DynamicQuantizeMatMul": -2, "FusedGemm": 1, "Gemm": 1}),
        ("words_in_8_bits", {"DequantizeLinear": 1, "BitShift": -1}),
        ("words_by_one_operator", {"GatherBlockQuantized": 1, "BitShift": -1}),
        ("words_in_int4", {"GatherBlockQuantized": 1, "BitShift": -1}),
    ],
)
def test_a_candidate_has_the_operators_that_it_is_about(
    findings: dict[str, Finding], name: str, operators: dict[str, int]
) -> None:
    found = findings[name].operators
    assert {kind: found.get(kind, 0) for kind in operators} == operators, found


def test_every_candidate_still_answers_as_pytorch_does(findings: dict[str, Finding]) -> None:
    for candidate in CANDIDATES:
        if candidate.name in findings:
            allowed = 0.1 if candidate.rounds_otherwise else findings[SHIPPED].difference + WITHIN
            assert findings[candidate.name].difference <= allowed, candidate.name


def test_lengths_that_the_model_does_not_read_are_left_out(findings: dict[str, Finding]) -> None:
    assert set(findings[SHIPPED].speeds) == {12, 64}
    assert findings[SHIPPED].speeds[12].milliseconds > 0
    assert findings[SHIPPED].start.milliseconds > 50  # an interpreter and onnxruntime, at least


def test_weights_and_sessions_are_where_the_candidates_of_starting_say(models: dict[str, Path]) -> None:
    levels = {
        name: json.loads((models[name] / "model.json").read_text())["session"]["graph_optimization"]
        for name in (SHIPPED, "optimized_at_load", "weights_inside")
    }
    assert list(levels.values()) == ["ORT_DISABLE_ALL", "ORT_ENABLE_ALL", "ORT_DISABLE_ALL"]
    assert (models[SHIPPED] / "model.onnx.data").is_file()
    assert not (models["weights_inside"] / "model.onnx.data").exists()
    inside = onnx.load(models["weights_inside"] / "model.onnx").graph
    shipped = onnx.load(models[SHIPPED] / "model.onnx").graph
    assert [node.op_type for node in inside.node] == [node.op_type for node in shipped.node]


def test_robertas_vocabulary_has_its_size(models: dict[str, Path]) -> None:
    graph = onnx.load(models["roberta_vocabulary"] / "model.onnx").graph
    words = next(tensor for tensor in graph.initializer if tensor.name == "words")
    tokenizer = json.loads((models["roberta_vocabulary"] / "tokenizer.json").read_text())["model"]
    assert list(words.dims) == [50_265, 16]
    assert sorted(tokenizer["vocab"].values()) == list(range(50_265))


def test_a_candidate_that_changes_nothing_is_an_error(builder: Builder) -> None:
    same = Change(quantize, "PER_CHANNEL", quantize.PER_CHANNEL)
    candidate = Candidate("idle", "none", "Nothing.", "None.", after="fused", changes=(same,))
    with pytest.raises(ModelBuildError, match="idle changes nothing"):
        builder.build(candidate)


def test_knobs_are_set_back_after_an_error_and_a_misspelt_one_is_found() -> None:
    changes = (Change(serving_form, "FIRST_TOKEN_ONLY", False), Change(embeddings, "BLOCK", 16))
    during = []

    def fail() -> None:
        during.extend([serving_form.FIRST_TOKEN_ONLY, embeddings.BLOCK])
        raise RuntimeError("on the way")

    with pytest.raises(RuntimeError, match="on the way"), applied(changes):
        fail()
    assert during == [False, 16]
    assert (serving_form.FIRST_TOKEN_ONLY, embeddings.BLOCK) == (True, 32)
    with (
        pytest.raises(AttributeError, match="FIRST_TOKEN"),
        applied((*changes, Change(serving_form, "FIRST_TOKEN", 0))),
    ):
        pytest.fail("a knob that is not there was set")
    assert serving_form.FIRST_TOKEN_ONLY


@pytest.fixture(scope="module")
def written(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """The page and the JSON of a search with two candidates."""
    folder = tmp_path_factory.mktemp("written")
    rows = [{"text": text, "label": number % 2} for number, text in enumerate(TEXTS)]
    labelled = folder / "labelled.jsonl"
    labelled.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    arguments = [
        "--source",
        str(checkpoint),
        "--quality",
        str(labelled),
        "--out",
        str(folder / "docs"),
        "--passes",
        "1",
    ]
    assert main([*arguments, "--only", "bias_gelu,words_in_8_bits"]) == 0
    page = (folder / "docs" / "rewrites.md").read_text(encoding="utf-8")
    assert str(checkpoint.parent) not in page
    return page, json.loads((folder / "docs" / "rewrites.json").read_text(encoding="utf-8"))


def test_the_json_has_every_figure(written: tuple[str, dict[str, Any]]) -> None:
    _, fields = written
    names = [candidate["name"] for candidate in fields["candidates"]]
    assert names == [SHIPPED, "control", "bias_gelu", "words_in_8_bits"]
    shipped, control, exact, rounded = fields["candidates"]
    for found in fields["candidates"]:
        assert set(found["speeds"]) == {"12", "32"}, "the tiny model reads 64 tokens"
        assert found["difference"] < 0.05
    assert shipped["quality"]["auc"] == pytest.approx(fields["auc_pytorch"], abs=0.1)
    assert shipped["speeds"]["12"]["change"] == shipped["start"]["change"] == 0
    assert control["bytes"] == shipped["bytes"] < rounded["bytes"]
    assert exact["quality"] is None
    assert 0 <= rounded["quality"]["changed_verdicts"] <= 1
    assert fields["labelled_texts"] == len(TEXTS)


def test_the_page_has_the_tables_and_a_decision_for_each(written: tuple[str, dict[str, Any]]) -> None:
    page, fields = written
    rounded = fields["candidates"][-1]
    speed, growth = rounded["speeds"]["12"], rounded["bytes"] / fields["candidates"][0]["bytes"] - 1
    row = f"| `words_in_8_bits` | {speed['milliseconds']:.2f} ({speed['change']:+.0%}) |"
    assert row in page
    assert f"| {rounded['bytes'] / 1e6:.1f} ({growth:+.0%}) |" in page
    for found in fields["candidates"]:
        assert f"- `{found['name']}`: {found['what']} {found['decision']}" in page
    assert "+2 BiasGelu" in page
    assert fields["machine"] in page
    assert "--only bias_gelu,words_in_8_bits --passes 1" in page


def test_an_unknown_candidate_is_refused_before_anything_is_built(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--source", str(checkpoint), "--only", "bias_gelu,magic"]) == 1
    printed = capsys.readouterr()
    assert "--only names magic; there are as_it_ships, control, " in printed.err
    assert "export" not in printed.out


def test_every_candidate_says_what_it_is_and_what_was_decided() -> None:
    assert len({candidate.name for candidate in CANDIDATES}) == len(CANDIDATES)
    for candidate in CANDIDATES:
        for sentence in (candidate.what, candidate.decision):
            assert sentence.endswith("."), candidate.name
            assert len(sentence) > 20, candidate.name


def finding(name: str, *changes: float) -> Finding:
    speeds = {tokens: Speed(1.0, change) for tokens, change in enumerate(changes)}
    return Finding(name, 1, {}, 0.0, Speed(1.0, 0.0), speeds, None)


def test_faster_means_by_more_than_the_control_is_off() -> None:
    measured = [
        finding(SHIPPED, 0, 0),
        finding("control", 0.05, -0.01),
        finding("quicker", -0.04, -0.01),
        finding("mixed", -0.04, 0.01),
        finding("slower", 0.2, 0.3),
    ]
    assert noise(measured) == pytest.approx(0.02)
    assert [found.name for found in faster(measured)] == ["quicker"]
    assert noise(measured[:1]) == 0.01
