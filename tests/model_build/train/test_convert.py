"""Converting a checkpoint: an MPNet becomes a RoBERTa, files get smaller, nothing is overwritten."""

from pathlib import Path

import onnx
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    MPNetForSequenceClassification,
    RobertaForSequenceClassification,
)

from model_build.build import build
from model_build.errors import ModelBuildError
from model_build.manifest import SERVED_FILES
from model_build.train.cli import ConvertOptions
from model_build.train.convert import convert
from tests.model_build.conftest import Built, read_json, run_command
from tests.model_build.train.conftest import equal, weights


def test_checkpoints_are_written_in_16_bits_and_in_shards_of_a_given_size(base: Path, tmp_path: Path) -> None:
    small, whole = tmp_path / "small", tmp_path / "whole"
    convert(ConvertOptions(source=str(base), out=small, float16=True, max_shard_size="20KB"))
    shards = list(small.glob("*.safetensors"))
    assert len(shards) > 2
    # Each shard has a header in addition to its tensors.
    assert max(shard.stat().st_size for shard in shards) < 25_000
    convert(ConvertOptions(source=str(small), out=whole))
    before, after = weights(base), weights(whole)
    assert all(torch.equal(before[name].half(), after[name]) for name in before)
    AutoModelForSequenceClassification.from_pretrained(small)
    words = [AutoTokenizer.from_pretrained(folder).get_vocab() for folder in (base, small)]
    assert words[0] == words[1]


def test_the_weights_of_checkpoints_of_the_same_shape_are_averaged(base: Path, bert: Path, tmp_path: Path) -> None:
    other, out = tmp_path / "other", tmp_path / "out"
    model = RobertaForSequenceClassification.from_pretrained(base)
    with torch.no_grad():
        model.classifier.dense.bias += 1
    model.save_pretrained(other)
    AutoTokenizer.from_pretrained(base).save_pretrained(other)

    run_command("convert", base, "--average", base, "--average", other, "--average", other, "--out", out)

    before, after = weights(base), weights(out)
    changed = "classifier.dense.bias"
    torch.testing.assert_close(after.pop(changed), before.pop(changed) + 0.5)
    torch.testing.assert_close(after, before)
    with pytest.raises(ModelBuildError, match="checkpoints of the same shape"):
        convert(ConvertOptions(source=str(base), out=tmp_path / "refused", average=[str(bert)]))


def test_unsupported_conversions_are_refused(base: Path, tmp_path: Path) -> None:
    large, out = tmp_path / "large", tmp_path / "out"
    model = RobertaForSequenceClassification.from_pretrained(base)
    with torch.no_grad():
        model.classifier.dense.bias[0] = 1e6
    model.save_pretrained(large)
    AutoTokenizer.from_pretrained(base).save_pretrained(large)
    with pytest.raises(ModelBuildError, match=r"classifier\.dense\.bias has a value that overflows 16 bits"):
        convert(ConvertOptions(source=str(large), out=out, float16=True))
    with pytest.raises(ModelBuildError, match="only an MPNet, not roberta"):
        convert(ConvertOptions(source=str(base), out=out, to_roberta=True))
    assert not out.exists()
    with pytest.raises(ModelBuildError, match="is not empty: the files of two checkpoints would mix"):
        convert(ConvertOptions(source=str(base), out=large))


def test_a_bert_gets_another_vocabulary_and_a_head_initialized_by_seed(bert: Path, base: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for out in (first, second):
        convert(ConvertOptions(source=str(bert), out=out, tokenizer=str(base), seed=3))
    assert equal(first, second)
    assert AutoTokenizer.from_pretrained(first).get_vocab() == AutoTokenizer.from_pretrained(base).get_vocab()


def test_an_mpnet_becomes_a_roberta_that_is_equivalent_except_for_the_bias(mpnet: Path, tmp_path: Path) -> None:
    roberta = tmp_path / "roberta"
    ids = torch.tensor([[0, 9, 7, 12, 5, 6, 2], [0, 5, 11, 2, 1, 1, 1]])
    before = MPNetForSequenceClassification.from_pretrained(mpnet).eval()

    run_command("convert", mpnet, "--to-roberta", "--out", roberta)

    after = AutoModelForSequenceClassification.from_pretrained(roberta).eval()
    assert isinstance(after, RobertaForSequenceClassification)
    with torch.inference_mode():
        biased = before(ids, attention_mask=(ids != 1).long()).logits
        before.mpnet.encoder.relative_attention_bias.weight.zero_()
        expected = before(ids, attention_mask=(ids != 1).long()).logits
        found = after(ids, attention_mask=(ids != 1).long()).logits
    assert float((biased - expected).abs().max()) > 1e-4, "the bias of this model must matter"
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    texts = [AutoTokenizer.from_pretrained(folder)("this is nice code").input_ids for folder in (mpnet, roberta)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("kind", ["roberta", "mpnet", "roberta of an mpnet"])
def test_building_a_restored_checkpoint_creates_the_same_files(
    built: Built, mpnet: Path, tmp_path: Path, kind: str
) -> None:
    model, again = tmp_path / "model", tmp_path / "again"
    if kind == "roberta":
        model = built.model
    elif kind == "mpnet":
        build(str(mpnet), model)
    else:
        convert(ConvertOptions(source=str(mpnet), out=tmp_path / "roberta", to_roberta=True))
        build(str(tmp_path / "roberta"), model)
    convert(ConvertOptions(source=str(model), out=again))
    build(str(again), tmp_path / "rebuilt")
    for name in SERVED_FILES:
        assert (tmp_path / "rebuilt" / name).read_bytes() == (model / name).read_bytes(), name
    before, after = (read_json(folder / "model.json") for folder in (model, tmp_path / "rebuilt"))
    for name in ("labels", "toxic_labels", "special_token_ids", "max_length"):
        assert after[name] == before[name]


@pytest.mark.parametrize("kind", ["roberta", "mpnet"])
def test_a_model_with_scaled_channels_is_restored(built: Built, mpnet: Path, tmp_path: Path, kind: str) -> None:
    source = built.checkpoint if kind == "roberta" else mpnet
    checkpoint = AutoModelForSequenceClassification.from_pretrained(source)
    layers = checkpoint.base_model.encoder.layer
    for layer in layers:  # equal scales, which the exporter merges
        attended = layer.attention.output if kind == "roberta" else layer.attention
        for norm in (attended.LayerNorm, layer.output.LayerNorm):
            norm.weight.data[3], norm.bias.data[3] = 0, 32 * norm.weight.data.median()
    checkpoint.save_pretrained(tmp_path / "large")
    AutoTokenizer.from_pretrained(source).save_pretrained(tmp_path / "large")
    build(str(tmp_path / "large"), tmp_path / "model")

    graph = onnx.load(tmp_path / "model" / "model.onnx").graph
    names = [tensor.name for tensor in graph.initializer if tensor.name.endswith(("attention_scale", "widen_scale"))]
    assert 0 < len(names) < sum(node.op_type == "Mul" and node.input[1] in names for node in graph.node)
    convert(ConvertOptions(source=str(tmp_path / "model"), out=tmp_path / "again"))
    restored = AutoModelForSequenceClassification.from_pretrained(tmp_path / "again").state_dict()
    for name, expected in checkpoint.state_dict().items():
        if name.endswith("weight") and expected.dim() == 2 and "layer" in name and "relative" not in name:
            largest = float(expected.abs().max())
            torch.testing.assert_close(restored[name][:, 3], expected[:, 3], rtol=0, atol=largest / 64)
            # A large scaled weight makes the steps of its row coarser.
            torch.testing.assert_close(restored[name], expected, rtol=0, atol=largest / 4)
