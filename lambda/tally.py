"""Count verdicts, feedback and reports per channel, from the rows of the ledger's table."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .feedback import AGREED, DISAGREED
from .ledger import RETENTION_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

DAYS = 7
REPORTED = "reported"
DIRECT = "direct messages"
MAX_CHANNELS = 20  # listed individually


@dataclass
class Tally:
    """The counts of one channel, or of all channels."""

    verdicts: int = 0
    toxic: int = 0
    """The verdicts that said likely toxic."""
    agreed: int = 0
    disagreed: int = 0
    reports: int = 0

    def __str__(self) -> str:
        toxic = f" ({self.toxic} likely toxic)" if self.toxic else ""
        opinions = f"{self.agreed} agreed, {self.disagreed} disagreed"
        return f"{_number(self.verdicts, 'verdict')}{toxic}, {opinions}, {_number(self.reports, 'report')}"


def tallies(rows: Iterable[Mapping[str, Any]], since: float) -> dict[str, Tally]:
    """Return the counts since a Unix timestamp, by channel, with the largest first. Direct messages count as one.

    Rows that an older version wrote have no channel and are counted under an empty one.
    """
    found: defaultdict[str, Tally] = defaultdict(Tally)
    for row in rows:
        kind = row["id"]["S"].partition("#")[0]
        data = json.loads(row.get("data", {}).get("S") or "{}")
        if kind == "feedback" and float(row["at"]["N"]) >= since:
            tally = found[_place(data["key"].split("/")[1])]
            tally.agreed += data["choice"] == AGREED
            tally.disagreed += data["choice"] == DISAGREED
        # These rows expire a fixed time after they were written.
        elif row["status"]["S"] == "COMPLETED" and int(row["expiration"]["N"]) - RETENTION_SECONDS >= since:
            tally = found[_place(str(data.get("channel", "")))]
            tally.verdicts += kind == "verdict"
            tally.toxic += kind == "verdict" and data.get("outcome") == "toxic"
            tally.reports += kind == "report" and data.get("outcome") == REPORTED
    return dict(sorted(found.items(), key=lambda item: -(item[1].verdicts + item[1].reports)))


def total(tallies: Mapping[str, Tally]) -> Tally:
    """Return the sum over all channels."""
    names = tuple(vars(Tally()))
    return Tally(*(sum(getattr(tally, name) for tally in tallies.values()) for name in names))


def scan(client: Any, table: str, *kinds: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of these kinds; by default, of all kinds that are counted. Raises boto3's errors."""
    values = {f":{kind}": {"S": f"{kind}#"} for kind in kinds or ("verdict", "report", "feedback")}
    pages = client.get_paginator("scan").paginate(
        TableName=table,
        FilterExpression=" OR ".join(f"begins_with(id, {name})" for name in values),
        ExpressionAttributeValues=values,
    )
    for page in pages:
        yield from page["Items"]


def summary(tallies: Mapping[str, Tally]) -> str:
    """Return the weekly summary in Slack's mrkdwn."""
    lines = [f":bar_chart: *The last {DAYS} days:* {total(tallies)}."]
    named = [(channel, tally) for channel, tally in tallies.items() if channel]
    for channel, tally in named[:MAX_CHANNELS]:
        lines.append(f"• {DIRECT if channel == DIRECT else f'<#{channel}>'}: {tally}")
    if rest := dict(named[MAX_CHANNELS:]):
        lines.append(f"• {_number(len(rest), 'other channel')}: {total(rest)}")
    return "\n".join(lines)


def _place(channel: str) -> str:
    """Return a channel's id, or DIRECT: nobody else should see who writes to the bot."""
    return DIRECT if channel.startswith("D") else channel


def _number(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
