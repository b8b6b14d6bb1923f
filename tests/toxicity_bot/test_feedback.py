"""Right or wrong: clicks below verdicts, from Slack's signed form to the row, the metric and the export."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from local.faults import ErrorBody, HtmlError
from tests.toxicity_bot.bot import ADA, GENERAL, GRACE, PRIVATE, Bot
from toxicity_bot.feedback import ACTION_ID, AGREED, DISAGREED, read, verdict_blocks
from toxicity_bot.opinions import Opinions

if TYPE_CHECKING:
    from local.workspace import Message
    from toxicity_bot.feedback import Opinion

KEY = "T0LOCAL/C0GENERAL/1731000000.000100/0a1b2c3d"


def value(message: Message, choice: str) -> str:
    """The value of one of the two buttons of a message."""
    element = message["blocks"][-1]["elements"][0]
    return str(element["positive_button" if choice == AGREED else "negative_button"]["value"])


def click(bot: Bot, verdict: Message, choice: str, by: str = GRACE, **change: Any) -> dict[str, Any]:
    payload = bot.slack.click(GENERAL, verdict["ts"], by, ACTION_ID, value=value(verdict, choice))
    return payload | change


def opinions(bot: Bot) -> list[Opinion]:
    return list(Opinions(bot.aws.table, bot.aws.client("dynamodb")).all())


@pytest.fixture
def verdict(bot: Bot) -> Message:
    """The verdict on an insult."""
    assert bot.judge(bot.say()) == ["toxic"]
    (verdict,) = bot.verdicts()
    return verdict


def test_a_verdict_has_the_two_buttons_and_its_text_is_the_same_without_them(bot: Bot, verdict: Message) -> None:
    *sections, buttons = verdict["blocks"]
    assert "".join(section["text"]["text"] for section in sections) == verdict["text"]
    assert buttons["elements"][0]["type"] == "feedback_buttons"
    bot.set(feedback=False)
    bot.judge(bot.say("You pathetic idiot."))
    plain = bot.verdicts()[1]
    assert [block["type"] for block in plain["blocks"]] == ["rich_text"]
    assert plain["text"].split(" ")[1] == verdict["text"].split(" ")[1]


def test_a_long_verdict_is_divided_into_sections_that_slack_takes() -> None:
    text = "\n".join(["x" * 2000] * 3 + ["y" * 7000])
    *sections, _ = verdict_blocks(text, KEY, {"outcome": "toxic", "score": 0.5})
    pieces = [section["text"]["text"] for section in sections]
    assert max(map(len, pieces)) <= 3000
    assert "".join(pieces) == text.replace("\n", "")


def test_a_click_is_kept_once_for_each_person_and_verdict_and_can_be_changed(bot: Bot, verdict: Message) -> None:
    for by, choice in ((GRACE, AGREED), (ADA, DISAGREED), (GRACE, DISAGREED)):
        assert bot.ask(click(bot, verdict, choice, by)).status == 200
        bot.work()
    found = {one.user: one for one in opinions(bot)}
    assert {user: one.choice for user, one in found.items()} == {GRACE: DISAGREED, ADA: DISAGREED}
    mark = verdict["metadata"]["event_payload"]
    assert (found[ADA].key, found[ADA].outcome, float(found[ADA].score)) == (mark["key"], "toxic", mark["score"])
    given = [reason for name, reason in bot.record.counted() if name == "FeedbackGiven"]
    assert given == [AGREED, DISAGREED, DISAGREED]
    assert [text.rpartition(": ")[2] for text in bot.private(GRACE)] == [
        "you find this verdict right. The other button changes it.",
        "you find this verdict wrong. The other button changes it.",
    ]


@pytest.mark.parametrize("to", ["reactor", PRIVATE])
def test_verdicts_that_go_elsewhere_have_buttons_too(bot: Bot, to: str) -> None:
    bot.set(reply_to=to)
    message = bot.say()
    bot.react(message)
    bot.work()
    shown = bot.slack.workspace.ephemerals[-1] if to == "reactor" else bot.verdicts(PRIVATE)[0]
    channel = GENERAL if to == "reactor" else PRIVATE
    payload = bot.slack.click(
        channel, shown["ts"], GRACE, ACTION_ID, message=shown | {"blocks": with_ids(shown["blocks"])}
    )
    assert bot.ask(payload).status == 200
    bot.work()
    (found,) = opinions(bot)
    assert (found.channel, found.ts, found.choice) == (GENERAL, message["ts"], AGREED)


def with_ids(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"block_id": str(number), **block} for number, block in enumerate(blocks)]


@pytest.mark.failure(80)
@pytest.mark.parametrize("to", ["thread", "reactor"])
def test_a_slack_that_does_not_take_the_buttons_gets_the_verdict_without(bot: Bot, to: str) -> None:
    bot.set(reply_to=to)
    method = "chat.postMessage" if to == "thread" else "chat.postEphemeral"
    bot.slack.faults.add(method, ErrorBody("invalid_blocks"))
    bot.react(bot.say())
    assert bot.work() == 1
    assert bot.ends() == ["toxic"]
    shown = bot.verdicts() if to == "thread" else bot.slack.workspace.ephemerals
    assert ["Likely toxic" in one["text"] for one in shown] == [True]
    assert "context_actions" not in str(shown)
    assert "without" in next(line["message"] for line in bot.record.lines() if line.get("level") == "WARNING")


@pytest.mark.failure(115)
def test_a_click_twice_replayed_or_out_of_order_counts_once_and_the_last_one_holds(bot: Bot, verdict: Message) -> None:
    first, last = click(bot, verdict, AGREED), click(bot, verdict, DISAGREED)
    for payload in (last, first, last, first):
        assert bot.ask(payload).status == 200
        bot.work()
    assert [one.choice for one in opinions(bot)] == [DISAGREED]
    assert [reason for name, reason in bot.record.counted() if name == "FeedbackGiven"] == [DISAGREED]
    assert len(bot.private(GRACE)) == 1
    assert bot.ask(first, age=301).status == 401


@pytest.mark.failure(117)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"user": {"id": GRACE, "team_id": "T0GUEST"}}, "outsider"),
        ({"api_app_id": "A0OTHER"}, "other_app"),
        ({"team": {"id": "T0OTHER"}, "user": {"id": GRACE, "team_id": "T0OTHER"}}, "other_installation"),
        ({"trigger_id": "x" * 200}, "malformed_interaction"),
    ],
    ids=str,
)
def test_a_click_by_an_outsider_or_for_another_app_does_not_count(
    bot: Bot, verdict: Message, change: dict[str, Any], reason: str
) -> None:
    assert bot.ask(click(bot, verdict, AGREED) | change).status == 200
    assert bot.record.counted()[-1] == ("EventIgnored", reason)
    assert (bot.queued(), opinions(bot)) == ([], [])


@pytest.mark.failure(118)
@pytest.mark.parametrize("what", ["expired", "elsewhere", "502"])
def test_a_click_counts_also_if_the_person_cannot_be_thanked(bot: Bot, verdict: Message, what: str) -> None:
    payload = click(bot, verdict, AGREED)
    if what == "expired":
        now = bot.slack.workspace.clock()
        bot.slack.workspace.clock = lambda: now + 31 * 60
    elif what == "elsewhere":
        payload["response_url"] = "https://example.com/responses/1"
    else:
        bot.slack.faults.add("response_url", HtmlError(502))
    assert bot.ask(payload).status == 200
    assert bot.work() == 1
    assert [one.choice for one in opinions(bot)] == [AGREED]
    assert bot.private(GRACE) == bot.hints(GRACE) == []
    assert bot.ends()[-1] == "feedback_agreed"


@pytest.mark.failure(57)
def test_rows_and_jobs_of_feedback_hold_no_text(bot: Bot, verdict: Message) -> None:
    bot.ask(click(bot, verdict, AGREED))
    jobs = bot.queued()
    bot.handle(jobs)
    stored = json.dumps([bot.rows(), [job["Body"] for job in jobs]])
    assert "stupid" not in stored
    assert "quetzalcoatlus" not in stored


@pytest.mark.parametrize(
    "given",
    [
        None, 7, "", "agreed", "[]", "[" * 100_000, json.dumps({"choice": "agreed"}),
        *(json.dumps({"choice": AGREED, "key": KEY, "outcome": "toxic", "score": "0.9000"} | change) for change in (
            {"choice": "maybe"}, {"key": "T0LOCAL/C0GENERAL"}, {"key": f"{KEY}\n"}, {"outcome": "canary"},
            {"score": 0.9}, {"score": "high"}, {"text": "canary"})),
    ],
    ids=lambda given: str(given)[:60],
)  # fmt: skip
def test_a_value_that_no_button_has_is_not_read(given: object) -> None:
    assert read(given) is None
