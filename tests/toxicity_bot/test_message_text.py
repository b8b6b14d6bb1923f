from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from toxicity_bot.message_text import escape, fold, from_message, has_words, plain

Element = dict[str, Any]


def text(words: str, **style: bool) -> Element:
    return {"type": "text", "text": words} | ({"style": style} if style else {})


def rich_text(*elements: Element) -> list[dict[str, Any]]:
    """What Slack makes of a line that a person typed."""
    return [{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": list(elements)}]}]


def plain_text(words: str) -> Element:
    return {"type": "plain_text", "text": words}


def section(words: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": words}}


def button(words: str) -> Element:
    return {"type": "button", "text": plain_text(words)}


@pytest.mark.parametrize(
    ("words", "more", "read"),
    [
        ("You are late.", {}, "You are late."),
        ("", {"blocks": [section("You are *late*.")]}, "You are late."),
        # What Slack sends for every message that a person types.
        ("You are *late* &amp; rude", {"blocks": rich_text(text("You are late & rude"))}, "You are late & rude"),
        ("Thanks <@U0ADA> for *this* :tada:",
         {"blocks": rich_text(text("Thanks "), {"type": "user", "user_id": "U0ADA"}, text(" for "),
                              text("this", bold=True), {"type": "emoji", "name": "tada"})},
         "Thanks @user for this :tada:"),
        ("Weekly report", {"blocks": [section("Weekly report: all is well.")]}, "Weekly report: all is well."),
        # Harmless words hide no others.
        ("Weekly report", {"blocks": [section("You are an idiot.")]}, "Weekly report\nYou are an idiot."),
        ("You are an idiot.", {"blocks": [section("Weekly report")]}, "You are an idiot.\nWeekly report"),
        ("You ass", {"attachments": [{"text": "Thank you, assistants."}]}, "You ass\nThank you, assistants."),
        # The preview of a linked page is not the message's own.
        ("<https://example.com/a>",
         {"attachments": [{"from_url": "https://example.com/a", "title": "a page's title", "text": "its words"}]},
         "https://example.com/a"),
    ],
)  # fmt: skip
def test_words_in_several_parts_of_a_message_are_read_once(words: str, more: dict[str, Any], read: str) -> None:
    assert from_message({"text": words} | more) == read


@pytest.mark.parametrize(
    ("element", "read"),
    [
        (text("words"), "words"),
        (text("words", bold=True, strike=True), "words"),
        (text("*no* <format>&amp;"), "*no* <format>&amp;"),  # rich text is not escaped, and holds no mrkdwn
        ({"type": "link", "url": "https://example.com", "text": "a label"}, "a label"),
        ({"type": "link", "url": "https://example.com"}, "https://example.com"),
        *(({"type": kind}, "@user") for kind in ("user", "usergroup", "broadcast")),
        ({"type": "channel", "channel_id": "C0GENERAL"}, "#channel"),
        ({"type": "emoji", "name": "tada"}, ":tada:"),
        ({"type": "date", "timestamp": 1731000000, "format": "{date}", "fallback": "7 November"}, "7 November"),
        *(({"type": kind, "value": "#F405B3"}, "") for kind in ("color", "an element of tomorrow")),
    ],
)
def test_every_element_of_rich_text_is_read(element: Element, read: str) -> None:
    assert from_message({"text": "", "blocks": rich_text(text("so: "), element)}) == f"so: {read}".strip()


@pytest.mark.parametrize(
    ("block", "read"),
    [
        *(({"type": "rich_text", "elements": [{"type": f"rich_text_{kind}", "elements": [text("first")]}] * 2},
           "first first") for kind in ("section", "quote", "preformatted")),
        ({"type": "rich_text", "elements": [{"type": "rich_text_list", "elements": [
            {"type": "rich_text_section", "elements": [text(words)]} for words in ("one", "two")]}]}, "one two"),
        (section("mrkdwn with <https://example.com|a link>"), "mrkdwn with a link"),
        ({"type": "section", "text": plain_text("plain *stays*")}, "plain *stays*"),
        ({"type": "section", "fields": [{"type": "mrkdwn", "text": "left"}, plain_text("right")]}, "left right"),
        (section("left") | {"accessory": button("press")}, "left press"),
        ({"type": "header", "text": plain_text("a header")}, "a header"),
        ({"type": "context", "elements": [{"type": "mrkdwn", "text": "small print"}]}, "small print"),
        ({"type": "markdown", "text": "**strong** words"}, "strong words"),
        ({"type": "image", "image_url": "https://example.com/x.png", "alt_text": "a picture of you",
          "title": plain_text("its title")}, "a picture of you its title"),
        ({"type": "video", "title": plain_text("a film"), "description": plain_text("what it tells"),
          "alt_text": "in short"}, "in short a film what it tells"),
        ({"type": "actions", "elements": [button("press")]}, "press"),
        ({"type": "input", "label": plain_text("a label"),
          "element": {"type": "plain_text_input", "placeholder": plain_text("type here")}}, "a label type here"),
        ({"type": "table", "rows": [[{"type": "raw_text", "text": "a cell"},
                                     {"type": "rich_text", "elements": rich_text(text("another"))[0]["elements"]}]]},
         "a cell another"),
        ({"type": "divider"}, ""),
        ({"type": "a block of tomorrow", "elements": [{"text": {"type": "mrkdwn", "text": "still read"}}]},
         "still read"),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)  # fmt: skip
def test_every_kind_of_block_is_read(block: dict[str, Any], read: str) -> None:
    assert from_message({"blocks": [block]}).split() == read.split()


@pytest.mark.failure(36)
@pytest.mark.parametrize(
    ("attachment", "read"),
    [
        ({"pretext": "before", "author_name": "ada", "title": "what", "text": "words", "footer": "after"},
         "before ada what words after"),
        ({"fields": [{"title": "state", "value": "broken &amp; late"}]}, "state broken & late"),
        ({"blocks": [section("in a block")]}, "in a block"),
        ({"text": "words", "fallback": "for old clients"}, "words"),
        ({"fallback": "for old clients"}, "for old clients"),
        ({"is_share": True, "author_name": "ada", "text": "what she said",
          "message_blocks": [{"team": "T0", "channel": "C0", "message": {"blocks": rich_text(text("in full"))}}]},
         "ada what she said in full"),
        ({"is_share": True, "author_name": "ada", "text": "said once",
          "message_blocks": [{"message": {"blocks": rich_text(text("said once"))}}]}, "ada said once"),
        ({"fields": ["odd", {"title": "even"}], "message_blocks": [None, {"message": None}]}, "even"),
    ],
)  # fmt: skip
def test_attachments_and_shared_messages_are_read(attachment: dict[str, Any], read: str) -> None:
    assert from_message({"text": "look:", "attachments": [attachment]}).split() == ["look:", *read.split()]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.sampled_from(["type", "text", "elements", "fields"]), values),
    max_leaves=8,
)


@given(blocks=JSON, words=st.text())
def test_no_blocks_raise(blocks: Any, words: str) -> None:
    assert isinstance(from_message({"text": words, "blocks": blocks}), str)


@pytest.mark.failure(38)
@pytest.mark.parametrize(
    ("mrkdwn", "read"),
    [
        ("<@U0ADA> <@U0ADA|ada>", "@user @user"),
        ("<#C0GENERAL> <#C0GENERAL|general>", "#channel #channel"),
        ("<!here> <!channel|channel> <!subteam^S0TEAM|@team>", "@user @user @user"),
        ("<!date^1731000000^{date}|7 November>", "7 November"),
        ("<https://example.com>", "https://example.com"),
        ("<https://example.com|you &amp; me>", "you & me"),
        ("<mailto:ada@example.com|ada@example.com> <mailto:ada@example.com>", "ada@example.com ada@example.com"),
        ("*bold* _italic_ ~gone~ `code` ```block```", "bold italic gone code block"),
        ("snake_case_name 2*3*4 a~b", "snake_case_name 2*3*4 a~b"),
        ("1 &lt; 2 &gt; 0 &amp; more", "1 < 2 > 0 & more"),
        ("&amp;lt; is written &amp;amp;lt;", "&lt; is written &amp;lt;"),
        ("&lt;@U0ADA&gt;", "<@U0ADA>"),  # typed by a person: no mention
        ("&quot; &#39;", "&quot; &#39;"),  # Slack escapes three characters and no others
    ],
)
def test_mrkdwn_is_resolved_and_its_escapes_decoded_once(mrkdwn: str, read: str) -> None:
    assert plain(mrkdwn) == read


@given(st.text())
def test_escaped_text_decodes_to_itself_and_has_no_angle_brackets(words: str) -> None:
    escaped = escape(words)
    assert not set("<>") & set(escaped)
    assert escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == words


@pytest.mark.failure(41)
@pytest.mark.parametrize(
    ("written", "folded"),
    [
        ("\u0443\u043eu \u0430r\u0435 \u0430n \u0456diot", "you are an idiot"),
        ("id\u200bi\u200do\u2060t", "idiot"),
        ("\uff49\uff44\uff49\uff4f\uff54", "idiot"),
        ("\U0001d422\U0001d41d\U0001d422\U0001d428\U0001d42d", "idiot"),
        ("i\u0335d\u0336i\u0337o\u0338t\u0489", "idiot"),
        ("caf\u00e9 na\u00efve", "caf\u00e9 na\u00efve"),
        ("ab\u0393", "ab\u0393"),  # a Greek letter that looks like no Latin one
        ("cafe\u0301", "caf\u00e9"),
        ("\u0422\u044b \u0438\u0434\u0438\u043e\u0442", "\u0422\u044b \u0438\u0434\u0438\u043e\u0442"),
        ("Tom &amp; Ada &#39;here&#39;", "Tom & Ada 'here'"),
        ("see https://example.com/a?b=c now and www.example.com", "see http now and http"),
        ("thanks @ada.l and @grace", "thanks @user and @user"),
        ("mail ada@example.com", "mail ada@example.com"),
        ("  many \n\t spaces\u00a0here ", "many spaces here"),
    ],
)
def test_text_is_folded_to_the_letters_that_a_reader_sees(written: str, folded: str) -> None:
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
     "\U0001f595\U0001f92c", "a\U0001f525", ":b:"],
)  # fmt: skip
def test_no_malicious_text_is_slow(piece: str) -> None:
    words = "&" + piece * (40_000 // len(piece))  # the most that Slack lets anybody post
    started = time.process_time()
    fold(plain(words))
    assert time.process_time() - started < 5, "the time grows with the square of the length"


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
