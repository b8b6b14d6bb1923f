"""Reports, from Slack's signed forms to the card that moderators click on: the real path, and its failures."""

import json
from contextlib import nullcontext
from typing import Any

import pytest

from local.faults import Call, ErrorBody, HtmlError, Reset, ResetEarly
from local.workspace import Message
from tests.toxicity_bot.bot import ADA, GENERAL, GRACE, INSULT, PRIVATE, RANDOM, Bot
from toxicity_bot import response_url
from toxicity_bot.answers import NOT_PASSED_ON
from toxicity_bot.cards import LOOK, NO_PROBLEM, RESOLVED
from toxicity_bot.jobs import Job
from toxicity_bot.report_form import MAX_METADATA_CHARACTERS
from toxicity_bot.slack_messages import SlackMessages

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


def open_form(bot: Bot, text: str = INSULT) -> dict[str, Any]:
    """Use the shortcut on a message; return the form that Slack shows, if any."""
    message = bot.say(text)
    assert bot.ask(bot.slack.message_action("report_message", GENERAL, message["ts"], GRACE)).status == 200
    return next((shown.view for shown in bot.slack.workspace.views.open.values()), {})


def filled_in(bot: Bot) -> dict[str, Any]:
    """What Slack sends of a form with a note."""
    open_form(bot)
    return bot.slack.send_form(GRACE, note=NOTE)


def reported(bot: Bot, **more: Any) -> Message:
    """Report an insult of ada's; return the card, of which the backup job makes no second one."""
    assert bot.report(bot.say(), **more).status == 200
    return bot.card_after_work()


def click(bot: Bot, card: Message, action: str, by: str = ADA) -> None:
    assert bot.click(card, action, by=by, channel=PRIVATE).status == 200


@pytest.mark.parametrize("channel", [GENERAL, RANDOM])
def test_a_report_becomes_a_card_and_the_author_and_the_channel_see_nothing(bot: Bot, channel: str) -> None:
    message = bot.say(channel=channel)
    before = bot.slack.workspace.conversation(channel)
    note = f"{NOTE} <!channel>"
    assert bot.report(message, note, channel=channel).status == 200
    (card,) = bot.cards()
    shown = text_of(card)
    (section,) = [block["text"] for block in card["blocks"] if "*Note*" in str(block)]
    assert section["verbatim"] is True, "a note mentions nobody"
    assert section["text"] == f"*Note*\n> {NOTE} &lt;!channel&gt;"
    assert f"/archives/{channel}/p{message['ts'].replace('.', '')}" in shown
    assert ":warning: *Likely toxic*" in shown
    assert "stupid" not in shown, "who reads the card may not be allowed to read the message"
    assert f"Reported by <@{GRACE}>." in shown
    assert labels(card) == ["I'll look", "Resolved", "Not a problem"]
    assert [one.split(".")[0] for one in bot.private(GRACE)] == [":incoming_envelope: Thank you"]
    assert bot.private(ADA) == bot.hints(ADA) == []
    assert bot.slack.workspace.conversation(channel) == before


def test_by_setting_the_moderators_do_not_learn_who_reports(bot: Bot) -> None:
    bot.set(reporter_names=False)
    message = bot.say(by="U0HOOK")
    for by in (ADA, GRACE):
        bot.report(message, by=by)
    cards = bot.cards()
    assert ["Reported by somebody." in text_of(card) for card in cards] == [True, True]
    assert not {name for name in (ADA, GRACE) if name in json.dumps(cards)}


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
    form = open_form(bot, '"\n\U0001f926' * 4000 + " You stupid idiot.")
    assert "They see your name." in form["blocks"][0]["text"]["text"]
    assert 1000 < len(form["private_metadata"]) <= MAX_METADATA_CHARACTERS
    assert bot.ask(bot.slack.send_form(GRACE, note="x" * 1000)).status == 200
    assert "the rest was not judged" in text_of(bot.cards()[0])


def test_where_reports_are_switched_off_the_form_says_so_also_when_it_was_open_before(bot: Bot) -> None:
    payload = filled_in(bot)
    bot.set(moderators_channel="")
    said = json.loads(bot.ask(payload).body)
    assert said["response_action"] == "errors"
    assert said["errors"].keys() == {block["block_id"] for block in payload["view"]["blocks"] if "element" in block}
    assert bot.reasons("EventIgnored") == ["reports_off"]
    form = open_form(bot)
    assert "not set up here" in form["blocks"][0]["text"]["text"]
    assert "submit" not in form


@pytest.mark.failure(110)
def test_a_form_that_is_closed_leaves_nothing(bot: Bot) -> None:
    assert "notify_on_close" not in open_form(bot), "Slack then does not even tell the app"
    assert bot.slack.close_form(GRACE) is None
    assert bot.queued() == bot.rows() == bot.cards() == []
    assert bot.private(GRACE) == []


@pytest.mark.failure(111)
@pytest.mark.parametrize("fault", [ErrorBody("expired_trigger_id"), HtmlError(502), Reset(), ErrorBody("invalid_auth")])
def test_a_form_that_does_not_open_is_told_to_the_person(bot: Bot, fault: Any) -> None:
    bot.slack.faults.add("views.open", fault)
    open_form(bot)
    assert bot.work() == 1
    (told,) = bot.private(GRACE)
    assert "The form did not open" in told
    assert bot.ends() == ["form_failed"]
    assert bot.cards() == []


@pytest.mark.failure(112)
def test_a_form_that_is_sent_twice_or_replayed_makes_one_card_and_one_answer(bot: Bot) -> None:
    payload = filled_in(bot)
    assert [bot.ask(payload).status for _ in range(3)] == [200] * 3
    bot.work()
    assert len(bot.cards()) == len(bot.private(GRACE)) == 1


@pytest.mark.failure(113)
@pytest.mark.parametrize("channel", [GENERAL, RANDOM])
def test_a_worker_that_fails_costs_the_note_but_not_the_report(bot: Bot, channel: str) -> None:
    bot.fail_invocations()
    assert bot.report(bot.say(channel=channel), NOTE, channel=channel).status == 200
    assert bot.cards() == []
    shown = text_of(bot.card_after_work())
    assert NOTE not in shown
    assert "was lost on its way" in shown
    assert ("*Likely toxic*" if channel == GENERAL else "I may not read it there") in shown
    assert len(bot.private(GRACE)) == 1


@pytest.mark.failure(113)
@pytest.mark.parametrize("what", ["the post is lost", "its answer is lost", "the worker dies once the person is told"])
def test_what_nobody_knows_the_end_of_is_looked_for_before_it_is_done_again(bot: Bot, what: str) -> None:
    dies = "dies" in what
    if not dies:
        bot.slack.faults.add("chat.postMessage", Reset(before_work=what == "the post is lost"))
    with bot.killed_at(response_url, "respond", after=True) if dies else nullcontext():
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
    bot.later(-60)  # Slack's clock is behind
    message = bot.say()
    with bot.killed_at(SlackMessages, "post", after=True):
        bot.report(message, NOTE)
    bot.queued()
    bot.later(60)
    bot.end_claims()
    assert bot.report(message, "I agree.", by=by).status == 200
    assert len([card for card in bot.cards() if "thread_ts" not in card]) == 1


@pytest.mark.failure(114)
@pytest.mark.parametrize(("close", "end"), [("archive", "report_is_archived"), ("kick", "report_channel_not_found")])
def test_a_moderators_channel_that_takes_no_card_is_told_to_the_person_and_the_owner(
    bot: Bot, close: str, end: str
) -> None:
    getattr(bot.slack.workspace, close)(PRIVATE)
    assert bot.report(bot.say(), NOTE).status == 200
    assert bot.cards() == []
    assert bot.private(GRACE) == [NOT_PASSED_ON]
    (line,) = bot.logged("ERROR")
    assert "MODERATORS_CHANNEL" in line["message"]
    assert bot.ends() == [end]


@pytest.mark.failure(114)
def test_a_report_that_slack_refuses_for_good_is_told_once_as_one(bot: Bot) -> None:
    payload = filled_in(bot)
    bot.slack.workspace.refuse_token("token_revoked")
    assert bot.ask(payload).status == 200
    assert bot.work() == 1
    assert bot.private(GRACE) == [NOT_PASSED_ON]
    assert bot.ends() == ["token_revoked"] * 2


def test_a_card_shows_who_took_it_and_how_it_ended(bot: Bot) -> None:
    card = reported(bot, note=NOTE)
    for action, said in ((LOOK, f"<@{ADA}> is looking at it"), (RESOLVED, f"<@{ADA}> resolved it")):
        click(bot, card, action)
        card = bot.card_after_work()
        assert said in text_of(card)
        assert NOTE in text_of(card), "what was there stays"
    assert "is looking at it" not in text_of(card)
    assert labels(card) == []
    assert bot.ends()[-2:] == ["card_looking", "card_resolved"]


def test_of_two_moderators_at_once_one_takes_a_card_and_the_other_learns_who(bot: Bot) -> None:
    card = reported(bot)
    click(bot, card, LOOK, ADA)
    click(bot, card, LOOK, GRACE)
    first, second = bot.queued()
    assert bot.handle([second]) + bot.handle([first]) == 2
    (taker,) = [row["by"]["S"] for row in bot.rows() if row["status"]["S"] == "CARD"]
    other = ADA if taker == GRACE else GRACE
    assert f"<@{taker}> is looking at it" in text_of(bot.cards()[0])
    assert f"<@{taker}> is looking at it" in bot.private(other)[-1]
    click(bot, card, NO_PROBLEM, other)
    assert labels(bot.card_after_work()) != [], "only whoever has it ends it"
    assert bot.ends()[-1] == "card_taken"


def test_a_moderator_of_another_team_of_an_enterprise_takes_no_card_that_is_taken(bot: Bot) -> None:
    card = reported(bot)
    click(bot, card, LOOK)
    bot.work()
    grid = {"user": {"id": GRACE, "team_id": "T0TWO"}, "enterprise": {"id": "E0GRID"}, "team": {"id": "T0TWO"}}
    bot.ask(bot.slack.click(PRIVATE, card["ts"], GRACE, LOOK) | grid)
    assert bot.work() == 1
    assert bot.ends()[-1] == "card_taken"


def test_a_card_that_somebody_has_had_for_a_day_can_be_taken(bot: Bot) -> None:
    card = reported(bot)
    click(bot, card, LOOK, ADA)
    bot.work()
    bot.later(24 * 3600 + 60)
    click(bot, card, LOOK, GRACE)
    assert f"<@{GRACE}> is looking at it" in text_of(bot.card_after_work())


@pytest.mark.failure(115)
def test_a_click_twice_replayed_or_out_of_order_leaves_the_card_as_it_is(bot: Bot) -> None:
    card = reported(bot)
    look, resolved = (bot.slack.click(PRIVATE, card["ts"], ADA, action) for action in (LOOK, RESOLVED))
    for payload in (resolved, look, resolved, look):
        assert bot.ask(payload).status == 200
        card = bot.card_after_work()
    assert f"<@{ADA}> resolved it" in text_of(card)
    assert labels(card) == []
    assert [end for end in bot.ends() if end != "reported"] == ["card_resolved", "card_unchanged"] * 2
    assert bot.private(ADA) == []


@pytest.mark.failure(115)
@pytest.mark.parametrize("by", [ADA, GRACE])
def test_a_card_shows_what_holds_though_an_earlier_click_is_shown_later(bot: Bot, by: str) -> None:
    card = reported(bot)
    for action, moderator in ((LOOK, ADA), (RESOLVED, ADA), (NO_PROBLEM, by)):
        click(bot, card, action, moderator)
    jobs = [Job.from_json(job["Body"]) for job in bot.queued()]
    look, *later = sorted(jobs, key=lambda job: job.detail["at"])
    bot.slack.faults.add("chat.update", Call(lambda: [bot.worker.handle_job(job) for job in later]))
    bot.worker.handle_job(look)
    assert f"<@{ADA}> resolved it" in text_of(bot.cards()[0])
    assert labels(bot.cards()[0]) == []


@pytest.mark.failure(116)
@pytest.mark.parametrize(
    ("change", "end", "logged"),
    [("deleted", "card_gone", []), ("refused", "card_is_inactive", ["card could not be changed"])],
)
def test_a_click_on_a_card_that_cannot_be_changed_ends_quietly(
    bot: Bot, change: str, end: str, logged: list[str]
) -> None:
    card = reported(bot)
    click(bot, card, LOOK)
    if change == "deleted":
        bot.slack.workspace.delete(PRIVATE, card["ts"])
    else:
        bot.slack.faults.add("chat.update", ErrorBody("is_inactive"))
    assert bot.work() == 1
    assert bot.ends()[-1] == end
    assert [line["message"] for line in bot.logged("WARNING", "ERROR")] == logged


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
@pytest.mark.parametrize("fault", [HtmlError(502), Reset(before_work=False), ResetEarly(0)])
def test_a_card_that_slack_does_not_change_at_once_is_changed_later(bot: Bot, fault: Any) -> None:
    card = reported(bot)
    bot.slack.faults.add("chat.update", fault)
    click(bot, card, LOOK)
    assert bot.work() == 0
    bot.wake()
    assert f"<@{ADA}> is looking at it" in text_of(bot.card_after_work())
