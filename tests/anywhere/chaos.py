"""What goes wrong while a corpus is built: code that runs before derlem's own, and what is done meanwhile."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

TWICE = """
from pipelines import pool, stage
_run = pool.run
def twice(do, units, number, *more):
    _run(do, [unit for unit in units for _ in range(2)], 2, *more)
pool.run, stage.useful_workers = twice, lambda planned, pending, most: 2
"""
"""Every unit is done by two workers at the same time."""

_CLOCK = """
import time
_time, _gmtime = time.time, time.gmtime
time.time = lambda: _time() + {seconds}
time.gmtime = lambda at=None: _gmtime(time.time() if at is None else at)
"""

_FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({bytes}, resource.RLIM_INFINITY))
"""


def clock(hours: float) -> str:
    """Return code after which the clock is wrong by that many hours."""
    return _CLOCK.format(seconds=hours * 3600)


def full_disk(size: int) -> str:
    """Return code after which no file can grow beyond a size, as on a disk that is full."""
    return _FULL.format(bytes=size)


def children(process: int) -> list[int]:
    """Return the numbers of the processes that a process started."""
    found = list[int]()
    for thread in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):  # it has ended
            found += map(int, thread.read_text().split())
    return found


def is_running(process: int, word: str) -> bool:
    """Return whether a process has a word in its command line."""
    with suppress(OSError):  # it has ended
        return word in Path(f"/proc/{process}/cmdline").read_text()
    return False


def kill_one(parent: int, word: str, draw: random.Random) -> bool:
    """Kill a random child whose command line has a word; return whether there was one."""
    found = [each for each in children(parent) if is_running(each, word)]
    if found:
        os.kill(draw.choice(found), signal.SIGKILL)
    return bool(found)


def wait_for(process: subprocess.Popen[str], is_so: Callable[[], bool], limit_s: float = 300) -> bool:
    """Wait until something is so, or the process has ended; return whether it is so."""
    until = time.monotonic() + limit_s
    while not (found := is_so()) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    return found


def damage(path: Path, draw: random.Random) -> None:
    """Change one byte of a file, which keeps its length."""
    data = bytearray(path.read_bytes())
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(data)


def shift_times(folder: Path, hours: float) -> None:
    """Make all files of a folder as old, or as new, as a machine with another clock would have."""
    for path in folder.rglob("*"):
        found = path.stat()
        os.utime(path, (found.st_atime + hours * 3600, found.st_mtime + hours * 3600))
