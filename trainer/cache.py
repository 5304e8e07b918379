"""Bytes from remote storage, and a cache folder on the local disk in which files are named by content."""

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
DELAY = 0.25  # approximate seconds before the second attempt; doubled before each later one

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_size_t
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
_FAILED = ctypes.c_size_t(-1).value

_NAME = re.compile(r"[0-9a-f]{16}-[0-9]+")
_TEMPORARY = ".tmp-"
_STALE = 600.0  # age in seconds of an abandoned temporary file: writing one takes one or two


class ClosedError(Signal, RuntimeError):
    """Reading was abandoned because the loader was closed."""


def fetch(url: str, offset: int, length: int, checksum: str, stop: threading.Event) -> bytes:
    """Read a range of a file in one request; on failure try again after growing, random pauses.

    `checksum` is the XXH3-64 of the bytes. Raises DatasetError after the last of ATTEMPTS, or at once if the
    file does not exist, and ClosedError if `stop` is set.
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
                f"{url}: {error}: the manifest names this file; restore it or tokenize again"
            ) from error
        except Exception as error:  # every file system has its own errors, and most of them are transient
            cause = error
    raise DatasetError(
        f"{url}: {length} bytes from {offset} on could not be read in {ATTEMPTS} attempts; "
        f"the last error: {type(cause).__name__}: {cause}"
    ) from cause


def _check(data: bytes, length: int, checksum: str) -> None:
    if len(data) != length:
        raise DatasetError(f"received {len(data)} bytes; does the server support range requests?")
    found = xxhash.xxh3_64_hexdigest(data)
    if found != checksum:
        raise DatasetError(f"XXH3 is {found}, the manifest says {checksum}: the file is not the one it names")


def user_folder() -> str:
    """Return the user's default folder for batches."""
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
    """Map a file's bytes; the map lives as long as the buffer or a slice of it, even if the file is removed.

    Python's own maps each keep a descriptor, which are scarce, and Arrow's read the whole file ahead.
    """
    mapped = _Map(path)
    return pa.foreign_buffer(mapped.address, mapped.size, mapped)


class Cache:
    """A folder of at most `limit` bytes, in files named by content: XXH3, "-", length.

    Any number of processes may share it, without locks: a file appears whole, by renaming, and never changes.
    The ones opened longest ago are removed first; their maps stay valid, and use disk space until they are
    released. Each process writes a sixteenth of the limit before it looks at the folder again and reduces it
    to seven eighths, so that two processes stay below the limit. The unfinished file of a killed process is
    removed after ten minutes.
    """

    def __init__(self, folder: str | Path, limit: int) -> None:
        self.folder = Path(folder)
        self.limit = limit
        self._lock = threading.Lock()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._writing = 0  # bytes being written, not in the folder yet
        self._left = 0  # bytes to write until the next look at the folder
        self._sweep()

    def open(self, checksum: str, length: int) -> pa.Buffer | None:
        """Map the bytes with that content; None if the cache does not have them."""
        path = self.folder / f"{checksum}-{length}"
        try:
            buffer = map_file(path)
        except FileNotFoundError:
            return None
        with contextlib.suppress(OSError):  # it may be read-only, or removed since
            os.utime(path)
        return buffer if buffer.size == length else None

    def put(self, checksum: str, data: bytes) -> pa.Buffer:
        """Store bytes whose checksum has been verified, and map them. Raises DatasetError for a full disk."""
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
                os.fsync(file.fileno())  # else a power cut could leave a final name with half the bytes
            buffer = map_file(temporary)
            with contextlib.suppress(FileNotFoundError):  # this machine slept, and another process removed it
                temporary.replace(self.folder / f"{checksum}-{len(data)}")
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise DatasetError(
                f"the cache {self.folder} cannot take {len(data)} more bytes: {error.strerror or error}; "
                "free space there, or set another folder (data.cache) or a smaller size (data.cache_gb)"
            ) from error
        except BaseException:  # Ctrl-C too: leave no half-written file
            temporary.unlink(missing_ok=True)
            raise
        return buffer

    def _sweep(self) -> None:
        """Remove abandoned temporary files, and the oldest batches beyond the limit."""
        found: list[tuple[float, int, str]] = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # another process removes files too
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
