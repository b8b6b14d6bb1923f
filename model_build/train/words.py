"""Texts come in, a tokenizer of RoBERTa's kind, trained on them, comes out: byte-level BPE, so no text is unknown."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from tokenizers import ByteLevelBPETokenizer
from transformers import RobertaTokenizerFast

from toxicity_bot.message_text import fold

if TYPE_CHECKING:
    from collections.abc import Iterable

# In the order of their ids, the first four of which are RoBERTa's own.
SPECIAL_TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
RAREST = 2  # how often a pair of tokens is seen at least before it becomes one
MOST_TOKENS = 512  # of a text, as RoBERTa's models have positions


def train(texts: Iterable[str], size: int) -> RobertaTokenizerFast:
    """Return a tokenizer with at most `size` tokens, fewer where the texts have no more pairs to join."""
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        (fold(text) for text in texts),
        vocab_size=size,
        min_frequency=RAREST,
        special_tokens=SPECIAL_TOKENS,
        show_progress=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        vocabulary, merges = tokenizer.save_model(folder)
        return RobertaTokenizerFast(vocabulary, merges, model_max_length=MOST_TOKENS)
