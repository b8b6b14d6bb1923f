"""The ledger ensures that each verdict is posted once, with a DynamoDB row for each version of a message's content.

It uses Powertools' idempotency. A conditional write claims the row until this invocation times out; `renew` prolongs
the claim. The result completes the row, an exception deletes it, and an expired row is ignored. A post that timed out
keeps its claim, because it may still appear. No other job looks for the post until the claim expires. The next job that
claims the row is in doubt whether the post exists. If that job fails too, the row stays in doubt until `resolve` is
called. A note stores what a job has learned about a message for its next attempt. Rows hold keys, timestamps and
outcomes, never text.
"""

from __future__ import annotations

import copy
import hmac
import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyInconsistentStateError,
    IdempotencyPersistenceLayerError,
)
from botocore.config import Config
from botocore.exceptions import ClientError

from .errors import ClaimedError, LedgerError, SlackError, SlackUnavailableError
from .table import ALWAYS, Table, table_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

# Slack may redeliver an event for a day, and the dead-letter queue keeps a job for two weeks.
RETENTION_SECONDS = 30 * 24 * 3600
# A claim with more than this share of its time left is not renewed, so a quick verdict takes no further write.
RENEWED_BELOW = 5 / 6

Outcome = dict[str, Any]


class Ledger:
    """Runs work once per key."""

    def __init__(self, table: str) -> None:
        config = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 3})
        self._claims = _Claims(table_name=table, boto_config=config)
        self.table = Table(table, self._claims.client)
        self._config = IdempotencyConfig(
            expires_after_seconds=RETENTION_SECONDS, hash_function="sha256", raise_on_no_idempotency_key=True
        )
        self._claim_ms = 0

    def set_deadline(self, context: LambdaContext) -> None:
        """Make all further claims expire when this invocation times out."""
        self._config.register_lambda_context(context)
        self._claim_ms = context.get_remaining_time_in_millis()

    @property
    def in_doubt(self) -> bool:
        """Whether the row that this thread works on had an earlier claim, whose work may have been done."""
        return self._claims.current.in_doubt

    def renew(self) -> None:
        """Renew the claim on the row that this thread works on, if more than a sixth of its time has passed.

        Call it just before a post. Slack may carry out a post long after it was sent, even if this invocation has
        ended by then, and until the claim expires no other job posts. Raises ClaimedError if the claim has been lost,
        and LedgerError.
        """
        claim, now = self._claims.current, int(1000 * self.table.clock())
        if not claim.expires or claim.expires - now > RENEWED_BELOW * self._claim_ms:
            return
        expires = now + self._claim_ms
        with table_errors():
            if not self._claims.set_expiry(claim, expires):
                raise ClaimedError("row")
        claim.expires = expires

    def once(self, kind: str, key: str, work: Callable[[], Outcome]) -> Outcome:
        """Do the work unless its row says that it is done. Return its outcome, now or from the first time.

        Raises ClaimedError while another invocation does the work, LedgerError if the table does not answer, and
        whatever the work raises. An error in the work releases the row: at once or, if the work may still take effect,
        when the claim expires. Calls can be nested.
        """

        def first_time(*, key: str) -> Outcome:  # noqa: ARG001 - idempotent_function reads the key
            return work()

        # Powertools keeps the kind in the store, and nested work may need another kind.
        store = copy.copy(self._claims)
        run_once = idempotent_function(
            first_time, data_keyword_argument="key", persistence_store=store, config=self._config, key_prefix=kind
        )
        outer = self._claims.current
        try:
            return dict(run_once(key=key))
        except (IdempotencyAlreadyInProgressError, IdempotencyInconsistentStateError) as error:
            raise ClaimedError(kind) from error
        except IdempotencyPersistenceLayerError as error:
            raise LedgerError(type(error.__cause__).__name__) from error
        finally:
            self._claims.current = outer

    def resolve(self, kind: str, key: str, found: Outcome | None = None) -> Outcome | None:
        """Resolve the doubt about a row: `found` is the outcome of its work, or None if the work was not done.

        Return the outcome of finished work, or None. Raises as `once` does.
        """

        def work() -> Outcome:
            if found is None:
                raise _NotDoneError
            return found

        try:
            return self.once(kind, key, work)
        except _NotDoneError:
            return None

    def finished(self, kind: str, key: str, find: Callable[[], Outcome | None] = lambda: None) -> Outcome | None:
        """Return the outcome of finished work, or None. Raises as `once` does.

        If the row is in doubt, `find` looks for the outcome. The doubt ends only if it is found.
        """

        def work() -> Outcome:
            if self.in_doubt and (found := find()):
                return found
            raise _NotFinishedError

        try:
            return self.once(kind, key, work)
        except _NotFinishedError:
            return None

    def send_once(self, key: str, send: Callable[[], Outcome]) -> Outcome | None:
        """Send something that the bot cannot search for later, such as a private answer. Call it in the work of a row.

        Return what `send` returns, or None if it may have been sent before or now without confirmation: nothing is
        better than twice. A note with this key says that an attempt has begun.
        """
        if self.in_doubt and self.read_note(key):
            return None
        self.write_note(key, {"begun": True})
        try:
            return send()
        except SlackError as error:
            if isinstance(error, SlackUnavailableError) and error.outcome_unknown:
                return None
            self.write_note(key, {})
            raise

    def write_note(self, key: str, facts: Mapping[str, Any]) -> None:
        """Store facts for the next attempt, replacing the previous note."""
        row = {"status": "NOTE", "data": json.dumps(facts)}
        self.table.put(f"note#{key}", row, RETENTION_SECONDS, ALWAYS)

    def read_note(self, key: str) -> dict[str, Any]:
        """Return the facts of the last note; empty if there is none."""
        row = self.table.get(f"note#{key}")
        return dict(json.loads(row["data"])) if row else {}


class _NotDoneError(Exception):
    """Raised by work to release its row, even if it is in doubt."""


class _NotFinishedError(Exception):
    """Raised by work that only looks for an outcome."""


@dataclass
class _Claim:
    """A claim on a row. `expires` is a Unix timestamp in milliseconds, or 0 if the claim has no end."""

    row: str = ""
    expires: int = 0
    in_doubt: bool = False


class _Claims(DynamoDBPersistenceLayer):
    """Powertools' rows. `current` is the claim of this thread's innermost work."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._of_thread = threading.local()
        self.return_value_on_condition |= {"ReturnValues": "ALL_OLD"}
        # Powertools does not say which row a claim replaced.
        self.client.meta.events.register("after-call.dynamodb.PutItem", self._remember_replaced)

    @property
    def current(self) -> _Claim:
        return getattr(self._of_thread, "claim", None) or _Claim()

    @current.setter
    def current(self, claim: _Claim) -> None:
        self._of_thread.claim = claim

    def set_expiry(self, claim: _Claim, expires: int) -> bool:
        """Let a claim expire at another time. Return whether the row is still claimed. Raises ClientError."""
        update = {"UpdateExpression": "SET in_progress_expiration = :changed"}
        return self._change(self.client.update_item, claim, claim.expires, expires, **update)

    def delete_record(self, data: dict[str, Any], exception: Exception) -> None:
        """Free the row after an exception in its work, unless the work may have been done."""
        if isinstance(exception, SlackUnavailableError) and exception.outcome_unknown:
            return
        if self.current.in_doubt and not isinstance(exception, _NotDoneError):
            self.set_expiry(self.current, 0)
        else:
            super().delete_record(data, exception)

    def _delete_record(self, data_record: DataRecord) -> None:
        if self.current.expires:
            self._change(self.client.delete_item, self.current, self.current.expires)
        else:
            super()._delete_record(data_record)

    def _change(self, change: Callable[..., object], claim: _Claim, *expiries: int, **update: str) -> bool:
        """Change or delete the row of a claim, unless another job has claimed it since.

        `expiries` are those that the row may have: if boto3 repeats a call, the first may have changed it.
        """
        values = dict(zip((":claimed", ":changed"), ({"N": str(at)} for at in expiries), strict=False))
        try:
            change(
                TableName=self.table_name,
                Key=self._get_key(claim.row),
                ConditionExpression=f"in_progress_expiration IN ({', '.join(values)})",
                ExpressionAttributeValues=values,
                **update,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def _put_record(self, data_record: DataRecord) -> None:
        self.current = _Claim(data_record.idempotency_key, data_record.in_progress_expiry_timestamp or 0)
        super()._put_record(data_record)

    def _remember_replaced(self, parsed: dict[str, Any], **_: object) -> None:
        if replaced := parsed.get("Attributes"):  # only claims ask for it
            self.current.in_doubt = replaced["status"]["S"] == "INPROGRESS"


def message_id(team: str, channel: str, ts: str) -> str:
    """Return the prefix of all keys of a message."""
    return f"{team}/{channel}/{ts}/"


def message_key(team: str, channel: str, ts: str, *read: str) -> str:
    """Return the key of a message with these words. Different words give a new key and so allow a new verdict.

    `read` has the words in the parts that are judged separately.

    The digest has 32 bits: enough to detect a change, too few to confirm a guess of the text. Slack's `edited` is no
    substitute: it is in whole seconds, changes even if the text stays the same, and is missing if an app updates its
    own message.
    """
    beginning = message_id(team, channel, ts)
    words = "\0".join(" ".join(text.split()) for text in read).rstrip("\0")
    return beginning + hmac.digest(beginning.encode(), words.encode(errors="surrogatepass"), "sha256")[:4].hex()
