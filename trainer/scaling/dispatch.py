"""Run a study's units on the available devices: in one worker process per device, or one by one here."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO

import torch

from corpus.cores import cores
from corpus.errors import ConfigError, StoppedError, StudyError
from corpus.teller import SILENT
from trainer import config
from trainer.scaling.units import Unit, work
from trainer.world import Stop

LOCK = "study.lock"
LOGS = "workers"
LINES = 12
"""Number of lines shown of the log of a worker that died."""
_WAIT = 0.2  # seconds between looks at signals

Finished = Callable[[Unit], None]


def devices(run: config.Run, workers: int = 0) -> list[str]:
    """Return the devices of a study's workers as in CUDA_VISIBLE_DEVICES; empty: it runs in this process.

    On a CPU they are one empty name for each core, or for each of `workers`; one alone needs no process.
    """
    if run.device == "cpu" or not torch.cuda.is_available():
        if run.device == "cuda":
            raise ConfigError('train.run.device = "cuda": torch can use no GPU here')
        count = workers or cores()
        return [""] * count if count > 1 else []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    named = visible.split(",") if visible else [str(n) for n in range(torch.cuda.device_count())]
    return named[: torch.cuda.device_count()]


def threads(workers: int) -> int:
    """Return the threads of each of some workers: an equal share of the cores."""
    return max(1, cores() // max(1, workers))


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Lock the study; its processes hold the lock too, in case this one is killed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{folder}: another process is running this study") from None
        yield lock.fileno()


class Workers:
    """The worker processes of a study, one per device, started when first needed and kept to the end.

    Starting one takes seconds of imports, and on a GPU compilation: as long as a small model trains.
    """

    def __init__(self, folder: Path, on: Sequence[str], lock: int) -> None:
        self._folder, self._on, self._lock = folder, on, lock
        self._held: dict[int, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all workers; one that trains saves its state first."""
        for process in self._held.values():
            process.terminate()
        for process in self._held.values():
            process.communicate()

    def dispatch(self, units: Sequence[Unit], finished: Finished) -> None:
        """Do the unfinished units, each after the one it branches from; call `finished` for each.

        Raises StudyError after all possible units are done, StoppedError after SIGTERM or Ctrl-C.
        """
        open_units = [unit for unit in needed(units) if not unit.done]
        if self._on:
            self._spread(open_units, finished)
            return
        with Stop(), _heard() as signals:
            for unit in open_units:
                work(unit, SILENT)
                finished(unit)
                if number := signals():
                    raise StoppedError(number, 0)

    def _spread(self, units: list[Unit], finished: Finished) -> None:
        waiting = list(units)
        undone = {unit.folder for unit in units}
        running: dict[int, Unit] = {}
        failures: list[str] = []
        with Stop() as stop:
            while running or waiting:
                ready = [u for u in waiting if u.branch is None or u.branch[0] not in undone]
                if not running and not ready:
                    break  # the rest depends on failed units
                for number in range(len(self._on)):
                    if number not in running and ready:
                        running[number] = ready.pop(0)
                        waiting.remove(running[number])
                        self._send(number, running[number])
                answers = {self._answers(number): number for number in running}
                found, _, _ = select.select(list(answers), [], [], _WAIT)
                if stop.requested:
                    raise StoppedError(stop.signal or signal.SIGTERM, 0)
                for stream in found:
                    number = answers[stream]
                    unit = running.pop(number)
                    if failure := self._failure(number, unit):
                        failures.append(failure)
                    else:
                        undone.discard(unit.folder)
                        finished(unit)
        if failures:
            raise StudyError("\n".join(failures))

    def _answers(self, number: int) -> IO[bytes]:
        stream = self._held[number].stdout
        assert stream is not None
        return stream

    def _log(self, number: int) -> Path:
        return self._folder / LOGS / f"{number}.log"

    def _send(self, number: int, unit: Unit) -> None:
        """Send a unit to a worker; start the worker if there is none."""
        if number not in self._held:
            self._log(number).parent.mkdir(parents=True, exist_ok=True)
            with self._log(number).open("ab") as log:
                self._held[number] = subprocess.Popen(
                    [sys.executable, "-P", "-m", "trainer.scaling.units"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env={
                        **os.environ,
                        "CUDA_VISIBLE_DEVICES": self._on[number],
                        "OMP_NUM_THREADS": str(threads(len(self._on))),
                    },
                    pass_fds=(self._lock,),
                    start_new_session=True,  # Ctrl-C reaches it only once, from here
                )
        pipe = self._held[number].stdin
        assert pipe is not None
        pipe.write(unit.dump().encode() + b"\n")
        pipe.flush()

    def _failure(self, number: int, unit: Unit) -> str:
        """Return what failed, by the worker's answer or the log of a dead one; empty if nothing did."""
        process = self._held[number]
        if line := self._answers(number).readline():
            error = json.loads(line)
            return f"{unit.name} failed: {error}; its log is {self._log(number)}" if error else ""
        del self._held[number]
        status = process.wait()
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        said = self._log(number).read_text(encoding="utf-8", errors="replace").splitlines()[-LINES:]
        return "\n  ".join([f"{unit.name}: its worker ended with {how}; end of {self._log(number)}:", *said])


@contextmanager
def _heard() -> Iterator[Callable[[], signal.Signals | None]]:
    """Report SIGTERM and Ctrl-C, also if a run noted them in its last step and so ended normally."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def last() -> signal.Signals | None:
        try:
            found = os.read(reading, 64)
        except BlockingIOError:
            return None
        ending = [n for n in found if n in (signal.SIGTERM, signal.SIGINT)]
        return signal.Signals(ending[-1]) if ending else None

    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield last
    finally:
        signal.set_wakeup_fd(before)
        os.close(reading)
        os.close(writing)


def needed(units: Sequence[Unit]) -> list[Unit]:
    """Drop the parts of trunks that no open cell branches from: their checkpoints may be removed."""
    by_folder = {unit.folder: unit for unit in units}
    wanted: set[str] = set()
    for unit in units:
        if unit.facts is None or unit.done:
            continue
        wanted.add(unit.folder)
        at = None if unit.trained else unit.branch  # a trained cell is only scored again
        while at is not None:
            wanted.add(at[0])
            # A finished part needs none before it.
            before = by_folder[at[0]]
            at = None if before.done else before.branch
    return [unit for unit in units if unit.folder in wanted]
