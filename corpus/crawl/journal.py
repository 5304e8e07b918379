"""The journal of a unit at work: one JSON line for each thing that must never be done again."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

FILE = "journal.jsonl"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a unit's folder for this process; waits for one that has it still, a killed run's worker."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks, as some network drives are
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class Journal:
    """An append-only file of events; a line is written by one call, so that a kill leaves it whole or cut."""

    def __init__(self, folder: Path) -> None:
        """Open the journal of a unit's folder; a last line that a kill cut short is taken away."""
        self.path = folder / FILE
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(self._file, _whole(self.path))

    def write(self, event: dict[str, Any]) -> None:
        """Append one event; after this it survives the end of the process. OSError where the disk is full."""
        line = _line(event)
        if os.write(self._file, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def close(self) -> None:
        """Bring what was written to the disk and close the file."""
        os.fsync(self._file)
        os.close(self._file)


def cut(folder: Path, segment: int, whole: int) -> None:
    """Take away the first event that lies behind byte `whole` of the archive's file, and all after it."""
    kept = b""
    for event in events(folder):
        end = event.get("end")
        if end and end[0] == segment and end[1] > whole:
            break
        kept += _line(event)
    (folder / FILE).write_bytes(kept)


def _line(event: dict[str, Any]) -> bytes:
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n"
    return text.encode("utf-8", "backslashreplace")


def events(folder: Path) -> Iterator[dict[str, Any]]:
    """Read the events of a journal in their order, as far as they are whole; none without a journal."""
    return (event for event, _ in events_from(folder, 0))


def events_from(folder: Path, start: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Read the events behind byte `start`, each with the byte at which it ends."""
    path = folder / FILE
    try:
        end = _whole(path)
        with path.open("rb") as file:
            file.seek(start)
            while file.tell() < end:
                yield json.loads(file.readline()), file.tell()
    except FileNotFoundError:  # a unit that has not begun, or is finished and swept
        return


def _whole(path: Path) -> int:
    """Give the length of a file up to its last newline."""
    with path.open("rb") as file:
        at = file.seek(0, os.SEEK_END)
        while at > 0:
            start = max(0, at - 65536)
            file.seek(start)
            newline = file.read(at - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            at = start
    return 0
