"""The scenes of `make demo` with moderators: a report that two of them want to take, and a click below a verdict."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from local.bot import BotError, verdicts
from local.events import Deliveries
from toxicity_bot.cards import LOOK, RESOLVED
from toxicity_bot.feedback import ACTION_ID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.bot import LocalBot
    from local.workspace import Message, Workspace

CHANNEL, MODERATORS = "C0MODERATORS", ("U0JOAN", "U0MARY")
NOTE = "It is the third one this week."
Lines = list[str]


def add_moderators(workspace: Workspace) -> None:
    """Add a channel with two moderators and the bot."""
    people = {workspace.add_user(user.removeprefix("U0").lower()) for user in MODERATORS}
    workspace.add_channel("moderators", "private", people | {workspace.identity.bot_user_id})


def report(bot: LocalBot, message: Message) -> Iterator[tuple[str, Any]]:
    """Report a message, and let two moderators click; yield what happens and what the bot shows.

    Raises BotError if the bot does not do its part.
    """
    slack = bot.slack
    _send(bot, slack.message_action("report_message", "C0GENERAL", message["ts"], "U0ADA"))
    if not bot.workspace.views.open:
        raise BotError("no form was opened")
    yield "[ada chose \u201cReport to moderators\u201d in the menu of grace's message, and typed a note]", None
    before = len(bot.workspace.ephemerals)
    _send(bot, slack.send_form("U0ADA", note=NOTE))
    yield from (("", answer) for answer in bot.wait_for_private(before))
    yield "[in #moderators]", _card(bot)
    before = len(bot.workspace.ephemerals)
    for user in MODERATORS:
        _send(bot, slack.click(CHANNEL, _card(bot)["ts"], user, LOOK))
    late = bot.wait_for_private(before)
    bot.wait_until_idle()
    yield "[joan and mary clicked on \u201cI'll look\u201d at the same time]", None
    yield from (("", answer) for answer in late)
    (late_one,) = late
    taker = next(user for user in MODERATORS if user != late_one["user"])
    _send(bot, slack.click(CHANNEL, _card(bot)["ts"], taker, RESOLVED))
    bot.wait_until_idle()
    yield f"[{bot.workspace.user(taker).name} clicked on \u201cResolved\u201d; the card now]", _card(bot)


def feedback(bot: LocalBot, message: Message) -> Iterator[tuple[str, Any]]:
    """Click on a button below the verdict on a message; yield as `report` does."""
    (verdict,) = verdicts(bot.workspace)[message["ts"]]
    before = len(bot.workspace.ephemerals)
    _send(bot, bot.slack.click("C0GENERAL", verdict["ts"], "U0ADA", ACTION_ID))
    yield "[ada clicked on \u201cRight\u201d below the verdict on the toxic message]", None
    yield from (("", answer) for answer in bot.wait_for_private(before))


def named(text: str, workspace: Workspace) -> str:
    """Return a text as people see it: with names, and without the form of dates."""
    text = re.sub(r"<@(\w+)>", lambda found: f"@{workspace.user(found[1]).name}", text)
    text = re.sub(r"<#(\w+)>", lambda found: f"#{workspace.channel(found[1]).name}", text)
    return re.sub(r"<!date[^|>]*\|([^>]*)>", r"\1", text)


def shown(card: Message) -> str:
    """Return what people read on a card, with its buttons, as one text."""
    lines: Lines = []
    for block in card["blocks"]:
        if block["type"] == "actions":
            lines.append("  ".join(f"[{button['text']['text']}]" for button in block["elements"]))
        else:
            lines.append((block["text"] if "text" in block else block["elements"][0])["text"])
    return "\n".join(lines)


def _card(bot: LocalBot) -> Message:
    cards = bot.workspace.conversation(CHANNEL)
    if len(cards) != 1:
        raise BotError(f"there are {len(cards)} cards, where one is right:\n{bot.worker.last_lines()}")
    return cards[0]


def _send(bot: LocalBot, payload: dict[str, Any]) -> None:
    delivery = Deliveries(bot.request_url, bot.workspace.signing_secret).ask(payload)
    if delivery.failure:
        raise BotError(f"the receiver did not accept it: {delivery.failure}, status {delivery.status}")
