"""Run a study's units on the available devices: each in its own process on a GPU, or one by one here."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from corpus.errors import ConfigError, StoppedError, StudyError
from corpus.teller import SILENT
from trainer import config
from trainer.scaling.units import Unit, work
from trainer.world import Stop

LOCK = "study.lock"
LINES = 12
"""Number of lines shown of a failed process."""
_WAIT = 0.2  # seconds between polls of the processes

Finished = Callable[[Unit], None]


def devices(run: config.Run) -> list[str]:
    """Return the GPUs that a study may use, as in CUDA_VISIBLE_DEVICES; empty: it runs on the CPU."""
    if run.device == "cpu" or not torch.cuda.is_available():
        if run.device == "cuda":
            raise ConfigError('train.run.device = "cuda": torch can use no GPU here')
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    named = visible.split(",") if visible else [str(n) for n in range(torch.cuda.device_count())]
    return named[: torch.cuda.device_count()]


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


def dispatch(units: Sequence[Unit], on: Sequence[str], lock: int, finished: Finished) -> None:
    """Do the unfinished units, each after the one it branches from; call `finished` for each.

    Raises StudyError after all possible units are done, StoppedError after SIGTERM or Ctrl-C.
    """
    open_units = [unit for unit in needed(units) if not unit.done]
    if on:
        _on_gpus(open_units, on, lock, finished)
        return
    with Stop(), _heard() as signals:
        for unit in open_units:
            work(unit, SILENT)
            finished(unit)
            if number := signals():
                raise StoppedError(number, 0)


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
        at = unit.branch
        while at is not None:
            wanted.add(at[0])
            # A finished part needs none before it.
            before = by_folder[at[0]]
            at = None if before.done else before.branch
    return [unit for unit in units if unit.folder in wanted]


def _on_gpus(units: list[Unit], on: Sequence[str], lock: int, finished: Finished) -> None:
    waiting = list(units)
    undone = {unit.folder for unit in units}
    running: dict[str, tuple[Unit, subprocess.Popen[bytes]]] = {}
    failures: list[str] = []
    with Stop() as stop:
        while running or waiting:
            ready = [u for u in waiting if u.branch is None or u.branch[0] not in undone]
            if not running and not ready:
                break  # the rest depends on failed units
            for device in on:
                if device not in running and ready and not stop.requested:
                    unit = ready.pop(0)
                    waiting.remove(unit)
                    running[device] = unit, _start(unit, device, lock)
            time.sleep(_WAIT)
            if stop.requested:
                _end(running)
                raise StoppedError(stop.signal or signal.SIGTERM, 0)
            for device, (unit, process) in list(running.items()):
                if process.poll() is None:
                    continue
                del running[device]
                if process.returncode:
                    failures.append(_failure(unit, process.returncode))
                else:
                    undone.discard(unit.folder)
                    finished(unit)
    if failures:
        raise StudyError("\n".join(failures))


def _log(unit: Unit) -> Path:
    return unit.path.with_suffix(".log")


def _start(unit: Unit, device: str, lock: int) -> subprocess.Popen[bytes]:
    """Start a unit in a process that sees only one GPU."""
    _log(unit).parent.mkdir(parents=True, exist_ok=True)
    with _log(unit).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "trainer.scaling.units"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": device},
            pass_fds=(lock,),
            start_new_session=True,  # Ctrl-C reaches it only once, from here
        )
    assert process.stdin is not None
    process.stdin.write(unit.dump().encode())
    process.stdin.close()
    return process


def _end(running: dict[str, tuple[Unit, subprocess.Popen[bytes]]]) -> None:
    """Make every process save its state and exit."""
    for _, process in running.values():
        process.terminate()
    for _, process in running.values():
        process.wait()


def _failure(unit: Unit, status: int) -> str:
    said = _log(unit).read_text(encoding="utf-8", errors="replace").splitlines()[-LINES:]
    how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
    return "\n  ".join([f"{unit.name} ended with {how}; end of {_log(unit)}:", *said])
