"""The text that Slack stores for messages typed by people and sent by apps, and its `rich_text` blocks."""

from __future__ import annotations

import pytest

from local.block_kit import escaped, rich_text, stored


def test_text_typed_by_a_person_is_never_markup() -> None:
    assert escaped("<@U0ADA> & <b> &amp;") == "&lt;@U0ADA&gt; &amp; &lt;b&gt; &amp;amp;"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a < b && c > d", "a &lt; b &amp;&amp; c &gt; d"),
        ("already &lt;escaped&gt; &amp; fine", "already &lt;escaped&gt; &amp; fine"),
        ("&nbsp; is no escape of Slack's", "&amp;nbsp; is no escape of Slack's"),
        ("<@U0ADA> <#C0GENERAL|general> <!here>", "<@U0ADA> <#C0GENERAL|general> <!here>"),
        ("<https://example.org/?a=1&amp;b=2|a link>", "<https://example.org/?a=1&amp;b=2|a link>"),
        ("<script>", "&lt;script&gt;"),
    ],
)
def test_text_sent_by_an_app_keeps_its_markup(sent: str, kept: str) -> None:
    assert stored(sent) == kept
    assert stored(kept) == kept


def test_blocks_contain_the_same_words_unescaped() -> None:
    text = "hi <@U0ADA>, 1 &lt; 2 :tada: <https://example.org|see> <!here> <#C1|x> <!subteam^S1> <!date^1^x|noon>"
    block = rich_text(text)
    assert block["type"] == "rich_text"
    assert [one for one in block["elements"][0]["elements"] if one != {"type": "text", "text": " "}] == [
        {"type": "text", "text": "hi "},
        {"type": "user", "user_id": "U0ADA"},
        {"type": "text", "text": ", 1 < 2 "},
        {"type": "emoji", "name": "tada"},
        {"type": "link", "url": "https://example.org", "text": "see"},
        {"type": "broadcast", "range": "here"},
        {"type": "channel", "channel_id": "C1"},
        {"type": "usergroup", "usergroup_id": "S1"},
        {"type": "date", "timestamp": 1, "format": "x", "fallback": "noon"},
    ]


def test_blocks_contain_styles_quotes_and_code_as_elements() -> None:
    block = rich_text("a *b &amp; c*, 2*3\n&gt; d\n&gt;e\nf ```if g: *h*```i\n&gt;&gt;&gt; j\nk")
    texts = [[one["text"] for one in element["elements"]] for element in block["elements"]]
    kinds = [element["type"].removeprefix("rich_text_") for element in block["elements"]]
    assert kinds == ["section", "quote", "section", "preformatted", "section", "quote"]
    assert texts == [["a ", "b & c", ", 2*3"], ["d\ne"], ["f "], ["if g: *h*"], ["i"], ["j\nk"]]
    assert block["elements"][0]["elements"][1]["style"] == {"bold": True}
