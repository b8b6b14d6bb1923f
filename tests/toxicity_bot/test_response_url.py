from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from toxicity_bot import response_url
from toxicity_bot.errors import SlackUnavailableError


@pytest.mark.failure(109)
@pytest.mark.parametrize("accepts", [True, False])
def test_only_what_slack_may_have_got_may_yet_be_shown(monkeypatch: pytest.MonkeyPatch, accepts: bool) -> None:
    monkeypatch.setattr(response_url, "TIMEOUT_SECONDS", 0.2)
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        if not accepts:  # the one connection that waits leaves no room for another
            stack.enter_context(socket.create_connection(server.getsockname()))
        with pytest.raises(SlackUnavailableError) as caught:
            response_url.respond(f"{address}/responses/1", "Hello", f"{address}/api/")
    assert caught.value.may_yet_happen is accepts
