"""The serving form of a classifier keeps its scores: every architecture, padded batches, a complete build."""

import copy
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
import transformers
from tokenizers import BertWordPieceTokenizer

from model_build.build import build
from model_build.errors import ModelBuildError
from model_build.manifest import REFERENCE_TEXTS
from model_build.serving_form import FAMILIES, smooth, to_serving_form
from tests.model_build.conftest import BERT_SHAPE, LABELS, MPNET_SPECIAL, memorize
from toxicity_bot.classifier import Classifier

SHAPE = BERT_SHAPE | {"num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 300, "num_labels": 3}
CONFIGS = {
    "roberta": transformers.RobertaConfig(**SHAPE, max_position_embeddings=66, type_vocab_size=1),
    "bert": transformers.BertConfig(**SHAPE, max_position_embeddings=64),
    "distilbert": transformers.DistilBertConfig(
        vocab_size=300, num_labels=3, dim=32, n_layers=3, n_heads=4, hidden_dim=64, max_position_embeddings=64
    ),
    "mpnet": transformers.MPNetConfig(**SHAPE, max_position_embeddings=66),
}


def random_model(kind: str) -> Any:
    torch.manual_seed(3)
    model = transformers.AutoModelForSequenceClassification.from_config(CONFIGS[kind], attn_implementation="eager")
    # New models contain zeros and ones, which would hide mistakes.
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_serving_form_has_the_checkpoints_scores_even_in_padded_batches(kind: str) -> None:
    model = random_model(kind)
    lengths = torch.tensor([40, 1, 17, 39])
    mask = (torch.arange(40) < lengths[:, None]).long()
    ids = torch.where(mask == 1, torch.randint(5, 300, (4, 40)), model.config.pad_token_id)
    with torch.inference_mode():
        expected = model(input_ids=ids, attention_mask=mask).logits
        served = copy.deepcopy(model)
        to_serving_form(served)
        found = served(input_ids=ids, attention_mask=mask).logits
        alone = served(input_ids=ids[2:3, :17], attention_mask=mask[2:3, :17]).logits
    assert expected.std() > 0.1, "comparing equal logits proves nothing"
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(alone, expected[2:3], rtol=0, atol=1e-5)


def test_the_last_layer_is_computed_only_for_the_first_token() -> None:
    model = random_model("roberta")
    to_serving_form(model)
    rows: dict[str, int] = {}
    for name, module in model.base_model.encoder.layers[-1].named_modules():
        module.register_forward_hook(
            lambda _, __, output, name=name: rows.update({name: output.shape[1]}) if name else None
        )
    with torch.inference_mode():
        model(input_ids=torch.randint(5, 300, (1, 20)))
    assert {name for name, count in rows.items() if count == 20} == {"key", "value"}
    assert {rows[name] for name in ("query", "attended", "widen", "narrow", "norm")} == {1}


@pytest.mark.parametrize("kind", CONFIGS)
def test_channels_with_large_inputs_are_scaled_down_and_the_scores_stay_the_same(kind: str) -> None:
    model = random_model(kind)
    ids = torch.randint(5, 300, (4, 20))
    to_serving_form(model)
    layers = getattr(model.base_model, FAMILIES[kind][0]).layers
    for layer in layers:
        layer.attended_norm.weight.data[7] = 8
        layer.norm.bias.data[9] = 8
    largest: list[float] = []
    for layer in layers:
        for reader in (layer.key, layer.widen):
            reader.register_forward_pre_hook(lambda _, inputs: largest.append(inputs[0].detach().abs().max().item()))
    with torch.no_grad():
        expected = model(input_ids=ids).logits
        before = max(largest)
        channels = smooth(model, lambda: model(input_ids=ids))
        largest.clear()
        found = model(input_ids=ids).logits
    # two per layer, but one in the first, whose input comes from the embeddings
    assert channels >= 2 * len(layers) - 1
    assert max(largest) < before / 2
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert smooth(model, lambda: model(input_ids=ids)) == 0, "a second call found channels to scale"


def test_inputs_that_are_mostly_zero_are_not_scaled() -> None:
    model = random_model("roberta")
    to_serving_form(model)
    for layer in model.base_model.encoder.layers:
        for parameter in layer.attended_norm.parameters():
            parameter.data[:20] = 0
    ids = torch.randint(5, 300, (4, 20))
    smooth(model, lambda: model(input_ids=ids))
    assert all(layer.widen_scale is None for layer in model.base_model.encoder.layers)
    assert model(input_ids=ids).logits.isfinite().all()


def test_relative_positions_are_refused() -> None:
    config = transformers.BertConfig(**SHAPE, position_embedding_type="relative_key")
    model = transformers.BertForSequenceClassification(config)
    with pytest.raises(ModelBuildError, match="relative positions"):
        to_serving_form(model)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "mpnet"])
def test_other_architectures_are_built_and_served(kind: str, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    word_pieces = BertWordPieceTokenizer()
    # MPNet's special tokens have RoBERTa's names and ids.
    special = {"special_tokens": MPNET_SPECIAL} if kind == "mpnet" else {}
    word_pieces.train_from_iterator(REFERENCE_TEXTS, vocab_size=300, min_frequency=1, show_progress=False, **special)
    word_pieces.save_model(str(tmp_path))
    family = transformers.MPNetTokenizerFast if kind == "mpnet" else transformers.BertTokenizerFast
    tokenizer = family(vocab_file=str(tmp_path / "vocab.txt"))
    tokenizer.save_pretrained(checkpoint)
    config = copy.deepcopy(CONFIGS[kind])
    config.num_labels = 2
    config.update(LABELS)
    torch.manual_seed(1)
    model = transformers.AutoModelForSequenceClassification.from_config(config)
    memorize(model, [tokenizer(text)["input_ids"] for text in REFERENCE_TEXTS])
    model.save_pretrained(checkpoint)

    build(str(checkpoint), tmp_path / "model")

    classifier = Classifier(tmp_path / "model", threads=1)
    scores = {text: classifier.toxicity(text) for text in REFERENCE_TEXTS}
    assert max(scores.values()) - min(scores.values()) > 0.1, scores
    kinds = {node.op_type for node in onnx.load(tmp_path / "model" / "model.onnx").graph.node}
    assert {"DynamicQuantizeMatMul", "MultiHeadAttention", "Gelu"} <= kinds
