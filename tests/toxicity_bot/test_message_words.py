from __future__ import annotations

import re
from functools import reduce
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block, block_elements, blocks

from local.slack_server import SlackServer
from tests import canaries
from tests.canaries import UNREAD, URL, Json, Word, as_json
from toxicity_bot.message_words import MOST_CHARACTERS, Words, read
from toxicity_bot.slack_messages import SlackMessages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

GENERAL, ADA = "C0GENERAL", "U0ADA"
INSULT = "You are a stupid idiot."
PERMALINK = "https://local.slack.com/archives/C0GENERAL/p1731000000000100"


def text(words: str, **style: bool) -> Json:
    return {"type": "text", "text": words} | ({"style": style} if style else {})


def rich_text(*elements: Json, kind: str = "section", **more: Any) -> list[Json]:
    """What Slack makes of a line that a person typed."""
    return [{"type": "rich_text", "elements": [{"type": f"rich_text_{kind}", "elements": list(elements)} | more]}]


def section(words: str) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": words}}


def everything(message: Json) -> list[str]:
    """The author's own words, the quoted ones and the code."""
    words = read(message)
    return [words.own, words.quoted, words.code]


def lines(words: str) -> list[str]:
    """The lines that are not empty."""
    return [line for line in words.split("\n") if line]


# All kinds of blocks, elements, attachments and forwards.


def models(of: type[Any]) -> Iterator[type[Any]]:
    for model in of.__subclasses__():
        yield model
        yield from models(model)


def test_the_canaries_are_in_every_block_and_element_of_slack_sdk() -> None:
    made: set[type] = set()

    def note(value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                note(item)
        elif hasattr(value, "to_dict"):
            made.add(type(value))
            note(list(vars(value).values()))

    for make in (*canaries.BLOCKS, *canaries.ELEMENTS, *canaries.INPUTS):
        note(make(Word()))
    abstract = {"InteractiveElement", "InputInteractiveElement", "RichTextElement"}
    # The models of these two keep their parts as JSON.
    as_dictionaries = {blocks.ContainerBlock, block_elements.UrlSourceElement, block_elements.ImageElement}
    wanted = {*models(Block), *models(block_elements.BlockElement)}
    assert {one.__name__ for one in wanted - made - as_dictionaries} <= abstract


def attachment(word: Word, shown: list[Json], inner: list[Json]) -> Json:
    """An app's own attachment, with all the fields that have words."""
    rest: Json = {
        "color": "danger", "author_name": UNREAD, "author_subname": UNREAD, "author_link": URL, "title_link": URL,
        "footer": UNREAD, "footer_icon": URL, "image_url": URL, "ts": "1731000000", "fallback": UNREAD,
        "mrkdwn_in": [UNREAD], "callback_id": UNREAD, "service_name": UNREAD,
        "actions": [{"name": UNREAD, "text": word(), "type": "button", "value": UNREAD, "data_source": UNREAD}],
    }  # fmt: skip
    fields = [{"title": word(), "value": word(), "short": True}]
    words = {"pretext": word(), "title": word(), "text": word(), "fields": fields}
    return rest | words | {"blocks": shown, "attachments": inner}


def forward(word: Word, shown: list[Json], inner: list[Json]) -> Json:
    """A message that somebody forwarded, as Slack stores it."""
    message = {"user": UNREAD, "text": word(), "blocks": shown, "attachments": inner}
    return {
        "is_share": True, "is_msg_unfurl": True, "from_url": PERMALINK, "author_id": UNREAD, "author_name": UNREAD,
        "channel_name": UNREAD, "channel_id": UNREAD, "footer": f"Posted in #{UNREAD}", "fallback": UNREAD,
        "text": word(), "message_blocks": [{"team": UNREAD, "channel": UNREAD, "ts": "1.2", "message": message}],
    }  # fmt: skip


def forward_of_attachments(word: Word, shown: list[Json], inner: list[Json]) -> Json:
    """A forward of a message that has no text of its own."""
    held: Json = {"text": word(), "fallback": UNREAD, "blocks": shown, "attachments": inner}
    return {"is_msg_unfurl": True, "from_url": PERMALINK, "message_blocks": [{"message": {"attachments": [held]}}]}


def shared_text(word: Word, shown: list[Json], inner: list[Json]) -> Json:
    """A share without `message_blocks`."""
    return {"is_share": True, "from_url": PERMALINK, "text": word(), "blocks": shown, "attachments": inner}


LEAVES = [*canaries.BLOCKS, canaries.of_tomorrow]
AROUND_BLOCKS = [canaries.container, canaries.of_tomorrow]
AROUND_MESSAGES = [attachment, forward, forward_of_attachments, shared_text]


@pytest.fixture(scope="module")
def strict_slack() -> Iterator[SlackServer]:
    with SlackServer() as server:
        yield server


@pytest.mark.failure(60, 61)
@given(
    leaves=st.lists(st.sampled_from(LEAVES), min_size=1, max_size=2),
    around=st.lists(st.sampled_from(AROUND_BLOCKS), max_size=5),
    forwards=st.lists(st.sampled_from(AROUND_MESSAGES), max_size=5),
)
@example(leaves=LEAVES, around=[], forwards=[])
@example(leaves=[canaries.card], around=[canaries.container, canaries.of_tomorrow] * 2, forwards=[forward] * 5)
@example(leaves=[canaries.task], around=[canaries.container] * 5, forwards=[shared_text, forward_of_attachments] * 2)
def test_every_word_of_a_message_is_read_and_nothing_else(
    leaves: Sequence[Callable[[Word], Any]],
    around: Sequence[Callable[..., Json]],
    forwards: Sequence[Callable[..., Json]],
    strict_slack: SlackServer,
) -> None:
    word = Word()
    shown = reduce(lambda inner, outer: [outer(word, *inner)], around, [as_json(leaf(word)) for leaf in leaves])
    attachments: list[Json] = []
    for wrap in forwards:
        attachments, shown = [wrap(word, shown, attachments)], [as_json(canaries.rich_text(word))]
    workspace = strict_slack.workspace
    posted = workspace.post(GENERAL, ADA, word(), blocks=shown, attachments=attachments)
    words = read(SlackMessages(strict_slack.url, lambda: workspace.token).fetch(GENERAL, posted["ts"]).raw)
    workspace.delete(GENERAL, posted["ts"])  # the local Slack copies all messages of a channel for each call
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
        # What Slack sends for every message that a person types.
        ("You are *late* &amp; rude", {"blocks": rich_text(text("You are late & rude"))}, "You are late & rude"),
        ("1. one\n2. two", {"blocks": [{"type": "rich_text", "elements": [{"type": "rich_text_list", "elements": [
            {"type": "rich_text_section", "elements": [text(words)]} for words in ("one", "two")]}]}]}, "one\ntwo"),
        ("Weekly report", {"blocks": [section("Weekly report: all is well.")]}, "Weekly report: all is well."),
        # Harmless words hide no others.
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


# Whose words.


def unfurled(**more: Any) -> Json:
    """The attachment of a permalink that somebody pasted."""
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
    ],
)
def test_a_greater_than_sign_makes_a_quote_only_where_slack_or_people_mean_one(message: Json) -> None:
    assert INSULT in read(message).own


@pytest.mark.failure(61)
@pytest.mark.parametrize("address", ["from_url", "original_url", "app_unfurl_url"])
def test_the_preview_of_a_page_is_not_read(address: str) -> None:
    page = {address: "https://example.com/a", "title": INSULT, "text": INSULT, "blocks": [section(INSULT)]}
    assert everything({"text": "<https://example.com/a>", "attachments": [page]}) == [
        "https://example.com/a",
        "",
        "",
    ]
    shared = unfurled(text="see", message_blocks=[{"message": {"text": "see", "attachments": [page]}}])
    assert everything({"attachments": [shared]}) == ["", "see", ""]


@pytest.mark.failure(64)
def test_names_and_footers_are_not_read() -> None:
    names = {"author_name": "Dick Cox", "author_subname": "Dick", "footer": "Posted in #kill-idiots"}
    names |= {"channel_name": "kill-idiots", "service_name": "Kill", "fallback": "[May 1st] Dick Cox: words"}
    for kind in ({"is_share": True}, {}):
        assert "".join(everything({"username": "Dick", "attachments": [names | kind | {"text": "words"}]})) == "words"


@pytest.mark.failure(64)
@pytest.mark.parametrize(
    ("subtype", "all_words"),
    [
        *((kind, "") for kind in ("channel_join", "channel_name", "group_archive", "pinned_item", "bot_add")),
        *((kind, INSULT) for kind in ("channel_topic", "me_message", "bot_message", "thread_broadcast", "file_share")),
    ],
)
def test_what_slack_itself_writes_is_not_read(subtype: str, all_words: str) -> None:
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
def test_code_is_apart_from_words(message: Json) -> None:
    words = read(message)
    assert (words.own.split(), words.quoted) == (["see", "there"], "")
    assert "kill(idiot)" in words.code


def test_signs_of_code_that_make_no_code_block_hide_nothing() -> None:
    fenced = f"```{INSULT}```"
    in_plain_text = {"type": "section", "text": {"type": "plain_text", "text": fenced}}
    for shown in ([section(f"``` {INSULT}"), section("```")], [in_plain_text], rich_text(text(fenced))):
        assert INSULT in read({"blocks": shown}).own


# Bounds.


def nested(levels: int, inner: Json, key: str = "child_blocks") -> Json:
    return reduce(lambda block, _: {"type": "container", key: [block]}, range(levels), inner)


@pytest.mark.failure(65)
@pytest.mark.parametrize("key", ["child_blocks", "elements", "attachments", "message_blocks", "text"])
@pytest.mark.parametrize("part", ["blocks", "attachments"])
def test_what_is_nested_too_deep_is_left_out_and_the_rest_is_read(part: str, key: str) -> None:
    deep = nested(2000, {"text": "hidden"}, key) | {"is_share": True}
    words = read({"text": INSULT, part: [deep, {"text": "more"}]})
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
def test_a_message_that_is_too_large_is_read_in_part(message: Json) -> None:
    words = read({"text": INSULT} | message)
    assert words.own.startswith(INSULT)
    assert len(words.own) <= MOST_CHARACTERS + 50_000
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
