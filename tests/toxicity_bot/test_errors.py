from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from toxicity_bot import errors


def test_every_error_of_the_file_is_in_one_tree_and_says_when_it_is_raised() -> None:
    classes = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == "errors"]
    assert len(classes) > 10
    for kind in classes:
        assert issubclass(kind, errors.BotError), kind
        assert kind.__name__.endswith("Error"), kind
        assert kind is errors.BotError or (kind.__doc__ or "").startswith("Raised if"), kind


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
def test_a_message_says_what_and_which_one(error: errors.BotError, message: str) -> None:
    assert str(error) == message


def test_what_slack_may_mend_by_itself_is_one_kind() -> None:
    assert issubclass(errors.RateLimitedError, errors.SlackUnavailableError)
    final = (
        errors.MessageGoneError,
        errors.NotPermittedError,
        errors.ChannelRestrictedError,
        errors.CredentialsRefusedError,
    )
    assert not any(issubclass(kind, errors.SlackUnavailableError) for kind in final)
