"""Run servers for the code under test."""

import contextlib
import threading
from collections.abc import Iterator
from socketserver import BaseServer
from wsgiref.types import WSGIApplication

from werkzeug.serving import make_server


@contextlib.contextmanager
def running(server: BaseServer) -> Iterator[None]:
    """Let a server answer in a thread of its own until the block ends."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def serving(application: WSGIApplication) -> Iterator[str]:
    """Yield the application's address; it answers each request in a thread of its own until the block ends."""
    server = make_server("127.0.0.1", 0, application, threaded=True)
    with running(server):
        yield f"http://127.0.0.1:{server.port}"
