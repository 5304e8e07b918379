"""The local worker processes as the driver sees them: how one is started, and why one has died."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpus import files, temporary

_LINES = 8  # of what a dead worker said last
_BYTES = 1 << 14  # at the end of its log
_LOG = re.compile(r"worker-(\d+)\.log")

# What killed it, by signal; then by what the end of its log says.
_SIGNALS = {
    signal.SIGKILL: "usually memory ran out and the system killed it: try fewer workers (--workers)",
    signal.SIGSEGV: "a library crashed: the log names the line; report it with the input that does it",
    signal.SIGABRT: "a library gave up: the log may say why; report it with the input that does it",
    signal.SIGBUS: "a file shrank, or its disk filled, while it was mapped: check whether the disk is full",
    signal.SIGILL: "a library was built for another processor: install it for this one",
    signal.SIGFPE: "a library crashed: the log names the line; report it with the input that does it",
    signal.SIGXCPU: "the limit on processor time was reached (ulimit -t)",
    signal.SIGXFSZ: "the limit on file sizes was reached (ulimit -f)",
    signal.SIGTERM: "it was ended, perhaps by a shutdown of the system",
    signal.SIGINT: "somebody ended it",
}
_SAID = (
    (
        re.compile(r"ModuleNotFoundError|ImportError|No module named|cannot open shared object"),
        "the workers do not find what the command finds: install derlem again in this environment",
    ),
    (re.compile(r"MemoryError|Cannot allocate memory"), "memory ran out: try fewer workers (--workers)"),
    (re.compile(r"No space left on device|Disk quota exceeded"), "a disk is full: make room on it"),
    (re.compile(r"Too many open files"), "the limit on open files was reached: raise it (ulimit -n)"),
    (re.compile(r"can't start new thread|Resource temporarily unavailable"), "too many processes: ulimit -u"),
)
_STATUSES = dict.fromkeys((126, 127), "Python could not be started: check that it is still installed")


@contextmanager
def logs_beside(folder: str) -> Iterator[Path]:
    """Open the local folder for the logs of workers: `folder`, or a temporary one where that is remote."""
    if not files.is_local(folder):
        with temporary.folder("workers") as logs:
            yield logs
        return
    logs = Path(files.filesystem(folder)[1])
    logs.mkdir(parents=True, exist_ok=True)
    yield logs


def command(logs: Path) -> str:
    """Return the shell command of a worker process, whose stderr goes into the folder `logs`.

    The shell's own arguments become the worker's.
    """
    for path in logs.glob("worker-*.log"):
        if _LOG.fullmatch(path.name):
            path.unlink(missing_ok=True)
    # `exec`, so that no shell stands between the worker and a signal to its process group, and $$ is its
    # number; Ctrl-C reaches that group, and the driver answers it; -P, so that a folder named corpus in the
    # working directory (the usual output) is not taken for the package.
    python = f'exec {shlex.quote(sys.executable)} -P -m pipelines.worker {os.getpid()} "$@"'
    return f"trap '' INT; {python} 2>{shlex.quote(str(logs))}/worker-$$.log"


def epitaph(status: int, logs: Path) -> str:
    """Return why a worker died: how it ended, the end of its log, what can be done."""
    log = _log_of_dead(logs)
    said = _end(log) if log is not None else []
    how = f"return code {status}"
    number = -status if status < 0 else status - 128
    if number in list(signal.Signals):
        how += f" ({signal.Signals(number).name})"
    lines = [f"stopped: a worker process ended with {how}"]
    if said:
        lines += [f"the end of {log}:", *(f"  {line}" for line in said)]
    if advice := _advice(status, number, "\n".join(said)):
        lines.append(advice)
    return "\n".join(lines)


def _advice(status: int, number: int, said: str) -> str:
    for pattern, advice in _SAID:
        if pattern.search(said):
            return advice
    for killer, advice in _SIGNALS.items():
        if killer == number:
            return advice
    return _STATUSES.get(status, "")


def _log_of_dead(logs: Path) -> Path | None:
    """Return the log of the worker that is gone; of several, that of the last that said anything."""
    dead = []
    for path in logs.glob("worker-*.log"):
        named = _LOG.fullmatch(path.name)
        if named and not _is_alive(int(named[1])):
            dead.append((path.stat().st_size > 0, path.stat().st_mtime_ns, path))
    return max(dead)[2] if dead else None


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another process, which has the number now
        return False
    return True


def _end(log: Path) -> list[str]:
    """Return the last lines of a log."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _BYTES))
        text = file.read().decode("utf-8", "replace")
    return [line for line in text.splitlines() if line.strip()][-_LINES:]
