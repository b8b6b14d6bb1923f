"""Fixtures: a tiny RoBERTa checkpoint, trained for a second, and the model directory built from it once."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import RobertaConfig, RobertaForSequenceClassification
from typer.testing import CliRunner, Result

from model_build.__main__ import app
from model_build.build import build
from model_build.manifest import REFERENCE_TEXTS
from toxicity_bot.errors import BotError

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
MPNET_SPECIAL = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
LABELS = {"id2label": {0: "NOT_TOXIC", 1: "TOXIC"}, "label2id": {"NOT_TOXIC": 0, "TOXIC": 1}}
BERT_SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
# 64 tokens: RoBERTa and MPNet count positions from 2.
ROBERTA_SHAPE = BERT_SHAPE | {"max_position_embeddings": 66, "type_vocab_size": 1}


@dataclass(frozen=True)
class Built:
    """The checkpoint, the folder with each step's result, and the model directory."""

    checkpoint: Path
    work: Path
    model: Path
    layers: int = BERT_SHAPE["num_hidden_layers"]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        REFERENCE_TEXTS, vocab_size=400, min_frequency=1, special_tokens=SPECIAL, show_progress=False
    )
    tokenizer.save_model(str(folder))  # vocab.json and merges.txt, as in older hub repositories
    torch.manual_seed(1)
    config = RobertaConfig(vocab_size=tokenizer.get_vocab_size(), **ROBERTA_SHAPE, **LABELS)
    module = RobertaForSequenceClassification(config)
    memorize(module, [[0, *tokenizer.encode(text).ids, 2] for text in REFERENCE_TEXTS])
    module.save_pretrained(folder)
    return folder


def memorize(module: Any, texts: list[list[int]]) -> None:
    """Train a two-label classifier on token ids until its scores differ. Comparing equal scores proves nothing."""
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


def run_command(*arguments: object) -> Result:
    """Run `python -m model_build` with these arguments. Raises the original error instead of printing it."""
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, BotError):
        raise result.exception
    return result


def read_json(file: Path) -> dict[str, Any]:
    """Return the JSON object in a file."""
    fields: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return fields


def edit_json(file: Path, **entries: Any) -> None:
    """Change or add entries of the JSON object in a file, which is created if needed."""
    fields = read_json(file) if file.is_file() else {}
    file.write_text(json.dumps(fields | entries), encoding="utf-8")


def write_rows(file: Path, *rows: dict[str, Any]) -> Path:
    """Write rows as JSON lines and return the file."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file
