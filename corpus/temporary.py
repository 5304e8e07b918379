"""Temporary files and folders of this machine: locked by who writes them, removed when a kill left them."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def lock(handle: int) -> bool:
    """Lock an open file for as long as it is open here; False where another process holds it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks, as some network drives are
        pass
    return True


def remove_abandoned(path: Path) -> None:
    """Remove a temporary file unless a living process is writing it."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        if lock(file.fileno()):
            path.unlink()


@contextmanager
def folder(kind: str, parent: str | Path | None = None) -> Iterator[Path]:
    """Make a folder for the length of a block, and remove those of its kind that killed processes left.

    It is locked for as long as its process lives; without a parent it is in the system's temporary folder.
    """
    home = Path(parent or tempfile.gettempdir())
    prefix = f"{kind}.tmp-" if parent else f"derlem-{kind}.tmp-"
    remove_abandoned_folders(home, prefix)
    made = Path(tempfile.mkdtemp(prefix=prefix, dir=home))
    handle = os.open(made, os.O_RDONLY)
    try:
        lock(handle)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(handle)


def remove_abandoned_folders(home: Path, prefix: str) -> None:
    """Remove the folders of `folder` whose processes are gone."""
    for path in home.glob(f"{prefix}*"):
        if path.is_symlink() or not re.fullmatch(r"[a-z0-9_]{8}", path.name.removeprefix(prefix)):
            continue
        with suppress(OSError):  # another user's, or gone already
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                if os.fstat(handle).st_uid == os.getuid() and lock(handle):
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(handle)
