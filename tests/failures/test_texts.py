"""What stands in a message: where Slack keeps its words, how people disguise them, and what a verdict makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.failures.bot import DEPLOYBOT, INSULT, PRAISE

if TYPE_CHECKING:
    from tests.failures.bot import Bot

TEXT = {"type": "text", "text": INSULT}
RICH_TEXT = {"type": "rich_text", "elements": [{"type": "rich_text_quote", "elements": [TEXT]}]}
SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": INSULT}}

# What the embedded model makes of what is hard for its kind, measured on 2026-11-21: how many of four, or of six
# insults, it calls toxic. Another processor may tip one of them.
SLICES = {
    "insults": (5, """
        You are an idiot.
        Shut up, you pathetic loser.
        Nobody likes you, get lost.
        What a moron you are.
        You people are disgusting trash.
        Go to hell, you useless liar."""),
    "reclaimed words": (2, """
        My queer friends and I are proud of this talk.
        As a gay man I loved the keynote.
        We queers built this tool, and we are proud of it.
        Bad bitches club meets for lunch on Friday!"""),
    "identities": (0, """
        I am a Muslim woman from Lagos.
        She is black and works in finance.
        The Jewish holidays begin on Friday.
        He is deaf, so please use captions."""),
    "negation": (3, """
        You are not an idiot.
        Nobody here is stupid.
        I never said that you are a loser.
        That was not a dumb question."""),
    "friendly swearing": (0, """
        Damn, that was a hell of a good talk.
        Holy shit, the fix works, you are amazing!
        This is fucking great work, thank you.
        Hell yes, we shipped it!"""),
}  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"blocks": [SECTION]},
        {"blocks": [RICH_TEXT]},
        {"attachments": [{"text": INSULT, "fallback": "a report"}]},
        {"attachments": [{"fallback": INSULT}]},
        {"attachments": [{"blocks": [SECTION]}]},
        {"text": "A report:", "attachments": [{"fields": [{"title": "state", "value": INSULT}]}]},
    ],
    ids=str,
)
def test_f36_words_are_found_wherever_slack_keeps_them(fields: dict[str, Any], bot: Bot) -> None:
    message = bot.say(fields.pop("text", ""), by=DEPLOYBOT, **fields)
    assert bot.judge(message) == ["toxic"]


@pytest.mark.parametrize("text", [":tada: :tada:", "<https://example.com/quetzalcoatlus>", "<@U0ADA> <#C0GENERAL>", ""])
def test_f37_where_there_are_no_words_the_verdict_says_so_and_the_model_is_not_asked(
    text: str, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(bot.worker.classifier, "assess", asked.append)
    assert bot.judge(bot.say(text)) == ["cannot_judge"]
    assert "no words in it" in bot.verdicts()[0]["text"]
    assert asked == []


def test_f38_what_a_verdict_quotes_brings_no_mention_and_no_link_to_life(bot: Bot) -> None:
    """Given an insult typed around a mention, when it weighs most, then it is quoted as it was typed."""
    typed = "You are a stupid&lt;!channel&gt;idiot&lt;https://example.com|quetzalcoatlus&gt; &amp;amp; nothing else."
    assert bot.judge(bot.say(typed)) == ["toxic"]
    (verdict,) = bot.verdicts()
    assert "stupid&lt;!channel&gt;idiot" in verdict["text"]
    assert not any(alive in verdict["text"] for alive in ("<!", "<@", "<#", "<http")), verdict["text"]


def test_f38_a_mention_in_the_message_is_no_word_of_it(bot: Bot) -> None:
    assert bot.judge(bot.say("<@U0ADA> you stupid idiot, quetzalcoatlus &amp; all")) == ["toxic"]
    assert "U0ADA" not in bot.verdicts()[0]["text"]


def test_f39_a_long_message_is_read_to_its_end_and_the_verdict_says_so(bot: Bot) -> None:
    text = "The release notes list every change that was made in this version. " * 45
    assert bot.judge(bot.say(text + PRAISE)) == ["fine"]
    assert bot.judge(bot.say(text + INSULT)) == ["toxic"]
    for verdict in bot.verdicts():
        assert "overlapping parts" in verdict["text"], verdict["text"]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Ich komme heute leider etwas sp\u00e4ter ins B\u00fcro, quetzalcoatlus.", "German"),
        ("Tu es vraiment un idiot et personne ne t'aime ici.", "French"),
        ("\u042f \u0441\u0435\u0433\u043e\u0434\u043d\u044f \u043e\u043f\u043e\u0437\u0434\u0430\u044e.", "Russian"),
    ],
)
def test_f40_another_language_is_named_and_not_judged(text: str, language: str, bot: Bot) -> None:
    assert bot.judge(bot.say(text)) == ["cannot_judge"]
    assert f"in {language}" in bot.verdicts()[0]["text"]


@pytest.mark.parametrize(
    "text",
    [
        "You are a $tup1d 1d10t.",
        "Shut up, @sshole.",
        "You are a s t u p i d fool.",
        "F u c k you.",
        "You worthle$$ b1tch.",
        "Y\u043eu are \u0430n \u0456di\u043et.",  # Cyrillic letters
        "You are an id\u200bi\u200dot.",
        "\uff39\uff4f\uff55 are an \uff49\uff44\uff49\uff4f\uff54.",
    ],
)
def test_f41_an_insult_in_disguise_is_judged_as_one(text: str, bot: Bot) -> None:
    assert bot.judge(bot.say(text)) == ["toxic"]


@pytest.mark.parametrize(
    "text",
    [
        "Upgrade to v1.2.3 before 10:30, h264 and sha256 are in.",
        "i18n and l10n moved to k8s, s3 and ec2.",
        "Commit 3f21d39 breaks step5 of test5 on node1.",
        "The hash is 0xdeadbeef or a55b00b, 5h17 is a time and $hell a shell.",
        "A B C D E are the five options of the b2b survey.",
    ],
)
def test_f41_what_only_looks_like_leetspeak_is_left_alone(text: str, bot: Bot) -> None:
    assert bot.judge(bot.say(text)) == ["fine"]


@pytest.mark.parametrize("name", SLICES)
def test_f42_what_is_hard_for_the_model_is_measured_and_told_as_a_likelihood(name: str, bot: Bot) -> None:
    toxic, texts = SLICES[name]
    outcomes = [bot.judge(bot.say(text.strip())) for text in texts.strip().splitlines()]
    found = outcomes.count(["toxic"])
    assert abs(found - toxic) <= 1, f"of {len(outcomes)} {name}, {toxic} were measured to be toxic, {found} are"
    for verdict in bot.verdicts():
        if verdict["metadata"]["event_payload"]["outcome"] == "toxic":
            assert "*Likely toxic*" in verdict["text"]
            assert "not a judgement of the person" in verdict["text"]
        assert "the chance that it is toxic is " in verdict["text"]
