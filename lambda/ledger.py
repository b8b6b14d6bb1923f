"""The ledger makes each verdict happen once: a DynamoDB row for each state of a message that is or was judged.

Powertools' idempotency does the work. A conditional write claims the row for as long as this invocation may run. The
result completes the row, an exception deletes it, and an expired row does not count. A post that timed out keeps its
claim, because it may still appear; until the claim ends nobody looks for it. Rows hold keys and outcomes, never text.
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
    """Runs work once per key."""

    def __init__(self, table: str) -> None:
        config = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 3})
        self._table = _Claims(table_name=table, boto_config=config)
        self._config = IdempotencyConfig(
            expires_after_seconds=KEPT_SECONDS, hash_function="sha256", raise_on_no_idempotency_key=True
        )

    def lease_until_end_of(self, context: LambdaContext) -> None:
        """From now on, let claims on rows end when this invocation must have ended."""
        self._config.register_lambda_context(context)

    def once(self, kind: str, key: str, work: Callable[[], Outcome]) -> Outcome:
        """Do the work unless its row says that it is done; return its outcome, or that of the first time.

        Raises ClaimedError while another invocation does the work, LedgerError if the table does not answer, and
        whatever the work raises. After an error of the work the row is free: at once, or when this invocation must
        have ended if the work may still take effect.
        """

        def first_time(*, key: str) -> Outcome:  # noqa: ARG001 - idempotent_function reads the key
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
    """Return the key of one state of a message; an edit makes a new key, and so allows a new verdict."""
    return f"{team}/{channel}/{ts}/{edited_ts}"
