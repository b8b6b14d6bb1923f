from __future__ import annotations

from pathlib import Path

import pytest

from toxicity_bot import errors


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.SettingError("REPLY_TO", "is 'x': use thread."), "REPLY_TO is 'x': use thread."),
        (errors.ModelError(Path("model/model.onnx"), "is missing."), "model/model.onnx is missing."),
        (errors.RefusedRequestError(401, "bad_signature"), "request refused with 401: bad_signature"),
        (errors.StaleRequestError(301), "request refused with 401: stale"),
        (errors.ClaimedError("verdict"), "another invocation is at this verdict"),
        (errors.LedgerError("ConnectTimeoutError"), "the ledger table does not answer: ConnectTimeoutError"),
        (errors.RateLimitedError("chat.postMessage", 30), "chat.postMessage: ratelimited"),
        (errors.NotPermittedError("auth.test", "missing_scope", "C1", "chat:write"), "auth.test: missing_scope"),
    ],
)
def test_a_message_names_the_problem_and_its_subject(error: errors.BotError, message: str) -> None:
    assert str(error) == message


def test_only_temporary_failures_of_slack_count_as_unavailable() -> None:
    assert issubclass(errors.RateLimitedError, errors.SlackUnavailableError)
    final = (
        errors.MessageGoneError,
        errors.NotPermittedError,
        errors.ChannelRestrictedError,
        errors.CredentialsRefusedError,
    )
    assert not any(issubclass(kind, errors.SlackUnavailableError) for kind in final)
