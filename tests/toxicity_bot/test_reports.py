"""Reports, from Slack's signed forms to the moderators' card, with failures on the way."""

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
from toxicity_bot.jobs import MAX_ATTEMPTS, Job
from toxicity_bot.report_form import MAX_METADATA_CHARACTERS
from toxicity_bot.reports import PASSED_ON
from toxicity_bot.slack_messages import SlackMessages

NOTE = "Third time this week, quetzalcoatlus."


@pytest.fixture
def bot(bot: Bot) -> Bot:
    """The bot with the moderators' channel #private, whose members are ada and grace. Backup jobs are not delayed."""
    bot.set(moderators_channel=PRIVATE)
    bot.send_backups_at_once()
    return bot


def text_of(card: Message) -> str:
    """The text of a card without its buttons."""
    shown = [block for block in card["blocks"] if block["type"] != "actions"]
    return "\n".join(_first_text(block) for block in shown)


def _first_text(block: dict[str, Any]) -> str:
    text = block.get("text", "")
    return text if isinstance(text, str) and text else _first_text(text or block["elements"][0])


def labels(card: Message) -> list[str]:
    return [one["text"]["text"] for block in card["blocks"] if block["type"] == "actions" for one in block["elements"]]


def open_form(bot: Bot, text: str = INSULT) -> dict[str, Any]:
    """Use the shortcut on a message and return the form that Slack shows, if any."""
    message = bot.say(text)
    assert bot.ask(bot.slack.message_action("report_message", GENERAL, message["ts"], GRACE)).status == 200
    return next((shown.view for shown in bot.slack.workspace.views.open.values()), {})


def filled_in(bot: Bot) -> dict[str, Any]:
    """The payload that Slack sends for a form with a note."""
    open_form(bot)
    return bot.slack.send_form(GRACE, note=NOTE)


def reported(bot: Bot, **more: Any) -> Message:
    """Report an insult by ada and return the card. The backup job must not create a second one."""
    assert bot.report(bot.say(), **more).status == 200
    return bot.card_after_work()


def click(bot: Bot, card: Message, action: str, by: str = ADA) -> None:
    assert bot.click(card, action, by=by, channel=PRIVATE).status == 200


@pytest.mark.parametrize("channel", [GENERAL, RANDOM])
def test_a_report_creates_a_card_and_the_author_and_the_channel_see_nothing(bot: Bot, channel: str) -> None:
    message = bot.say(channel=channel)
    before = bot.slack.workspace.conversation(channel)
    note = f"{NOTE} <!channel>"
    assert bot.report(message, note, channel=channel).status == 200
    (card,) = bot.cards()
    shown = text_of(card)
    (quoted,) = [block["elements"] for block in card["blocks"] if block["type"] == "rich_text"]
    # In such a text nothing is a mention, a link, an emoji or formatting.
    assert quoted == [{"type": "rich_text_quote", "elements": [{"type": "text", "text": note}]}]
    assert f"/archives/{channel}/p{message['ts'].replace('.', '')}" in shown
    assert ":warning: *Likely toxic*" in shown
    assert "stupid" not in shown, "a reader of the card may not have access to the message"
    assert f"Reported by <@{GRACE}>." in shown
    assert labels(card) == ["I'll look", "Resolved", "Not a problem"]
    assert [one.split(".")[0] for one in bot.private(GRACE)] == [":incoming_envelope: Thank you"]
    assert bot.private(ADA) == bot.hints(ADA) == []
    assert bot.slack.workspace.conversation(channel) == before


def test_the_thanks_for_reporting_a_thread_reply_are_shown_in_the_thread(bot: Bot) -> None:
    root = bot.say()
    for message in (root, bot.say(thread_ts=root["ts"])):
        assert bot.report(message).status == 200
    assert [one["thread_ts"] for one in bot.slack.workspace.ephemerals] == [None, root["ts"]]


def test_a_setting_hides_the_reporter_from_moderators(bot: Bot) -> None:
    bot.set(reporter_names=False)
    message = bot.say(by="U0HOOK")
    for by in (ADA, GRACE):
        bot.report(message, by=by)
    cards = bot.cards()
    assert ["Reported by somebody." in text_of(card) for card in cards] == [True, True]
    assert not {name for name in (ADA, GRACE) if name in json.dumps(cards)}


def test_a_message_reported_again_has_one_card_and_each_reporter_counts_once(bot: Bot) -> None:
    message = bot.say()
    for by, note in ((GRACE, NOTE), (ADA, "I agree."), (GRACE, "Once more."), (ADA, "And I.")):
        assert bot.report(message, note, by=by).status == 200
    card, further = bot.cards()
    assert further["thread_ts"] == card["ts"]
    assert "I agree." in text_of(further)
    assert f"<@{ADA}>" in text_of(further)
    assert [bot.private(user)[1] for user in (GRACE, ADA)] == [
        ":incoming_envelope: The moderators already have your report of this message."
    ] * 2


def test_the_form_says_who_sees_the_report_and_shortens_a_long_message(bot: Bot) -> None:
    form = open_form(bot, '"\n\U0001f926' * 4000 + " You stupid idiot.")
    assert "They see your name." in form["blocks"][0]["text"]["text"]
    assert 1000 < len(form["private_metadata"]) <= MAX_METADATA_CHARACTERS
    assert bot.ask(bot.slack.send_form(GRACE, note="x" * 1000)).status == 200
    assert "the rest was not judged" in text_of(bot.cards()[0])


def test_with_reports_disabled_the_form_says_so_even_if_it_was_already_open(bot: Bot) -> None:
    payload = filled_in(bot)
    bot.set(moderators_channel="")
    said = json.loads(bot.ask(payload).body)
    assert said["response_action"] == "errors"
    assert said["errors"].keys() == {block["block_id"] for block in payload["view"]["blocks"] if "element" in block}
    assert bot.reasons("EventIgnored") == ["reports_off"]
    for settings in ({}, {"moderators_channel": PRIVATE, "shortcuts": False}):
        bot.set(**settings)
        form = open_form(bot)
        assert "not set up here" in form["blocks"][0]["text"]["text"]
        assert "submit" not in form


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"api_app_id": "A0OTHER"}, "other_app"), ({"trigger_id": None}, "sent"), ({"user": {}}, "malformed_interaction")],
)
def test_a_form_closes_only_if_its_report_is_sent(bot: Bot, change: dict[str, Any], reason: str) -> None:
    answer = bot.ask(filled_in(bot) | change).body
    assert bot.reasons("EventIgnored") == [reason] * (reason != "sent")
    assert (json.loads(answer)["response_action"] if answer else "") == ("" if reason == "sent" else "errors")


@pytest.mark.failure(110)
def test_closing_the_form_has_no_effect(bot: Bot) -> None:
    assert "notify_on_close" not in open_form(bot), "without it Slack does not notify the app"
    assert bot.slack.close_form(GRACE) is None
    assert bot.queued() == bot.rows() == bot.cards() == []
    assert bot.private(GRACE) == []


@pytest.mark.failure(111)
@pytest.mark.parametrize("fault", [ErrorBody("expired_trigger_id"), HtmlError(502), Reset(), ErrorBody("invalid_auth")])
def test_the_person_is_told_if_the_form_does_not_open(bot: Bot, fault: Any) -> None:
    bot.slack.faults.add("views.open", fault)
    open_form(bot)
    assert bot.work() == 1
    (told,) = bot.private(GRACE)
    assert "The form did not open" in told
    assert bot.job_outcomes() == ["form_failed"]
    assert bot.cards() == []


@pytest.mark.failure(112)
def test_a_form_sent_twice_or_replayed_creates_one_card_and_one_answer(bot: Bot) -> None:
    payload = filled_in(bot)
    assert [bot.ask(payload).status for _ in range(3)] == [200] * 3
    bot.work()
    assert len(bot.cards()) == len(bot.private(GRACE)) == 1


@pytest.mark.failure(113)
@pytest.mark.parametrize("channel", [GENERAL, RANDOM])
def test_if_the_worker_fails_the_note_is_lost_and_the_report_is_not(bot: Bot, channel: str) -> None:
    bot.fail_invocations()
    assert bot.report(bot.say(channel=channel), NOTE, channel=channel).status == 200
    assert bot.cards() == []
    shown = text_of(bot.card_after_work())
    assert NOTE not in shown
    assert "could not be delivered" in shown
    assert ("*Likely toxic*" if channel == GENERAL else "I have no access to that conversation") in shown
    assert len(bot.private(GRACE)) == 1


@pytest.mark.failure(113)
@pytest.mark.parametrize("what", ["the post is lost", "its answer is lost", "the worker dies once the person is told"])
def test_after_a_lost_response_the_bot_searches_before_it_repeats_the_call(bot: Bot, what: str) -> None:
    dies = "dies" in what
    if not dies:
        bot.slack.faults.add("chat.postMessage", Reset(before_work=what == "the post is lost"))
    with bot.killed_at(response_url, "respond", after=True) if dies else nullcontext():
        assert bot.report(bot.say(), NOTE).status == 200
    (job,) = bot.queued()
    assert bot.handle([job]) == 0, "the first post may still appear"
    bot.end_claims()
    assert bot.handle([job]) == 1
    assert len(bot.cards()) == 1
    assert len(bot.private(GRACE)) == 1


@pytest.mark.failure(113)
@pytest.mark.parametrize("by", [GRACE, ADA])
def test_a_card_posted_before_the_worker_died_is_found_whoever_reports_next(bot: Bot, by: str) -> None:
    bot.advance_clock(-60)  # Slack's clock is slow
    message = bot.say()
    with bot.killed_at(SlackMessages, "post", after=True):
        bot.report(message, NOTE)
    bot.queued()
    bot.advance_clock(60)
    bot.end_claims()
    assert bot.report(message, "I agree.", by=by).status == 200
    card, further = map(text_of, bot.cards())
    assert (NOTE in card, "Reported again" in further, "I agree." in further) == (True, True, True)
    bot.work()  # the first report's own job
    assert len(bot.cards()) == 2
    assert bot.private(by)[-1] == PASSED_ON


@pytest.mark.failure(114)
@pytest.mark.parametrize(("close", "end"), [("archive", "report_is_archived"), ("kick", "report_channel_not_found")])
def test_the_person_and_the_owner_are_told_if_the_moderators_channel_refuses_the_card(
    bot: Bot, close: str, end: str
) -> None:
    getattr(bot.slack.workspace, close)(PRIVATE)
    assert bot.report(bot.say(), NOTE).status == 200
    assert bot.cards() == []
    assert bot.private(GRACE) == [NOT_PASSED_ON]
    (line,) = bot.logged("ERROR")
    assert "MODERATORS_CHANNEL" in line["message"]
    assert bot.job_outcomes() == [end]


@pytest.mark.failure(114)
def test_the_person_is_told_once_if_slack_refuses_the_report_permanently(bot: Bot) -> None:
    payload = filled_in(bot)
    bot.slack.workspace.refuse_token("token_revoked")
    assert bot.ask(payload).status == 200
    assert bot.work() == 1
    assert bot.private(GRACE) == [NOT_PASSED_ON]
    assert bot.job_outcomes() == ["token_revoked"] * 2


def test_a_card_shows_who_took_it_and_its_resolution(bot: Bot) -> None:
    card = reported(bot, note=NOTE)
    for action, said in ((LOOK, f"<@{ADA}> is looking at it"), (RESOLVED, f"<@{ADA}> resolved it")):
        click(bot, card, action)
        card = bot.card_after_work()
        assert said in text_of(card)
        assert NOTE in text_of(card), "the note stays on the card"
    assert "is looking at it" not in text_of(card)
    assert labels(card) == []
    assert bot.job_outcomes()[-2:] == ["card_looking", "card_resolved"]


def test_when_two_moderators_take_a_card_at_once_one_gets_it_and_the_other_is_told_who(bot: Bot) -> None:
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
    assert labels(bot.card_after_work()) != [], "only the person who took the card can resolve it"
    assert bot.job_outcomes()[-1] == "card_taken"


def test_a_moderator_from_another_team_of_the_enterprise_cannot_take_a_taken_card(bot: Bot) -> None:
    card = reported(bot)
    click(bot, card, LOOK)
    bot.work()
    grid = {"user": {"id": GRACE, "team_id": "T0TWO"}, "enterprise": {"id": "E0GRID"}, "team": {"id": "T0TWO"}}
    bot.ask(bot.slack.click(PRIVATE, card["ts"], GRACE, LOOK) | grid)
    assert bot.work() == 1
    assert bot.job_outcomes()[-1] == "card_taken"


def test_a_card_taken_more_than_a_day_ago_can_be_taken_again(bot: Bot) -> None:
    card = reported(bot)
    click(bot, card, LOOK, ADA)
    bot.work()
    bot.advance_clock(24 * 3600 + 60)
    click(bot, card, LOOK, GRACE)
    assert f"<@{GRACE}> is looking at it" in text_of(bot.card_after_work())


@pytest.mark.failure(115)
def test_repeated_or_reordered_clicks_leave_the_card_unchanged(bot: Bot) -> None:
    card = reported(bot)
    look, resolved = (bot.slack.click(PRIVATE, card["ts"], ADA, action) for action in (LOOK, RESOLVED))
    for payload in (resolved, look, resolved, look):
        assert bot.ask(payload).status == 200
        card = bot.card_after_work()
    assert f"<@{ADA}> resolved it" in text_of(card)
    assert labels(card) == []
    assert [end for end in bot.job_outcomes() if end != "reported"] == ["card_resolved", "card_unchanged"] * 2
    assert bot.private(ADA) == []


@pytest.mark.failure(115)
@pytest.mark.parametrize("by", [ADA, GRACE])
def test_a_card_shows_the_latest_state_even_if_an_earlier_click_updates_it_later(bot: Bot, by: str) -> None:
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
def test_a_click_on_a_card_that_cannot_be_updated_ends_quietly(
    bot: Bot, change: str, end: str, logged: list[str]
) -> None:
    card = reported(bot)
    click(bot, card, LOOK)
    if change == "deleted":
        bot.slack.workspace.delete(PRIVATE, card["ts"])
    else:
        bot.slack.faults.add("chat.update", ErrorBody("is_inactive"))
    assert bot.work() == 1
    assert bot.job_outcomes()[-1] == end
    assert [line["message"] for line in bot.logged("WARNING", "ERROR")] == logged


@pytest.mark.failure(116)
def test_a_report_after_the_card_was_deleted_creates_a_new_card(bot: Bot) -> None:
    message = bot.say()
    bot.report(message, by=ADA)
    bot.slack.workspace.delete(PRIVATE, bot.cards()[0]["ts"])
    assert bot.report(message, NOTE).status == 200
    (card,) = bot.cards()
    assert "*Reported message*" in text_of(card)
    assert "thread_ts" not in card


@pytest.mark.failure(116)
@pytest.mark.parametrize("fault", [HtmlError(502), Reset(before_work=False), ResetEarly(0)])
def test_a_failed_card_update_is_retried(bot: Bot, fault: Any) -> None:
    card = reported(bot)
    bot.slack.faults.add("chat.update", fault)
    click(bot, card, LOOK)
    assert bot.work() == 0
    bot.wake()
    assert f"<@{ADA}> is looking at it" in text_of(bot.card_after_work())


@pytest.mark.failure(114)
@pytest.mark.parametrize(
    ("method", "code", "tries", "logged", "dead"),
    [
        ("chat.postMessage", "msg_blocks_too_long", 0, True, 0),
        ("chat.getPermalink", "fatal_error", MAX_ATTEMPTS, False, 1),
    ],
)
def test_the_person_and_the_owner_are_told_if_slack_refuses_the_card_or_stays_unavailable(
    bot: Bot, method: str, code: str, tries: int, logged: bool, dead: int
) -> None:
    bot.slack.faults.add(method, ErrorBody(code), times=30)
    assert bot.report(bot.say(), NOTE).status == 200
    for _ in range(tries):
        assert bot.private(GRACE) == []
        bot.work()
        bot.end_claims()
        bot.wake()
    assert bot.private(GRACE) == [NOT_PASSED_ON]
    bot.work()  # moves a job that failed too often to the dead-letter queue
    assert (bool(bot.logged("ERROR")), len(bot.dead_letters())) == (logged, dead)


@pytest.mark.failure(113)
def test_a_report_whose_last_try_is_unconfirmed_is_not_said_to_have_failed(bot: Bot) -> None:
    bot.slack.faults.add("chat.getPermalink", ErrorBody("fatal_error"), times=MAX_ATTEMPTS)
    assert bot.report(bot.say(), NOTE).status == 200  # the first try is the invocation, before the queue's tries
    for _ in range(MAX_ATTEMPTS - 1):
        bot.work()
        bot.wake()
    bot.slack.faults.add("chat.postMessage", Reset(before_work=False))
    bot.work()
    assert (len(bot.cards()), bot.private(GRACE)) == (1, [])
