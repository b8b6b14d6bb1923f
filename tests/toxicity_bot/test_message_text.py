from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from toxicity_bot.message_text import date, escape, fold, has_words, markdown, plain


@pytest.mark.failure(38)
@pytest.mark.parametrize(
    ("mrkdwn", "read"),
    [
        ("<@U0ADA> <@U0ADA|ada>", "@user @user"),
        ("<#C0GENERAL> <#C0GENERAL|general>", "#channel #channel"),
        ("<!here> <!channel|channel> <!subteam^S0TEAM|@team>", "@user @user @user"),
        ("<!date^1731000000^{date}|7 November>", "2024-11-07"),
        ("<!date^1731000000^you idiot, since {date_num}^https://example.com|hello>", "you idiot, since 2024-11-07"),
        ("<!date^soon^{date}|7 November>", "7 November"),
        ("<!something^new|you idiot>", "you idiot"),
        ("<b>you</b> <@you idiot>", "<b>you</b> <@you idiot>"),  # no control sequences, so they are shown
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


@pytest.mark.failure(62)
@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("You are a [stupid](http://x.example/z) idiot.", "You are a stupid idiot."),
        ("a [link](http://x.example/a_(b) 'its title') and [another][1]", "a link and another"),
        ("![a picture](x.png) [![of you](y.png)](http://x.example)", "a picture of you"),
        ("# Head\n## ing\n**bold _italic_** ~~gone~~ `code`", "Head\ning\nbold italic gone code"),
        ("st**up**id, st*up*id, ***you***", "stupid, stupid, you"),
        ("snake_case_name, 2 * 3, a \\*star\\*, 1 &lt; 2", "snake_case_name, 2 * 3, a *star*, 1 < 2"),
        ("<https://example.com> <@U0ADA> <b>you</b>", "https://example.com @user <b>you</b>"),
    ],
)
def test_markdown_is_read_as_people_see_it(written: str, read: str) -> None:
    assert markdown(written) == read


@pytest.mark.failure(62)
@pytest.mark.parametrize(
    ("timestamp", "form", "shown"),
    [
        (1731000000, "{date_long} at {time}", "2024-11-07 at 2024-11-07"),
        ("1731000000", "Words, {ago}", "Words, 2024-11-07"),
        (1731000000, "", "fallback"),
        (None, "{date}", "fallback"),
        ([], "{date}", "fallback"),
        (1e300, "{date}", "fallback"),
        *((odd, "{date}", "fallback") for odd in ("soon", "nan", "inf")),
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
     "\U0001f595\U0001f92c", "a\U0001f525", ":b:", "[a](", "![", "[a][", "**a", "\\*"],
)  # fmt: skip
def test_no_malicious_text_is_slow(piece: str) -> None:
    words = "&" + piece * (40_000 // len(piece))  # the most that Slack lets anybody post
    started = time.process_time()
    fold(markdown(plain(words)))
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


@pytest.mark.failure(89)
@pytest.mark.parametrize("ligature", ["\ufdfa", "\ufdfb"])
def test_a_ligature_of_many_letters_stays_one_character(ligature: str) -> None:
    assert fold(f"{ligature * 100} \uff41bc") == f"{ligature * 100} abc"
    assert has_words(ligature)


@pytest.mark.failure(86)
def test_small_capitals_and_blanks_that_count_as_letters_are_read_as_they_look() -> None:
    assert fold("\u026a\u1d05\u026a\u1d0f\u1d1b \ua731\u1d1b\u1d1c\u1d18\u026a\u1d05") == "idiot stupid"
    assert fold("i\u3164d\uffa0i\u115fo\u2800t") == "idiot"
