"""Alignment of hidden states: a converted RoBERTa learns its MPNet's, and incompatible models are refused."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from model_build.errors import ModelBuildError
from model_build.train.align import align, distance
from model_build.train.cli import AlignOptions, ConvertOptions
from model_build.train.convert import convert
from model_build.train.initial_model import keep_layers, read_tokenizer
from tests.model_build.conftest import edit_json, read_json, run_command
from tests.model_build.train.conftest import BRIEFLY, equal

IDS = torch.tensor([[0, 9, 7, 12, 5, 6, 2], [0, 5, 11, 2, 1, 1, 1]])
MASK = (IDS != 1).long()


def hidden_states(folder: Path) -> tuple[torch.Tensor, ...]:
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        return model(IDS, attention_mask=MASK, output_hidden_states=True).hidden_states  # type: ignore[no-any-return]


def test_a_roberta_learns_the_hidden_states_of_the_mpnet_it_was_converted_from(
    mpnet: Path, text_files: list[str], tmp_path: Path
) -> None:
    start, out = tmp_path / "start", tmp_path / "out"
    convert(ConvertOptions(source=str(mpnet), out=start, to_roberta=True))
    given = {"--data": text_files[0], "--base": start, "--teacher": mpnet, "--out": out, "--max-steps": 60}
    given |= {"--max-length": 32, "--per-device-train-batch-size": 16, "--learning-rate": 1e-3, "--eval-steps": 60}
    ended = run_command("align", *(one for option in given.items() for one in option), "--use-cpu")
    assert ended.exit_code == 0, ended.output
    theirs = hidden_states(mpnet)
    before, after = (float(distance(hidden_states(folder), theirs, MASK)) for folder in (start, out))
    assert after < 0.7 * before
    record = read_json(out / "training.json")
    assert record["stage"] == "align"
    assert record["log"][-1]["eval_loss"] > 0


def test_a_model_with_dropout_that_equals_its_teacher_does_not_change(
    base: Path, text_files: list[str], tmp_path: Path
) -> None:
    copy = shutil.copytree(base, tmp_path / "copy")
    edit_json(copy / "config.json", hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.3)
    given = BRIEFLY | {"data": text_files, "base": str(copy), "teacher": str(base), "weight_decay": 0.0}
    assert align(AlignOptions(**given, out=tmp_path / "out"))
    assert equal(base, tmp_path / "out")


def test_padding_does_not_affect_the_loss() -> None:
    ours, theirs = torch.zeros(2, 7, 4), torch.where(MASK.unsqueeze(-1) == 1, 2.0, 99.0).expand(2, 7, 4)
    assert float(distance([ours, ours], [theirs, ours], MASK)) == pytest.approx(2.0)


def test_models_that_cannot_be_compared_are_refused(
    mpnet: Path, base: Path, text_files: list[str], tmp_path: Path
) -> None:
    given = BRIEFLY | {"data": text_files, "base": str(base), "out": tmp_path / "out", "teacher": str(mpnet)}
    with pytest.raises(ModelBuildError, match="and the base have different vocabularies"):
        align(AlignOptions(**given))
    shorter, model = tmp_path / "shorter", AutoModelForSequenceClassification.from_pretrained(mpnet)
    keep_layers(model, [0, 1])
    model.save_pretrained(shorter)
    read_tokenizer(mpnet).save_pretrained(shorter)
    with pytest.raises(ModelBuildError, match="is 32 wide with 3 layers, the base 32 wide with 2 layers"):
        align(AlignOptions(**given | {"base": str(shorter)}))
