import itertools
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from local.aws import EmbeddedAws
from local.faults import Call, ErrorBody, Fault, HtmlError, RateLimited, Reset
from local.functions import LocalContext
from local.slack_server import SlackServer
from local.workspace import Message
from tests import ROOT
from tests.toxicity_bot import READINGS
from tests.toxicity_bot.bot import ADA, DEPLOYBOT, EMOJI, GENERAL, GRACE, INSULT, OWN, PRIVATE, RANDOM, Room
from toxicity_bot import slack_messages
from toxicity_bot.classifier import Classifier
from toxicity_bot.errors import ClaimedError, RateLimitedError, SlackUnavailableError
from toxicity_bot.jobs import Job
from toxicity_bot.judge import Judge
from toxicity_bot.ledger import RETENTION_SECONDS, Ledger
from toxicity_bot.settings import Settings, Thresholds
from toxicity_bot.slack_messages import SlackMessages

PRAISE = "Thanks a lot, the fix works and the release is out."
INSULTING = {"type": "section", "text": {"type": "mrkdwn", "text": INSULT}}
BUILD = "Build 7 has started."


@dataclass
class Judging(Room):
    """Judges messages without a queue, each in a new invocation."""

    classifier: Classifier
    ledger: Ledger
    clock: Callable[[], float] = time.monotonic

    def judge(
        self, message: Message, channel: str = GENERAL, *, by: str = GRACE, at: int = 1731000000,
        retried: bool = True, **environ: str,
    ) -> str:  # fmt: skip
        """Judge a message after a reaction, with these environment variables."""
        self.ledger.set_deadline(LocalContext("worker"))  # type: ignore[arg-type]  # as on Lambda
        settings = Settings.from_environ(environ)
        thresholds = settings.thresholds(Thresholds(self.classifier.threshold, self.classifier.threshold_maybe))
        messages = SlackMessages(self.slack.url, lambda: self.slack.workspace.token)
        judge = Judge(settings, thresholds, messages, self.classifier, self.ledger, self.clock)
        return judge.judge(Job("T0LOCAL", channel, message["ts"], by, "Ev0001", at), retried=retried)


@pytest.fixture
def room(slack: SlackServer, aws: EmbeddedAws, classifier: Classifier, ledger: Ledger) -> Judging:
    return Judging(slack, aws, classifier, ledger)


@pytest.mark.parametrize(
    ("message", "outcome", "words"),
    [
        ({"text": INSULT}, "toxic", "*Likely toxic*"),
        ({"text": PRAISE}, "fine", "*No clear sign of toxicity*"),
        pytest.param({"text": "Weekly report", "by": DEPLOYBOT, "blocks": [INSULTING]}, "toxic", "*Likely toxic*",
                     marks=pytest.mark.failure(36)),
        pytest.param({"text": f"<!date^1731000000^{INSULT} {{date_num}}|hello>"}, "toxic", "*Likely toxic*",
                     marks=pytest.mark.failure(62)),
        ({"text": ":tada: <https://example.com>"}, "cannot_judge", "no words in it"),
        ({"text": "Ich komme heute leider etwas sp\u00e4ter ins B\u00fcro."}, "cannot_judge", "in German"),
    ],
)  # fmt: skip
def test_a_message_is_judged_in_its_thread(message: dict[str, Any], outcome: str, words: str, room: Judging) -> None:
    written = room.say(**message)
    assert room.judge(written) == outcome
    (post,) = room.verdicts()
    assert words in post["text"]
    assert post["thread_ts"] == written["ts"]
    payload = post["metadata"]["event_payload"]
    assert payload["outcome"] == outcome
    assert re.fullmatch(rf"T0LOCAL/C0GENERAL/{written['ts']}/[0-9a-f]{{8}}", payload["key"])


@pytest.mark.failure(42)
@pytest.mark.parametrize("kind", READINGS["hard"])
def test_hard_texts_get_the_measured_verdicts_and_verdicts_state_a_likelihood(kind: str, room: Judging) -> None:
    measured = READINGS["hard"][kind]
    outcomes = [room.judge(room.say(text)) for text in measured["texts"]]
    # On another processor one verdict may differ.
    assert outcomes.count("toxic") == pytest.approx(measured["toxic"], abs=1), outcomes
    for post, outcome in zip(room.verdicts(), outcomes, strict=True):
        assert "it scores " in post["text"]
        assert ("not a judgement of the person" in post["text"]) == (outcome != "fine")


@pytest.mark.parametrize(
    ("text", "toxic", "maybe", "outcome", "quotes"),
    [
        (INSULT, "1", "1", "fine", False),
        (INSULT, "1", "0.01", "maybe_toxic", True),
        (INSULT, "0.5", "", "toxic", True),
        (PRAISE, "0", "", "toxic", False),
        (PRAISE, "1", "0", "maybe_toxic", False),
    ],
)
def test_thresholds_in_the_settings_override_the_models_and_toxic_words_are_quoted(
    text: str, toxic: str, maybe: str, outcome: str, quotes: bool, room: Judging
) -> None:
    assert room.judge(room.say(text), TOXIC_THRESHOLD=toxic, MAYBE_TOXIC_THRESHOLD=maybe) == outcome
    (post,) = room.verdicts()
    payload = post["metadata"]["event_payload"]
    lower = float(maybe or min(float(toxic), room.classifier.threshold_maybe))
    assert (payload["threshold"], payload["threshold_maybe"]) == (float(toxic), lower)
    assert any(f"\u201c{word}\u201d" in post["text"] for word in ("stupid", "idiot")) == quotes, post["text"]


def shared(text: str) -> dict[str, Any]:
    """The attachment that Slack makes of a shared message."""
    address = "https://archaeopteryx.slack.com/archives/C0RANDOM/p1731000000000100"
    return {"is_share": True, "from_url": address, "author_name": "archaeopteryx-U0ADA", "text": text}


@pytest.mark.failure(61, 63)
def test_the_verdict_depends_on_the_authors_words_and_quotes_are_judged_separately(room: Judging) -> None:
    written = room.say("HR, please look at this message.", attachments=[shared(INSULT)])
    assert room.judge(written) == "fine"
    assert room.judge(written, by=ADA, REPLY_TO="reactor") == "fine"
    (post,), (shown,) = room.verdicts(), room.slack.workspace.ephemerals
    line = "The quoted message is likely toxic; {} own words show no clear sign of it."
    assert line.format("your") in post["text"]
    assert line.format("the author's") in shown["text"], "the reactor is not the author"


@pytest.mark.failure(72)
def test_own_and_quoted_words_share_the_time_budget(room: Judging) -> None:
    ticks = itertools.count()
    room.clock = lambda: next(ticks) * 0.1875  # sums of it are exact in floating point
    room.classifier = Classifier(ROOT / "model", threads=1, clock=room.clock)
    long, longer = ("We shipped it on Friday, as planned. " * number for number in (1_000, 1_100))
    shares = []
    for own, quoted in (("Please read this.", longer), (long, longer), (longer, long)):
        room.judge(room.say(own, attachments=[shared(quoted)]))
        payload = room.verdicts()[-1]["metadata"]["event_payload"]
        shares.append((payload.get("read"), payload["quoted_read"]))
    alone, (read, quoted_read), swapped = shares
    assert alone[0] is None
    assert alone[1] > 1.2 * quoted_read
    assert read == pytest.approx(quoted_read, rel=0.3)
    assert swapped == (quoted_read, read)


@pytest.mark.failure(65, 66)
@pytest.mark.parametrize(
    ("message", "outcome", "line"),
    [
        ({"text": "I fixed it: ```kill(idiot)  # you stupid idiot```"}, "fine", "I did not judge the code in it."),
        ({"text": "```kill(idiot)```"}, "cannot_judge", "I did not judge the code in it."),
        ({"text": INSULT, "blocks": [{"type": "context", "elements": [[[[]]]] * 50_000}]}, "toxic", "nested too deep"),
    ],
)  # fmt: skip
def test_the_reply_says_what_was_not_judged(message: dict[str, Any], outcome: str, line: str, room: Judging) -> None:
    assert room.judge(room.say(**message)) == outcome
    assert line in room.verdicts()[0]["text"]


@pytest.mark.failure(20, 21)
def test_the_bots_own_message_is_not_judged_and_another_bots_is(room: Judging) -> None:
    assert [room.judge(room.say(by=bot)) for bot in (OWN, DEPLOYBOT)] == ["own_message", "toxic"]
    assert len(room.verdicts()) == 1


@pytest.mark.failure(22, 56)
def test_many_reactions_make_one_verdict_even_in_a_second_region_with_an_empty_ledger(room: Judging) -> None:
    message = room.say()
    assert [room.judge(message, by=reactor) for reactor in (GRACE, ADA, GRACE)] == ["toxic"] * 3
    room.aws.clear()
    room.aws.create()
    assert room.judge(message) == "found"
    assert len(room.verdicts()) == 1


@pytest.mark.failure(23)
@pytest.mark.parametrize(
    ("removed", "setting", "outcome"),
    [(True, "yes", "toxic"), (True, "no", "reaction_removed"), (False, "no", "toxic")],
)
def test_a_setting_decides_whether_a_removed_reaction_counts(
    removed: bool, setting: str, outcome: str, room: Judging
) -> None:
    message = room.say()
    room.slack.workspace.react(GENERAL, message["ts"], GRACE, EMOJI)
    if removed:
        room.slack.workspace.unreact(GENERAL, message["ts"], GRACE, EMOJI)
    assert room.judge(message, JUDGE_AFTER_REMOVAL=setting) == outcome


@pytest.mark.failure(23)
def test_a_private_verdict_needs_the_persons_own_reaction(room: Judging) -> None:
    message = room.say()
    room.slack.workspace.react(GENERAL, message["ts"], ADA, EMOJI)
    outcomes = [room.judge(message, by=by, REPLY_TO="reactor", JUDGE_AFTER_REMOVAL="no") for by in (GRACE, ADA)]
    assert outcomes == ["reaction_removed", "toxic"]


@pytest.mark.parametrize("fault", [Reset(before_work=False), HtmlError(502)])
def test_a_private_verdict_that_slack_did_not_confirm_is_not_repeated(fault: Fault, room: Judging) -> None:
    message = room.say()
    room.slack.faults.add("chat.postEphemeral", fault)
    assert [room.judge(message, REPLY_TO="reactor") for _ in range(2)] == ["verdict_unconfirmed"] * 2
    assert len(room.slack.calls_of("chat.postEphemeral")) == 1


@pytest.mark.failure(25)
@pytest.mark.parametrize("reply_to", ["thread", "reactor"])
def test_a_message_deleted_before_the_fetch_ends_quietly(reply_to: str, room: Judging) -> None:
    room.say()
    message = room.say()
    room.slack.workspace.delete(GENERAL, message["ts"])
    assert room.judge(message, REPLY_TO=reply_to) == "message_gone"
    assert room.slack.calls_of("chat.postMessage") == []


@pytest.mark.failure(26)
@pytest.mark.parametrize("failed_deletions", [0, 2])
def test_a_verdict_posted_outside_its_deleted_thread_is_deleted(failed_deletions: int, room: Judging) -> None:
    message, other = room.say(), room.say(PRAISE)
    assert room.judge(other) == "fine"
    room.slack.faults.add("chat.postMessage", Call(lambda: room.slack.workspace.delete(GENERAL, message["ts"])))
    room.slack.faults.add("chat.delete", Reset(), times=failed_deletions)
    for _ in range(failed_deletions):
        with pytest.raises(SlackUnavailableError):
            room.judge(message)
    assert room.judge(message) == "message_gone"
    assert [post["thread_ts"] for post in room.verdicts()] == [other["ts"]]


@pytest.mark.failure(27, 63, 70, 71)
@pytest.mark.parametrize(
    ("before", "changes", "outcomes"),
    [
        ("Good morning.", [{"text": text} for text in (INSULT, PRAISE, f"{INSULT} Get lost.", PRAISE)],
         ["fine", "toxic", "fine", "toxic"]),
        (INSULT, [{"text": text} for text in (INSULT, f" {INSULT.replace(' ', '  ')} ", f"*{INSULT}*")], ["toxic"]),
        (INSULT, [{"text": f"&gt; {INSULT}"}], ["toxic", "toxic"]),
        (f"&gt; {PRAISE}\nLook.", [{"text": f"&gt; {INSULT}\nLook."}], ["fine", "fine"]),
        (BUILD, [{"blocks": [INSULTING]}], ["fine", "toxic"]),
        (BUILD, [{"attachments": [{"text": INSULT}]}], ["fine", "toxic"]),
        (BUILD, [{"text": "You idiot \ud83d"}], ["fine", "toxic"]),  # JSON can contain an unpaired surrogate
    ],
    ids=["words", "no words", "whose words", "quoted words", "blocks", "attachments", "unpaired surrogate"],
)  # fmt: skip
def test_each_content_gets_one_verdict_whoever_reacts_and_whatever_edit_marks_slack_sets(
    before: str, changes: list[dict[str, Any]], outcomes: list[str], room: Judging
) -> None:
    message = room.say(before, by="U0HOOK")
    room.judge(message)
    for change in changes:
        # Slack does not mark an app's own update, and two edits within a second have the same mark.
        room.slack.workspace.channel(GENERAL).find(message["ts"]).update(change)
        for reactor in (GRACE, ADA):
            room.judge(message, by=reactor)
    assert room.outcomes(message) == outcomes


@pytest.mark.failure(24, 74)
@pytest.mark.parametrize("of", ["message", "parent", "reply"])
def test_a_first_delivery_only_reads_the_message_and_answers_in_its_thread(of: str, room: Judging) -> None:
    parent = room.say(PRAISE)
    reply = room.say(by=GRACE, thread_ts=parent["ts"])
    message = {"message": room.say(), "parent": parent, "reply": reply}[of]
    room.judge(message)
    (post,) = room.verdicts()
    assert post["thread_ts"] == (message["ts"] if of == "message" else parent["ts"])
    reads = [call.method for call in room.slack.calls if call.method not in ("auth.test", "chat.postMessage")]
    assert reads == ["conversations.history", *(["conversations.replies"] if of == "reply" else [])]


@pytest.mark.failure(28)
def test_the_reactor_gets_one_hint_until_the_bot_is_invited(room: Judging) -> None:
    message = room.say(channel=RANDOM)
    assert [room.judge(message, RANDOM) for _ in range(2)] == ["hint_not_in_channel"] * 2
    (hint,) = room.hints()
    assert "<#C0RANDOM>" in hint
    assert "/invite" in hint
    assert room.hints(ADA) == []
    room.slack.workspace.invite(RANDOM)
    assert room.judge(message, RANDOM) == "toxic"


@pytest.mark.failure(28)
def test_a_hint_is_retried_while_slack_is_unavailable_and_not_repeated_if_it_may_have_arrived(room: Judging) -> None:
    first, second = room.say(), room.say(channel=RANDOM)
    room.slack.faults.add("chat.postMessage", ErrorBody("org_login_required"))
    with pytest.raises(SlackUnavailableError):
        room.judge(first, REPLY_TO=RANDOM)
    assert room.judge(first, REPLY_TO=RANDOM) == "undelivered_not_in_channel"
    room.slack.faults.add("chat.postMessage", Reset(before_work=False))
    assert [room.judge(second, RANDOM) for _ in range(2)] == ["hint_unconfirmed"] * 2
    assert ["<#C0RANDOM>" in hint for hint in room.hints()] == [False, True], "the first is not about a channel to read"


@pytest.mark.failure(29)
def test_a_hint_names_the_missing_scope_and_the_job_ends_if_the_hint_is_refused(room: Judging) -> None:
    message = room.say(channel=PRIVATE)
    room.slack.workspace.revoke("groups:history")
    assert room.judge(message, PRIVATE) == "hint_missing_scope"
    (hint,) = room.hints()
    assert "`groups:history`" in hint
    room.slack.workspace.revoke("chat:write")
    assert room.judge(room.say()) == "untold_missing_scope"


@pytest.mark.failure(34)
def test_a_restricted_channel_ends_the_job(room: Judging) -> None:
    message, workspace = room.say(), room.slack.workspace
    workspace.lock_thread(GENERAL, message["ts"])
    assert room.judge(message) == "restricted_restricted_action_thread_locked"
    workspace.restrict(GENERAL, "restricted_action_read_only_channel")
    assert room.judge(room.say()) == "restricted_restricted_action_read_only_channel"
    workspace.archive(GENERAL)
    assert room.judge(message) == "restricted_is_archived"
    assert room.hints() == []


@pytest.mark.failure(33)
def test_a_post_that_appears_after_its_timeout_is_found(room: Judging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slack_messages, "TIMEOUT_SECONDS", 0.3)
    message = room.say()
    released = threading.Event()
    room.slack.faults.add("chat.postMessage", Call(lambda: released.wait(30)))
    with pytest.raises(SlackUnavailableError):
        room.judge(message)
    with pytest.raises(ClaimedError):
        room.judge(message, by=ADA)
    released.set()
    deadline = time.monotonic() + 10
    while not room.verdicts():
        assert time.monotonic() < deadline, "the first post never appeared"
    room.end_claims()
    assert room.judge(message) == "found"
    assert len(room.verdicts()) == 1


@pytest.mark.failure(33)
def test_while_a_search_is_interrupted_another_persons_job_does_not_repeat_the_post(room: Judging) -> None:
    message = room.say(thread_ts=room.say(PRAISE)["ts"])  # a reply does not list who replied to it
    room.slack.faults.add("chat.postMessage", Reset(before_work=False))
    for fault in (Fault(), Fault(), RateLimited()):  # reading the message twice, then the search
        room.slack.faults.add("conversations.replies", fault)
    for error in (SlackUnavailableError, RateLimitedError):
        with pytest.raises(error):
            room.judge(message)
        room.end_claims()
    assert room.judge(message, by=ADA, retried=False) == "found"
    assert len(room.verdicts()) == 1


@pytest.mark.failure(35)
def test_reply_to_reactor_answers_each_person_once_and_is_recorded_in_the_ledger_only(room: Judging) -> None:
    parent = room.say(PRAISE)
    reply = room.say(thread_ts=parent["ts"])
    reactions = [(parent, GRACE), (parent, ADA), (parent, GRACE), (reply, GRACE)]
    outcomes = [room.judge(message, by=reactor, REPLY_TO="reactor") for message, reactor in reactions]
    assert outcomes == ["fine", "fine", "fine", "toxic"]
    shown = [(one["channel"], one["user"], one["thread_ts"]) for one in room.slack.workspace.ephemerals]
    assert shown == [(GENERAL, GRACE, None), (GENERAL, ADA, None), (GENERAL, GRACE, parent["ts"])]
    assert room.verdicts() == []
    stored = [json.loads(row["data"]["S"]) for row in room.rows()]
    assert sorted(row["outcome"] for row in stored if "outcome" in row) == ["fine", "fine", "toxic"]


@pytest.mark.failure(35)
@pytest.mark.parametrize("shown", [True, False])
def test_a_verdict_for_the_reactor_is_shown_once_even_if_the_worker_dies(room: Judging, shown: bool) -> None:
    message, post = room.say(), SlackMessages.post_ephemeral

    def die(*arguments: Any, **named: Any) -> None:
        if shown:
            post(*arguments, **named)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SlackMessages, "post_ephemeral", die)
        with pytest.raises(KeyboardInterrupt):  # the claim stays in the ledger
            room.judge(message, REPLY_TO="reactor")
    room.end_claims()
    assert room.judge(message, REPLY_TO="reactor") == "verdict_unconfirmed"
    assert len(room.slack.workspace.ephemerals) == int(shown)


def test_a_message_that_slack_does_not_let_the_bot_read_is_not_the_fault_of_the_reply_channel(room: Judging) -> None:
    room.slack.faults.add("conversations.history", ErrorBody("team_access_not_granted"))
    assert room.judge(room.say(), REPLY_TO=PRIVATE) == "restricted_team_access_not_granted"
    room.slack.faults.add("conversations.history", ErrorBody("access_denied"))
    assert room.judge(room.say()) == "hint_access_denied"
    (hint,) = room.hints()
    assert "(`access_denied`)" in hint
    assert "/invite" not in hint


def test_reply_to_a_channel_links_there_and_quotes_nothing(room: Judging) -> None:
    message = room.say()
    assert room.judge(message, REPLY_TO=PRIVATE) == "toxic"
    (post,) = room.verdicts(PRIVATE)
    link, *_ = post["text"].splitlines()
    assert f"/archives/{GENERAL}/p{message['ts'].replace('.', '')}" in link
    assert "*Likely toxic*" in post["text"]
    assert not any(word in post["text"] for word in ("stupid", "idiot"))
    assert "thread_ts" not in post
    assert room.verdicts() == []


def test_a_reply_channel_is_searched_back_to_the_oldest_possible_verdict(room: Judging) -> None:
    message = room.say()
    month_later = int(float(message["ts"])) + 2 * RETENTION_SECONDS
    room.slack.faults.add("chat.postMessage", Reset())
    with pytest.raises(SlackUnavailableError):
        room.judge(message, at=month_later, REPLY_TO=PRIVATE)
    room.end_claims()
    room.judge(message, at=month_later, REPLY_TO=PRIVATE)
    searched: dict[str, Any] = room.slack.calls_of("conversations.history")[-1].arguments
    assert float(searched["oldest"]) == month_later - RETENTION_SECONDS
