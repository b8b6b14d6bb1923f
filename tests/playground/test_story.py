"""The playground in a browser: people write and react, failures happen, and there is still one answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests import ROOT
from tests.playground.page import serious_faults

if TYPE_CHECKING:
    from tests.playground.page import Playground

TOXIC = "Shut up, you pathetic loser."


def test_messages_verdicts_edits_threads_and_deletion(ada: Playground, grace: Playground) -> None:
    # Ada writes, Grace reacts, and both see the answer without reloading.
    ada.write(TOXIC)
    grace.react(grace.message(TOXIC))
    expect(ada.answers()).to_have_count(1)
    expect(ada.answers()).to_contain_text("Likely toxic")
    expect(ada.page.locator("#news")).to_contain_text("Likely toxic")
    grace.expect_counted(1, 1, 1, 1, 1)

    # An edit allows another verdict.
    ada.press(ada.message(TOXIC), "Edit")
    editor = ada.page.get_by_label("Edit the message")
    expect(editor).to_have_value(TOXIC)
    editor.fill("Sorry, I was rude. Thank you for the fix.")
    editor.press("Enter")
    edited = ada.message("Sorry, I was rude.")
    expect(edited).to_contain_text("(edited)")
    ada.react(edited)
    expect(grace.answers()).to_have_count(2)
    expect(grace.answers().last).to_contain_text("No clear sign of toxicity")

    # A reply in a thread, and an emoji that is not the trigger.
    ada.press(edited, "Reply")
    ada.page.get_by_label("Reply to Ada as Ada").fill("You are all worthless idiots.")
    ada.page.keyboard.press("Enter")
    reply = ada.message("You are all worthless idiots.")
    expect(reply).to_have_class("message reply is-new")
    ada.press(reply, "React with 👍")
    expect(ada.page.locator("#trail-state")).to_have_text("The bot ignores this, so there is no job.")
    ada.react(reply)
    expect(ada.answers()).to_have_count(3)

    # Only the author can delete a message.
    expect(grace.message("You are all worthless").get_by_role("button", name="Delete")).to_have_count(0)
    ada.press(reply, "Delete")
    expect(grace.message("You are all worthless")).to_have_count(0)


def test_shortcuts_reports_and_feedback(ada: Playground, grace: Playground) -> None:
    message = ada.message("You broke it")

    # Only Ada sees the answer to her shortcut.
    ada.shortcut(message, "Check for toxicity")
    private = ada.messages().filter(has_text="Only visible to Ada")
    expect(private).to_contain_text("Likely toxic")
    expect(grace.messages()).not_to_contain_text(["Only visible to Ada"])
    ada.expect_counted(1, 1, 0, 1, 1)
    box = ada.page.get_by_label("Message to")
    box.fill("/toxicity Thanks, that fixed it.")
    box.press("Enter")
    expect(private.filter(has_text="No clear sign of toxicity")).to_have_count(1)

    # A report reaches the moderators. Grace is one of them.
    ada.shortcut(message, "Report to moderators")
    form = ada.page.get_by_role("dialog", name="Report to moderators")
    assert serious_faults(ada) == []
    form.get_by_label("Note").fill("The third one this week.")
    form.get_by_role("button", name="Report").click()
    expect(private.filter(has_text="The moderators have your report")).to_have_count(1)
    expect(form).to_have_count(0)
    moderators = {
        one: one.page.get_by_role("navigation").get_by_role("button", name="moderators") for one in (ada, grace)
    }
    expect(moderators[ada]).to_have_count(0)
    moderators[grace].click()
    card = grace.messages().filter(has_text="Reported message")
    expect(card.get_by_role("blockquote")).to_have_text("The third one this week.")
    card.get_by_role("button", name="I'll look").click()
    expect(card).to_contain_text("@grace")
    card.get_by_role("button", name="Resolved").click()
    expect(card.get_by_role("group", name="The bot's buttons")).to_have_count(0)

    # A verdict in the thread has two buttons.
    ada.react(message)
    ada.answers().get_by_role("group", name="The bot's buttons").get_by_role("button").last.click()
    expect(private.filter(has_text="Noted: you find this verdict wrong")).to_have_count(1)


def test_closing_the_form_reports_nothing(ada: Playground) -> None:
    ada.shortcut(ada.message("You broke it"), "Report to moderators")
    form = ada.page.get_by_role("dialog", name="Report to moderators")
    expect(form).to_be_visible()
    ada.page.keyboard.press("Escape")
    expect(form).to_have_count(0)
    ada.act_as("grace")
    ada.page.get_by_role("button", name="moderators").click()
    expect(ada.messages()).to_have_count(0)


def test_there_is_one_answer_despite_failures(ada: Playground) -> None:
    # Deliveries, jobs, attempts, attempted posts, answers.
    expected = {
        "Deliver twice": (2, 2, 2, 1, 1),
        "Answer 429": (1, 1, 2, 2, 1),
        "Lose the reply": (1, 1, 2, 1, 1),
        "Kill the worker": (1, 1, 2, 1, 1),
    }
    for label, counts in expected.items():
        message = ada.write(f"{label}, you stupid idiot.")
        ada.trouble(label)
        ada.react(message)
        ada.expect_counted(*counts)
        ada.trouble(label, on=False)
    expect(ada.answers()).to_have_count(4)
    assert any("was killed" in hop for hop in ada.hops())


def test_the_panel_shows_the_job_without_text_and_the_ledger_row(ada: Playground) -> None:
    ada.react(ada.write(TOXIC))
    ada.page.get_by_text("The job on the queue").click()
    job = json.loads(ada.page.locator("[data-name=job] pre").inner_text())
    assert job.keys() == {"team", "channel", "ts", "reactor", "event_id", "event_time", "installation"}
    ada.page.get_by_text("The ledger's row").click()
    row = json.loads(ada.page.locator("[data-name=row] pre").inner_text())
    assert row["status"] == "COMPLETED"
    assert json.loads(row["data"])["outcome"] == "toxic"
    assert not any(word in f"{job} {row}".lower() for word in ("pathetic", "loser"))
    ways = [hop.split("\n")[0] for hop in ada.hops()]
    assert ways[:3] == ["Slack → receiver", "Receiver → queue", "Queue → worker"]
    assert ways[-1] == "Worker → queue"


def test_typed_text_is_not_interpreted_as_html(ada: Playground) -> None:
    typed = '<img src=x onerror="document.title=1"> <b>&amp;</b> <script>alert(1)</script> <@U0ADA>'
    message = ada.write(typed)
    expect(message.locator(".line")).to_have_text(typed)
    assert message.locator("img, b, script").count() == 0
    ada.press(message, "Edit")
    expect(ada.page.get_by_label("Edit the message")).to_have_value(typed)
    ada.page.keyboard.press("Escape")
    ada.page.get_by_role("tab", name="Score a text").click()
    ada.page.get_by_label("Text", exact=True).fill(typed)
    expect(ada.page.locator("#folded")).to_contain_text("<img")
    assert ada.page.title() == "Toxicity bot: playground"


def test_in_a_channel_without_the_bot_only_the_person_who_reacted_sees_a_hint(ada: Playground) -> None:
    ada.page.get_by_role("button", name="random").click()
    ada.react(ada.message("not a member here"))
    direct = ada.page.get_by_role("navigation").get_by_role("button", name="toxicity")
    direct.click()
    expect(ada.messages()).to_contain_text(["I am not a member"])
    ada.act_as("grace")
    expect(direct).to_have_count(0)


def test_everything_works_with_the_keyboard(ada: Playground) -> None:
    page = ada.page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to writing a message")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Message to general as Ada")).to_be_focused()
    page.keyboard.type(TOXIC)
    page.keyboard.press("Enter")
    expect(ada.message(TOXIC)).to_have_count(1)
    # The last message's toolbar is the tab stop before the text box. Arrow keys move within it.
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="React with ☣️ to Ada's message").last).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("button", name="React with 👍 to Ada's message").last).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    ada.wait_until_done()
    expect(ada.answers()).to_have_count(1)
    page.get_by_role("tab", name="Channel").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tabpanel", name="Score a text")).to_be_visible()


def test_the_score_is_updated_with_the_text_and_the_thresholds(ada: Playground) -> None:
    page = ada.page
    page.get_by_role("tab", name="Score a text").click()
    text, words = page.get_by_label("Text", exact=True), page.locator("#verdict-words")
    text.fill("Thanks, that fixed it.")
    expect(words).to_have_text("no clear sign of toxicity")
    text.fill("you are such an 1d1ot")
    expect(words).to_have_text("likely toxic")
    expect(page.locator("#folded mark")).to_have_text("idiot")
    page.get_by_label("Likely toxic from").fill("1")
    expect(words).to_have_text("may be toxic")
    page.get_by_label("May be toxic from").fill("1")
    expect(words).to_have_text("no clear sign of toxicity")
    page.get_by_label("Likely toxic from").fill("0.2")
    expect(page.locator("#maybe-value")).to_have_text("0.20")
    page.get_by_role("button", name="Reset to the bot's thresholds").click()
    own = json.loads((ROOT / "model" / "model.json").read_text(encoding="utf-8"))["threshold"]
    expect(page.locator("#toxic-value")).to_have_text(f"{own:.2f}")
    text.fill("Das ist heute leider schon wieder kaputt, ich weiß nicht warum.")
    expect(page.locator("#verdict-why")).to_contain_text("German")
    text.fill("The release notes are on the wiki, and the deploy starts at noon. " * 40 + "You stupid idiot.")
    expect(page.locator("#windows li")).not_to_have_count(1)
    expect(page.locator("#windows li.worst")).to_contain_text("idiot")
    text.fill("")
    expect(words).to_have_text("Nothing to score yet")
    expect(page.get_by_role("heading", name="Known failures")).to_be_visible()
