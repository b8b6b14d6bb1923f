"""Which requests the page's server answers, and the headers that keep a page from running what people type."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from werkzeug.wrappers import Request

HOSTS = ("127.0.0.1", "localhost")

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


def refusal(request: Request, port: int) -> tuple[int, str] | None:
    """Return the status and the reason if a request is refused.

    A name that others let point to 127.0.0.1 is in `Host`; a page of theirs that sends a request is in `Origin`.
    """
    if request.host not in {f"{name}:{port}" for name in HOSTS}:
        return 421, "This address is not the playground's."
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{request.host}":
        return 403, "Another page may not talk to the playground."
    if request.method in ("GET", "HEAD"):
        return None
    if origin is None:
        return 403, "A request that changes something needs the header Origin."
    if request.mimetype != "application/json":
        return 415, "The body must be application/json."
    return None
