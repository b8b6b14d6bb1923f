"""The ledger makes each verdict happen once: a DynamoDB row for each content of a message that is or was judged.

Powertools' idempotency does the work. A conditional write claims the row for as long as this invocation may run. The
result completes the row, an exception deletes it, and an expired row does not count. A post that timed out keeps its
claim, because it may still appear; until the claim ends nobody looks for it. Whoever claims the row next is in doubt
whether a post exists, and leaves it in doubt if it fails as well, until somebody settles it. A note keeps what a job
has learnt about a message for its next try. Rows hold keys, timestamps and outcomes, never text.
"""

from __future__ import annotations

import copy
import hmac
import json
import threading
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

from .errors import ClaimedError, LedgerError, SlackUnavailableError
from .table import ALWAYS, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

# Slack may repeat an event for a day, and a dead-letter queue keeps a job for two weeks.
KEPT_SECONDS = 30 * 24 * 3600

Outcome = dict[str, Any]


class Ledger:
    """Runs work once per key."""

    def __init__(self, table: str) -> None:
        config = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 3})
        self._claims = _Claims(table_name=table, boto_config=config)
        self.table = Table(table, self._claims.client)
        self._config = IdempotencyConfig(
            expires_after_seconds=KEPT_SECONDS, hash_function="sha256", raise_on_no_idempotency_key=True
        )

    def lease_until_end_of(self, context: LambdaContext) -> None:
        """From now on, let claims on rows end when this invocation must have ended."""
        self._config.register_lambda_context(context)

    @property
    def client(self) -> Any:
        """boto3's client of the table."""
        return self.table.client

    @property
    def in_doubt(self) -> bool:
        """Whether the row whose work this thread does had a claim before, whose work may have been done."""
        return self._claims.in_doubt

    def once(self, kind: str, key: str, work: Callable[[], Outcome]) -> Outcome:
        """Do the work unless its row says that it is done; return its outcome, or that of the first time.

        Raises ClaimedError while another invocation does the work, LedgerError if the table does not answer, and
        whatever the work raises. After an error of the work the row is free: at once, or when this invocation must
        have ended if the work may still take effect. The work may do other work once.
        """

        def first_time(*, key: str) -> Outcome:  # noqa: ARG001 - idempotent_function reads the key
            return work()

        # Powertools keeps the kind in the store, which the work may use for another one.
        store = copy.copy(self._claims)
        run_once = idempotent_function(
            first_time, data_keyword_argument="key", persistence_store=store, config=self._config, key_prefix=kind
        )
        around = self._claims.replaced
        try:
            return dict(run_once(key=key))
        except (IdempotencyAlreadyInProgressError, IdempotencyInconsistentStateError) as error:
            raise ClaimedError(kind) from error
        except IdempotencyPersistenceLayerError as error:
            raise LedgerError(type(error.__cause__).__name__) from error
        finally:
            self._claims.replaced = around

    def settle(self, kind: str, key: str, found: Outcome | None = None) -> Outcome | None:
        """Return the outcome of work that is done, or of work that was found done, else None; raises as `once` does.

        That ends the doubt about its row.
        """

        def work() -> Outcome:
            if found is None:
                raise _NotDoneError
            return found

        try:
            return self.once(kind, key, work)
        except _NotDoneError:
            return None

    def note(self, about: str, facts: Mapping[str, Any]) -> None:
        """Keep facts for the next try, in place of those noted before."""
        row = {"status": "NOTE", "data": json.dumps(facts)}
        self.table.put(f"note#{about}", row, KEPT_SECONDS, ALWAYS)

    def noted(self, about: str) -> dict[str, Any]:
        """Return the facts that were noted last, if any."""
        row = self.table.get(f"note#{about}")
        return dict(json.loads(row["data"])) if row else {}


class _NotDoneError(Exception):
    """Raised by work that frees its row."""


class _Claims(DynamoDBPersistenceLayer):
    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._replaced = threading.local()
        self.return_value_on_condition |= {"ReturnValues": "ALL_OLD"}
        # Powertools does not tell which row a claim replaced.
        self.client.meta.events.register("after-call.dynamodb.PutItem", self._note_replaced)

    @property
    def replaced(self) -> str | None:
        """The status of the row that this thread's last claim replaced."""
        return getattr(self._replaced, "status", None)

    @replaced.setter
    def replaced(self, status: str | None) -> None:
        self._replaced.status = status

    @property
    def in_doubt(self) -> bool:
        return self.replaced == "INPROGRESS"

    def delete_record(self, data: dict[str, Any], exception: Exception) -> None:
        if isinstance(exception, SlackUnavailableError) and exception.may_yet_happen:
            return
        if not self.in_doubt or isinstance(exception, _NotDoneError):
            super().delete_record(data, exception)
            return
        self.client.update_item(
            TableName=self.table_name,
            Key=self._get_key(str(self._get_hashed_idempotency_key(data))),
            UpdateExpression="SET in_progress_expiration = :past",
            ExpressionAttributeValues={":past": {"N": "0"}},
        )

    def _note_replaced(self, parsed: dict[str, Any], **_: object) -> None:
        self.replaced = parsed.get("Attributes", {}).get("status", {}).get("S")


def message_id(team: str, channel: str, ts: str) -> str:
    """Return the beginning of all keys of a message."""
    return f"{team}/{channel}/{ts}/"


def message_key(team: str, channel: str, ts: str, *read: str) -> str:
    """Return the key of a message that reads so; a change of its words makes a new key, and so allows a new verdict.

    `read` are the words that are judged apart.

    The digest has 32 bits: enough to see a change, too few to test guesses of the text. Slack's `edited` cannot take
    its place: it has whole seconds, comes with an edit to the same text, and lacks where an app changes its message.
    """
    beginning = message_id(team, channel, ts)
    words = "\0".join(" ".join(text.split()) for text in read).rstrip("\0")
    return beginning + hmac.digest(beginning.encode(), words.encode(errors="surrogatepass"), "sha256")[:4].hex()
