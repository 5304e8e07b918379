"""The end of a command at Ctrl-C or SIGTERM: at once, with one line."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import NoReturn


def answer(text: str) -> None:
    """End the process with this line and status 130 or 143 from now on, when Ctrl-C or SIGTERM comes."""

    def stop(number: int, frame: object) -> None:
        leave(text, 128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup or a shell's `&` asks for
            signal.signal(number, stop)


def leave(text: str, status: int) -> NoReturn:
    """End the process at once with one line on the terminal; files that derlem writes survive it.

    Unwinding would print the trace of whatever import or callback the signal met, and go through Beam's
    threads, which may wait forever for workers that are gone. Workers end when they see that this one has.
    """
    show_cursor = "\x1b[?25h\n" if os.isatty(2) else ""
    with suppress(OSError):  # nobody reads it
        os.write(2, f"{show_cursor}{text}\n".encode())
    os._exit(status)
