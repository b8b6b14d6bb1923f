"""Post last week's counts to the moderators' channel, exactly once a week."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .errors import ChannelRestrictedError, NotPermittedError
from .observability import logger
from .slack_messages import SUMMARY
from .table import table_errors
from .tally import DAYS, scan, summary, tallies

if TYPE_CHECKING:
    from collections.abc import Callable

    from .ledger import Ledger
    from .settings import Settings
    from .slack_messages import SlackMessages


def post_summary(
    settings: Settings, slack: SlackMessages, ledger: Ledger, clock: Callable[[], float] = time.time
) -> str:
    """Post the summary unless this week has one. Return the outcome, as a metric value. Raises BotError."""
    if not settings.moderators_channel:
        return "no_channel"
    now = clock()
    week = time.strftime("%G-W%V", time.gmtime(now))

    def post() -> dict[str, Any]:
        since = f"{now - DAYS * 24 * 3600:.6f}"
        if ledger.in_doubt and (found := slack.find_post(settings.moderators_channel, None, week, since, kind=SUMMARY)):
            return {"outcome": "summary_found", "post": found.ts}
        with table_errors():
            counted = tallies(scan(ledger.table.client, ledger.table.name), float(since))
        ledger.renew()
        posted = slack.post(settings.moderators_channel, summary(counted), {"key": week}, kind=SUMMARY)
        return {"outcome": "summary_posted", "post": posted}

    try:
        return str(ledger.once("summary", week, post)["outcome"])
    except (NotPermittedError, ChannelRestrictedError) as error:
        logger.error(
            "weekly summary not posted: invite the bot to MODERATORS_CHANNEL, or choose another channel",
            extra={"why": str(error)},
        )
        return f"summary_{error.code}"
