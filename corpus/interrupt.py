"""The end of a command at Ctrl-C or SIGTERM: at once, with one line."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

_PATIENCE_S = 30.0  # for what is done before the end

_last: list[Callable[[], str]] = []


def answer(text: str) -> None:
    """End the process with this line and status 130 or 143 from now on, when Ctrl-C or SIGTERM comes."""

    def stop(number: int, frame: object) -> None:
        leave(text, 128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup or a shell's `&` asks for
            signal.signal(number, stop)


@contextmanager
def before_leaving(do: Callable[[], str]) -> Iterator[None]:
    """Do something if the process is ended while the block runs; the line that it returns is printed.

    It runs in a thread of its own, and is not waited for longer than `_PATIENCE_S`.
    """
    _last.append(do)
    try:
        yield
    finally:
        with suppress(ValueError):  # taken: the process is ending
            _last.remove(do)


def _say_last() -> Iterator[str]:
    """Do what is to be done before the end; a second signal finds nothing more to do."""
    while _last:
        do, said = _last.pop(), list[str]()
        thread = threading.Thread(target=lambda do=do, said=said: said.append(do()), daemon=True)
        thread.start()
        thread.join(_PATIENCE_S)
        yield from said


def leave(text: str, status: int) -> NoReturn:
    """End the process at once with one line on the terminal; files that derlem writes survive it.

    Unwinding would print the trace of whatever import or callback the signal met, and go through Beam's
    threads, which may wait forever for workers that are gone. Workers end when they see that this one has.
    """
    show_cursor = "\x1b[?25h\n" if os.isatty(2) else ""
    with suppress(OSError):  # nobody reads it
        os.write(2, f"{show_cursor}{text}\n".encode())
        for line in _say_last():
            os.write(2, f"{line}\n".encode())
    os._exit(status)
