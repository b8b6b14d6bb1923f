"""Data that a tiny model learns in seconds, and that model with random weights: two layers, 32 wide."""

import json
import lzma
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
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
from typer.testing import CliRunner, Result

from model_build.train.cli import FinetuneOptions, align, convert, distill, finetune, pretrain
from model_build.train.pretrain import train_tokenizer

RUDE = ["idiot", "stupid", "moron", "loser"]
KIND = ["thanks", "nice", "merge", "build"]
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "code", "is", "nice", "un", "##nice", "##s"]
SMILING = ["smiling", "face"]  # the Unicode name of ☺
BRIEFLY: dict[str, Any] = {
    "max_steps": 6,
    "per_device_train_batch_size": 16,
    "learning_rate": 2e-3,
    "max_length": 32,
    "use_cpu": True,
}
FILLING = ["the", "a", "is", "this", "that", "of", "in", "code", "test", "release", "today", "please", "you", "we"]


def sentences(number: int, seed: int) -> list[tuple[str, int]]:
    """Return texts, half of which one word makes toxic."""
    chance = random.Random(seed)  # noqa: S311 - toy data, not a secret
    made = []
    for place in range(number):
        text = [chance.choice(FILLING) for _ in range(chance.randint(2, 9))]
        text.insert(chance.randrange(len(text)), chance.choice(RUDE if place % 2 else KIND))
        made.append((" ".join(text), place % 2))
    return made


@pytest.fixture(scope="session")
def messages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 rows of train and 40 of dev, from two sources."""
    rows = [
        {"text": text, "label": label, "source": "ab"[place // 2 % 2], "split": "dev" if place >= 160 else "train"}
        for place, (text, label) in enumerate(sentences(200, seed=1))
    ]
    path = tmp_path_factory.mktemp("data") / "messages.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier with random weights; without dropout it learns the same however batches are divided."""
    folder = tmp_path_factory.mktemp("base")
    tokenizer = train_tokenizer((text for text, _ in sentences(400, seed=2)), 320)
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


@pytest.fixture(scope="session")
def tokenizer(base: Path) -> Any:
    return AutoTokenizer.from_pretrained(base)


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A BERT with random weights and a vocabulary of these pieces."""
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


@pytest.fixture(scope="session")
def mpnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier with random weights, whose attention depends on the distance between two tokens."""
    folder = tmp_path_factory.mktemp("mpnet")
    words = [*sorted({*FILLING, *RUDE, *KIND}), *(f"word{number}" for number in range(100))]
    (folder / "vocab.txt").write_text("\n".join(["<s>", "<pad>", "</s>", "[UNK]", "<mask>", *words]) + "\n")
    MPNetTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(3)
    config = MPNetConfig(
        vocab_size=5 + len(words),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=66,
        id2label={0: "NOT_TOXIC", 1: "TOXIC"},
        label2id={"NOT_TOXIC": 0, "TOXIC": 1},
    )
    model = MPNetForSequenceClassification(config)
    for name, parameter in model.named_parameters():  # as large as trained ones
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
def finetune_options(messages: Path, base: Path, tmp_path: Path) -> Callable[..., FinetuneOptions]:
    """Return the options of a few steps on the CPU into a new folder, with other values if they are given."""

    def options(**other: Any) -> FinetuneOptions:
        given = BRIEFLY | {"out": tmp_path / "out", "data": [messages], "base": str(base)}
        return FinetuneOptions(**given | other)

    return options


def run_command(*arguments: object) -> Result:
    """Run one of the commands with its arguments."""
    app = typer.Typer()
    for command in (pretrain, align, finetune, distill, convert):
        app.command()(command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def equal(first: Path, second: Path) -> bool:
    """Whether two checkpoints have the same weights, bit for bit."""
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (first, second))
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
