"""Initial models: heads, layers and vocabularies, and model directories restored to floats."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoTokenizer,
    BertModel,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    RobertaForSequenceClassification,
)

from model_build.errors import ModelBuildError
from model_build.train.finetune import finetune
from model_build.train.initial_model import keep_layers, load, restore, spelling, with_vocabulary
from model_build.train.pretrain import train_tokenizer
from tests.model_build.conftest import Built, edit_json, read_json
from tests.model_build.train.conftest import MakeOptions
from toxicity_bot.errors import ModelError


def test_a_student_starts_with_layers_of_its_base_and_can_be_saved(base: Path, tmp_path: Path) -> None:
    whole, student = load(str(base)).model, load(str(base), layers=(1,)).model
    assert student.config.num_hidden_layers == len(student.roberta.encoder.layer) == 1
    student.save_pretrained(tmp_path)
    found = RobertaForSequenceClassification.from_pretrained(tmp_path).state_dict()
    kept = {name: tensor for name, tensor in whole.state_dict().items() if "layer.0." not in name}
    expected = {name.replace("layer.1.", "layer.0."): tensor for name, tensor in kept.items()}
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_layers_of_a_distilbert_are_copied_and_missing_or_repeated_layers_are_refused(base: Path) -> None:
    config = DistilBertConfig(vocab_size=50, dim=32, n_layers=3, n_heads=2, hidden_dim=64, max_position_embeddings=32)
    model = DistilBertForSequenceClassification(config)
    keep_layers(model, (0, 2))
    assert len(model.distilbert.transformer.layer) == model.config.n_layers == 2
    with pytest.raises(ModelBuildError, match="the base has the layers 0 to 1, not 4"):
        load(str(base), layers=(0, 4))
    with pytest.raises(ModelBuildError, match="--layers repeats a layer"):
        load(str(base), layers=(0, 0))


def test_a_classifier_with_other_labels_gets_a_new_head(base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(base, tmp_path / "three")
    three = RobertaForSequenceClassification.from_pretrained(
        base, num_labels=3, problem_type="multi_label_classification", ignore_mismatched_sizes=True
    )
    three.save_pretrained(folder)
    initial = load(str(folder))
    assert initial.model.config.id2label == {0: "NOT_TOXIC", 1: "TOXIC"}
    assert initial.model.config.problem_type == "single_label_classification"
    assert initial.model(torch.tensor([[0, 7, 2]])).logits.shape == (1, 2)
    assert initial.origin["revision"].startswith("sha256:")
    assert str(tmp_path) not in str(initial.origin)


def test_a_head_whose_first_label_is_toxic_is_refused(base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(base, tmp_path / "named")
    for labels in (["toxic", "fine"], ["toxic", "insult"]):
        edit_json(folder / "config.json", id2label=dict(enumerate(labels)))
        with pytest.raises(ModelBuildError, match=f"has the labels {' and '.join(labels)}, but training needs the"):
            load(str(folder))
    for labels in (["fine", "toxic"], ["not_toxic", "other"]):
        edit_json(folder / "config.json", id2label=dict(enumerate(labels)))
        assert load(str(folder)).model.config.id2label == {0: "NOT_TOXIC", 1: "TOXIC"}


def test_a_tokenizers_checksum_ignores_truncation_and_padding(base: Path) -> None:
    initial = load(str(base))
    before = initial.tokenizer_sha256()
    initial.tokenizer(["the code", "a test of this"], truncation=True, max_length=3, padding=True)
    assert initial.tokenizer_sha256() == before
    initial.tokenizer.add_tokens(["release"])
    assert initial.tokenizer_sha256() != before


def test_a_tokenizer_that_does_not_fit_is_refused(base: Path, built: Built, tmp_path: Path) -> None:
    with pytest.raises(ModelBuildError, match=f"{tmp_path} has no readable tokenizer"):
        load(str(base), tokenizer=str(tmp_path))
    train_tokenizer(["other words than those of the base, other words"], 300).save_pretrained(tmp_path)
    for source in (base, built.model):
        with pytest.raises(ModelBuildError, match="have different vocabularies"):
            load(str(source), tokenizer=str(tmp_path))
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path)
    assert load(str(base), tokenizer=str(tmp_path)).model.config.hidden_size == 32


def test_whole_words_keep_their_vectors_in_another_vocabulary(bert: Path, base: Path) -> None:
    theirs = BertModel.from_pretrained(bert).eval()
    tokenizer = AutoTokenizer.from_pretrained(base)
    ours = with_vocabulary(bert, tokenizer).eval()
    # A space comes first, because a token without one can be inside another word.
    before = AutoTokenizer.from_pretrained(bert)("the code is", return_tensors="pt")
    after = tokenizer(" the code is", return_tensors="pt")
    assert before["input_ids"].shape == after["input_ids"].shape == (1, 5)
    with torch.inference_mode():
        expected = theirs(**before).last_hidden_state
        found = ours.roberta(**after).last_hidden_state
    assert torch.allclose(found, expected, atol=1e-5)
    assert ours.config.id2label == {0: "NOT_TOXIC", 1: "TOXIC"}
    assert ours.config.max_position_embeddings == 42
    with pytest.raises(ModelBuildError, match="is not a BERT with absolute positions"):
        with_vocabulary(base, tokenizer)


def test_a_vocabulary_unlike_robertas_is_refused(bert: Path, mpnet: Path, base: Path) -> None:
    without_padding = AutoTokenizer.from_pretrained(base)
    without_padding.pad_token = None  # as in GPT-2
    for tokenizer, reason in (
        (AutoTokenizer.from_pretrained(bert), "has no bos token"),
        (AutoTokenizer.from_pretrained(mpnet), "is not byte-level"),
        (without_padding, "has no pad token"),
    ):
        with pytest.raises(ModelBuildError, match=f"the tokenizer {reason}: pass a byte-level --tokenizer"):
            with_vocabulary(bert, tokenizer)


def test_the_tokens_that_spell_a_new_token(bert: Path) -> None:
    pieces = AutoTokenizer.from_pretrained(bert)
    for text, expected in {
        " nice": ["nice"],
        " NICE": ["nice"],
        "nice": ["##nice", "nice"],
        " unnice": ["un", "##nice"],
        "s": ["##s"],
        " ": [],
        "\ufffd": [],
        "☺": ["smiling", "face"],  # by its Unicode name
    }.items():
        found = pieces.convert_ids_to_tokens(spelling(text, pieces, pieces.get_vocab()))
        assert found == expected, text


def test_training_continues_from_a_model_directory(built: Built, finetune_options: MakeOptions) -> None:
    options = finetune_options(base=str(built.model), max_steps=2)
    assert finetune(options)
    base = read_json(options.out / "training.json")["base"]
    assert base["name"] == "tiny"
    assert base["revision"].startswith("sha256:")
    before, after = restore(built.model)[0].state_dict(), load(str(options.out)).model.state_dict()
    moved = {name: float((after[name] - before[name]).abs().max()) for name in after}
    assert moved["classifier.out_proj.weight"] > 0
    # Two steps cannot change a weight by more than this.
    assert max(moved.values()) < 0.05


def test_a_model_directory_that_cannot_be_restored_is_named(built: Built, tmp_path: Path) -> None:
    folder = shutil.copytree(built.model, tmp_path / "model")
    edit_json(folder / "model.json", activation="sigmoid")
    with pytest.raises(ModelBuildError, match="not built from a RoBERTa or an MPNet with exclusive labels"):
        load(str(folder))
    (folder / "model.onnx.data").write_bytes(b"too short")
    with pytest.raises(ModelError, match=r"model\.onnx\.data"):
        load(str(folder))
