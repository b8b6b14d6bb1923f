"""Reports, from Slack's signed forms to the card that moderators click on: the real path, and its failures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from local.faults import Call, ErrorBody, HtmlError, Reset, ResetEarly
from local.views import TRIGGER_SECONDS
from tests.toxicity_bot.bot import ADA, GENERAL, GRACE, INSULT, PRIVATE, RANDOM
from tests.toxicity_bot.record import CANARIES
from toxicity_bot import response_url
from toxicity_bot.answers import NOT_PASSED_ON
from toxicity_bot.cards import LOOK, NO_PROBLEM, RESOLVED, STATES
from toxicity_bot.interactions import _READERS, ask_or_reason
from toxicity_bot.jobs import Job
from toxicity_bot.report_form import MOST_METADATA_CHARACTERS
from toxicity_bot.slack_messages import SlackMessages

if TYPE_CHECKING:
    from local.workspace import Message
    from tests.toxicity_bot.bot import Bot

NOTE = "Third time this week, quetzalcoatlus."


@pytest.fixture
def bot(bot: Bot) -> Bot:
    """The bot with a channel of moderators, #private, in which ada and grace are; backup jobs do not wait."""
    bot.set(moderators_channel=PRIVATE)
    bot.send_backups_at_once()
    return bot


def text_of(card: Message) -> str:
    """All that people read on a card, but for its buttons."""
    shown = [block for block in card["blocks"] if block["type"] != "actions"]
    return "\n".join((block["text"] if "text" in block else block["elements"][0])["text"] for block in shown)


def labels(card: Message) -> list[str]:
    return [one["text"]["text"] for block in card["blocks"] if block["type"] == "actions" for one in block["elements"]]


def reported(bot: Bot, **more: Any) -> Message:
    """Report an insult of ada's; return the card, of which the backup job makes no second one."""
    assert bot.report(bot.say(), **more).status == 200
    bot.work()
    (card,) = bot.cards()
    return card


@pytest.mark.parametrize("channel", [GENERAL, RANDOM])
def test_a_report_becomes_a_card_and_the_author_and_the_channel_see_nothing(bot: Bot, channel: str) -> None:
    message = bot.say(channel=channel)
    before = bot.slack.workspace.conversation(channel)
    assert bot.report(message, NOTE, channel=channel).status == 200
    (card,) = bot.cards()
    shown = text_of(card)
    assert f"/archives/{channel}/p{message['ts'].replace('.', '')}" in shown
    assert ":warning: *Likely toxic*" in shown
    assert "stupid" not in shown, "who reads the card may not be allowed to read the message"
    assert f"Reported by <@{GRACE}>." in shown
    assert NOTE in shown
    assert labels(card) == ["I'll look", "Resolved", "Not a problem"]
    assert [one.split(".")[0] for one in bot.private(GRACE)] == [":incoming_envelope: Thank you"]
    assert bot.private(ADA) == bot.hints(ADA) == []
    assert bot.slack.workspace.conversation(channel) == before


def test_a_note_mentions_nobody(bot: Bot) -> None:
    card = reported(bot, note="Look, @channel and <!channel>!\nhttps://example.com")
    (note,) = [block["text"] for block in card["blocks"] if "*Note*" in str(block)]
    assert note["verbatim"] is True
    assert note["text"].splitlines() == [
        "*Note*", "> Look, @channel and &lt;!channel&gt;!", "> https://example.com",
    ]  # fmt: skip


def test_by_setting_the_moderators_do_not_learn_who_reports(bot: Bot) -> None:
    bot.set(reporter_names=False)
    message = bot.say(by="U0HOOK")
    for by in (ADA, GRACE):
        bot.report(message, by=by)
    cards = bot.cards()
    assert ["Reported by somebody." in text_of(card) for card in cards] == [True, True]
    assert ADA not in json.dumps(cards)
    assert GRACE not in json.dumps(cards)


def test_a_message_that_is_reported_again_has_one_card_and_a_person_counts_once(bot: Bot) -> None:
    message = bot.say()
    for by, note in ((GRACE, NOTE), (ADA, "I agree."), (GRACE, "Once more."), (ADA, "And I.")):
        assert bot.report(message, note, by=by).status == 200
    card, further = bot.cards()
    assert further["thread_ts"] == card["ts"]
    assert "I agree." in text_of(further)
    assert f"<@{ADA}>" in text_of(further)
    assert [bot.private(user)[1] for user in (GRACE, ADA)] == [
        ":incoming_envelope: The moderators have your report of this message already."
    ] * 2


def test_the_form_says_who_learns_what_and_keeps_a_long_message_in_part(bot: Bot) -> None:
    long = bot.say('"\n\U0001f926' * 4000 + " You stupid idiot.")
    bot.ask(bot.slack.message_action("report_message", GENERAL, long["ts"], GRACE))
    (shown,) = bot.slack.workspace.views.open.values()
    assert "They see your name." in shown.view["blocks"][0]["text"]["text"]
    kept = shown.view["private_metadata"]
    assert 1000 < len(kept) <= MOST_METADATA_CHARACTERS
    assert bot.ask(bot.slack.send_form(GRACE, note="x" * 1000)).status == 200
    assert "the rest was not judged" in text_of(bot.cards()[0])


def test_without_a_channel_of_moderators_the_form_says_so(bot: Bot) -> None:
    bot.set(moderators_channel="")
    bot.ask(bot.slack.message_action("report_message", GENERAL, bot.say()["ts"], GRACE))
    (shown,) = bot.slack.workspace.views.open.values()
    assert "not set up here" in shown.view["blocks"][0]["text"]["text"]
    assert "submit" not in shown.view


# The form.


def test_a_form_that_is_sent_after_reports_were_switched_off_says_so(bot: Bot) -> None:
    bot.ask(bot.slack.message_action("report_message", GENERAL, bot.say()["ts"], GRACE))
    payload = bot.slack.send_form(GRACE, note=NOTE)
    bot.set(moderators_channel="")
    said = json.loads(bot.ask(payload).body)
    assert said["response_action"] == "errors"
    assert said["errors"].keys() == {block["block_id"] for block in payload["view"]["blocks"] if "element" in block}
    assert bot.record.counted()[-1] == ("EventIgnored", "reports_off")


@pytest.mark.failure(110)
def test_a_form_that_is_closed_leaves_nothing(bot: Bot) -> None:
    bot.ask(bot.slack.message_action("report_message", GENERAL, bot.say()["ts"], GRACE))
    shown = bot.slack.workspace.views.open.values()
    assert [one.view.get("notify_on_close") for one in shown] == [None], "Slack then does not even tell the app"
    assert bot.slack.close_form(GRACE) is None
    assert bot.queued() == bot.rows() == bot.cards() == []
    assert bot.private(GRACE) == []


@pytest.mark.failure(111)
@pytest.mark.parametrize("fault", [ErrorBody("expired_trigger_id"), HtmlError(502), Reset(), ErrorBody("invalid_auth")])
def test_a_form_that_does_not_open_is_told_to_the_person(bot: Bot, fault: Any) -> None:
    bot.slack.faults.add("views.open", fault)
    assert bot.ask(bot.slack.message_action("report_message", GENERAL, bot.say()["ts"], GRACE)).status == 200
    assert bot.work() == 1
    (told,) = bot.private(GRACE)
    assert "The form did not open" in told
    assert bot.ends() == ["form_failed"]
    assert bot.cards() == []


@pytest.mark.failure(111)
def test_a_click_that_slack_delivers_too_late_opens_no_form_and_is_told(bot: Bot) -> None:
    payload = bot.slack.message_action("report_message", GENERAL, bot.say()["ts"], GRACE)
    now = bot.slack.workspace.clock()
    bot.slack.workspace.clock = lambda: now + TRIGGER_SECONDS + 1
    assert bot.ask(payload).status == 200
    bot.work()
    assert "The form did not open" in bot.private(GRACE)[0]


def test_a_token_that_was_replaced_is_read_again_to_open_a_form(bot: Bot) -> None:
    now = [1000.0]
    secret = {"signing_secrets": [bot.slack.workspace.signing_secret], "bot_token": bot.slack.workspace.token}
    bot.store(secret)
    bot.read_stored_secret(lambda: now[0])
    reported(bot)
    bot.store(secret | {"bot_token": bot.slack.workspace.rotate_token()})
    now[0] += 60
    bot.ask(bot.slack.message_action("report_message", GENERAL, bot.say()["ts"], GRACE))
    assert len(bot.slack.workspace.views.open) == 1


@pytest.mark.failure(112)
def test_a_form_that_is_sent_twice_or_replayed_makes_one_card_and_one_answer(bot: Bot) -> None:
    bot.ask(bot.slack.message_action("report_message", GENERAL, bot.say()["ts"], GRACE))
    payload = bot.slack.send_form(GRACE, note=NOTE)
    assert [bot.ask(payload).status for _ in range(3)] == [200] * 3
    bot.work()
    assert len(bot.cards()) == len(bot.private(GRACE)) == 1
    assert bot.ask(payload, age=301).status == 401


@pytest.mark.failure(113)
@pytest.mark.parametrize("channel", [GENERAL, RANDOM])
def test_a_worker_that_fails_costs_the_note_but_not_the_report(bot: Bot, channel: str) -> None:
    message = bot.say(channel=channel)
    bot.fail_invocations()
    assert bot.report(message, NOTE, channel=channel).status == 200
    assert bot.cards() == []
    (job,) = bot.queued()
    assert NOTE not in job["Body"]
    assert bot.handle([job]) == 1
    (card,) = bot.cards()
    shown = text_of(card)
    assert NOTE not in shown
    assert "was lost on its way" in shown
    assert ("*Likely toxic*" if channel == GENERAL else "I may not read it there") in shown
    assert len(bot.private(GRACE)) == 1


@pytest.mark.failure(113)
@pytest.mark.parametrize("posted", [True, False])
def test_a_card_whose_post_got_no_answer_is_looked_for_before_it_is_posted_again(bot: Bot, posted: bool) -> None:
    bot.slack.faults.add("chat.postMessage", Reset(before_work=not posted))
    assert bot.report(bot.say(), NOTE).status == 200
    (job,) = bot.queued()
    assert bot.handle([job]) == 0, "the first post may yet appear"
    bot.end_claims()
    assert bot.handle([job]) == 1
    assert len(bot.cards()) == 1
    assert len(bot.private(GRACE)) == 1


@pytest.mark.failure(113)
@pytest.mark.parametrize("by", [GRACE, ADA])
def test_a_card_that_was_posted_before_the_worker_died_is_found_whoever_reports_next(bot: Bot, by: str) -> None:
    now = bot.slack.workspace.clock
    bot.slack.workspace.clock = lambda: now() - 60  # Slack's clock is behind
    message = bot.say()
    with bot.killed_at(SlackMessages, "post", after=True):
        bot.report(message, NOTE)
    bot.queued()
    bot.slack.workspace.clock = now
    bot.end_claims()
    assert bot.report(message, "I agree.", by=by).status == 200
    assert len([card for card in bot.cards() if "thread_ts" not in card]) == 1


@pytest.mark.failure(113)
def test_a_worker_that_dies_once_the_person_is_told_does_not_tell_them_again(bot: Bot) -> None:
    with bot.killed_at(response_url, "respond", after=True):
        assert bot.report(bot.say(), NOTE).status == 200
    (job,) = bot.queued()
    assert bot.handle([job]) == 0, "the invocation may still be at it"
    bot.end_claims()
    assert bot.handle([job]) == 1
    assert len(bot.cards()) == 1
    assert len(bot.private(GRACE)) == 1


@pytest.mark.failure(114)
@pytest.mark.parametrize("state", ["archived", "left"])
def test_a_moderators_channel_that_takes_no_card_is_told_to_the_person_and_the_owner(bot: Bot, state: str) -> None:
    if state == "archived":
        bot.slack.workspace.archive(PRIVATE)
    else:
        bot.slack.workspace.kick(PRIVATE)
    assert bot.report(bot.say(), NOTE).status == 200
    assert bot.cards() == []
    (told,) = bot.private(GRACE)
    assert "could not reach the moderators' channel" in told
    (line,) = [line for line in bot.record.lines() if line.get("level") == "ERROR"]
    assert "MODERATORS_CHANNEL" in line["message"]
    assert bot.ends() == ["report_is_archived" if state == "archived" else "report_channel_not_found"]


@pytest.mark.failure(114)
def test_a_report_that_slack_refuses_for_good_is_told_once_as_one(bot: Bot) -> None:
    bot.ask(bot.slack.message_action("report_message", GENERAL, bot.say()["ts"], GRACE))
    payload = bot.slack.send_form(GRACE, note=NOTE)
    bot.slack.workspace.refuse_token("token_revoked")
    assert bot.ask(payload).status == 200
    assert bot.work() == 1
    assert bot.private(GRACE) == [NOT_PASSED_ON]
    assert bot.ends() == ["token_revoked"] * 2


@pytest.mark.failure(118)
def test_who_writes_a_note_for_half_an_hour_is_told_in_a_direct_message(bot: Bot) -> None:
    bot.ask(bot.slack.message_action("report_message", GENERAL, bot.say()["ts"], GRACE))
    payload = bot.slack.send_form(GRACE, note=NOTE)
    now = bot.slack.workspace.clock()
    bot.slack.workspace.clock = lambda: now + 31 * 60
    assert bot.ask(payload).status == 200
    assert len(bot.cards()) == 1
    assert (bot.private(GRACE), len(bot.hints(GRACE))) == ([], 1)


@pytest.mark.failure(57)
def test_what_the_receiver_reads_of_a_form_hides_its_texts(bot: Bot) -> None:
    payload = bot.slack.message_action("report_message", GENERAL, bot.say()["ts"], GRACE)
    read = [ask_or_reason(payload, bot.receiver.settings, 1731000000.0)]
    bot.ask(payload)
    read.append(ask_or_reason(bot.slack.send_form(GRACE, note=NOTE), bot.receiver.settings, 1731000000.0))
    assert "quetzalcoatlus" not in repr(read)
    assert [type(one).__name__ for one in read] == ["Form", "Ask"]


# The card.


def test_a_card_shows_who_took_it_and_how_it_ended(bot: Bot) -> None:
    card = reported(bot, note=NOTE)
    for action, said in ((LOOK, f"<@{ADA}> is looking at it"), (RESOLVED, f"<@{ADA}> resolved it")):
        assert bot.click(card, action, by=ADA, channel=PRIVATE).status == 200
        bot.work()
        (card,) = bot.cards()
        assert said in text_of(card)
        assert NOTE in text_of(card), "what was there stays"
    assert "is looking at it" not in text_of(card)
    assert labels(card) == []
    assert bot.ends()[-2:] == ["card_looking", "card_resolved"]


def test_of_two_moderators_at_once_one_takes_a_card_and_the_other_learns_who(bot: Bot) -> None:
    card = reported(bot)
    for user in (ADA, GRACE):
        assert bot.click(card, LOOK, by=user, channel=PRIVATE).status == 200
    first, second = bot.queued()
    assert bot.handle([second]) + bot.handle([first]) == 2
    (row,) = [row for row in bot.rows() if row["status"]["S"] == "CARD"]
    taker = row["by"]["S"]
    other = ADA if taker == GRACE else GRACE
    assert f"<@{taker}> is looking at it" in text_of(bot.cards()[0])
    assert f"<@{taker}> is looking at it" in bot.private(other)[-1]
    bot.click(card, NO_PROBLEM, by=other, channel=PRIVATE)
    bot.work()
    assert labels(bot.cards()[0]) != [], "only whoever has it ends it"
    assert bot.ends()[-1] == "card_taken"


def test_a_card_that_somebody_has_had_for_a_day_can_be_taken(bot: Bot) -> None:
    card = reported(bot)
    now = bot.slack.workspace.clock
    bot.click(card, LOOK, by=ADA, channel=PRIVATE)
    bot.work()
    bot.slack.workspace.clock = lambda: now() + 24 * 3600 + 60
    bot.click(card, LOOK, by=GRACE, channel=PRIVATE)
    bot.work()
    assert f"<@{GRACE}> is looking at it" in text_of(bot.cards()[0])


@pytest.mark.failure(115)
def test_a_click_twice_replayed_or_out_of_order_leaves_the_card_as_it_is(bot: Bot) -> None:
    card = reported(bot)
    look, resolved = (bot.slack.click(PRIVATE, card["ts"], ADA, action) for action in (LOOK, RESOLVED))
    for payload in (resolved, look, resolved, look):
        assert bot.ask(payload).status == 200
        bot.work()
    assert f"<@{ADA}> resolved it" in text_of(bot.cards()[0])
    assert labels(bot.cards()[0]) == []
    assert [end for end in bot.ends() if end != "reported"] == ["card_resolved", "card_unchanged"] * 2
    assert bot.private(ADA) == []
    assert bot.ask(look, age=301).status == 401


@pytest.mark.failure(115)
@pytest.mark.parametrize("by", [ADA, GRACE])
def test_a_card_shows_what_holds_though_an_earlier_click_is_shown_later(bot: Bot, by: str) -> None:
    card = reported(bot)
    bot.click(card, LOOK, by=ADA, channel=PRIVATE)
    bot.click(card, RESOLVED, by=ADA, channel=PRIVATE)
    bot.click(card, NO_PROBLEM, by=by, channel=PRIVATE)
    jobs = bot.queued()
    look, *later = sorted((Job.from_json(job["Body"]) for job in jobs), key=lambda job: job.detail["at"])
    bot.slack.faults.add("chat.update", Call(lambda: [bot.worker.end_of(job) for job in later]))
    bot.worker.end_of(look)
    assert f"<@{ADA}> resolved it" in text_of(bot.cards()[0])
    assert labels(bot.cards()[0]) == []


@pytest.mark.failure(116)
def test_a_click_on_a_card_that_was_deleted_ends_quietly(bot: Bot) -> None:
    card = reported(bot)
    payload = bot.slack.click(PRIVATE, card["ts"], ADA, LOOK)
    bot.slack.workspace.delete(PRIVATE, card["ts"])
    assert bot.ask(payload).status == 200
    assert bot.work() == 1
    assert bot.ends()[-1] == "card_gone"
    assert not any(line.get("level") == "ERROR" for line in bot.record.lines())


@pytest.mark.failure(116)
def test_a_further_report_about_a_card_that_was_deleted_gets_a_card_of_its_own(bot: Bot) -> None:
    message = bot.say()
    bot.report(message, by=ADA)
    bot.slack.workspace.delete(PRIVATE, bot.cards()[0]["ts"])
    assert bot.report(message, NOTE).status == 200
    (card,) = bot.cards()
    assert "*Reported message*" in text_of(card)
    assert "thread_ts" not in card


@pytest.mark.failure(116)
@pytest.mark.parametrize("fault", [ErrorBody("is_inactive"), HtmlError(502), Reset(before_work=False), ResetEarly(0)])
def test_a_card_that_slack_does_not_change_at_once_is_changed_later_or_named_in_the_log(bot: Bot, fault: Any) -> None:
    card = reported(bot)
    bot.slack.faults.add("chat.update", fault)
    bot.click(card, LOOK, by=ADA, channel=PRIVATE)
    if bot.work():
        assert bot.ends()[-1] == "card_is_inactive"
        return
    bot.wake()
    assert bot.work() == 1
    assert f"<@{ADA}> is looking at it" in text_of(bot.cards()[0])


@pytest.mark.failure(117)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"user": {"id": GRACE, "team_id": "T0GUEST"}}, "outsider"),
        ({"channel": {"id": GENERAL}}, "other_channel"),
        ({"api_app_id": "A0OTHER"}, "other_app"),
        ({"actions": []}, "unknown_interaction"),
        ({"actions": [{"action_id": LOOK}]}, "malformed_interaction"),
        ({"container": None}, "malformed_interaction"),
    ],
    ids=str,
)
def test_a_click_by_an_outsider_elsewhere_or_for_another_app_does_nothing(
    bot: Bot, change: dict[str, Any], reason: str
) -> None:
    card = reported(bot)
    assert bot.ask(bot.slack.click(PRIVATE, card["ts"], GRACE, LOOK) | change).status == 200
    assert bot.record.counted()[-1] == ("EventIgnored", reason)
    assert bot.work() == 0
    assert bot.cards() == [card]


@pytest.mark.parametrize(
    ("home", "enterprise", "team"),
    [
        ("T0TWO", {"id": "E0GRID"}, {"id": "T0LOCAL"}),
        ("T0TWO", {"id": "E0GRID"}, {"id": "T0TWO"}),
        ("E0GRID", None, {"id": "T0TWO", "enterprise_id": "E0GRID"}),
    ],
)
def test_a_moderator_of_another_team_of_an_enterprise_is_no_outsider_and_takes_no_card_that_is_taken(
    bot: Bot, home: str, enterprise: dict[str, str] | None, team: dict[str, str]
) -> None:
    card = reported(bot)
    bot.click(card, LOOK, by=ADA, channel=PRIVATE)
    bot.work()
    grid = {"user": {"id": GRACE, "team_id": home}, "enterprise": enterprise, "team": team}
    bot.ask(bot.slack.click(PRIVATE, card["ts"], GRACE, LOOK) | grid)
    assert bot.work() == 1
    assert bot.ends()[-1] == "card_taken"


@pytest.mark.failure(117)
@pytest.mark.parametrize(
    "change", [{"private_metadata": "{}"}, {"private_metadata": ""}, {"state": {}}, {"app_id": "A0OTHER"}]
)
def test_a_form_that_is_not_as_it_was_shown_is_dropped(bot: Bot, change: dict[str, Any]) -> None:
    bot.ask(bot.slack.message_action("report_message", GENERAL, bot.say()["ts"], GRACE))
    payload = bot.slack.send_form(GRACE, note=NOTE)
    assert bot.ask(payload | {"view": payload["view"] | change}).status == 200
    assert bot.record.counted()[-1][0] == "EventIgnored"
    assert bot.queued() == bot.cards() == []


@pytest.mark.failure(57)
def test_queue_ledger_and_logs_hold_neither_the_message_nor_the_note(bot: Bot) -> None:
    message = bot.say(INSULT)
    bot.report(message, NOTE)
    bot.report(message, NOTE, by=ADA)
    bot.click(bot.cards()[0], LOOK, by=ADA, channel=PRIVATE)
    jobs = bot.queued()
    assert len(jobs) == 3
    bot.handle(jobs)
    stored = json.dumps([bot.rows(), [job["Body"] for job in jobs]])
    assert [canary for canary in CANARIES.values() if canary in stored] == []
    assert NOTE in text_of(bot.cards()[0])


def test_every_button_of_a_card_is_read() -> None:
    assert STATES.keys() <= {name for kind, name in _READERS if kind == "block_actions"}
