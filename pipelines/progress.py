"""Live progress of a stage: workers leave small heartbeats, the driver reads and draws them."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from corpus import files, interrupt
from corpus.teller import Teller

_EVERY_S = 0.5
_LINE_EVERY_S = 60.0  # without a terminal

_GIVEN_UP = (
    "{stage}: no unit has ended or reported for {minutes:g} min (run.patience): is a worker gone?\n"
    "Finished units are kept; end the job where it runs, then run the same command again to resume."
)

Beat = Callable[[int, int, float], None]


def heartbeat(path: Path | None) -> Beat:
    """Return a function that notes (documents seen, kept, share of the unit done), at most twice a second.

    Without a path (the workers are on other machines) the notes are dropped.
    """
    last = 0.0

    def beat(seen: int, kept: int, share: float) -> None:
        nonlocal last
        now = time.monotonic()
        if path is None or now - last < _EVERY_S:
            return
        last = now
        with suppress(OSError):  # a full disk: the work itself reports it
            path.write_text(json.dumps([seen, kept, min(share, 1.0)]))

    return beat


@dataclass(frozen=True, slots=True)
class Standing:
    """Progress of a stage: units done, documents seen and kept, weight (input bytes) done."""

    units: int = 0
    seen: int = 0
    kept: int = 0
    weight: float = 0.0

    def __add__(self, other: Standing) -> Standing:
        return Standing(
            self.units + other.units,
            self.seen + other.seen,
            self.kept + other.kept,
            self.weight + other.weight,
        )


class Watch:
    """Reads the notes of a stage's pending units: lists their folder once each time, opens what is new.

    `weights` are the units' weights by fingerprint.
    """

    def __init__(self, folder: Path, weights: dict[str, int]) -> None:
        self._folder = folder
        self._weights = weights
        self._done: set[str] = set()
        self._finished = Standing()

    def look(self) -> Standing:
        """Return the current progress."""
        at_work = []
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                fingerprint, _, kind = entry.name.partition(".")
                if fingerprint not in self._weights or fingerprint in self._done:
                    continue
                if kind == "json":
                    self._finish(fingerprint)
                elif kind == "progress":
                    at_work.append(fingerprint)
        now = self._finished
        for fingerprint in at_work:
            if fingerprint not in self._done:
                now += self._under_way(fingerprint)
        return now

    def _finish(self, fingerprint: str) -> None:
        """Count a unit that is done, once."""
        with suppress(OSError, ValueError, KeyError, TypeError):  # damaged, and written again at its end
            counts = json.loads((self._folder / f"{fingerprint}.json").read_text())["unit"]["counts"]
            weight = self._weights[fingerprint]
            self._finished += Standing(1, counts["seen"], counts["kept"], weight)
            self._done.add(fingerprint)

    def _under_way(self, fingerprint: str) -> Standing:
        with suppress(OSError, ValueError, TypeError):  # it has just ended, or is being written
            seen, kept, share = json.loads((self._folder / f"{fingerprint}.progress").read_text())
            return Standing(0, seen, kept, self._weights[fingerprint] * share)
        return Standing()


class StoreWatch:
    """Looks which of a stage's pending units have their records on a store: one listing a look."""

    def __init__(self, folder: str, weights: dict[str, int]) -> None:
        self._folder = folder
        self._weights = weights

    def look(self) -> Standing:
        """Return how far the stage is now; documents are counted at its end."""
        found: set[str] = set()
        with suppress(Exception):  # whatever a store that is away raises: the work itself will say so
            found = files.names(self._folder)
        done = [weight for unit, weight in self._weights.items() if f"{unit}.json" in found]
        return Standing(len(done), 0, 0, sum(done))


@dataclass(slots=True)
class Patience:
    """Waits `limit_s` seconds for progress since `since`, 0 for ever."""

    limit_s: float
    since: float
    before: Standing = Standing()

    def is_over(self, now: Standing, at: float) -> bool:
        """Return whether nothing has changed for longer; `at` is the time of `now`."""
        if now != self.before:
            self.before, self.since = now, at
        return 0 < self.limit_s < at - self.since


def take_terminal() -> None:
    """Make the terminal ready for a stage, before Beam is imported.

    Beam's notes and traces stay off it: what stops a stage is said once, by its own error.
    """
    logging.getLogger().setLevel(logging.CRITICAL)
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    interrupt.answer("stopped: finished work is kept; run the same command to resume")


@contextmanager
def shown(
    stage: str,
    folder: str,
    weights: dict[str, int],
    teller: Teller,
    say: Callable[[], str] | None = None,
    patience_s: float = 0,
) -> Iterator[None]:
    """Show the progress of a stage's pending units until the block ends; `say` returns its line.

    On a terminal it is a bar, elsewhere a line a minute. `folder` holds the units' notes; on a store nothing
    is known of units under way, and a line a minute is all. After `patience_s` without progress, 0 for never,
    the process ends: an engine may wait forever for a worker that is gone.
    """
    if not weights:
        yield
        return
    is_local = files.is_local(folder)
    watch = Watch(Path(files.filesystem(folder)[1]), weights) if is_local else StoreWatch(folder, weights)
    started = time.monotonic()

    def line(now: Standing) -> str:
        passed = time.monotonic() - started
        if say is not None:
            return say()
        if not is_local:
            return f"{now.units:,}/{len(weights):,} units, at work for {passed / 60:.0f} min"
        rate = now.seen / passed
        return f"{now.units}/{len(weights)} units  {now.seen:,} in  {now.kept:,} kept  {rate:,.0f}/s"

    is_drawn = teller.draws and is_local
    stop = threading.Event()
    total = max(1, sum(weights.values()))
    with teller.bar(stage, total) if is_drawn else nullcontext() as bar:

        def tell() -> None:
            patience = Patience(patience_s, started)
            while not stop.wait(_LINE_EVERY_S if bar is None else _EVERY_S):
                now = watch.look()
                if patience.is_over(now, time.monotonic()):
                    interrupt.leave(_GIVEN_UP.format(stage=stage, minutes=patience_s / 60), status=1)
                facts = {"pending": len(weights), "done": now.units, "documents": now.seen, "kept": now.kept}
                teller.note("progress", stage=stage, **facts)
                if bar is None:
                    teller.say(f"{stage}: {line(now)}")
                else:
                    bar.update(now.weight, line(now))

        thread = threading.Thread(target=tell, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
