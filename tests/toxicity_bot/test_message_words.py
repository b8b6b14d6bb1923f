import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial, reduce
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block
from slack_sdk.models.blocks.block_elements import BlockElement

from tests.canaries import AROUND_BLOCKS, AROUND_MESSAGES, BLOCKS, UNREAD, URL, Json, Word
from toxicity_bot.message_words import MAX_CHARACTERS, Words, read

Canary = Callable[..., Json]
INSULT = "You are a stupid idiot."
PERMALINK = "https://local.slack.com/archives/C0GENERAL/p1731000000000100"


def text(words: str, **style: bool) -> Json:
    return {"type": "text", "text": words} | ({"style": style} if style else {})


def rich_text(*elements: Json, kind: str = "section", **more: Any) -> list[Json]:
    """The blocks that Slack creates for a line that a person typed."""
    return [{"type": "rich_text", "elements": [{"type": f"rich_text_{kind}", "elements": list(elements)} | more]}]


def section(words: str) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": words}}


def lines(words: str) -> list[str]:
    """Return the lines that are not empty."""
    return [line for line in words.split("\n") if line]


def models(of: type[Any]) -> Iterator[type[Any]]:
    for model in of.__subclasses__():
        yield model
        yield from models(model)


def test_the_canaries_cover_every_block_and_element_of_slack_sdk() -> None:
    made = re.findall(r'"type": "(\w+)"', json.dumps([make(Word()) for make in BLOCKS]))
    wanted = {getattr(model, "type", None) for model in (*models(Block), *models(BlockElement))}
    assert wanted - {None} <= set(made)


RICH_TEXT, TASK, CARD = (
    next(make for make in BLOCKS if make.args[0]["type"] == kind) for kind in ("rich_text", "task_card", "card")
)
CONTAINER, OF_TOMORROW = AROUND_BLOCKS
_, FORWARD, FORWARD_OF_ATTACHMENTS, SHARE = AROUND_MESSAGES
LEAVES = [*BLOCKS, partial(OF_TOMORROW, BLOCKS=[])]


@pytest.mark.failure(60, 61, 64)
@given(
    leaves=st.lists(st.sampled_from(LEAVES), min_size=1, max_size=2),
    around=st.lists(st.sampled_from(AROUND_BLOCKS), max_size=5),
    forwards=st.lists(st.sampled_from(AROUND_MESSAGES), max_size=5),
)
@example(leaves=LEAVES, around=[], forwards=[])
@example(leaves=[CARD], around=[CONTAINER, OF_TOMORROW] * 2, forwards=[FORWARD] * 5)
@example(leaves=[TASK], around=[CONTAINER] * 5, forwards=[SHARE, FORWARD_OF_ATTACHMENTS] * 2)
def test_all_words_of_a_message_are_read_and_nothing_else(
    leaves: Sequence[Canary], around: Sequence[Canary], forwards: Sequence[Canary]
) -> None:
    word = Word()
    shown = reduce(lambda inner, outer: [outer(word, BLOCKS=inner)], around, [leaf(word) for leaf in leaves])
    attachments: list[Json] = []
    for wrap in forwards:
        attachments, shown = [wrap(word, BLOCKS=shown, ATTACHMENTS=attachments)], [RICH_TEXT(word)]
    words = read({"user": UNREAD, "username": UNREAD, "text": word(), "blocks": shown, "attachments": attachments})
    assert words.whole
    found = "\n".join([words.own, words.quoted, words.code])
    assert set(re.findall(r"canary\d+", found)) == set(word.made)
    assert UNREAD not in found


@pytest.mark.failure(60)
@pytest.mark.parametrize(
    ("block", "own"),
    [
        ({"type": "section", "text": {"type": "plain_text", "text": "plain *stays* [a](b)"}}, "plain *stays* [a](b)"),
        (section("mrkdwn with <https://example.com|a link> [a](b)"), "mrkdwn with a link [a](b)"),
        ({"type": "markdown", "text": "**strong** [words](http://x.example)"}, "strong words"),
        (rich_text(text("st"), text("upid", bold=True), text(" <b>&amp;"))[0], "stupid <b>&amp;"),
        (rich_text({"type": "link", "url": "https://example.com"})[0], "https://example.com"),
        (rich_text({"type": "user", "user_id": "U0"}, text(" "), {"type": "emoji", "name": "tada"})[0], "@user :tada:"),
        (rich_text({"type": "tag", "label": "an element", "value": "no"}, text(" of tomorrow"))[0],
         "an element of tomorrow"),
        ({"type": "rich_text", "elements": [{"type": "rich_text_list", "style": "ordered", "elements": [
            {"type": "rich_text_section", "elements": [text(words)]} for words in ("one", "two")]}]}, "one\ntwo"),
        ({"type": "poll", "status": "idiot", "theme": "You are late."}, "You are late."),
        ({"type": "link", "title": "a block of", "text": "this type"}, "a block of\nthis type"),
        ("a string", "a string"),
        (["in", [["a list"]]], "in\na list"),
        ({"type": "poll", "style": "idiot", "owner_name": "idiot", "question": "why?", "answers": ["a", "b"]},
         "why?\na\nb"),
    ],
    ids=str,
)  # fmt: skip
def test_a_block_is_read_as_people_see_it(block: Any, own: str) -> None:
    assert lines(read({"blocks": [block]}).own) == lines(own)


@pytest.mark.failure(36)
@pytest.mark.parametrize(
    ("words", "more", "own"),
    [
        ("You are late.", {}, "You are late."),
        ("", {"blocks": [section("You are *late*.")]}, "You are late."),
        # Slack sends this for every message that a person types.
        ("You are *late* &amp; rude", {"blocks": rich_text(text("You are late & rude"))}, "You are late & rude"),
        ("1. one\n2. two", {"blocks": [{"type": "rich_text", "elements": [{"type": "rich_text_list", "elements": [
            {"type": "rich_text_section", "elements": [text(words)]} for words in ("one", "two")]}]}]}, "one\ntwo"),
        ("Weekly report", {"blocks": [section("Weekly report: all is well.")]}, "Weekly report: all is well."),
        # Harmless words do not hide other words.
        ("Weekly report", {"blocks": [section("You are an idiot.")]}, "Weekly report\nYou are an idiot."),
        ("You are an idiot.", {"blocks": [section("Weekly report")]}, "You are an idiot.\nWeekly report"),
        ("You ass", {"attachments": [{"text": "Thank you, assistants."}]}, "You ass\nThank you, assistants."),
        ("look:", {"attachments": [{"text": "words", "fallback": "for old clients"}]}, "look:\nwords"),
        ("look:", {"attachments": [{"fallback": "for old clients"}]}, "look:\nfor old clients"),
        ("look:", {"attachments": ["odd", {"fields": [1, {"title": "even"}], "message_blocks": None}]}, "look:\neven"),
        (":tada:", {}, ":tada:"),
        ("You are late.", {"attachments": [{"text": "\U0001f595"}]}, "You are late.\n\U0001f595"),
        ("\U0001f595", {"blocks": rich_text(text("\U0001f595"))}, "\U0001f595"),
    ],
)  # fmt: skip
def test_words_in_several_parts_of_a_message_are_read_once(words: str, more: Json, own: str) -> None:
    assert lines(read({"text": words} | more).own) == lines(own)


def unfurled(**more: Any) -> Json:
    """The attachment that Slack adds for a pasted permalink."""
    return {"from_url": PERMALINK, "is_msg_unfurl": True, "author_name": "Dick Cox", "text": INSULT} | more


@pytest.mark.failure(63)
@pytest.mark.parametrize(
    "message",
    [
        {"text": "HR, look", "attachments": [unfurled()]},
        {"text": "HR, look",
         "attachments": [unfurled(message_blocks=[{"message": {"blocks": rich_text(text(INSULT))}}])]},
        {"text": "HR, look", "attachments": [{"from_url": PERMALINK, "text": INSULT}]},
        {"text": "HR, look", "attachments": [{"is_reply_unfurl": True, "fallback": INSULT}]},
        {"text": "HR, look", "attachments": [{"is_share": True, "message": {"text": INSULT}}]},
        {"text": "HR, look", "attachments": [unfurled(text="", attachments=[{"text": INSULT}])]},
        {"text": f"HR, look\n&gt; {INSULT}"},
        {"text": "HR, look\n&gt;&gt;&gt; You are\na stupid idiot."},
        {"text": f"&gt;*{INSULT}*\nHR, look",
         "blocks": [*rich_text(text(INSULT, bold=True), kind="quote"), *rich_text(text("HR, look"))]},
        {"blocks": [*rich_text(text("HR, look")), *rich_text(
            {"type": "rich_text_section", "elements": [text(INSULT)]}, kind="list", border=1)]},
        {"blocks": rich_text(text(f"HR, look\n> {INSULT}"))},
        {"blocks": [{"type": "markdown", "text": f"HR, look\n\n> {INSULT}"}]},
        {"blocks": [section(f"HR, look\n> {INSULT}")]},
        {"blocks": [*rich_text(text("HR, look"), {"type": "canvas_message_unfurl", "preview": {"text": INSULT}})]},
    ],
)  # fmt: skip
def test_quoted_words_are_not_the_authors(message: Json) -> None:
    words = read(message)
    assert (lines(words.own), " ".join(words.quoted.split())) == (["HR, look"], INSULT)


@pytest.mark.parametrize(
    "message",
    [
        {"text": f"1 > 0. {INSULT}"},
        {"text": f"so: {INSULT} > that"},
        {"text": f"a -&gt; b\n{INSULT}"},
        {"blocks": rich_text(text(f">_< {INSULT}"))},
        {"blocks": rich_text(text(f">>> typed\n{INSULT}"))},
        {"blocks": [{"type": "markdown", "text": f">>> nested\n\n{INSULT}"}]},
        {"blocks": [section(f"``` {INSULT}"), section("```")]},
        {"blocks": [{"type": "section", "text": {"type": "plain_text", "text": f"```{INSULT}```"}}]},
        {"blocks": rich_text(text(f"```{INSULT}```"))},
    ],
)
def test_characters_that_only_resemble_quotes_or_code_hide_nothing(message: Json) -> None:
    assert INSULT in read(message).own


@pytest.mark.failure(61)
@pytest.mark.parametrize("address", ["from_url", "original_url", "app_unfurl_url"])
def test_link_previews_are_not_read(address: str) -> None:
    page = {address: "https://example.com/a", "title": INSULT, "text": INSULT, "blocks": [section(INSULT)]}
    posted = {"text": "<https://example.com/a>", "attachments": [page]}
    assert read(posted) == Words("https://example.com/a", "", "", whole=True)
    shared = unfurled(text="see", message_blocks=[{"message": {"text": "see", "attachments": [page]}}])
    assert read({"attachments": [shared]}) == Words("", "see", "", whole=True)


@pytest.mark.failure(64)
@pytest.mark.parametrize(
    ("subtype", "all_words"),
    [
        *((kind, "") for kind in ("channel_join", "channel_name", "group_archive", "pinned_item", "bot_add")),
        *((kind, INSULT) for kind in ("channel_topic", "me_message", "bot_message", "thread_broadcast", "file_share")),
    ],
)
def test_texts_written_by_slack_are_not_read(subtype: str, all_words: str) -> None:
    assert read({"subtype": subtype, "text": INSULT}).own == all_words


@pytest.mark.failure(66)
@pytest.mark.parametrize(
    "message",
    [
        {"text": "see ```if x: kill(idiot)``` there"},
        {"blocks": [*rich_text(text("see")), *rich_text(text("if x: kill(idiot)"), kind="preformatted"),
                    *rich_text(text("there"))]},
        {"blocks": [{"type": "markdown", "text": "see\n```python\nif x: kill(idiot)\n```\nthere"}]},
        {"blocks": [{"type": "markdown", "text": "see\nthere\n~~~\nif x: kill(idiot)"}]},
    ],
)  # fmt: skip
def test_code_is_separated_from_words(message: Json) -> None:
    words = read(message)
    assert (words.own.split(), words.quoted) == (["see", "there"], "")
    assert "kill(idiot)" in words.code


@pytest.mark.failure(65)
@pytest.mark.parametrize("key", ["child_blocks", "elements", "attachments", "message_blocks", "text"])
@pytest.mark.parametrize("part", ["blocks", "attachments"])
def test_parts_nested_too_deep_are_skipped_and_the_rest_is_read(part: str, key: str) -> None:
    hidden: Json = {"text": "hidden"}
    deep = reduce(lambda block, _: {"type": "container", key: [block]}, range(2000), hidden)
    words = read({"text": INSULT, part: [deep | {"is_share": True}, {"text": "more"}]})
    assert INSULT in words.own
    assert "more" in words.own
    assert not words.whole


@pytest.mark.failure(65)
@pytest.mark.parametrize(
    "message",
    [
        {"blocks": [section("x" * 60_000)] * 50},
        {"blocks": rich_text({"type": "link", "url": URL, "text": "x" * 60_000}) * 50},
        {"blocks": [{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}] * 1000] * 100}]},
        {"attachments": [{"text": f"one {number}"} for number in range(100_000)]},
    ],
    ids=["characters", "links", "cells", "attachments"],
)
def test_a_message_that_is_too_large_is_read_partially(message: Json) -> None:
    words = read({"text": INSULT} | message)
    assert words.own.startswith(INSULT)
    assert len(words.own) <= MAX_CHARACTERS + 50_000
    assert not words.whole


KEYS = st.sampled_from(["type", "text", "elements", "fields", "attachments", "message_blocks", "message", "is_share"])
TYPES = st.sampled_from(["rich_text_quote", "rich_text_section", "rich_text_list", "date", "link", "markdown"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(KEYS, values | TYPES),
    max_leaves=12,
)


@given(shown=JSON, attachments=JSON, words=JSON)
def test_no_message_raises(shown: Any, attachments: Any, words: Any) -> None:
    assert isinstance(read({"text": words, "blocks": shown, "attachments": attachments}), Words)
