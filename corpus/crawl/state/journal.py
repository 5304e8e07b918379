"""The journal of an active unit: one JSON line for each event, so that nothing is done twice."""

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
    """Lock a unit's folder for this process; waits if a worker of a killed run still holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks, such as some network drives
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class Journal:
    """An append-only file of events; each line is one write call, so that a kill truncates only the last."""

    def __init__(self, folder: Path) -> None:
        """Open the journal of a unit's folder; bytes after its last complete event are removed."""
        self.path = folder / FILE
        end = max((end for _, end in events_from(folder, 0)), default=0)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(self._file, end)
        self._failed: OSError | None = None

    def write(self, event: dict[str, Any]) -> None:
        """Append one event; it then survives the end of the process. Raises OSError if the disk is full.

        After one failed write all others fail, so that no event follows a missing one.
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
        """Write everything to the disk and close the file."""
        os.fsync(self._file)
        os.close(self._file)


def cut(folder: Path, segment: int, whole: int) -> None:
    """Remove the first event whose records end after byte `whole` of an archive file, and those after it."""
    kept = 0
    for event, after in events_from(folder, 0):
        end = event.get("end")
        if end and end[0] == segment and end[1] > whole:
            break
        kept = after
    os.truncate(folder / FILE, kept)


def events(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of a journal in order, up to the first damage; none without a journal."""
    return (event for event, _ in events_from(folder, 0))


def events_from(folder: Path, start: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield the events after byte `start`, each with the position of its end.

    The first line that is not an event ends them: a kill truncated it, or a power failure left a gap.
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
    except FileNotFoundError:  # a unit that has not started, or is finished and swept
        return
