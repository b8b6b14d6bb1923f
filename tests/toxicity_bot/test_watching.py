"""Watched channels, from Slack's signed events to the moderators' card, with failures on the way."""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from local.events import event_callback, message_changed, message_deleted, message_event
from local.faults import Call, ErrorBody, RateLimited, Reset
from local.workspace import Identity, Message
from tests.toxicity_bot.bot import ADA, DEPLOYBOT, GENERAL, GRACE, INSULT, OWN, PRIVATE, Bot, about, workspace
from tests.toxicity_bot.test_turns import Clock, drain, limit
from toxicity_bot import message_events
from toxicity_bot.cards import LOOK
from toxicity_bot.channel_settings import ChannelSettings
from toxicity_bot.errors import ClaimedError, RateLimitedError, SlackUnavailableError
from toxicity_bot.jobs import Job
from toxicity_bot.message_events import DELAY_SECONDS
from toxicity_bot.reading_lease import LEASE_SECONDS, reading
from toxicity_bot.settings import Settings
from toxicity_bot.table import Table
from toxicity_bot.watching import MAX_SPAN_SECONDS

NOW = 1731000000
PRAISE = "Thanks a lot, the fix works and the release is out."


def watched(*channels: str, **entry: Any) -> ChannelSettings:
    return ChannelSettings.from_json(json.dumps({channel: {"watch": True} | entry for channel in channels}))


@pytest.fixture
def bot(bot: Bot) -> Bot:
    """The bot, watching #general for the moderators in #private. Jobs are not delayed on the queue."""
    bot.set(channels=watched(GENERAL), moderators_channel=PRIVATE)
    bot.patch.setattr(message_events, "DELAY_SECONDS", 0)
    return bot


def send_event(bot: Bot, event: Mapping[str, Any]) -> None:
    """Send an event as Slack does."""
    assert bot.deliver(event_callback(dict(event), bot.slack.workspace.identity)).status == 200


def say(bot: Bot, text: str = INSULT, **fields: Any) -> Message:
    """Post a message in the watched channel and send its event to the bot."""
    message = bot.say(text, **fields)
    send_event(bot, message_event(GENERAL, message))
    return message


def edit(bot: Bot, message: Message, text: str) -> Message:
    changed = bot.slack.workspace.edit(GENERAL, message["ts"], text)
    send_event(bot, message_changed(GENERAL, changed, message, f"{time.time():.6f}"))
    return changed


def delete(bot: Bot, message: Message) -> None:
    bot.slack.workspace.delete(GENERAL, message["ts"])
    send_event(bot, message_deleted(GENERAL, message, f"{time.time():.6f}"))


def card_text(card: Message) -> str:
    return json.dumps(card["blocks"])


@pytest.mark.failure(122)
def test_a_toxic_message_creates_a_card_and_nobody_else_sees_anything(bot: Bot) -> None:
    toxic, _ = say(bot), say(bot, PRAISE)
    before = bot.slack.workspace.conversation(GENERAL)
    card = bot.card_after_work()
    assert about(card) == toxic["ts"]
    assert ":warning: *Likely toxic*" in card_text(card)
    assert "idiot" not in card_text(card)
    assert [block["type"] for block in card["blocks"]][-1] == "actions", "a moderator can take the card"
    assert bot.slack.workspace.conversation(GENERAL) == before
    assert bot.slack.workspace.ephemerals == []
    assert bot.hints(ADA) == []


@pytest.mark.failure(122)
@pytest.mark.parametrize("threshold", ["watch_threshold", "toxic_threshold"])
def test_only_a_score_above_the_channels_threshold_creates_a_card(bot: Bot, threshold: str) -> None:
    bot.set(channels=watched(GENERAL, **{threshold: 1.0}))
    say(bot)
    bot.work()
    assert (bot.cards(), bot.job_outcomes()) == ([], ["watched_fine"])


@pytest.mark.failure(123)
def test_a_bots_message_read_in_the_same_call_gets_no_card(bot: Bot) -> None:
    say(bot, PRAISE)
    for by in (DEPLOYBOT, OWN, "U0HOOK"):
        bot.say(by=by)
    bot.work()
    assert bot.cards() == []


@pytest.mark.failure(124)
def test_an_edited_message_is_judged_again_and_its_card_is_updated(bot: Bot) -> None:
    message = say(bot, PRAISE)
    bot.work()
    assert bot.cards() == []
    edited = edit(bot, message, INSULT)
    assert ":warning: *Likely toxic*" in card_text(bot.card_after_work())
    calm = edit(bot, edited, PRAISE)
    card = bot.card_after_work()
    assert "The message was edited" in card_text(card)
    assert "No clear sign of toxicity" in card_text(card)
    edit(bot, calm, f"{INSULT} Really.")
    card = bot.card_after_work()
    assert card_text(card).count("The message was edited") == 1, "a new line replaces the previous one"
    assert "No clear sign" not in card_text(card)
    assert bot.job_outcomes() == ["watched_fine", "watched_toxic", "card_followed", "card_followed"]


@pytest.mark.failure(124)
def test_the_card_of_a_deleted_message_says_so_and_keeps_its_assignee(bot: Bot) -> None:
    message = say(bot)
    bot.click(bot.card_after_work(), LOOK, channel=PRIVATE)
    bot.work()
    delete(bot, message)
    card = bot.card_after_work()
    assert "The message was deleted" in card_text(card)
    assert f"<@{GRACE}> is looking at it" in card_text(card)
    assert card["blocks"][-1]["type"] == "actions"
    delete(bot, say(bot))
    assert bot.card_after_work() == card
    assert bot.job_outcomes()[-2:] == ["message_gone", "message_gone"]


@pytest.mark.failure(124)
@pytest.mark.parametrize("first", ["click", "deletion"])
def test_a_card_shows_a_click_and_a_deletion_that_came_at_the_same_moment(bot: Bot, first: str) -> None:
    message = say(bot)
    bot.click(bot.card_after_work(), LOOK, channel=PRIVATE)
    delete(bot, message)
    jobs = sorted((Job.from_json(job["Body"]) for job in bot.queued()), key=lambda job: job.kind == "watch")
    inner, outer = jobs if first == "deletion" else reversed(jobs)
    bot.slack.faults.add("chat.update", Call(lambda: bot.worker.handle_job(inner)))
    bot.worker.handle_job(outer)
    (card,) = bot.cards()
    assert "The message was deleted" in card_text(card)
    assert f"<@{GRACE}> is looking at it" in card_text(card)
    assert card["blocks"][-1]["type"] == "actions"


@pytest.mark.failure(124)
@pytest.mark.parametrize("change", ["deleted", "edited"])
def test_a_card_that_slack_did_not_confirm_shows_what_happened_to_its_message(bot: Bot, change: str) -> None:
    bot.slack.faults.add("chat.postMessage", Reset(before_work=False))
    message = say(bot)
    assert bot.work() == 0
    delete(bot, message) if change == "deleted" else edit(bot, message, PRAISE)
    for _ in range(2):
        bot.end_claims()
        bot.wake()
        bot.work()
    (card,) = bot.cards()
    assert f"The message was {change}" in card_text(card)


@pytest.mark.failure(124)
def test_a_deleted_card_is_not_created_again(bot: Bot) -> None:
    message = say(bot)
    bot.slack.workspace.delete(PRIVATE, bot.card_after_work()["ts"])
    delete(bot, message)
    bot.work()
    assert (bot.cards(), bot.job_outcomes()[-1]) == ([], "card_gone")


@pytest.mark.failure(125)
def test_one_call_reads_all_waiting_messages_and_their_jobs_end_without_further_calls(bot: Bot) -> None:
    messages = [say(bot, PRAISE) for _ in range(5)]
    toxic = say(bot)
    assert bot.work() == 6
    assert len(bot.slack.calls_of("conversations.history")) == 1
    assert bot.job_outcomes() == ["watched_fine", *["watched_with_others"] * 5]
    _, reply, _ = [say(bot, text, thread_ts=messages[0]["ts"]) for text in (PRAISE, INSULT, PRAISE)]
    assert bot.work() == 3
    assert len(bot.slack.calls_of("conversations.replies")) == 1
    assert len(bot.slack.calls_of("conversations.history")) == 1
    assert [about(card) for card in bot.cards()] == [toxic["ts"], reply["ts"]]


@pytest.mark.failure(125)
def test_more_messages_than_fit_on_a_page_are_all_judged(bot: Bot) -> None:
    bot.slack.api.max_page = 2
    for text in (INSULT, PRAISE, INSULT, PRAISE, INSULT):
        say(bot, text)
    bot.work()
    assert len(bot.cards()) == 3


@pytest.mark.failure(125)
def test_a_long_queue_is_read_from_its_beginning(bot: Bot) -> None:
    say(bot)
    bot.work()
    (call,) = bot.slack.calls_of("conversations.history")
    assert float(call.arguments["latest"]) - float(call.arguments["oldest"]) == pytest.approx(MAX_SPAN_SECONDS)


@pytest.mark.failure(126)
@pytest.mark.parametrize(
    ("method", "fault"),
    [
        ("conversations.history", RateLimited("30")),
        ("conversations.history", ErrorBody("fatal_error")),
        ("chat.postMessage", RateLimited("1")),
        ("chat.postMessage", Reset(before_work=False)),
        ("chat.getPermalink", Reset()),
    ],
)
def test_a_slack_failure_loses_no_message_and_duplicates_no_card(bot: Bot, method: str, fault: Any) -> None:
    bot.slack.faults.add(method, fault)
    toxic = [say(bot), say(bot, f"{INSULT} Really.")]
    say(bot, PRAISE)
    for _ in range(4):
        bot.work()
        bot.end_claims()
        bot.wake()
    send_event(bot, message_event(GENERAL, toxic[0]))  # Slack may deliver the event again
    assert bot.work() == 1
    assert sorted(map(about, bot.cards())) == [message["ts"] for message in toxic]
    assert bot.postponed == bot.queued() == bot.dead_letters() == []


@pytest.mark.failure(126)
def test_two_workers_do_not_read_the_same_channel_at_once(bot: Bot) -> None:
    say(bot), say(bot)
    first, second = bot.queued()
    bot.slack.faults.add("conversations.history", Call(lambda: bot.handle([second])))
    assert bot.handle([first]) == 1
    assert len(bot.postponed) == 1, "the other job waits"
    bot.wake()
    bot.work()
    assert len(bot.slack.calls_of("conversations.history")) == 1
    assert len(bot.cards()) == 2


@pytest.mark.failure(126)
def test_the_lease_of_a_dead_worker_expires(bot: Bot) -> None:
    now = [1000.0]
    table = Table(bot.aws.table, bot.aws.client("dynamodb"), lambda: now[0])

    def waits() -> float:
        with pytest.raises(ClaimedError) as refused, reading(table, GENERAL, "1.2"):
            pass
        return refused.value.seconds

    with pytest.raises(KeyboardInterrupt), reading(table, GENERAL, "1.0"):
        raise KeyboardInterrupt
    with pytest.raises(SlackUnavailableError), reading(table, GENERAL, "1.1"):
        raise SlackUnavailableError("conversations.history", "fatal_error")
    assert waits() == LEASE_SECONDS
    with pytest.raises(RateLimitedError), reading(table, GENERAL, "1.1"):  # the same job may read again
        raise RateLimitedError("conversations.history", 60)
    now[0] += 119
    assert waits() == 1, "Slack is not called before Retry-After is over"
    now[0] += 1
    with reading(table, GENERAL, "1.2"):
        pass


@pytest.mark.failure(127)
@pytest.mark.parametrize(
    ("close", "channel", "end"),
    [
        ("archive", PRIVATE, "watch_is_archived"),
        ("kick", PRIVATE, "watch_channel_not_found"),
        ("kick", GENERAL, "watch_not_in_channel"),
    ],
)
def test_the_owner_is_told_that_the_bot_cannot_read_a_channel_and_members_are_not(
    bot: Bot, close: str, channel: str, end: str
) -> None:
    say(bot)
    getattr(bot.slack.workspace, close)(channel)
    assert bot.work() == 1
    (line,) = bot.logged("ERROR")
    assert "invite the bot" in line["message"]
    assert bot.job_outcomes() == [end]
    assert bot.hints(ADA) == bot.hints(GRACE) == []


@pytest.mark.parametrize("reported_first", [True, False])
def test_a_message_both_watched_and_reported_has_one_card(bot: Bot, reported_first: bool) -> None:
    message = bot.say()
    for report in (reported_first, not reported_first):
        if report:
            assert bot.report(message).status == 200
        else:
            send_event(bot, message_event(GENERAL, message))
        bot.work()
    card, *further = bot.cards()
    assert [one["thread_ts"] for one in further] == ([] if reported_first else [card["ts"]])


def test_jobs_are_delayed_so_that_one_call_reads_several_messages(bot: Bot) -> None:
    bot.patch.setattr(message_events, "DELAY_SECONDS", DELAY_SECONDS)
    say(bot)
    (sent,) = bot.record.requests_for("SendMessage")
    assert sent["DelaySeconds"] == DELAY_SECONDS
    assert Job.from_json(sent["MessageBody"]).kind == "watch"


def test_a_job_for_a_channel_that_is_no_longer_watched_ends(bot: Bot) -> None:
    say(bot)
    bot.set(channels=ChannelSettings())
    assert bot.work() == 1
    assert (bot.job_outcomes(), bot.slack.calls) == (["not_watched"], [])


def outcome(event: Mapping[str, Any], age: float = 0, channels: ChannelSettings | None = None) -> str:
    """Return the receiver's decision on an event: the change to its message, or why there is no job."""
    payload = event_callback(dict(event), Identity(), clock=lambda: NOW)
    settings = replace(Settings.from_environ({}), channels=channels or watched(GENERAL))
    found = message_events.job_or_reason(payload, settings, NOW + age)
    return found.detail.get("change", "new") if isinstance(found, Job) else found


@pytest.mark.failure(122, 123, 124)
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "new"),
        ({"thread_ts": {"x": 1}}, "new"),
        ({"ts": "yesterday"}, "malformed_event"),
        ({"ts": None}, "malformed_event"),
        ({"user": {"id": ADA}}, "malformed_event"),
        ({"user": None}, "not_by_a_person"),
        ({"user": OWN}, "not_by_a_person"),
        ({"bot_id": "B0DEPLOY"}, "not_by_a_person"),
        ({"subtype": "channel_join"}, "not_by_a_person"),
        ({"subtype": ["channel_join"]}, "not_by_a_person"),
        ({"subtype": "message_changed", "message": "x"}, "not_edited"),
        ({"subtype": "message_changed", "message": {"edited": 1}}, "not_by_a_person"),
        ({"subtype": "message_deleted"}, "not_by_a_person"),
        ({"subtype": "message_deleted", "previous_message": {"user": ADA}, "deleted_ts": 1}, "malformed_event"),
        ({"channel": PRIVATE}, "not_watched"),
        ({"channel": [GENERAL]}, "not_watched"),
    ],
    ids=str,
)
def test_an_event_without_a_new_message_of_a_person_is_dropped_with_its_reason(
    change: dict[str, Any], expected: str
) -> None:
    message = workspace().post(GENERAL, ADA, INSULT)
    assert outcome(message_event(GENERAL, message) | change) == expected


@pytest.mark.failure(122)
def test_late_events_and_events_of_unwatched_channels_are_dropped() -> None:
    event = message_event(GENERAL, workspace().post(GENERAL, ADA, INSULT))
    assert [outcome(event, 6 * 3600), outcome(event, 6 * 3600 + 1)] == ["new", "late_event"]
    for channels in (ChannelSettings(), watched(GENERAL, watch=False)):
        assert outcome(event, channels=channels) == "not_watched"
    assert outcome(event, channels=watched(GENERAL, off=True)) == "new", "off is about reactions"


@pytest.mark.failure(124)
def test_changes_by_slack_are_not_edits_and_a_deleted_thread_parent_counts_as_deleted() -> None:
    slack = workspace()
    message = slack.post(GENERAL, ADA, INSULT)
    preview = message | {"attachments": [{"text": "a page"}]}
    assert outcome(message_changed(GENERAL, preview, message, "1.1")) == "not_edited"
    slack.post(GENERAL, ADA, PRAISE, thread_ts=message["ts"])
    slack.delete(GENERAL, message["ts"])
    tombstone = slack.message(GENERAL, message["ts"])
    assert outcome(message_changed(GENERAL, tombstone, message, "1.1")) == "deleted"


@pytest.mark.failure(125, 126)
@pytest.mark.parametrize(
    ("limits", "channels", "in_each", "minutes"), [("tier_3", 70, 3, 3), ("one_a_minute", 2, 20, 30)]
)
def test_more_channels_than_the_rate_limit_allows_wait_and_no_job_is_dropped(
    limits: str, channels: int, in_each: int, minutes: float, bot: Bot
) -> None:
    clock, workspace = Clock(), bot.slack.workspace
    limit(bot, limits, clock)
    names = [workspace.add_channel(f"watched{number}", members={ADA, OWN}) for number in range(channels)]
    bot.set(channels=watched(*names))
    toxic = []
    for number in range(in_each):
        for name in names:
            insults = number == in_each - 1 and name in names[:2]
            message = bot.say(INSULT if insults else f"{PRAISE} {number}", channel=name)
            toxic += [message["ts"]] if insults else []
            send_event(bot, message_event(name, message))
    started = clock.now
    attempts = drain(bot, clock)
    assert set(bot.job_outcomes()) <= {"watched_fine", "watched_toxic", "watched_with_others"}
    # Under load the receiver's client may send a job twice.
    assert len(bot.job_outcomes()) == len(bot.record.requests_for("SendMessage")) >= channels * in_each
    assert sorted(map(about, bot.cards())) == sorted(toxic)
    assert clock.now - started < 60 * minutes
    print(f"{limits}: {channels * in_each} messages, {(clock.now - started) / 60:.1f} min, at most {attempts} attempts")
