from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from local.faults import Call, ErrorBody, Reset
from local.lambda_context import LocalContext
from toxicity_bot import slack_messages
from toxicity_bot.errors import ClaimedError, SlackUnavailableError
from toxicity_bot.jobs import Job
from toxicity_bot.judge import Judge
from toxicity_bot.ledger import KEPT_SECONDS, Ledger
from toxicity_bot.settings import Settings, Thresholds
from toxicity_bot.slack_messages import SlackMessages

if TYPE_CHECKING:
    from local.aws import EmbeddedAws
    from local.slack_server import SlackServer
    from local.workspace import Message
    from toxicity_bot.classifier import Classifier

GENERAL = "C0GENERAL"
INSULT = "You are a stupid idiot."
PRAISE = "Thanks a lot, the fix works and the release is out."

MakeJudge = Callable[..., Judge]

# How many texts of each kind the embedded model calls toxic, as measured. Another processor may tip one of them.
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


@pytest.fixture
def judge_with(aws: EmbeddedAws, slack: SlackServer, classifier: Classifier, ledger: Ledger) -> MakeJudge:
    """Make the judge of a new invocation; the arguments are environment variables."""

    def make(**environ: str) -> Judge:
        ledger.lease_until_end_of(LocalContext("worker"))  # type: ignore[arg-type]  # as on Lambda
        messages = SlackMessages(slack.url, lambda: slack.workspace.token)
        settings = Settings.from_environ(environ)
        thresholds = settings.thresholds(Thresholds(classifier.threshold, classifier.threshold_maybe))
        return Judge(settings, thresholds, messages, classifier, ledger)

    return make


@pytest.fixture
def judge(judge_with: MakeJudge) -> Judge:
    return judge_with()


def job_for(message: Message, channel: str = GENERAL, reactor: str = "U0GRACE") -> Job:
    return Job("T0LOCAL", channel, message["ts"], reactor, "Ev0001", 1731000000)


def verdicts(slack: SlackServer, channel: str = GENERAL) -> list[Message]:
    """The bot's marked posts in a channel, oldest first."""
    return [one for one in slack.workspace.conversation(channel) if "metadata" in one]


def hints(slack: SlackServer, user: str = "U0GRACE") -> list[str]:
    return [one["text"] for one in slack.workspace.conversation(slack.workspace.open_im(user))]


@pytest.mark.parametrize(
    ("text", "outcome", "words"),
    [
        (INSULT, "toxic", "*Likely toxic*"),
        (PRAISE, "fine", "*Probably fine*"),
        (":tada: <https://example.com>", "cannot_judge", "no words in it"),
        ("Ich komme heute leider etwas sp\u00e4ter ins B\u00fcro.", "cannot_judge", "in German"),
    ],
)
def test_a_message_gets_one_verdict_in_its_thread(
    text: str, outcome: str, words: str, slack: SlackServer, judge: Judge
) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", text)
    assert judge.judge(job_for(message)) == outcome
    (post,) = verdicts(slack)
    assert words in post["text"]
    assert post["thread_ts"] == message["ts"]
    payload = post["metadata"]["event_payload"]
    assert (payload["key"], payload["outcome"]) == (f"T0LOCAL/C0GENERAL/{message['ts']}/", outcome)


@pytest.mark.failure(36)
def test_words_in_blocks_are_judged(slack: SlackServer, judge: Judge) -> None:
    block = {"type": "section", "text": {"type": "mrkdwn", "text": INSULT}}
    message = slack.workspace.post(GENERAL, "U0DEPLOYBOT", "Weekly report", blocks=[block])
    assert judge.judge(job_for(message)) == "toxic"


@pytest.mark.parametrize(
    ("environ", "head"),
    [({}, "*Likely toxic*"), ({"TOXIC_THRESHOLD": "1", "MAYBE_TOXIC_THRESHOLD": "0.01"}, "*May be toxic*")],
)
def test_a_toxic_verdict_quotes_the_words_that_weighed_most(
    environ: dict[str, str], head: str, slack: SlackServer, judge_with: MakeJudge
) -> None:
    judge_with(**environ).judge(job_for(slack.workspace.post(GENERAL, "U0ADA", INSULT)))
    (post,) = verdicts(slack)
    assert head in post["text"]
    assert any(f"\u201c{word}\u201d" in post["text"] for word in ("stupid", "idiot")), post["text"]


@pytest.mark.failure(42)
@pytest.mark.parametrize("name", SLICES)
def test_hard_texts_are_judged_as_measured_and_the_verdict_is_a_likelihood(
    name: str, slack: SlackServer, judge: Judge
) -> None:
    toxic, texts = SLICES[name]
    messages = [slack.workspace.post(GENERAL, "U0ADA", text.strip()) for text in texts.strip().splitlines()]
    outcomes = [judge.judge(job_for(message)) for message in messages]
    number = outcomes.count("toxic")
    assert abs(number - toxic) <= 1, f"of {len(outcomes)} {name}, {toxic} were toxic when measured, now {number}"
    for post, outcome in zip(verdicts(slack), outcomes, strict=True):
        assert "the chance that it is toxic is " in post["text"]
        assert ("not a judgement of the person" in post["text"]) == (outcome != "fine")


@pytest.mark.failure(37)
@pytest.mark.parametrize(
    "text", [":tada:", "<https://example.com/you-idiot>", "<@U0ADA>", "100 %", "&amp;nbsp; &amp;shy;"]
)
def test_a_message_without_words_never_reaches_the_model(
    text: str, slack: SlackServer, judge: Judge, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> None:
        raise AssertionError("the model was asked about nothing")

    for method in ("assess", "words"):
        monkeypatch.setattr(classifier, method, fail)
    message = slack.workspace.post(GENERAL, "U0ADA", text)
    assert judge.judge(job_for(message)) == "cannot_judge"


@pytest.mark.parametrize(
    ("text", "toxic", "maybe", "outcome"),
    [
        (INSULT, "1", "1", "fine"),
        (INSULT, "1", "0.01", "maybe_toxic"),
        (PRAISE, "0", "", "toxic"),
        (PRAISE, "1", "0", "maybe_toxic"),
    ],
)
def test_thresholds_in_the_settings_override_the_models(
    text: str, toxic: str, maybe: str, outcome: str, slack: SlackServer, judge_with: MakeJudge
) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", text)
    judge = judge_with(TOXIC_THRESHOLD=toxic, MAYBE_TOXIC_THRESHOLD=maybe)
    assert judge.judge(job_for(message)) == outcome
    payload = verdicts(slack)[0]["metadata"]["event_payload"]
    assert (payload["threshold"], payload["threshold_maybe"]) == (float(toxic), float(maybe or toxic))


def test_a_verdict_quotes_the_emoji_and_not_its_name(
    slack: SlackServer, judge_with: MakeJudge, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "words", lambda _: ("finger", "garbage", "middle", "elsewhere"))
    message = slack.workspace.post(GENERAL, "U0ADA", "you write garbage :middle_finger:")
    judge_with(TOXIC_THRESHOLD="0").judge(job_for(message))
    (post,) = verdicts(slack)
    assert "What weighed most: \u201c\U0001f595\u201d, \u201cgarbage\u201d." in post["text"]


def test_the_words_of_a_fine_message_are_not_weighed(
    slack: SlackServer, judge: Judge, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise AssertionError("the words of a fine message were weighed")

    monkeypatch.setattr(classifier, "words", fail)
    assert judge.judge(job_for(slack.workspace.post(GENERAL, "U0ADA", PRAISE))) == "fine"


@pytest.mark.failure(24)
def test_a_thread_reply_is_answered_in_its_parents_thread(slack: SlackServer, judge: Judge) -> None:
    parent = slack.workspace.post(GENERAL, "U0ADA", PRAISE)
    reply = slack.workspace.post(GENERAL, "U0GRACE", INSULT, thread_ts=parent["ts"])
    assert judge.judge(job_for(reply)) == "toxic"
    assert [post["thread_ts"] for post in verdicts(slack)] == [parent["ts"]]


@pytest.mark.failure(20)
def test_the_bots_own_message_is_not_judged(slack: SlackServer, judge: Judge) -> None:
    own = slack.workspace.post(GENERAL, slack.workspace.identity.bot_user_id, INSULT)
    assert judge.judge(job_for(own)) == "own_message"
    assert verdicts(slack) == []


@pytest.mark.failure(22)
def test_many_reactions_make_one_verdict(slack: SlackServer, judge_with: MakeJudge) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    reactors = ("U0GRACE", "U0ADA", "U0GRACE")
    assert [judge_with().judge(job_for(message, reactor=reactor)) for reactor in reactors] == ["toxic"] * 3
    assert len(verdicts(slack)) == 1


@pytest.mark.failure(23)
@pytest.mark.parametrize(
    ("removed", "setting", "outcome"),
    [(True, "yes", "toxic"), (True, "no", "reaction_removed"), (False, "no", "toxic")],
)
def test_a_removed_reaction_counts_by_setting(
    removed: bool, setting: str, outcome: str, slack: SlackServer, judge_with: MakeJudge
) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    slack.workspace.react(GENERAL, message["ts"], "U0GRACE", "biohazard_sign")
    if removed:
        slack.workspace.unreact(GENERAL, message["ts"], "U0GRACE", "biohazard_sign")
    assert judge_with(JUDGE_AFTER_REMOVAL=setting).judge(job_for(message)) == outcome


@pytest.mark.failure(25)
@pytest.mark.parametrize("reply_to", ["thread", "reactor"])
def test_a_message_deleted_before_the_fetch_ends_quietly(
    reply_to: str, slack: SlackServer, judge_with: MakeJudge
) -> None:
    slack.workspace.post(GENERAL, "U0ADA", INSULT)
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    slack.workspace.delete(GENERAL, message["ts"])
    assert judge_with(REPLY_TO=reply_to).judge(job_for(message)) == "message_gone"
    assert slack.calls_of("chat.postMessage") == []


@pytest.mark.failure(26)
def test_a_message_deleted_before_the_post_ends_quietly(slack: SlackServer, judge: Judge) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    slack.faults.add("chat.postMessage", Call(lambda: slack.workspace.delete(GENERAL, message["ts"])))
    assert judge.judge(job_for(message)) == "message_gone"
    assert slack.workspace.conversation(GENERAL) == []


@pytest.mark.failure(27)
def test_an_edited_message_gets_a_second_verdict(slack: SlackServer, judge: Judge) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    assert judge.judge(job_for(message)) == "toxic"
    slack.workspace.edit(GENERAL, message["ts"], PRAISE)
    assert judge.judge(job_for(message, reactor="U0ADA")) == "fine"
    assert judge.judge(job_for(message)) == "fine"
    assert [post["metadata"]["event_payload"]["outcome"] for post in verdicts(slack)] == ["toxic", "fine"]


@pytest.mark.failure(28)
def test_the_reactor_gets_one_hint_until_the_bot_is_invited(slack: SlackServer, judge_with: MakeJudge) -> None:
    message = slack.workspace.post("C0RANDOM", "U0ADA", INSULT)
    job = job_for(message, "C0RANDOM")
    assert [judge_with().judge(job) for _ in range(2)] == ["hint_not_in_channel"] * 2
    (hint,) = hints(slack)
    assert "<#C0RANDOM>" in hint
    assert "/invite" in hint
    assert hints(slack, "U0ADA") == []
    slack.workspace.invite("C0RANDOM")
    assert judge_with().judge(job) == "toxic"


@pytest.mark.failure(29)
def test_a_hint_names_the_missing_scope(slack: SlackServer, judge: Judge) -> None:
    message = slack.workspace.post("C0PRIVATE", "U0ADA", INSULT)
    slack.workspace.revoke("groups:history")
    assert judge.judge(job_for(message, "C0PRIVATE")) == "hint_missing_scope"
    (hint,) = hints(slack)
    assert "`groups:history`" in hint


@pytest.mark.failure(29)
def test_a_hint_that_may_not_be_sent_ends_the_job(slack: SlackServer, judge: Judge) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    slack.workspace.revoke("chat:write")
    assert judge.judge(job_for(message)) == "untold_missing_scope"


@pytest.mark.failure(28)
def test_a_hint_is_retried_while_slack_is_unavailable(slack: SlackServer, judge: Judge) -> None:
    message = slack.workspace.post("C0RANDOM", "U0ADA", INSULT)
    slack.faults.add("chat.postMessage", ErrorBody("fatal_error"))
    with pytest.raises(SlackUnavailableError):
        judge.judge(job_for(message, "C0RANDOM"))
    assert judge.judge(job_for(message, "C0RANDOM")) == "hint_not_in_channel"
    assert len(hints(slack)) == 1


@pytest.mark.failure(34)
@pytest.mark.parametrize(
    "code", ["is_archived", "restricted_action_read_only_channel", "restricted_action_thread_locked"]
)
def test_a_restricted_channel_ends_the_job(code: str, slack: SlackServer, judge: Judge) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    if code == "is_archived":
        slack.workspace.archive(GENERAL)
    elif code.endswith("thread_locked"):
        slack.workspace.lock_thread(GENERAL, message["ts"])
    else:
        slack.workspace.restrict(GENERAL, code)
    assert judge.judge(job_for(message)) == f"restricted_{code}"
    assert hints(slack) == []


@pytest.mark.failure(33)
def test_a_post_whose_reply_was_lost_is_found_and_not_repeated(
    slack: SlackServer, judge_with: MakeJudge, end_claims: Callable[[], None]
) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    slack.faults.add("chat.postMessage", Reset(before_work=False))
    with pytest.raises(SlackUnavailableError):
        judge_with().judge(job_for(message))
    end_claims()
    assert judge_with().judge(job_for(message)) == "found"
    assert len(verdicts(slack)) == len(slack.calls_of("chat.postMessage")) == 1


@pytest.mark.failure(56)
def test_a_second_region_with_an_empty_ledger_finds_the_verdict_of_the_first(
    slack: SlackServer, judge_with: MakeJudge, aws: EmbeddedAws
) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    assert judge_with().judge(job_for(message)) == "toxic"
    aws.clear()
    aws.create()
    assert judge_with().judge(job_for(message)) == "found"
    assert len(verdicts(slack)) == 1


@pytest.mark.failure(33)
def test_a_post_that_never_arrived_is_posted_again(
    slack: SlackServer, judge_with: MakeJudge, end_claims: Callable[[], None]
) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    slack.faults.add("chat.postMessage", Reset(before_work=True))
    with pytest.raises(SlackUnavailableError):
        judge_with().judge(job_for(message))
    end_claims()
    assert judge_with().judge(job_for(message)) == "toxic"
    assert len(verdicts(slack)) == 1


@pytest.mark.failure(26)
def test_a_verdict_posted_outside_its_deleted_thread_is_deleted_by_a_later_try(
    slack: SlackServer, judge_with: MakeJudge
) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    other = slack.workspace.post(GENERAL, "U0ADA", PRAISE)
    assert judge_with().judge(job_for(other)) == "fine"
    slack.faults.add("chat.postMessage", Call(lambda: slack.workspace.delete(GENERAL, message["ts"])))
    slack.faults.add("chat.delete", Reset(), times=2)
    for _ in range(2):
        with pytest.raises(SlackUnavailableError):
            judge_with().judge(job_for(message))
    assert judge_with().judge(job_for(message)) == "message_gone"
    assert [post["thread_ts"] for post in verdicts(slack)] == [other["ts"]]


@pytest.mark.failure(33)
def test_a_post_that_appears_after_its_timeout_is_found(
    slack: SlackServer, judge_with: MakeJudge, end_claims: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack_messages, "TIMEOUT_SECONDS", 0.3)
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    released = threading.Event()
    slack.faults.add("chat.postMessage", Call(lambda: released.wait(30)))
    with pytest.raises(SlackUnavailableError):
        judge_with().judge(job_for(message))
    with pytest.raises(ClaimedError):
        judge_with().judge(job_for(message, reactor="U0ADA"))
    released.set()
    deadline = time.monotonic() + 10
    while not verdicts(slack):
        assert time.monotonic() < deadline, "the first post never appeared"
    end_claims()
    assert judge_with().judge(job_for(message)) == "found"
    assert len(verdicts(slack)) == 1


@pytest.mark.failure(46)
def test_a_job_handled_twice_at_once_makes_one_verdict(slack: SlackServer, judge_with: MakeJudge) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)

    def second_delivery() -> None:
        with pytest.raises(ClaimedError):
            judge_with().judge(job_for(message))

    slack.faults.add("chat.postMessage", Call(second_delivery))
    assert judge_with().judge(job_for(message)) == "toxic"
    assert slack.faults.left() == 0
    assert len(verdicts(slack)) == 1


@pytest.mark.failure(35)
def test_an_ephemeral_verdict_is_also_recorded_in_the_ledger(
    slack: SlackServer, judge_with: MakeJudge, aws: EmbeddedAws
) -> None:
    parent = slack.workspace.post(GENERAL, "U0ADA", PRAISE)
    reply = slack.workspace.post(GENERAL, "U0ADA", INSULT, thread_ts=parent["ts"])
    judge = judge_with(REPLY_TO="reactor")
    assert [judge.judge(job_for(message)) for message in (parent, reply)] == ["fine", "toxic"]
    shown = [(one["channel"], one["user"], one["thread_ts"]) for one in slack.workspace.ephemerals]
    assert shown == [(GENERAL, "U0GRACE", None), (GENERAL, "U0GRACE", parent["ts"])]
    assert verdicts(slack) == []
    rows = aws.client("dynamodb").scan(TableName=aws.table)["Items"]
    assert {json.loads(row["data"]["S"])["outcome"] for row in rows} == {"fine", "toxic"}


def test_reply_to_reactor_answers_each_person_once(slack: SlackServer, judge_with: MakeJudge) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    judge = judge_with(REPLY_TO="reactor")
    for reactor in ("U0GRACE", "U0ADA", "U0GRACE"):
        judge.judge(job_for(message, reactor=reactor))
    assert [one["user"] for one in slack.workspace.ephemerals] == ["U0GRACE", "U0ADA"]


def test_reply_to_a_channel_links_there_and_quotes_nothing(slack: SlackServer, judge_with: MakeJudge) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    judge = judge_with(REPLY_TO="C0PRIVATE")
    assert judge.judge(job_for(message)) == "toxic"
    (post,) = verdicts(slack, "C0PRIVATE")
    link, *_ = post["text"].splitlines()
    assert f"/archives/{GENERAL}/p{message['ts'].replace('.', '')}" in link
    assert "*Likely toxic*" in post["text"]
    assert not any(word in post["text"] for word in ("stupid", "idiot"))
    assert "thread_ts" not in post
    assert verdicts(slack) == []


@pytest.mark.failure(33)
def test_a_lost_reply_in_another_channel_is_found_there(
    slack: SlackServer, judge_with: MakeJudge, end_claims: Callable[[], None]
) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    slack.faults.add("chat.postMessage", Reset(before_work=False))
    with pytest.raises(SlackUnavailableError):
        judge_with(REPLY_TO="C0PRIVATE").judge(job_for(message))
    end_claims()
    assert judge_with(REPLY_TO="C0PRIVATE").judge(job_for(message)) == "found"
    assert len(verdicts(slack, "C0PRIVATE")) == 1


def test_a_reply_channel_is_searched_back_to_the_oldest_possible_verdict(
    slack: SlackServer, judge_with: MakeJudge
) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    month_later = int(float(message["ts"])) + 2 * KEPT_SECONDS
    judge_with(REPLY_TO="C0PRIVATE").judge(replace(job_for(message), event_time=month_later))
    searched = [call.arguments for call in slack.calls_of("conversations.history")][-1]
    assert float(searched["oldest"]) == month_later - KEPT_SECONDS


@pytest.mark.failure(28)
def test_a_hint_whose_reply_was_lost_is_not_repeated(slack: SlackServer, judge_with: MakeJudge) -> None:
    message = slack.workspace.post("C0RANDOM", "U0ADA", INSULT)
    slack.faults.add("chat.postMessage", Reset(before_work=False))
    assert judge_with().judge(job_for(message, "C0RANDOM")) == "hint_unconfirmed"
    assert judge_with().judge(job_for(message, "C0RANDOM")) == "hint_unconfirmed"
    assert len(hints(slack)) == 1


def test_a_reply_channel_without_the_bot_is_named_in_the_hint(slack: SlackServer, judge_with: MakeJudge) -> None:
    message = slack.workspace.post(GENERAL, "U0ADA", INSULT)
    assert judge_with(REPLY_TO="C0RANDOM").judge(job_for(message)) == "hint_not_in_channel"
    (hint,) = hints(slack)
    assert "<#C0RANDOM>" in hint
