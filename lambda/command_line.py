"""Error handling for all commands of the project: one sentence and an exit status instead of a traceback.

Call `guard` before slow imports, so that it handles Ctrl-C during them. For `python -m PACKAGE`, Python first imports
the package, with `sys.argv[0]` set to "-m". So the packages of commands call `guard_module`.
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
LOCALHOST = "127.0.0.1,localhost,::1"
MAX_ERROR_CHARACTERS = 300  # of the message of an unexpected error
_WRONG_INPUT = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)


def guard_module() -> None:
    """Guard a command that runs by `python -m`. Its child processes ignore Ctrl-C and leave it to the parent."""
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing and multiprocessing.parent_process():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    elif sys.argv[0] == "-m":
        guard()


def guard() -> None:
    """Explain every error that ends this process, print in any encoding, and use no proxy for this machine."""
    os.environ["TYPER_STANDARD_TRACEBACK"] = "1"  # otherwise typer would install its own hook
    sys.excepthook = _end
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    atexit.register(_flush)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    past_proxies(LOCALHOST)


def signals_to_end() -> list[int]:
    """Return a list that gets the number of each SIGTERM and, unless the process runs under nohup, each SIGHUP."""
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: received.append(number))
    return received


def past_proxies(hosts: str) -> None:
    """Exclude these comma-separated hosts from the proxies that the environment sets."""
    kept = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = f"{kept},{hosts}" if kept else hosts


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    os.write(2, b"\nStopped.\n")  # print itself may have been interrupted
    signal.default_int_handler(number, frame)


def _end(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> NoReturn:
    sys.exit(_explain(error))


def _flush() -> None:
    """Flush standard output. Python itself would report a failure with a traceback."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except (OSError, ValueError) as error:
        os._exit(_explain(error))


def _explain(error: BaseException) -> int:
    """Print a sentence about an error and return the exit status."""
    status, sentence = _ending(error)
    if isinstance(error, OSError) and sys.stdout is sys.__stdout__:
        # Output that could not be written would fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if sentence:
        print(sentence, file=sys.stderr)
    return status


def _ending(error: BaseException) -> tuple[int, str]:
    if isinstance(error, KeyboardInterrupt):
        return STOPPED, ""  # `_interrupt` has printed a message
    if isinstance(error, BotError):
        return error.exit_status, str(error)
    if isinstance(error, BrokenPipeError):
        return 1, ""  # the reader needs no more output
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return 1, "The disk is full: make room, then run the same command again."
    if isinstance(error, ModuleNotFoundError) and error.name:
        return 2, f"The package {error.name} is not installed here: use make, or .venv/bin/python instead of python."
    text = " ".join(str(error).split())[:MAX_ERROR_CHARACTERS]
    if isinstance(error, OSError) and error.strerror:
        status = 2 if isinstance(error, _WRONG_INPUT) else 1
        return status, f"{error.filename or 'The system refuses'}: {error.strerror}."
    if isinstance(error, UnicodeError):
        return 2, f"The input is not UTF-8: {text}."
    return 1, f"{type(error).__name__}: {text}. Please report this bug, with the contents of {_traceback_file(error)}"


def _traceback_file(error: BaseException) -> str:
    """Write the traceback to a file and return its path."""
    try:
        handle, path = tempfile.mkstemp(".txt", "toxicity-bot-")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            traceback.print_exception(error, file=file)
    except OSError as failure:
        return f"a file that could not be written ({failure.strerror})"
    return path
