"""Fixtures: data that a tiny model learns in seconds, and this model with random weights (two layers, 32 wide)."""

import lzma
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    BertTokenizerFast,
    MPNetConfig,
    MPNetForSequenceClassification,
    MPNetTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from model_build.train.cli import FinetuneOptions
from model_build.train.pretrain import train_tokenizer
from tests.model_build.conftest import BERT_SHAPE, LABELS, MPNET_SPECIAL, ROBERTA_SHAPE, write_rows

RUDE = ["idiot", "stupid", "moron", "loser"]
KIND = ["thanks", "nice", "merge", "build"]
FILLING = ["the", "a", "is", "this", "that", "of", "in", "code", "test", "release", "today", "please", "you", "we"]
# The last two are the Unicode name of ☺.
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES += ["the", "code", "is", "nice", "un", "##nice", "##s", "smiling", "face"]
BRIEFLY: dict[str, Any] = {
    "max_steps": 6,
    "per_device_train_batch_size": 16,
    "learning_rate": 2e-3,
    "max_length": 32,
    "use_cpu": True,
}

WORDS = "roberta.embeddings.word_embeddings.weight"

MakeOptions = Callable[..., FinetuneOptions]


def sentences(number: int, seed: int) -> list[tuple[str, int]]:
    """Return texts. Half of them are toxic because of one word."""
    chance = random.Random(seed)  # noqa: S311 - toy data, not a secret
    made = []
    for place in range(number):
        text = [chance.choice(FILLING) for _ in range(chance.randint(2, 9))]
        text.insert(chance.randrange(len(text)), chance.choice(RUDE if place % 2 else KIND))
        made.append((" ".join(text), place % 2))
    return made


@pytest.fixture(scope="session")
def messages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 training rows and 40 dev rows from two sources."""
    rows = [
        {"text": text, "label": label, "source": "ab"[place // 2 % 2], "split": "dev" if place >= 160 else "train"}
        for place, (text, label) in enumerate(sentences(200, seed=1))
    ]
    return write_rows(tmp_path_factory.mktemp("data") / "messages.jsonl", *rows)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier with random weights, without dropout, so that the division into batches does not matter."""
    folder = tmp_path_factory.mktemp("base")
    tokenizer = train_tokenizer((text for text, _ in sentences(400, seed=2)), 320)
    torch.manual_seed(1)
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = RobertaConfig(vocab_size=len(tokenizer), **ROBERTA_SHAPE, **no_dropout)
    RobertaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(base: Path) -> Any:
    return AutoTokenizer.from_pretrained(base)


def write_vocabulary(folder: Path, tokens: list[str]) -> str:
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    return str(folder / "vocab.txt")


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with random weights and a vocabulary of these pieces."""
    folder = tmp_path_factory.mktemp("bert")
    BertTokenizerFast(write_vocabulary(folder, PIECES)).save_pretrained(folder)
    torch.manual_seed(3)
    BertModel(BertConfig(vocab_size=len(PIECES), **BERT_SHAPE, max_position_embeddings=40)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def mpnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier with random weights and relative attention positions."""
    folder = tmp_path_factory.mktemp("mpnet")
    words = [*sorted({*FILLING, *RUDE, *KIND}), *(f"word{number}" for number in range(100))]
    MPNetTokenizerFast(write_vocabulary(folder, [*MPNET_SPECIAL, *words])).save_pretrained(folder)
    torch.manual_seed(3)
    shape = BERT_SHAPE | {"num_hidden_layers": 3, "max_position_embeddings": 66}
    model = MPNetForSequenceClassification(MPNetConfig(vocab_size=5 + len(words), **shape, **LABELS))
    for name, parameter in model.named_parameters():  # as large as in trained models
        torch.nn.init.normal_(parameter, mean=float(name.endswith("LayerNorm.weight")), std=0.15)
    torch.nn.init.normal_(model.mpnet.encoder.relative_attention_bias.weight, std=2.0)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def text_files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A pattern for two compressed files of 120 lines each."""
    folder = tmp_path_factory.mktemp("corpus")
    for part in (1, 2):
        lines = "".join(text + "\n" for text, _ in sentences(120, seed=part))
        (folder / f"part.{part}.txt.xz").write_bytes(lzma.compress(lines.encode()))
    return [str(folder / "part.*.xz")]


@pytest.fixture
def finetune_options(messages: Path, base: Path, tmp_path: Path) -> MakeOptions:
    """Return a function that returns options for a few steps on the CPU into a new folder, with given changes."""
    given = BRIEFLY | {"out": tmp_path / "out", "data": [messages], "base": str(base)}
    return lambda **other: FinetuneOptions(**given | other)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a checkpoint by name."""
    return load_file(folder / "model.safetensors")  # type: ignore[no-any-return]


def equal(first: Path, second: Path) -> bool:
    """Return whether two checkpoints have bit-identical weights."""
    return not any(differences(first, second).values())


def differences(first: Path, second: Path) -> dict[str, float]:
    """Return the largest difference of each weight between two checkpoints."""
    ours, theirs = weights(first), weights(second)
    assert ours.keys() == theirs.keys()
    return {name: float((ours[name] - theirs[name]).abs().max()) for name in ours}
