"""Files on any fsspec URL: written under a temporary name, checksummed on the way, renamed when whole."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import fsspec

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Written:
    """A finished file: its path below the dataset's folder, its length in bytes and its SHA-256."""

    path: str
    bytes: int
    sha256: str


class Sink:
    """A sink that hashes what passes through; pyarrow writes to it as to any Python file."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink = sink
        self._digest = hashlib.sha256()
        self.bytes = 0

    def write(self, data: Any) -> int:
        self._digest.update(data)
        self.bytes += len(memoryview(data).cast("B"))
        self._sink.write(data)
        return len(data)

    def flush(self) -> None:
        self._sink.flush()

    def close(self) -> None:
        """Leave the sink open: the one who opened it closes it."""

    @property
    def closed(self) -> bool:
        return False

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


class Pending:
    """A file being written; `written` is set when the block of `create` ends without an error."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.written: Written | None = None


def filesystem(url: str) -> tuple[Any, str]:
    """Give the fsspec file system of a URL and the path on it."""
    fs, path = fsspec.core.url_to_fs(url)
    return fs, path


def is_local(url: str) -> bool:
    """Say whether a path or URL lies on this machine's own file system."""
    return "://" not in url or url.startswith("file://")


def join(folder: str, *names: str) -> str:
    """Put names below a folder or URL."""
    return "/".join([folder.rstrip("/") or "/", *names]) if folder else "/".join(names)


@contextmanager
def create(folder: str, path: str) -> Iterator[Pending]:
    """Write `folder/path` so that it appears whole or not at all.

    Locally the bytes go to a temporary name beside it, are flushed to the disk and renamed; an object store
    publishes an object only when it is closed. An error inside the block leaves nothing behind.
    """
    url = join(folder, path)
    fs, target = filesystem(url)
    fs.makedirs(fs._parent(target), exist_ok=True)
    temporary = f"{target}.tmp-{uuid.uuid4().hex[:8]}" if is_local(url) else target
    sink = fs.open(temporary, "wb")
    hashing = Sink(sink)
    pending = Pending(hashing)
    try:
        yield pending
        if is_local(url):
            sink.flush()
            os.fsync(sink.fileno())
        sink.close()
        if is_local(url):
            os.replace(temporary, target)
    except BaseException:  # whatever ended the writing, a half-written file must not stay
        if is_local(url):
            sink.close()
            Path(temporary).unlink(missing_ok=True)
        elif hasattr(sink, "discard"):
            sink.discard()
        raise
    pending.written = Written(path, hashing.bytes, hashing.hexdigest())


def open_bytes(url: str) -> BinaryIO:
    """Open a path or URL for reading; raises OSError as the file system does.

    Locally without a buffer: it is for readers that take large pieces.
    """
    fs, target = filesystem(url)
    if is_local(url):
        return open(target, "rb", buffering=0)
    return cast(BinaryIO, fs.open(target, "rb"))


def write_bytes(folder: str, path: str, data: bytes) -> Written:
    """Write one whole file and give its checksum."""
    with create(folder, path) as pending:
        pending.sink.write(data)
    assert pending.written is not None
    return pending.written


def write_json(folder: str, path: str, value: Any) -> Written:
    """Write JSON in one canonical form (sorted keys, UTF-8), so that equal values are equal bytes."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    return write_bytes(folder, path, text.encode() + b"\n")


def read_json(folder: str, path: str) -> Any | None:
    """Read a JSON file; None if it does not exist, ValueError if it is damaged."""
    fs, target = filesystem(join(folder, path))
    try:
        with fs.open(target, "rb") as file:
            return json.load(file)
    except FileNotFoundError:
        return None


def remove(folder: str, path: str) -> None:
    """Remove a file if it exists."""
    fs, target = filesystem(join(folder, path))
    with suppress(FileNotFoundError):
        fs.rm_file(target)


def read_range(url: str, offset: int, length: int) -> bytes:
    """Read `length` bytes of a file from `offset` on, by one ranged request where it is remote."""
    fs, target = filesystem(url)
    data: bytes = fs.cat_file(target, start=offset, end=offset + length)
    return data


def size(folder: str, path: str) -> int | None:
    """Give a file's length in bytes; None if it does not exist."""
    fs, target = filesystem(join(folder, path))
    try:
        return int(fs.size(target))
    except FileNotFoundError:
        return None


def sha256(url: str) -> str:
    """Hash a file's content, a mebibyte at a time."""
    fs, target = filesystem(url)
    digest = hashlib.sha256()
    with fs.open(target, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def checksum(url: str) -> str:
    """Name a file's content: its SHA-256 locally, the store's own checksum or version where there is one.

    Reading a whole remote crawl only to name it would cost as much as the work itself.
    """
    if is_local(url):
        return f"sha256:{sha256(url)}"
    fs, target = filesystem(url)
    info = fs.info(target)
    for key in ("md5Hash", "ETag", "etag", "crc32c"):
        if info.get(key):
            return f"{key}:{info[key]}"
    return f"sha256:{sha256(url)}"


def fingerprint(*parts: Any) -> str:
    """Hash JSON values into 16 hexadecimal digits, the name of a unit of work."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
