"""A shortcut or a slash command, from Slack's signed form to the answer that only one person sees."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from local.faults import ErrorBody, HtmlError, RateLimited, Reset
from local.functions import LocalContext
from tests.toxicity_bot.bot import ADA, DEPLOYBOT, GENERAL, GRACE, INSULT, RANDOM
from toxicity_bot import answers, response_url
from toxicity_bot.invocation import BACKUP_SECONDS
from toxicity_bot.jobs import Job

if TYPE_CHECKING:
    from local.faults import Fault
    from tests.toxicity_bot.bot import Bot

TOXIC = ":warning: *Likely toxic*"


@pytest.mark.failure(100, 101)
@pytest.mark.parametrize("channel", [GENERAL, RANDOM])
def test_a_shortcut_is_answered_at_once_to_one_person_also_where_the_bot_is_no_member(bot: Bot, channel: str) -> None:
    message = bot.say(channel=channel)
    delivery = bot.check(message, channel=channel)
    assert (delivery.status, delivery.body) == (200, b"")
    (answer,) = bot.private(GRACE)
    assert answer.startswith(TOXIC)
    assert "stupid" in answer, "the person who asks has read the message, so its words are quoted"
    assert bot.private(ADA) == []
    assert len(bot.slack.workspace.conversation(channel)) == 1, "nobody else sees anything"
    assert [call.method for call in bot.slack.calls] == ["response_url"], "the message came along"
    (sent,) = bot.record.asked("SendMessage")
    assert sent["DelaySeconds"] == BACKUP_SECONDS
    job = Job.from_json(sent["MessageBody"])
    assert (job.kind, job.channel, job.ts, job.reactor) == ("check", channel, message["ts"], GRACE)
    assert job.detail.keys() == {"response_url"}
    assert bot.record.counted()[-1] == ("WorkerInvoked", "answered")
    kept = [json.loads(row["data"]["S"]) for row in bot.rows() if row["status"]["S"] == "COMPLETED"]
    assert [row["outcome"] for row in kept] == ["toxic"]


@pytest.mark.failure(100, 101)
def test_a_command_is_answered_at_once_to_one_person(bot: Bot) -> None:
    delivery = bot.command(INSULT, channel=RANDOM)
    assert (delivery.status, delivery.body) == (200, b"")
    (answer,) = bot.private(GRACE)
    assert answer.startswith(TOXIC)
    assert bot.slack.workspace.conversation(RANDOM) == []
    (sent,) = bot.record.asked("SendMessage")
    assert Job.from_json(sent["MessageBody"]).detail.keys() == {"response_url", "command"}
    assert bot.ends() == ["toxic"]


def test_a_command_is_judged_as_it_was_typed(bot: Bot) -> None:
    bot.command("1 < 2 & 3 > 2, you stupid idiot, quetzalcoatlus")
    bot.command(":tada:")
    assert [answer.split(" \u2013 ")[0].split(":* ")[0] for answer in bot.private()] == [
        TOXIC,
        ":grey_question: *I can't judge this message",
    ]


@pytest.mark.parametrize(
    ("text", "settings", "words"),
    [
        ("", {}, ["`/toxicity some words`", "`/toxicity settings`", ":biohazard_sign:", "*Check for toxicity*"]),
        (" HELP ", {"reply_to": "reactor"}, ["only the person who reacts"]),
        ("settings", {}, [f"<#{RANDOM}>", ":biohazard_sign:", "everybody in the channel", "do not answer reactions"]),
        ("settings", {"reply_to": "C0MODERATION"}, ["<#C0MODERATION>"]),
        ("settings", {"reply_in_shared_channels": True}, ["I answer reactions too"]),
        (
            "settings",
            {"toxic_threshold": 0.95, "maybe_toxic_threshold": 0.25},
            ["from a score of 95 of 100", "from 25."],
        ),
        ("settings", {"toxic_threshold": 0.5, "maybe_toxic_threshold": 0.5}, ["from a score of 50 of 100."]),
    ],
)
def test_a_command_tells_what_it_can_do_and_what_holds_here(
    bot: Bot, text: str, settings: dict[str, Any], words: list[str]
) -> None:
    bot.set(**settings)
    model = bot.worker.thresholds
    bot.patch.setattr(bot.worker, "thresholds", bot.worker.settings.thresholds(model))
    bot.command(text, channel=RANDOM)
    bot.work()
    (answer,) = bot.private()
    assert [word for word in words if word not in answer] == [], answer
    assert bot.record.asked("SendMessage")[0].get("DelaySeconds", 0) == 0, "there is no text to hand over"


def test_help_does_not_name_a_shortcut_that_is_switched_off(bot: Bot) -> None:
    bot.set(shortcuts=False)
    bot.command("help")
    bot.work()
    assert "Check for toxicity" not in bot.private()[0]


def test_an_answer_about_a_reply_is_shown_in_its_thread(bot: Bot) -> None:
    root = bot.say()
    bot.check(root)
    bot.check(bot.say(thread_ts=root["ts"]))
    assert [one["thread_ts"] for one in bot.slack.workspace.ephemerals] == [None, root["ts"]]


@pytest.mark.failure(102)
@pytest.mark.parametrize(
    ("channel", "expected", "end"), [(GENERAL, TOXIC, "toxic"), (RANDOM, answers.LOST, "text_lost")]
)
def test_if_the_invocation_fails_the_backup_fetches_the_message_or_says_that_the_check_failed(
    bot: Bot, channel: str, expected: str, end: str
) -> None:
    bot.fail_invocations()
    bot.send_backups_at_once()
    assert bot.check(bot.say(channel=channel), channel=channel).status == 200
    assert bot.private() == []
    assert ("WorkerInvoked", "FunctionError") in bot.record.counted()
    assert bot.work() == 1
    (answer,) = bot.private()
    assert answer.startswith(expected)
    assert bot.ends() == [end]


@pytest.mark.failure(102)
def test_if_the_invocation_of_a_command_fails_the_person_is_told(bot: Bot) -> None:
    bot.fail_invocations()
    bot.send_backups_at_once()
    bot.command(INSULT)
    bot.work()
    assert bot.private() == [answers.LOST]


@pytest.mark.failure(102)
def test_without_the_workers_name_a_message_is_judged_from_the_queue(bot: Bot) -> None:
    bot.set(worker_function="")
    bot.check(bot.say())
    assert bot.private() == []
    bot.work()
    assert bot.private()[0].startswith(TOXIC)
    assert bot.record.asked("SendMessage")[0].get("DelaySeconds", 0) == 0


@pytest.mark.failure(102, 106)
def test_the_backup_ends_at_once_if_the_invocation_has_answered(bot: Bot) -> None:
    bot.send_backups_at_once()
    bot.check(bot.say())
    assert bot.work() == 1
    assert len(bot.private()) == 1
    assert bot.ends() == ["toxic", "toxic"]


@pytest.mark.failure(102)
def test_a_claim_of_an_invocation_that_died_ends_and_the_backup_answers(bot: Bot) -> None:
    bot.send_backups_at_once()
    with bot.killed_at(bot.worker.classifier, "verdict"):
        bot.check(bot.say())
    assert bot.work() == 0, "the claim may be that of a worker that is about to answer"
    bot.end_claims()
    bot.wake()
    assert bot.work() == 1
    assert len(bot.private()) == 1


@pytest.mark.failure(103)
def test_after_half_an_hour_the_answer_comes_as_a_direct_message(bot: Bot) -> None:
    message = bot.say()
    payload = bot.slack.message_action("check_toxicity", GENERAL, message["ts"], GRACE)
    bot.slack.workspace.clock = lambda: time.time() + 31 * 60
    assert bot.ask(payload).status == 200
    assert bot.private() == []
    (told,) = bot.hints(GRACE)
    assert told.startswith(TOXIC)


@pytest.mark.failure(103)
def test_where_neither_way_is_open_the_job_ends(bot: Bot) -> None:
    bot.send_backups_at_once()
    payload = bot.slack.message_action("check_toxicity", GENERAL, bot.say()["ts"], GRACE)
    bot.slack.workspace.clock = lambda: time.time() + 31 * 60
    bot.slack.workspace.revoke("chat:write")
    bot.ask(payload)
    assert bot.work() == 1
    assert bot.ends() == ["untold_missing_scope"] * 2
    assert bot.dead() == []


@pytest.mark.failure(104)
@pytest.mark.parametrize("url", ["https://hooks.slack.com.example.com/a", "http://192.0.2.1/x", "", None])
def test_an_answer_goes_to_slack_only(bot: Bot, url: str | None) -> None:
    for payload in (
        bot.slack.message_action("check_toxicity", GENERAL, bot.say()["ts"], GRACE),
        bot.slack.slash_command(INSULT, GENERAL, GRACE),
    ):
        sent = payload | {"response_url": url}
        assert bot.ask({name: value for name, value in sent.items() if value is not None}).status == 200
    assert bot.record.counted() == [("EventIgnored", "malformed_interaction")] * 2
    assert bot.queued() == []


@pytest.mark.failure(104)
def test_a_job_with_a_strange_address_ends(bot: Bot) -> None:
    job = Job("T0LOCAL", GENERAL, bot.say()["ts"], GRACE, "1.2.a", 1731000000, "T0LOCAL", "check")
    bot.put(replace(job, detail={"response_url": "http://192.0.2.1/"}).to_json())
    assert bot.work() == 1
    assert bot.ends() == ["refused_not_slacks_address"]


@pytest.mark.failure(106)
def test_a_request_that_is_sent_again_is_answered_once(bot: Bot) -> None:
    bot.send_backups_at_once()
    for payload in (
        bot.slack.message_action("check_toxicity", GENERAL, bot.say()["ts"], GRACE),
        bot.slack.slash_command(INSULT, GENERAL, GRACE),
    ):
        assert [bot.ask(payload).status for _ in range(3)] == [200] * 3
    assert bot.work() == 6
    assert len(bot.private()) == 2, "one for each of the two"


@pytest.mark.failure(102, 106)
@pytest.mark.parametrize(("channel", "expected"), [(GENERAL, TOXIC), (RANDOM, answers.LOST)])
def test_an_invocation_that_comes_after_its_backup_gives_no_second_answer(
    bot: Bot, channel: str, expected: str
) -> None:
    late: list[dict[str, Any]] = []

    def keep(event: dict[str, Any]) -> dict[str, Any]:
        late.append(event)
        return {}

    bot.send_backups_at_once()
    bot.patch.setattr(bot.invoke_api, "invoke", keep)
    bot.check(bot.say(channel=channel), channel=channel)
    assert bot.work() == 1
    bot.worker.handler(late[0], LocalContext("worker"))
    (answer,) = bot.private()
    assert answer.startswith(expected)


@pytest.mark.failure(7)
def test_what_another_app_signed_is_refused(bot: Bot) -> None:
    payload = bot.slack.slash_command(INSULT, GENERAL, GRACE)
    assert bot.ask(payload, secret="another app's signing-secret").status == 401
    assert bot.ask(payload, age=400).status == 401
    assert (bot.queued(), bot.private()) == ([], [])


def test_each_click_and_each_person_gets_an_answer(bot: Bot) -> None:
    message = bot.say()
    for person in (GRACE, GRACE, ADA):
        bot.check(message, by=person)
    assert (len(bot.private(GRACE)), len(bot.private(ADA))) == (2, 1)


@pytest.mark.failure(107)
def test_the_bots_own_message_is_not_judged(bot: Bot) -> None:
    bot.judge(bot.say())
    (verdict,) = bot.verdicts()
    bot.check(verdict)
    assert bot.private() == [answers.OWN]
    bot.check(bot.say(by=DEPLOYBOT))
    assert bot.private()[1].startswith(TOXIC), "other bots' messages are judged"


@pytest.mark.failure(107)
@pytest.mark.parametrize("fails", [False, True])
def test_a_message_that_is_deleted_meanwhile_is_judged_as_it_came_along(bot: Bot, fails: bool) -> None:
    message = bot.say()
    payload = bot.slack.message_action("check_toxicity", GENERAL, message["ts"], GRACE)
    bot.slack.workspace.delete(GENERAL, message["ts"])
    if fails:
        bot.fail_invocations()
        bot.send_backups_at_once()
    bot.ask(payload)
    bot.work()
    (answer,) = bot.private()
    assert answer.startswith(answers.GONE if fails else TOXIC)


@pytest.mark.failure(108)
def test_a_shortcut_of_another_name_is_ignored(bot: Bot) -> None:
    ts = bot.say()["ts"]
    assert bot.ask(bot.slack.message_action("another_apps", GENERAL, ts, GRACE)).status == 200
    assert bot.record.counted() == [("EventIgnored", "unknown_interaction")]
    assert bot.queued() == []


@pytest.mark.failure(108)
def test_what_is_switched_off_is_not_answered_and_a_command_says_so(bot: Bot) -> None:
    bot.set(shortcuts=False, slash_command=False)
    assert bot.check(bot.say()).body == b""
    told = json.loads(bot.command(INSULT).body)
    assert told == {"response_type": "ephemeral", "text": "This command is switched off here."}
    assert bot.record.counted() == [("EventIgnored", "shortcuts_off"), ("EventIgnored", "command_off")]
    assert (bot.queued(), bot.private()) == ([], [])


@pytest.mark.failure(109)
def test_an_answer_that_slack_does_not_confirm_is_not_given_twice(bot: Bot) -> None:
    bot.send_backups_at_once()
    bot.slack.faults.add("response_url", Reset(before_work=False))
    bot.check(bot.say())
    assert bot.work() == 1
    assert len(bot.private()) == 1
    assert bot.ends() == ["answer_unconfirmed"] * 2


@pytest.mark.failure(102, 109)
@pytest.mark.parametrize("shown", [True, False])
def test_a_worker_that_dies_after_it_has_answered_leaves_one_answer(bot: Bot, shown: bool) -> None:
    bot.send_backups_at_once()
    place = (response_url, "respond") if shown else (bot.worker.classifier, "verdict")
    with bot.killed_at(*place, after=shown):
        bot.check(bot.say())
    assert len(bot.private()) == shown
    bot.end_claims()
    assert bot.work() == 1
    assert len(bot.private()) == 1
    assert bot.ends() == ["answer_unconfirmed" if shown else "toxic"]


@pytest.mark.failure(109)
def test_an_answer_that_slack_refused_before_a_worker_died_is_given_later(bot: Bot) -> None:
    bot.send_backups_at_once()
    payload = bot.slack.message_action("check_toxicity", GENERAL, bot.say()["ts"], GRACE)
    bot.slack.faults.add("response_url", HtmlError(502))
    bot.ask(payload)
    with bot.killed_at(bot.worker.classifier, "verdict"):
        bot.ask(payload)
    assert bot.private() == []
    bot.end_claims()
    assert bot.work() == 2
    assert len(bot.private()) == 1


@pytest.mark.failure(109)
@pytest.mark.parametrize("fault", [RateLimited("1"), HtmlError(502), ErrorBody("internal_error", 500)])
def test_an_answer_that_slack_refuses_for_now_is_given_later(bot: Bot, fault: Fault) -> None:
    bot.send_backups_at_once()
    bot.slack.faults.add("response_url", fault)
    bot.check(bot.say())
    assert bot.private() == []
    assert bot.work() == 1
    assert len(bot.private()) == 1
    assert bot.slack.faults.left() == 0


@pytest.mark.failure(43, 102)
def test_with_a_revoked_token_a_check_needs_none_and_the_backup_says_that_it_failed(bot: Bot) -> None:
    bot.slack.workspace.refuse_token("token_revoked")
    bot.check(bot.say())
    assert bot.private()[0].startswith(TOXIC)
    bot.fail_invocations()
    bot.send_backups_at_once()
    bot.check(bot.say())
    bot.work()
    assert bot.private()[1:] == [answers.LOST]
    assert bot.ends() == ["toxic", "token_revoked"]
