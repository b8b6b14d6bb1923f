"""Which moderator has which card: a row in the ledger's table for each card that somebody has clicked on.

A row has the card's state, who set it and when. A conditional write keeps two moderators from taking one card.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from .cards import Move
from .ledger import KEPT_SECONDS, table_errors

if TYPE_CHECKING:
    from collections.abc import Callable

# Somebody who took a card and went on holiday does not keep it.
TAKEN_SECONDS = 24 * 3600


class CardRows:
    """The states of cards; `client` is boto3's for DynamoDB, `clock` is in seconds since 1970."""

    def __init__(self, table: str, client: Any, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._client = client
        self._clock = clock

    def make(self, card: str, move: Move) -> Move:
        """Make a move if the card allows it; return the move that holds now. Raises LedgerError.

        A card that nobody has allows every move; one that somebody has had for less than a day allows that person to
        end it. What is resolved or no problem stays so.
        """
        item: dict[str, dict[str, str]] = {
            "id": {"S": f"card#{card}"},
            "status": {"S": "CARD"},
            "state": {"S": move.state},
            "by": {"S": move.by},
            "at": {"N": f"{move.at:.6f}"},
            "expiration": {"N": str(int(self._clock()) + KEPT_SECONDS)},
        }
        free = "#at < :yesterday" if move.state == "looking" else "(#at < :yesterday OR #by = :by)"
        names = {f"#{name}": name for name in ("state", "at", "by") if f"#{name}" in f"#state {free}"}
        values = {":looking": {"S": "looking"}, ":yesterday": {"N": f"{move.at - TAKEN_SECONDS:.6f}"}}
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
                row: Any = found.get("Item") or item  # it may have expired between
                return Move(row["state"]["S"], row["by"]["S"], float(row["at"]["N"]))
        return move
