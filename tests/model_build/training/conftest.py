"""Little data that a tiny model can learn in seconds, and that model at random: two layers, 32 wide."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast, RobertaConfig, RobertaForSequenceClassification

from model_build.train import words
from model_build.train.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RUDE = ["idiot", "stupid", "moron", "loser"]
KIND = ["thanks", "nice", "merge", "build"]
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "code", "is", "nice", "un", "##nice", "##s"]
SMILING = ["smiling", "face"]  # what Unicode calls ☺
FILLING = ["the", "a", "is", "this", "that", "of", "in", "code", "test", "release", "today", "please", "you", "we"]


def _sentences(number: int, seed: int) -> list[tuple[str, int]]:
    """Return texts that one word makes toxic or not, half of each."""
    chance = random.Random(seed)  # noqa: S311 - toy data, not a secret
    made = []
    for place in range(number):
        text = [chance.choice(FILLING) for _ in range(chance.randint(2, 9))]
        text.insert(chance.randrange(len(text)), chance.choice(RUDE if place % 2 else KIND))
        made.append((" ".join(text), place % 2))
    return made


@pytest.fixture(scope="session")
def sentences() -> Callable[..., list[tuple[str, int]]]:
    """Make so many texts, the same for a seed."""
    return _sentences


@pytest.fixture(scope="session")
def messages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 rows of train and 40 of dev, from two sources."""
    rows = [
        {"text": text, "label": label, "source": "ab"[place // 2 % 2], "split": "dev" if place >= 160 else "train"}
        for place, (text, label) in enumerate(_sentences(200, seed=1))
    ]
    path = tmp_path_factory.mktemp("data") / "messages.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier with random weights, without dropout: what it learns is the same however batches are divided."""
    folder = tmp_path_factory.mktemp("base")
    tokenizer = words.train((text for text, _ in _sentences(400, seed=2)), 320)
    torch.manual_seed(1)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=66,
        type_vocab_size=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    RobertaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A BERT at random, with a vocabulary of these pieces."""
    folder = tmp_path / "bert"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join([*PIECES, *SMILING]) + "\n")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(PIECES) + len(SMILING),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=40,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def a_run(tmp_path: Path) -> Callable[..., Run]:
    """Return a run of a few steps on the CPU into a new folder, with other options where they are given."""

    def made(**other: Any) -> Run:
        options: dict[str, Any] = {
            "out": tmp_path / "out",
            "steps": 6,
            "batch": 16,
            "rate": 2e-3,
            "max_length": 32,
            "cpu": True,
        }
        return Run(**options | other)

    return made
