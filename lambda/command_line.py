"""How every command of the project ends when it cannot go on: with one sentence and its exit status, not a traceback.

`guard` comes before imports that take long, so that Ctrl-C meets it at any time. Python imports the package of
`python -m PACKAGE` first, and meanwhile `sys.argv[0]` is "-m": the packages of commands call `guard_module`.
"""

from __future__ import annotations

import atexit
import errno
import io
import os
import signal
import sys
import tempfile
import traceback
from typing import TYPE_CHECKING, NoReturn

from .errors import BotError

if TYPE_CHECKING:
    from types import FrameType, TracebackType

STOPPED = 130
HERE = "127.0.0.1,localhost,::1"
LONGEST = 300  # characters of an error that is not ours
_WRONG_INPUT = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)


def guard_module() -> None:
    """Guard a command that is run by `python -m`, and let its processes leave Ctrl-C to it."""
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing and multiprocessing.parent_process():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    elif sys.argv[0] == "-m":
        guard()


def guard() -> None:
    """Explain every error that ends this process, print in any encoding, and call this machine past any proxy."""
    os.environ["TYPER_STANDARD_TRACEBACK"] = "1"  # or typer would put its own hook in front
    sys.excepthook = _end
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    atexit.register(_flush)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    past_proxies(HERE)


def past_proxies(hosts: str) -> None:
    """Let calls to these hosts, with commas between, go past the proxies of the environment."""
    kept = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = f"{kept},{hosts}" if kept else hosts


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    os.write(2, b"\nStopped.\n")  # print may be what is interrupted
    signal.default_int_handler(number, frame)


def _end(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> NoReturn:
    sys.exit(_explain(error))


def _flush() -> None:
    """Write what is left; Python itself would report a failure with a traceback."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except (OSError, ValueError) as error:
        os._exit(_explain(error))


def _explain(error: BaseException) -> int:
    """Print a sentence about an error and return the exit status."""
    status, sentence = _ending(error)
    if isinstance(error, OSError) and sys.stdout is sys.__stdout__:
        # What could not be written would fail again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if sentence:
        print(sentence, file=sys.stderr)
    return status


def _ending(error: BaseException) -> tuple[int, str]:
    if isinstance(error, KeyboardInterrupt):
        return STOPPED, ""  # said when it came
    if isinstance(error, BotError):
        return error.exit_status, str(error)
    if isinstance(error, BrokenPipeError):
        return 1, ""  # the reader has all that it wants
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return 1, "The disk is full: make room, then run the same command again."
    if isinstance(error, ModuleNotFoundError) and error.name:
        return 2, f"The package {error.name} is not installed here: use make, or .venv/bin/python in place of python."
    text = " ".join(str(error).split())[:LONGEST]
    if isinstance(error, OSError) and error.strerror:
        status = 2 if isinstance(error, _WRONG_INPUT) else 1
        return status, f"{error.filename or 'The system refuses'}: {error.strerror}."
    if isinstance(error, UnicodeError):
        return 2, f"The input has another encoding than UTF-8: {text}."
    return 1, f"{type(error).__name__}: {text}. Please report this, a bug, with what is in {_kept(error)}"


def _kept(error: BaseException) -> str:
    """Write the traceback to a file and return its path."""
    try:
        handle, path = tempfile.mkstemp(".txt", "toxicity-bot-")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            traceback.print_exception(error, file=file)
    except OSError as failure:
        return f"a file that could not be written ({failure.strerror})"
    return path
