"""Serve WSGI applications on this machine, and check the arguments in their requests."""

from __future__ import annotations

import inspect
import json
import threading
from typing import TYPE_CHECKING, Any, Self, get_type_hints

from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import WSGIApplication


class WrongRequestError(Exception):
    """Raised if a request has a missing or invalid field. The message names the field."""


class Server:
    """Serves an application with one thread per request. With `finish_requests`, `close` waits for open requests."""

    def __init__(
        self, application: WSGIApplication, host: str = "127.0.0.1", port: int = 0, *, fd: int | None = None,
        finish_requests: bool = False,
    ) -> None:  # fmt: skip
        handler = TimeoutHandler if finish_requests else QuietHandler
        self._http = make_server(host, port, application, threaded=True, request_handler=handler, fd=fd)
        self._http.daemon_threads = not finish_requests  # type: ignore[attr-defined]
        self.address = f"http://{host}:{self._http.port}"
        # A daemon: Ctrl-C between the start of the thread and `__enter__`'s return leaves nobody who would close it.
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.05,), name=type(self).__name__, daemon=True
        )

    def start(self) -> Self:
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop serving, and free the port."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()


class QuietHandler(WSGIRequestHandler):
    """Logs nothing, since URLs can contain tokens."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


class TimeoutHandler(QuietHandler):
    """Drops clients that send nothing, since `close` would wait for them."""

    timeout = 10  # seconds


def call(function: Callable[..., Any], body: bytes) -> Any:
    """Call a function with the JSON object in a body as arguments. Raises WrongRequestError if they do not fit."""
    kinds = {name: kind for name, kind in get_type_hints(function).items() if name != "return"}
    try:
        arguments = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WrongRequestError("The body is not JSON.") from error
    if not isinstance(arguments, dict):
        raise WrongRequestError(f"The body must be an object with {', '.join(kinds)}.")
    try:
        bound = inspect.signature(function).bind(**arguments)
    except TypeError as error:
        raise WrongRequestError(f"The fields are {', '.join(kinds)}: {error}.") from error
    for field, value in arguments.items():
        if not _has_type(value, kinds.get(field)):
            raise WrongRequestError(f"{field} has the wrong type.")
    return function(*bound.args, **bound.kwargs)


def _has_type(value: object, kind: Any) -> bool:
    """Return whether a JSON value has the type of a parameter."""
    if kind == list[str]:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if kind is float:
        return isinstance(value, (int, float))
    return kind is not str or isinstance(value, str)
