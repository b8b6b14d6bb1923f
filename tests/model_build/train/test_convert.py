"""Converting a checkpoint: its width changes and its scores do not, its files get smaller, nothing is overwritten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    MPNetForSequenceClassification,
    RobertaForSequenceClassification,
)

from model_build.build import build
from model_build.errors import ModelBuildError
from model_build.manifest import SERVED_FILES
from model_build.train.cli import ConvertOptions
from model_build.train.convert import convert, doubled, halved
from tests.model_build.train.conftest import run_command

if TYPE_CHECKING:
    from pathlib import Path

    from tests.model_build.conftest import Built

IDS = torch.tensor([[0, 9, 30, 77, 12, 2], [0, 5, 41, 2, 1, 1]])
MASK = (IDS != 1).long()


@pytest.fixture
def narrow(base: Path) -> RobertaForSequenceClassification:
    model = RobertaForSequenceClassification.from_pretrained(base).eval()
    # Trained weights are larger than random ones, and their biases are not 0.
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def test_twice_the_width_has_the_same_scores(narrow: RobertaForSequenceClassification) -> None:
    wide = doubled(narrow, seed=1).eval()
    assert wide.config.hidden_size == 2 * narrow.config.hidden_size
    assert wide.config.num_attention_heads == narrow.config.num_attention_heads
    with torch.inference_mode():
        before, after = (model(IDS, attention_mask=MASK).logits for model in (narrow, wide))
    assert float((before[0] - before[1]).abs().max()) > 1e-3
    assert torch.allclose(before, after, atol=1e-5)


@pytest.mark.parametrize(("noise", "different"), [(0.0, False), (0.2, True)])
def test_noise_lets_twins_learn_different_things(
    narrow: RobertaForSequenceClassification, noise: float, different: bool
) -> None:
    wide = doubled(narrow, seed=1, noise=noise)
    wide(IDS, attention_mask=MASK, labels=torch.tensor([0, 1])).loss.backward()
    gradient = wide.roberta.encoder.layer[0].intermediate.dense.weight.grad
    first, second = gradient.chunk(2)
    assert bool((first - second).abs().max() > 1e-3 * gradient.abs().max()) is different


def test_halving_undoes_doubling(narrow: RobertaForSequenceClassification) -> None:
    again = halved(doubled(narrow, seed=1)).state_dict()
    for name, tensor in narrow.state_dict().items():
        assert torch.allclose(again[name], tensor, atol=1e-6), name


def test_a_width_that_cannot_be_changed_is_refused(narrow: RobertaForSequenceClassification) -> None:
    narrow.config.model_type = "camembert"
    with pytest.raises(ModelBuildError, match="the width of a camembert cannot be changed"):
        doubled(narrow, seed=1)
    with pytest.raises(ModelBuildError, match="the width of a camembert cannot be changed"):
        halved(narrow)
    narrow.config.hidden_size, narrow.config.num_attention_heads = 6, 2
    with pytest.raises(ModelBuildError, match="6 wide with 2 heads"):
        halved(narrow)


def test_files_of_a_given_size_in_sixteen_bits(base: Path, tmp_path: Path) -> None:
    small, whole = tmp_path / "small", tmp_path / "whole"
    convert(ConvertOptions(source=str(base), out=small, float16=True, max_shard_size="20KB"))
    shards = list(small.glob("*.safetensors"))
    assert len(shards) > 2
    # Each shard has a header beside its tensors.
    assert max(shard.stat().st_size for shard in shards) < 25_000
    convert(ConvertOptions(source=str(small), out=whole))
    before, after = (load_file(folder / "model.safetensors") for folder in (base, whole))
    assert all(torch.equal(before[name].half(), after[name]) for name in before)
    AutoModelForSequenceClassification.from_pretrained(small)
    words = [AutoTokenizer.from_pretrained(folder).get_vocab() for folder in (base, small)]
    assert words[0] == words[1]


def test_a_weight_that_sixteen_bits_cannot_hold_is_named(base: Path, tmp_path: Path) -> None:
    model = RobertaForSequenceClassification.from_pretrained(base)
    with torch.no_grad():
        model.classifier.dense.bias[0] = 1e6
    model.save_pretrained(tmp_path / "large")
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "large")
    with pytest.raises(ModelBuildError, match=r"classifier\.dense\.bias has a value that 16 bits cannot hold"):
        convert(ConvertOptions(source=str(tmp_path / "large"), out=tmp_path / "out", float16=True))
    assert not (tmp_path / "out").exists()


def test_another_vocabulary_and_width_at_once(bert: Path, base: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for out in (first, second):
        convert(ConvertOptions(source=str(bert), out=out, tokenizer=str(base), double_width=True, seed=3))
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()
    config = AutoConfig.from_pretrained(first)
    assert (config.model_type, config.hidden_size) == ("roberta", 64)
    assert AutoTokenizer.from_pretrained(first).get_vocab() == AutoTokenizer.from_pretrained(base).get_vocab()


def test_an_mpnet_becomes_a_roberta_that_computes_the_same_but_for_the_bias(mpnet: Path, tmp_path: Path) -> None:
    ids = torch.tensor([[0, 9, 7, 12, 5, 6, 2], [0, 5, 11, 2, 1, 1, 1]])
    before = MPNetForSequenceClassification.from_pretrained(mpnet).eval()

    run_command("convert", mpnet, "--to-roberta", "--out", tmp_path / "roberta")

    after = AutoModelForSequenceClassification.from_pretrained(tmp_path / "roberta").eval()
    assert isinstance(after, RobertaForSequenceClassification)
    with torch.inference_mode():
        biased = before(ids, attention_mask=(ids != 1).long()).logits
        before.mpnet.encoder.relative_attention_bias.weight.zero_()
        expected = before(ids, attention_mask=(ids != 1).long()).logits
        found = after(ids, attention_mask=(ids != 1).long()).logits
    assert float((biased - expected).abs().max()) > 1e-4, "the bias of this model changes nothing"
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    texts = [
        AutoTokenizer.from_pretrained(folder)("this is nice code").input_ids for folder in (mpnet, tmp_path / "roberta")
    ]
    assert texts[0] == texts[1]


def test_only_an_mpnet_becomes_a_roberta(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelBuildError, match="a roberta has no bias to leave out"):
        convert(ConvertOptions(source=str(base), out=tmp_path / "out", to_roberta=True))


@pytest.mark.parametrize("to_roberta", [False, True])
def test_an_mpnet_is_restored_from_its_model_directory(mpnet: Path, tmp_path: Path, to_roberta: bool) -> None:
    source = mpnet
    if to_roberta:
        source = tmp_path / "roberta"
        convert(ConvertOptions(source=str(mpnet), out=source, to_roberta=True))
    build(str(source), tmp_path / "model")
    convert(ConvertOptions(source=str(tmp_path / "model"), out=tmp_path / "again"))
    build(str(tmp_path / "again"), tmp_path / "rebuilt")
    for name in SERVED_FILES:
        assert (tmp_path / "rebuilt" / name).read_bytes() == (tmp_path / "model" / name).read_bytes(), name


def test_a_folder_that_is_not_empty_is_refused(base: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelBuildError, match="is not empty: files of two checkpoints would mix"):
        convert(ConvertOptions(source=str(base), out=tmp_path))


def test_a_restored_checkpoint_is_built_into_the_same_files(built: Built, tmp_path: Path) -> None:
    run_command("convert", built.model, "--out", tmp_path / "checkpoint")
    build(str(tmp_path / "checkpoint"), tmp_path / "model")
    for name in SERVED_FILES:
        assert (tmp_path / "model" / name).read_bytes() == (built.model / name).read_bytes(), name
