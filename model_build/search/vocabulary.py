"""A checkpoint comes in, one of its shape with RoBERTa's vocabulary of 50,265 comes out; its weights are random.

For its bytes: most public checkpoints of this kind have that vocabulary, and the word vectors are their largest matrix.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import torch
import transformers

from model_build.errors import ModelBuildError

if TYPE_CHECKING:
    from pathlib import Path

WORDS = 50_265
SEED = 20260401  # any will do: two runs build the same weights
SPREAD = 0.05  # wider than the 0.02 that training starts from, with which every text would score alike


def write_roberta_vocabulary(source: Path, folder: Path) -> None:
    """Write the checkpoint; raises ModelBuildError if the source has no byte-level BPE tokenizer to enlarge."""
    config = transformers.AutoConfig.from_pretrained(source)
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    content: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    if content["model"]["type"] != "BPE":
        raise ModelBuildError(
            f"{source} has no BPE tokenizer, which roberta_vocabulary enlarges: leave it out by --only"
        )
    _enlarge(content["model"], len(tokenizer))
    config.vocab_size, config.initializer_range = max(WORDS, config.vocab_size), SPREAD
    torch.manual_seed(SEED)
    transformers.AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _enlarge(model: dict[str, Any], following: int) -> None:
    """Join tokens to new ones, in the order of their ids; the file then has the bytes of a tokenizer of that size."""
    vocabulary: dict[str, int] = model["vocab"]
    pieces = [piece for piece, _ in sorted(vocabulary.items(), key=lambda item: item[1]) if not piece.startswith("<")]
    # The youngest first: pairs of long tokens hardly ever stand side by side, so texts are cut as they were.
    for first, second in itertools.product(reversed(pieces), pieces):
        if following >= WORDS:
            break
        if (joined := first + second) not in vocabulary:
            vocabulary[joined] = following
            model["merges"].append([first, second])
            following += 1
