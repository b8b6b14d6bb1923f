"""The server of the playground's page, on this machine only."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import jinja2
from werkzeug.exceptions import HTTPException
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from local.playground import guard, view
from local.playground.playground import SHORTCUTS, Playground, WrongRequestError
from local.playground.scoring import Card
from local.workspace import RefusedError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from local.playground.trouble import Kind

HERE = Path(__file__).parent
LARGEST_BODY = 1024 * 1024  # bytes
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
REACTIONS = ("+1", "heart", "joy", "tada", "eyes")  # besides the trigger
TROUBLES: dict[Kind, tuple[str, str]] = {
    "deliver_twice": ("Deliver twice", "Slack sends the event again, as if nobody had answered."),
    "rate_limit": ("Answer 429", "Slack refuses the first post: too many requests."),
    "lose_reply": ("Lose the reply", "The answer is posted, and the worker never learns of it."),
    "kill_worker": ("Kill the worker", "It dies the moment it has posted. Another one takes over."),
}
EXAMPLES = (
    "Thanks, that fixed it.",
    "You are useless.",
    "y0u are such an 1d1ot",
    "That was a damn good fix.",
    "Nobody would miss you if you left.",
    "Das ist heute leider wieder kaputt.",
)

Fields = dict[str, type | tuple[type, ...]]
_TEXTS: Fields = dict.fromkeys(("channel", "ts", "user"), str)
ACTIONS: dict[str, tuple[Callable[..., dict[str, Any] | None], Fields]] = {
    "post": (Playground.post, dict.fromkeys(("channel", "user", "text", "thread_ts"), str)),
    "edit": (Playground.edit, _TEXTS | {"text": str}),
    "delete": (Playground.delete, _TEXTS),
    "react": (Playground.react, _TEXTS | {"emoji": str}),
    "shortcut": (Playground.shortcut, _TEXTS | {"callback_id": str}),
    "command": (Playground.command, dict.fromkeys(("channel", "user", "text"), str)),
    "click": (Playground.click, _TEXTS | {"action_id": str, "value": str}),
    "send_form": (Playground.send_form, {"user": str, "note": str}),
    "close_form": (Playground.close_form, {"user": str}),
    "switch": (Playground.switch, {"kinds": list}),
    "score": (Playground.score, {"text": str, "toxic": (int, float), "maybe": (int, float)}),
}


class _Request(Request):
    max_content_length = LARGEST_BODY


class PageServer:
    """Serves the page of a playground at a socket that is bound already."""

    def __init__(self, playground: Playground, listener: socket.socket) -> None:
        self._playground = playground
        self._page = _rendered(playground)
        self._files = {f"/{file.name}": file for file in (HERE / "static").iterdir()}
        host, self._port = listener.getsockname()
        self.address = f"http://{host}:{self._port}"
        self._http = make_server(
            host, self._port, self._serve, threaded=True, request_handler=_QuietHandler, fd=listener.fileno()
        )
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="page")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._playground.feed.close()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        response = self._answer(_Request(environ))
        for name, value in guard.HEADERS.items():
            response.headers[name] = value
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if refused := guard.refusal(request, self._port):
            return _error(*refused)
        try:
            return self._acted(request) if request.method == "POST" else self._shown(request)
        except WrongRequestError as error:
            return _error(400, str(error))
        except RefusedError as error:
            return _error(409, f"Slack refuses this: {error.code}.")
        except HTTPException as error:
            return _error(error.code or 500, str(error.description))

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

    def _acted(self, request: Request) -> Response:
        """Do what a person asks for; raises WrongRequestError with the field that is missing or wrong."""
        name = request.path.removeprefix("/do/")
        if name not in ACTIONS:
            return _error(404, f"There is no {request.path} here; /do/ has {', '.join(ACTIONS)}.")
        action, fields = ACTIONS[name]
        try:
            given = json.loads(request.get_data())
        except ValueError as error:
            raise WrongRequestError("The body is not JSON.") from error
        if not isinstance(given, dict) or given.keys() != fields.keys():
            raise WrongRequestError(f"The body must be an object with {', '.join(fields)}.")
        for field, kind in fields.items():
            items = given[field] if kind is list and isinstance(given[field], list) else []
            if not isinstance(given[field], kind) or not all(isinstance(item, str) for item in items):
                raise WrongRequestError(f"{field} has the wrong type.")
        done = action(self._playground, **given)
        self._playground.feed.changed()
        return Response(json.dumps(done or {}), mimetype="application/json")


class _QuietHandler(WSGIRequestHandler):
    """Logs nothing, since bodies contain texts."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


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
        card=Card.read(playground.settings.model_dir),
        examples=EXAMPLES,
    )
