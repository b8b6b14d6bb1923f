"""What makes a verdict happen once: a DynamoDB row for every state of a message that was, or is being, judged.

Powertools' idempotency does the work: a conditional write claims the row for as long as this invocation may run, the
result completes it, an exception gives it back, and an expired row counts as none. A post that timed out keeps its
claim: it may appear a little later, and is not looked for before. The rows hold keys and outcomes, never text.
"""

from __future__ import annotations

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

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext

# Slack may repeat an event for a day, and a dead-letter queue keeps a job for two weeks.
KEPT_SECONDS = 30 * 24 * 3600

Outcome = dict[str, Any]


class Ledger:
    """Runs what must happen once, once per key."""

    def __init__(self, table: str) -> None:
        config = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 3})
        self._table = _Claims(table_name=table, boto_config=config)
        self._config = IdempotencyConfig(
            expires_after_seconds=KEPT_SECONDS, hash_function="sha256", raise_on_no_idempotency_key=True
        )

    def lease_until_end_of(self, context: LambdaContext) -> None:
        """Let the rows claimed from here on be free again when this invocation must have ended."""
        self._config.register_lambda_context(context)

    def once(self, kind: str, key: str, work: Callable[[], Outcome]) -> Outcome:
        """Do the work unless its row says that it was done; return its outcome, or that of the first time.

        Raises ClaimedError while another invocation is at it, LedgerError if the table does not answer, and whatever
        the work raises, after which the row is free: at once, or once this invocation must have ended if the work may
        yet happen.
        """

        def first_time(*, key: str) -> Outcome:  # noqa: ARG001 - the key is read by what wraps this
            return work()

        run_once = idempotent_function(
            first_time, data_keyword_argument="key", persistence_store=self._table, config=self._config, key_prefix=kind
        )
        try:
            return dict(run_once(key=key))
        except (IdempotencyAlreadyInProgressError, IdempotencyInconsistentStateError) as error:
            raise ClaimedError(kind) from error
        except IdempotencyPersistenceLayerError as error:
            raise LedgerError(type(error.__cause__).__name__) from error


class _Claims(DynamoDBPersistenceLayer):
    def delete_record(self, data: dict[str, Any], exception: Exception) -> None:
        if not (isinstance(exception, SlackUnavailableError) and exception.may_yet_happen):
            super().delete_record(data, exception)


def message_key(team: str, channel: str, ts: str, edited_ts: str) -> str:
    """Name one state of a message: an edit makes a new one, and with it room for a new verdict."""
    return f"{team}/{channel}/{ts}/{edited_ts}"
