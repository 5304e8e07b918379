"""Bytes from remote storage, and a folder on the local disk that keeps them by their content."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import random
import re
import threading
import time
import uuid
import weakref
from pathlib import Path

import pyarrow as pa
import xxhash

from corpus import files
from corpus.errors import DatasetError, Signal

ATTEMPTS = 5
DELAY = 0.25  # seconds before the second attempt, about; doubled before each one after it

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_size_t
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
_FAILED = ctypes.c_size_t(-1).value

_NAME = re.compile(r"[0-9a-f]{16}-[0-9]+")
_TEMPORARY = ".tmp-"
_STALE = 600.0  # seconds after which a temporary file belongs to nobody: writing one takes one or two


class ClosedError(Signal, RuntimeError):
    """Reading was given up because the loader was closed."""


def fetch(url: str, offset: int, length: int, checksum: str, stop: threading.Event) -> bytes:
    """Read a range of a file by one request, again with growing, random pauses where that fails.

    `checksum` is the XXH3-64 of the bytes. Raises DatasetError when the last of ATTEMPTS has failed or at
    once where there is no such file, and ClosedError when `stop` is set.
    """
    cause: Exception | None = None
    for attempt in range(ATTEMPTS):
        if stop.wait(DELAY * 2 ** (attempt - 1) * random.uniform(0.5, 1.5) if attempt else 0):
            raise ClosedError(url)
        try:
            data = files.read_range(url, offset, length)
            _check(data, length, checksum)
            return data
        except (FileNotFoundError, PermissionError) as error:
            raise DatasetError(
                f"{url}: {error}: the manifest names this file; put it back or tokenize again"
            ) from error
        except Exception as error:  # every file system has errors of its own, and most of them pass
            cause = error
    raise DatasetError(
        f"{url}: {length} bytes from {offset} on could not be read in {ATTEMPTS} attempts; "
        f"the last: {type(cause).__name__}: {cause}"
    ) from cause


def _check(data: bytes, length: int, checksum: str) -> None:
    if len(data) != length:
        raise DatasetError(f"came as {len(data)} bytes; does the server answer to ranges?")
    found = xxhash.xxh3_64_hexdigest(data)
    if found != checksum:
        raise DatasetError(f"XXH3 is {found}, the manifest says {checksum}: the file is not the one it names")


def user_folder() -> str:
    """Return the user's own folder for batches."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return str(Path(base) / "derlem" / "batches")


class _Map:
    """A file's bytes, mapped until nobody refers to it."""

    def __init__(self, path: str | Path) -> None:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.size = os.fstat(file).st_size
            self.address = _libc.mmap(None, self.size, mmap.PROT_READ, mmap.MAP_SHARED, file, 0)
        finally:
            os.close(file)
        if self.address == _FAILED:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
        weakref.finalize(self, _libc.munmap, self.address, self.size).atexit = False


def map_file(path: str | Path) -> pa.Buffer:
    """Map a file's bytes; the map lives as long as the buffer or a slice of it, even if the file goes.

    Python's own maps each keep a descriptor, of which there are few, and Arrow's read the whole file ahead.
    """
    mapped = _Map(path)
    return pa.foreign_buffer(mapped.address, mapped.size, mapped)


class Cache:
    """A folder of at most `limit` bytes, in files named by content: XXH3, "-", length.

    Any number of processes may share it, without locks: a file appears whole, by its renaming, and never
    changes. The ones that were opened longest ago go first; their maps live on, and hold their space on the
    disk until they are let go. Each process writes a sixteenth of the limit before it looks at the folder
    again and thins it out to seven eighths, so that two of them stay below the limit. What a killed process
    was writing is removed when ten minutes old.
    """

    def __init__(self, folder: str | Path, limit: int) -> None:
        self.folder = Path(folder)
        self.limit = limit
        self._lock = threading.Lock()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._writing = 0  # bytes that are not in the folder yet, and will be
        self._left = 0  # bytes to write until the next look at the folder
        self._sweep()

    def open(self, checksum: str, length: int) -> pa.Buffer | None:
        """Map the bytes of that content; None where they are not here."""
        path = self.folder / f"{checksum}-{length}"
        try:
            buffer = map_file(path)
        except FileNotFoundError:
            return None
        with contextlib.suppress(OSError):  # it may be read-only, or have gone since
            os.utime(path)
        return buffer if buffer.size == length else None

    def put(self, checksum: str, data: bytes) -> pa.Buffer:
        """Keep bytes whose checksum has been verified, and map them. Raises DatasetError for a full disk."""
        with self._lock:
            self._writing += len(data)
            self._left -= len(data)
            if self._left < 0:
                self._sweep()
        try:
            return self._write(checksum, data)
        finally:
            with self._lock:
                self._writing -= len(data)

    def _write(self, checksum: str, data: bytes) -> pa.Buffer:
        temporary = self.folder / f"{_TEMPORARY}{uuid.uuid4().hex}"
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # else a power cut could leave a whole name with half the bytes
            buffer = map_file(temporary)
            with contextlib.suppress(FileNotFoundError):  # this machine slept, and another process swept it
                temporary.replace(self.folder / f"{checksum}-{len(data)}")
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise DatasetError(
                f"the cache {self.folder} cannot take {len(data)} bytes more: {error.strerror or error}; "
                "make room there, or name another folder (data.cache) or a smaller size (data.cache_gb)"
            ) from error
        except BaseException:  # Ctrl-C too: no half-written file stays
            temporary.unlink(missing_ok=True)
            raise
        return buffer

    def _sweep(self) -> None:
        """Remove abandoned temporary files, and the oldest batches beyond the limit."""
        found: list[tuple[float, int, str]] = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # another process sweeps too
                    if _NAME.fullmatch(entry.name):
                        found.append((entry.stat().st_mtime, entry.stat().st_size, entry.path))
                    elif entry.name.startswith(_TEMPORARY) and _age(entry) > _STALE:
                        os.unlink(entry.path)
        total = sum(size for _, size, _ in found) + self._writing
        for _, size, path in sorted(found) if total > self.limit * 7 // 8 else ():
            if total <= self.limit * 7 // 8:
                break
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            total -= size
        self._left = self.limit // 16


def _age(entry: os.DirEntry[str]) -> float:
    return time.time() - entry.stat().st_mtime
