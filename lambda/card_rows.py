"""The states of cards: a row in the ledger's table for each card that a moderator has clicked on.

A row has the card's state, who set it and when. A conditional write prevents two moderators from taking the same card.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from .cards import StateChange
from .ledger import RETENTION_SECONDS, table_errors

if TYPE_CHECKING:
    from collections.abc import Callable

# After this time others can take a card, in case its moderator is on holiday.
MAX_HOLD_SECONDS = 24 * 3600


class CardRows:
    """The states of cards. `client` is a boto3 DynamoDB client; `clock` returns a Unix timestamp."""

    def __init__(self, table: str, client: Any, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._client = client
        self._clock = clock

    def apply(self, card: str, change: StateChange) -> StateChange:
        """Apply a change if the card allows it. Return the change that is in effect now. Raises LedgerError.

        A free card allows every change. For a day after a moderator has taken it, only that moderator can close it.
        A card that is resolved or not a problem stays so.
        """
        item: dict[str, dict[str, str]] = {
            "id": {"S": f"card#{card}"},
            "status": {"S": "CARD"},
            "state": {"S": change.state},
            "by": {"S": change.by},
            "at": {"N": f"{change.at:.6f}"},
            "expiration": {"N": str(int(self._clock()) + RETENTION_SECONDS)},
        }
        free = "#at < :yesterday" if change.state == "looking" else "(#at < :yesterday OR #by = :by)"
        names = {f"#{name}": name for name in ("state", "at", "by") if f"#{name}" in f"#state {free}"}
        values = {":looking": {"S": "looking"}, ":yesterday": {"N": f"{change.at - MAX_HOLD_SECONDS:.6f}"}}
        if ":by" in free:
            values[":by"] = item["by"]
        with table_errors():
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item=item,
                    ConditionExpression=f"attribute_not_exists(id) OR (#state = :looking AND {free})",
                    ExpressionAttributeNames=names,
                    ExpressionAttributeValues=values,
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
                found = self._client.get_item(TableName=self._table, Key={"id": item["id"]}, ConsistentRead=True)
                row: Any = found.get("Item") or item  # the row may have expired in between
                return StateChange(row["state"]["S"], row["by"]["S"], float(row["at"]["N"]))
        return change
