"""The build's reference texts as the checkpoint's own tokenizer reads them: for calibrating and for comparing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_build.steps import REFERENCE_TEXTS as TEXTS

if TYPE_CHECKING:
    from pathlib import Path


def reference_ids(checkpoint: Path) -> list[list[int]]:
    """Return the token ids of each text, special tokens included."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    return [list(ids) for ids in tokenizer(list(TEXTS))["input_ids"]]
