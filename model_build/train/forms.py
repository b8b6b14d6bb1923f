"""A base comes in, the same in another form comes out as a checkpoint in a new folder: another vocabulary or width, or
floats again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import set_seed

from model_build.errors import ModelBuildError
from model_build.source import locate
from model_build.train import restore, start, vocabulary, widen

if TYPE_CHECKING:
    from pathlib import Path


def transfer(base: str, revision: str | None, tokenizer: str, seed: int, out: Path) -> None:
    """Write a BERT as a RoBERTa that reads another tokenizer's tokens; its new head is drawn from the seed."""
    _check_new(out)
    words = start.read_tokenizer(tokenizer)
    set_seed(seed)
    _save(vocabulary.transfer(locate(base, revision).folder, words, start.LABELS), words, out)


def restored(model: Path, out: Path) -> None:
    """Write what the bot serves as the checkpoint that it was built from, nearly."""
    _check_new(out)
    _save(*restore.restored(model), out)


def widened(base: str, revision: str | None, seed: int, out: Path) -> None:
    """Write a classifier of twice the width that computes the same; the seed sets twins apart."""
    _check_new(out)
    set_seed(seed)
    begun = start.load(base, revision)
    _save(widen.widened(begun.model, seed), begun.tokenizer, out)


def narrowed(base: str, revision: str | None, out: Path) -> None:
    """Write a classifier of half the width: what `widened` made, unmade."""
    _check_new(out)
    begun = start.load(base, revision)
    _save(widen.narrowed(begun.model), begun.tokenizer, out)


def _check_new(out: Path) -> None:
    """Raises ModelBuildError if something is in the folder: another checkpoint's files would mix with these."""
    if out.is_dir() and any(out.iterdir()):
        raise ModelBuildError(f"{out} is not empty: files of two checkpoints would mix; pass another --out")


def _save(model: Any, tokenizer: Any, out: Path) -> None:
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
