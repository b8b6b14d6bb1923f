"""Serve the playground's page, on this machine only."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from local.playground import view
from local.playground.playground import SHORTCUTS, Playground
from local.playground.scoring import card
from local.playground.trouble import TROUBLES
from local.serving import Server, WrongRequestError, call
from local.workspace import RefusedError

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

HERE = Path(__file__).parent
HOSTS = ("127.0.0.1", "localhost")
# These headers prevent the page from running what people type.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
MAX_BODY_BYTES = 1024 * 1024
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
REACTIONS = ("+1", "heart", "joy", "tada", "eyes")  # in addition to the trigger
EXAMPLES = (
    "Thanks, that fixed it.",
    "You are useless.",
    "y0u are such an 1d1ot",
    "That was a damn good fix.",
    "Nobody would miss you if you left.",
    "Das ist heute leider wieder kaputt.",
)

# Methods of `Playground` that people can call.
ACTIONS = (
    "post", "edit", "delete", "react", "shortcut", "command", "click", "send_form", "close_form", "switch", "score",
)  # fmt: skip


class _Request(Request):
    max_content_length = MAX_BODY_BYTES


class PageServer(Server):
    """Serves the page of a playground at a listening socket."""

    def __init__(self, playground: Playground, listener: socket.socket) -> None:
        self._playground = playground
        self._page = _rendered(playground)
        self._files = {f"/{file.name}": file for file in (HERE / "static").iterdir()}
        host, self._port = listener.getsockname()
        super().__init__(self._serve, host, self._port, fd=listener.fileno())

    def close(self) -> None:
        self._playground.feed.close()
        super().close()

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        response = self._answer(_Request(environ))
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if refused := refusal(request, self._port):
            return _error(*refused)
        try:
            return self._run_action(request) if request.method == "POST" else self._shown(request)
        except WrongRequestError as error:
            return _error(400, str(error))
        except RefusedError as error:
            return _error(409, f"Slack refuses this: {error.code}.")
        except HTTPException as error:
            return _error(error.code or 500, str(error.description))
        except Exception as error:
            traceback.print_exception(error)
            return _error(500, f"The playground failed with {type(error).__name__}: its terminal shows more.")

    def _shown(self, request: Request) -> Response:
        if request.path == "/":
            return Response(self._page, mimetype="text/html")
        if request.path == "/events":
            return Response(self._playground.feed.stream(), mimetype="text/event-stream")
        if request.path == "/model-card":
            return Response((self._playground.settings.model_dir / "MODEL_CARD.md").read_bytes(), mimetype="text/plain")
        if file := self._files.get(request.path):
            return Response(file.read_bytes(), mimetype=TYPES[file.suffix])
        return _error(404, f"There is no {request.path} here.")

    def _run_action(self, request: Request) -> Response:
        """Run an action. Raises WrongRequestError for a missing or invalid field."""
        name = request.path.removeprefix("/do/")
        if name not in ACTIONS:
            return _error(404, f"There is no {request.path} here; /do/ has {', '.join(ACTIONS)}.")
        done = call(getattr(self._playground, name), request.get_data())
        self._playground.feed.changed()
        return Response(json.dumps(done or {}), mimetype="application/json")


def refusal(request: Request, port: int) -> tuple[int, str] | None:
    """Return the status and the reason if a request must be refused, otherwise None.

    Checking `Host` prevents DNS rebinding. Checking `Origin` prevents requests from other sites' pages.
    """
    if request.host not in {f"{name}:{port}" for name in HOSTS}:
        return 421, "The Host header is not the playground's."
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{request.host}":
        return 403, "Requests from other pages are not allowed."
    if request.method in ("GET", "HEAD"):
        return None
    if origin is None:
        return 403, "This request needs an Origin header."
    if request.mimetype != "application/json":
        return 415, "The body must be application/json."
    return None


def _error(status: int, sentence: str) -> Response:
    return Response(json.dumps({"error": sentence}), status, mimetype="application/json")


def _rendered(playground: Playground) -> str:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    trigger = playground.settings.trigger_emoji[0]
    return templates.get_template("page.html.j2").render(
        people=view.people(playground.workspace),
        identity=playground.workspace.identity,
        trigger={"name": trigger, "emoji": view.emoji(trigger)},
        reactions=[{"name": name, "emoji": view.emoji(name)} for name in REACTIONS],
        troubles=[{"kind": kind, "label": label, "about": about} for kind, (label, about) in TROUBLES.items()],
        thresholds=playground.thresholds,
        shortcuts=SHORTCUTS,
        card=card(playground.settings.model_dir),
        examples=EXAMPLES,
    )
