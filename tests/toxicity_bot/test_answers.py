"""Shortcuts and slash commands, from Slack's signed form to the answer that only one person sees."""

import json
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from local.events import Delivery
from local.faults import ErrorBody, Fault, HtmlError, RateLimited, Reset
from local.functions import LocalContext
from tests.toxicity_bot.bot import ADA, DEPLOYBOT, GENERAL, GRACE, INSULT, PRIVATE, RANDOM, Bot
from toxicity_bot import answers, response_url
from toxicity_bot.channel_settings import ChannelSettings, Entry
from toxicity_bot.errors import SlackUnavailableError
from toxicity_bot.invocation import BACKUP_SECONDS
from toxicity_bot.jobs import Job

TOXIC = ":warning: *Likely toxic*"
READ, SHORTCUT = "I read every message here", "*Check for toxicity*"
WATCHED = Entry("moderators", toxic_threshold=0.9, emoji=("eyes",), watch=True)


def shortcut(bot: Bot) -> dict[str, Any]:
    """The payload that Slack sends when grace uses the shortcut on an insult."""
    return bot.slack.message_action("check_toxicity", GENERAL, bot.say()["ts"], GRACE)


def check_in(channel: str) -> Callable[[Bot], Delivery]:
    return lambda bot: bot.check(bot.say(channel=channel), channel=channel)


def command(bot: Bot) -> Delivery:
    return bot.command(INSULT, channel=RANDOM)


@pytest.mark.failure(100, 101)
@pytest.mark.parametrize("ask", [check_in(GENERAL), check_in(RANDOM), command], ids=["here", "elsewhere", "command"])
def test_only_the_person_who_asks_is_answered_even_where_the_bot_is_not_a_member(
    bot: Bot, ask: Callable[..., Delivery]
) -> None:
    delivery = ask(bot)
    assert (delivery.status, delivery.body) == (200, b"")
    (answer,) = bot.private(GRACE)
    assert answer.startswith(TOXIC)
    assert "stupid" in answer, "the person who asks can read the message, so its words are quoted"
    assert bot.private(ADA) == []
    conversations = [post["user"] for one in (GENERAL, RANDOM) for post in bot.slack.workspace.conversation(one)]
    assert set(conversations) <= {ADA}, "nobody else sees anything"
    assert [call.method for call in bot.slack.calls] == ["response_url"], (
        "the request contains the message, so it is not fetched"
    )
    (sent,) = bot.record.requests_for("SendMessage")
    assert sent["DelaySeconds"] == BACKUP_SECONDS
    assert (bot.reasons("WorkerInvoked"), bot.job_outcomes()) == (["answered"], ["toxic"])


def test_a_command_judges_its_text_as_typed(bot: Bot) -> None:
    bot.command("1 < 2 & 3 > 2, you stupid idiot, quetzalcoatlus")
    bot.command(":tada:")
    insult, emoji = bot.private()
    assert insult.startswith(TOXIC)
    assert emoji.startswith(":grey_question: *I can't judge this message")


@pytest.mark.parametrize(
    ("text", "settings", "words"),
    [
        ("", {}, ["`/toxicity some words`", "`/toxicity settings`", ":biohazard_sign:", SHORTCUT]),
        (" HELP ", {"reply_to": "reactor", "shortcuts": False}, ["only the person who reacts"]),
        ("settings", {}, [f"<#{RANDOM}>", ":biohazard_sign:", "everybody in the channel", "shared with other"]),
        ("settings", {"reply_in_shared_channels": "reactor"}, ["organisations, only the person who reacts sees"]),
        ("settings", {"reply_in_shared_channels": "no"}, ["organisations, I do not answer reactions"]),
        ("settings", {"reply_to": "C0MODERATION"}, ["<#C0MODERATION>"]),
        ("settings", {"reply_in_shared_channels": "yes"}, ["organisations, the same people see it"]),
        ("settings", {"toxic_threshold": 0.95, "maybe_toxic_threshold": 0.25}, ["a score of 95 of 100", "from 25."]),
        ("settings", {"toxic_threshold": 0.5, "maybe_toxic_threshold": 0.5}, ["a score of 50 of 100."]),
        ("settings", {"channels": {RANDOM: WATCHED}}, [":eyes:", f"<#{PRIVATE}>", "a score of 90 of 100", READ]),
        (
            "settings",
            {"channels": {RANDOM: replace(WATCHED, watch_threshold=0.98)}},
            [READ, "that score 98 or more"],
        ),
        ("settings", {"channels": {RANDOM: replace(WATCHED, off=True)}}, [answers.SWITCHED_OFF, READ]),
        ("help", {"channels": {RANDOM: Entry(off=True)}}, [SHORTCUT, answers.SWITCHED_OFF]),
    ],
)
def test_a_command_shows_help_and_the_settings_of_the_channel(
    bot: Bot, text: str, settings: dict[str, Any], words: list[str]
) -> None:
    channels = ChannelSettings(settings.get("channels", {}))
    bot.set(**settings | {"channels": channels, "moderators_channel": PRIVATE})
    model = bot.worker.thresholds
    bot.patch.setattr(bot.worker, "thresholds", bot.worker.settings.thresholds(model))
    bot.command(text, channel=RANDOM)
    bot.work()
    (answer,) = bot.private()
    assert [word for word in words if word not in answer] == [], answer
    assert [word in answer for word in (READ, SHORTCUT)] == [word in words for word in (READ, SHORTCUT)]
    assert bot.record.requests_for("SendMessage")[0].get("DelaySeconds", 0) == 0, (
        "there is no text to pass on, so the job is not delayed"
    )


def test_the_answer_about_a_thread_reply_is_shown_in_the_thread(bot: Bot) -> None:
    root = bot.say()
    bot.check(root)
    bot.check(bot.say(thread_ts=root["ts"]))
    assert [one["thread_ts"] for one in bot.slack.workspace.ephemerals] == [None, root["ts"]]


@pytest.mark.failure(102)
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    ("ask", "expected", "end"),
    [
        (check_in(GENERAL), TOXIC, "toxic"),
        (check_in(RANDOM), answers.LOST, "text_lost"),
        (command, answers.LOST, "text_lost"),
    ],
    ids=["here", "elsewhere", "command"],
)
def test_after_a_failed_invocation_the_backup_job_answers_or_reports_a_failed_check(
    bot: Bot, ask: Callable[..., Delivery], expected: str, end: str, named: bool
) -> None:
    if named:
        bot.fail_invocations()
        bot.send_backups_at_once()
    else:
        bot.set(worker_function="")
    assert ask(bot).status == 200
    assert bot.private() == []
    assert bot.reasons("WorkerInvoked") == ["FunctionError"] * named
    assert bot.work() == 1
    (answer,) = bot.private()
    assert answer.startswith(expected)
    assert bot.job_outcomes() == [end]


@pytest.mark.failure(102, 106)
def test_a_repeated_request_is_answered_once_and_its_backup_jobs_end_at_once(bot: Bot) -> None:
    bot.send_backups_at_once()
    for payload in (shortcut(bot), bot.slack.slash_command(INSULT, GENERAL, GRACE)):
        assert [bot.ask(payload).status for _ in range(3)] == [200] * 3
    assert bot.work() == 6
    assert len(bot.private()) == 2, "one answer per request"
    assert set(bot.job_outcomes()) == {"toxic"}


@pytest.mark.failure(102, 106)
@pytest.mark.parametrize(("channel", "expected"), [(GENERAL, TOXIC), (RANDOM, answers.LOST)])
def test_an_invocation_that_runs_after_its_backup_job_does_not_answer_again(
    bot: Bot, channel: str, expected: str
) -> None:
    late: list[dict[str, Any]] = []
    bot.send_backups_at_once()
    bot.patch.setattr(bot.invoke_api, "invoke", late.append)
    bot.check(bot.say(channel=channel), channel=channel)
    assert bot.work() == 1
    bot.worker.handler(late[0], LocalContext("worker"))
    (answer,) = bot.private()
    assert answer.startswith(expected)


@pytest.mark.failure(103)
@pytest.mark.parametrize("may_write", [True, False])
def test_after_the_response_url_expires_the_answer_is_a_direct_message_or_the_job_ends(
    bot: Bot, may_write: bool
) -> None:
    bot.send_backups_at_once()
    payload = shortcut(bot)
    bot.advance_clock(31 * 60)
    if not may_write:
        bot.slack.workspace.revoke("chat:write")
    assert bot.ask(payload).status == 200
    assert bot.work() == 1
    assert bot.private() == []
    assert [told.split(" \u2013 ")[0] for told in bot.hints(GRACE)] == [TOXIC] * may_write
    assert bot.job_outcomes() == ["toxic" if may_write else "untold_missing_scope"] * 2


@pytest.mark.failure(104)
def test_a_job_with_a_foreign_response_url_ends(bot: Bot) -> None:
    job = Job("T0LOCAL", GENERAL, bot.say()["ts"], GRACE, "1.2.a", 1731000000, "T0LOCAL", "check")
    bot.enqueue(replace(job, detail={"response_url": "http://192.0.2.1/"}).to_json())
    assert bot.work() == 1
    assert bot.job_outcomes() == ["refused_not_slacks_address"]


def test_each_click_and_each_person_gets_an_answer(bot: Bot) -> None:
    message = bot.say()
    for person in (GRACE, GRACE, ADA):
        bot.check(message, by=person)
    assert (len(bot.private(GRACE)), len(bot.private(ADA))) == (2, 1)


@pytest.mark.failure(107)
def test_a_check_skips_the_bots_own_message_and_judges_other_bots_messages(bot: Bot) -> None:
    bot.judge(bot.say())
    bot.check(bot.verdicts()[0])
    bot.check(bot.say(by=DEPLOYBOT))
    own, other = bot.private()
    assert own == answers.OWN
    assert other.startswith(TOXIC)


@pytest.mark.failure(107)
@pytest.mark.parametrize("fails", [False, True])
def test_a_message_deleted_after_the_request_is_judged_from_the_request(bot: Bot, fails: bool) -> None:
    payload = shortcut(bot)
    bot.slack.workspace.delete(GENERAL, payload["message_ts"])
    if fails:
        bot.fail_invocations()
        bot.send_backups_at_once()
    bot.ask(payload)
    bot.work()
    (answer,) = bot.private()
    assert answer.startswith(answers.GONE if fails else TOXIC)


@pytest.mark.failure(108)
def test_disabled_shortcuts_and_commands_say_that_they_are_disabled(bot: Bot) -> None:
    bot.set(shortcuts=False, slash_command=False)
    assert bot.check(bot.say()).body == b""
    told = json.loads(bot.command(INSULT).body)
    assert told == {"response_type": "ephemeral", "text": "This command is switched off here."}
    bot.work()
    assert bot.private() == [answers.SHORTCUTS_OFF]
    assert bot.reasons("WorkerInvoked") == [], "the text is not passed on"
    assert (bot.reasons("EventIgnored"), bot.job_outcomes()) == (["command_off"], ["told_off"])


@pytest.mark.failure(102, 109)
@pytest.mark.parametrize("shown", [True, False])
def test_a_worker_killed_before_or_after_answering_leaves_one_answer(bot: Bot, shown: bool) -> None:
    bot.send_backups_at_once()
    place = (response_url, "respond") if shown else (bot.worker.classifier, "verdict")
    with bot.killed_at(*place, after=shown):
        bot.check(bot.say())
    assert len(bot.private()) == shown
    assert bot.work() == 0, "the claim may belong to a worker that is about to answer"
    bot.end_claims()
    bot.wake()
    assert bot.work() == 1
    assert len(bot.private()) == 1
    assert bot.job_outcomes() == ["answer_unconfirmed" if shown else "toxic"]


@pytest.mark.failure(109)
def test_an_answer_that_slack_refused_before_the_worker_died_is_sent_later(bot: Bot) -> None:
    bot.send_backups_at_once()
    payload = shortcut(bot)
    bot.slack.faults.add("response_url", HtmlError(502))
    bot.ask(payload)
    with bot.killed_at(bot.worker.classifier, "verdict"):
        bot.ask(payload)
    assert bot.private() == []
    bot.end_claims()
    assert bot.work() == 2
    assert len(bot.private()) == 1


@pytest.mark.failure(109)
@pytest.mark.parametrize(
    ("fault", "ends"),
    [
        (RateLimited("1"), ["toxic"]),
        (HtmlError(502), ["toxic"]),
        (ErrorBody("internal_error", 500), ["toxic"]),
        (Reset(before_work=False), ["answer_unconfirmed"] * 2),
    ],
    ids=str,
)
def test_an_answer_is_retried_after_a_temporary_refusal_but_not_if_it_may_have_been_shown(
    bot: Bot, fault: Fault, ends: list[str]
) -> None:
    bot.send_backups_at_once()
    bot.slack.faults.add("response_url", fault)
    bot.check(bot.say())
    assert len(bot.private()) == len(ends) - 1, "the first answer may have been shown"
    assert bot.work() == 1
    assert len(bot.private()) == 1
    assert bot.job_outcomes() == ends
    assert bot.slack.faults.left() == 0


@pytest.mark.failure(43, 102)
def test_with_a_revoked_token_a_check_works_and_its_backup_job_reports_a_failed_check(bot: Bot) -> None:
    bot.slack.workspace.refuse_token("token_revoked")
    bot.check(bot.say())
    assert bot.private()[0].startswith(TOXIC)
    bot.fail_invocations()
    bot.send_backups_at_once()
    bot.check(bot.say())
    bot.work()
    assert bot.private()[1:] == [answers.LOST]
    assert bot.job_outcomes() == ["toxic", "token_revoked"]


@pytest.mark.failure(109)
@pytest.mark.parametrize("accepts", [True, False])
def test_an_answer_may_have_been_shown_only_if_slack_may_have_received_it(
    monkeypatch: pytest.MonkeyPatch, accepts: bool
) -> None:
    monkeypatch.setattr(response_url, "TIMEOUT_SECONDS", 0.2)
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        if not accepts:  # one pending connection fills the backlog
            stack.enter_context(socket.create_connection(server.getsockname()))
        with pytest.raises(SlackUnavailableError) as caught:
            response_url.respond({"response_url": f"{address}/responses/1"}, "Hello", f"{address}/api/")
    assert caught.value.outcome_unknown is accepts
