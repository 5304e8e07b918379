"""Live progress of a stage: workers leave small heartbeats, the driver reads and draws them."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

_EVERY_S = 0.5

Beat = Callable[[int, int, float], None]


@dataclass(frozen=True, slots=True)
class Total:
    """Work to be done: units and their weight (input bytes)."""

    units: int
    weight: int


def heartbeat(path: Path | None) -> Beat:
    """Give a function that notes (documents seen, kept, share of the unit done), at most twice a second.

    Without a path (the workers are on other machines) the notes are dropped.
    """
    last = 0.0

    def beat(seen: int, kept: int, share: float) -> None:
        nonlocal last
        now = time.monotonic()
        if path is None or now - last < _EVERY_S:
            return
        last = now
        path.write_text(json.dumps([seen, kept, min(share, 1.0)]))

    return beat


def _read(folder: Path, weights: dict[str, int]) -> tuple[int, int, int, float]:
    """Sum over the stage's units: units done, documents seen, kept, weight done."""
    units, seen, kept, done = 0, 0, 0, 0.0
    for fingerprint, weight in weights.items():
        try:
            record = json.loads((folder / f"{fingerprint}.json").read_text())
            counts = record["unit"]["counts"]
            units, seen, kept, done = units + 1, seen + counts["seen"], kept + counts["kept"], done + weight
        except (OSError, ValueError, KeyError):  # not finished, or read while it is replaced
            try:
                now_seen, now_kept, share = json.loads((folder / f"{fingerprint}.progress").read_text())
                seen, kept, done = seen + now_seen, kept + now_kept, done + weight * share
            except (OSError, ValueError):
                continue
    return units, seen, kept, done


def take_terminal() -> None:
    """Make the terminal ready for a stage, before Beam is imported.

    Beam's notes and traces stay off it: what stops a stage is said once, by its own error. Ctrl-C is answered
    at once.
    """
    logging.getLogger().setLevel(logging.CRITICAL)
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    signal.signal(signal.SIGINT, _stop)


def _stop(number: int, frame: object) -> None:
    leave("stopped: what is finished is kept, and the same command goes on", 128 + number)


def leave(text: str, status: int) -> NoReturn:
    """End the process at once with one line on the terminal, as a kill would, which every build survives.

    Unwinding would go through Beam's threads, which may wait for ever for workers that are gone. The workers
    end by themselves when they see that this process has.
    """
    show_cursor = "\x1b[?25h\n" if os.isatty(2) else ""
    os.write(2, f"{show_cursor}{text}\n".encode())
    os._exit(status)


@contextmanager
def shown(
    stage: str,
    folder: Path | None,
    weights: dict[str, int],
    console: Console,
    say: Callable[[], str] | None = None,
) -> Iterator[None]:
    """Draw the progress of a stage's pending units until the block ends; `say` gives the line beside it."""
    if folder is None or not console.is_terminal:
        yield
        return
    bar = Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[text]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    stop = threading.Event()

    def watch() -> None:
        started = time.monotonic()
        task = bar.add_task(stage, total=max(1, sum(weights.values())), text="")
        while not stop.wait(_EVERY_S):
            units, seen, kept, done = _read(folder, weights)
            rate = seen / (time.monotonic() - started)
            usual = f"{units}/{len(weights)} units  {seen:,} in  {kept:,} kept  {rate:,.0f}/s"
            text = say() if say is not None else usual
            bar.update(task, completed=done, text=text)

    thread = threading.Thread(target=watch, daemon=True)
    with bar:
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
