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
        """Open the journal of a unit's folder; what `events` does not give any more is taken away."""
        self.path = folder / FILE
        end = max((end for _, end in events_from(folder, 0)), default=0)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(self._file, end)
        self._failed: OSError | None = None

    def write(self, event: dict[str, Any]) -> None:
        """Append one event; after this it survives the end of the process. OSError where the disk is full.

        Then nothing more can be written: what other visits do before they end must not come behind a gap.
        """
        text = json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n"
        line = text.encode("utf-8", "backslashreplace")
        if self._failed is not None:
            raise self._failed
        try:
            if os.write(self._file, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        except OSError as error:
            self._failed = error
            raise

    def close(self) -> None:
        """Bring what was written to the disk and close the file."""
        os.fsync(self._file)
        os.close(self._file)


def cut(folder: Path, segment: int, whole: int) -> None:
    """Take away the first event that lies behind byte `whole` of the archive's file, and all after it."""
    kept = 0
    for event, after in events_from(folder, 0):
        end = event.get("end")
        if end and end[0] == segment and end[1] > whole:
            break
        kept = after
    os.truncate(folder / FILE, kept)


def events(folder: Path) -> Iterator[dict[str, Any]]:
    """Read the events of a journal in their order, as far as they are whole; none without a journal."""
    return (event for event, _ in events_from(folder, 0))


def events_from(folder: Path, start: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Read the events behind byte `start`, each with the byte at which it ends.

    The first line that is none ends them: a kill cut it short, or a power failure left a gap.
    """
    try:
        with (folder / FILE).open("rb") as file:
            file.seek(start)
            while (line := file.readline()).endswith(b"\n"):
                try:
                    event = json.loads(line)
                except ValueError:
                    return
                start += len(line)
                yield event, start
    except FileNotFoundError:  # a unit that has not begun, or is finished and swept
        return
