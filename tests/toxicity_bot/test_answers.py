"""A shortcut or a slash command, from Slack's signed form to the answer that only one person sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.toxicity_bot.bot import ADA, GENERAL, GRACE, RANDOM

if TYPE_CHECKING:
    from tests.toxicity_bot.bot import Bot


@pytest.mark.parametrize("channel", [GENERAL, RANDOM])
def test_a_shortcut_is_answered_at_once_to_one_person_also_where_the_bot_is_no_member(bot: Bot, channel: str) -> None:
    message = bot.say(channel=channel)
    assert bot.check(message, channel=channel).status == 200
    (answer,) = bot.private(GRACE)
    assert answer.startswith(":warning: *Likely toxic*")
    assert bot.private(ADA) == []
    assert len(bot.slack.workspace.conversation(channel)) == 1, "nobody else sees anything"
    assert ("WorkerInvoked", "answered") in bot.record.counted()
    (sent,) = bot.record.asked("SendMessage")
    assert sent["DelaySeconds"] == 15


def test_a_command_is_answered_at_once_to_one_person(bot: Bot) -> None:
    assert bot.command("You stupid idiot, quetzalcoatlus.", channel=RANDOM).status == 200
    (answer,) = bot.private(GRACE)
    assert answer.startswith(":warning: *Likely toxic*")
    assert bot.slack.workspace.conversation(RANDOM) == []
