"""A tiny RoBERTa checkpoint that is trained for a second, and the model directory that is built from it once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import ByteLevelBPETokenizer

from model_build.build import build
from model_build.manifest import REFERENCE_TEXTS

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
LAYERS = 2


@dataclass(frozen=True)
class Built:
    """The checkpoint, the folder with the result of each step, and the model directory."""

    checkpoint: Path
    work: Path
    model: Path
    layers: int = LAYERS


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        REFERENCE_TEXTS, vocab_size=400, min_frequency=1, special_tokens=SPECIAL, show_progress=False
    )
    tokenizer.save_model(str(folder))  # vocab.json and merges.txt, as older hub repositories have them
    config = transformers.RobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=66,  # 64 tokens: RoBERTa counts from 2
        type_vocab_size=1,
        id2label={0: "NOT_TOXIC", 1: "TOXIC"},
        label2id={"NOT_TOXIC": 0, "TOXIC": 1},
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    torch.manual_seed(1)
    module = transformers.RobertaForSequenceClassification(config)
    _memorize(module, [[0, *tokenizer.encode(text).ids, 2] for text in REFERENCE_TEXTS])
    module.save_pretrained(folder)
    return folder


@pytest.fixture
def memorize() -> Callable[[Any, list[list[int]]], None]:
    """Train a classifier of two labels on token ids, special ones included."""
    return _memorize


def _memorize(module: Any, texts: list[list[int]]) -> None:
    """Train until the scores differ from text to text: equal ones would agree with anything."""
    optimizer = torch.optim.AdamW(module.parameters(), lr=2e-3)
    for _ in range(20):
        for number, ids in enumerate(texts):
            inputs = torch.tensor([ids])
            module(inputs, labels=torch.tensor([number % 2])).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.fixture(scope="session")
def built(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    work = folder / "work"
    model = build(str(checkpoint), folder / "model", name="tiny", licence="MIT", threshold=0.6, work=work)
    return Built(checkpoint, work, model)
