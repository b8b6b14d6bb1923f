"""A BERT that reads another tokenizer's tokens: where both spell a text in whole words, it computes the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from transformers import AutoTokenizer, BertModel

from model_build.errors import ModelBuildError
from model_build.train.vocabulary import spelling, transfer

if TYPE_CHECKING:
    from pathlib import Path

LABELS = ("NOT_TOXIC", "TOXIC")


def test_whole_words_give_the_same_vectors(bert: Path, base: Path) -> None:
    theirs = BertModel.from_pretrained(bert).eval()
    tokenizer = AutoTokenizer.from_pretrained(base)
    ours = transfer(bert, tokenizer, LABELS).eval()
    # A space first: a word that begins a text may be the inside of another.
    before = AutoTokenizer.from_pretrained(bert)("the code is", return_tensors="pt")
    after = tokenizer(" the code is", return_tensors="pt")
    assert before["input_ids"].shape == after["input_ids"].shape == (1, 5)
    with torch.inference_mode():
        expected = theirs(**before).last_hidden_state
        found = ours.roberta(**after).last_hidden_state
    assert torch.allclose(found, expected, atol=1e-5)
    assert ours.config.id2label == {0: "NOT_TOXIC", 1: "TOXIC"}
    assert ours.config.max_position_embeddings == 42


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" nice", ["nice"]),
        (" NICE", ["nice"]),
        ("nice", ["##nice", "nice"]),
        (" unnice", ["un", "##nice"]),
        ("s", ["##s"]),
        (" ", []),
        ("\ufffd", []),
        ("☺", ["smiling", "face"]),  # by its name in Unicode
    ],
)
def test_what_spells_a_token(bert: Path, text: str, expected: list[str]) -> None:
    pieces = AutoTokenizer.from_pretrained(bert)
    assert pieces.convert_ids_to_tokens(spelling(text, pieces, pieces.get_vocab())) == expected


def test_another_architecture(base: Path) -> None:
    with pytest.raises(ModelBuildError, match="holds no BERT with absolute positions"):
        transfer(base, AutoTokenizer.from_pretrained(base), LABELS)
