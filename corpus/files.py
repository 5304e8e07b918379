"""Files on any fsspec URL: written under a temporary name, checksummed on the way, renamed when whole."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import posixpath
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import fsspec
import xxhash
from fsspec.implementations.local import LocalFileSystem

from corpus import stores, temporary
from corpus.errors import ConfigError, DiskFullError

_BLOCK = 1 << 20
_VERSIONS = ("md5Hash", "ETag", "etag", "crc32c")  # what stores call the version of an object
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "created")

Stamp = list[int]
"""What changes with a file's content; its length comes first."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::[A-Za-z][A-Za-z0-9+.-]*)*://")
_OWN = ("file://", "local://")  # URLs of this machine's own file system
_TEMPORARY = re.compile(r"(.+)\.tmp-[0-9a-f]{8}")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
    """Return the fsspec file system of a path or URL and the path on it.

    fsspec takes `::` anywhere for a chain of file systems, as in `zip://a::s3://b.zip`. In a local path it is
    part of a name; elsewhere ConfigError where no URL follows it, since fsspec would read a neighbour's name.
    """
    if is_local(url):
        return LocalFileSystem(), os.path.abspath(_without_protocol(url))
    if "::" in url and not _URL.match(url.rpartition("::")[2]):
        raise ConfigError(f"{url!r}: '::' must stand before another URL (zip://a::s3://b.zip); rename it")
    fs, path = fsspec.core.url_to_fs(url)
    return stores.made_patient(fs), path


def is_local(url: str) -> bool:
    """Return whether a path or URL is on this machine's own file system."""
    return url.startswith(_OWN) or not _URL.match(url)


def bare(url: str) -> str:
    """Return a local URL, or a path from the home folder (`~`), as a path; any other path stays as it is."""
    return os.path.expanduser(_without_protocol(url))


def _without_protocol(url: str) -> str:
    for protocol in _OWN:
        url = url.removeprefix(protocol)
    return url


def located(url: str, base: str | Path = "") -> str:
    """Return the path that a text of the user's names, relative to the folder `base`; `~` is the home folder.

    Without a base a relative path stays one, as on the command line. A URL of another store stays as it is.
    """
    if not is_local(url):
        return url
    return plain(os.path.join(base, bare(url)))


def seen_from(place: str, folder: str) -> str:
    """Return the path of a local place as seen from a local folder; empty where one of them is in a store.

    A record in the folder keeps it beside the place's own path, for `places_of`.
    """
    return os.path.relpath(real(place), real(folder)) if is_local(place) and is_local(folder) else ""


def places_of(place: str, seen: str, folder: str) -> list[str]:
    """Return where a place may be that a record in `folder` keeps: moved together with it, or where it was.

    `seen` is what `seen_from` returned when the record was written, empty in one of an earlier version.
    """
    beside = [os.path.normpath(os.path.join(real(folder), seen))] if seen and is_local(folder) else []
    return list(dict.fromkeys([*beside, place]))


def plain(path: str) -> str:
    """Return a local path without `.`, `..` and doubled slashes."""
    short = os.path.normpath(path)
    if ".." not in path.split("/") or "\0" in path:  # no file has a NUL in its name; whoever opens it says so
        return short
    # Where a link comes before `..`, the path leads to the neighbours of the link's target.
    return short if os.path.realpath(short) == os.path.realpath(path) else os.path.realpath(path)


def real(url: str) -> str:
    """Return the one name of a file or folder, however a path or URL to it is written."""
    if is_local(url):
        return os.path.realpath(_without_protocol(url))
    fs, path = filesystem(url)
    return str(fs.unstrip_protocol(posixpath.normpath(path)))


def join(folder: str, *names: str) -> str:
    """Put names below a folder or URL."""
    return "/".join([folder.rstrip("/") or "/", *names]) if folder else "/".join(names)


@contextmanager
def create(folder: str, path: str) -> Iterator[Pending]:
    """Write `folder/path` so that it appears whole or not at all.

    Locally the bytes go to a temporary name beside it, are flushed to the disk and renamed; an object store
    publishes an object only when it is closed. An error inside the block leaves no file. A temporary
    file is locked by who writes it, so that `sweep` knows one that a kill left. Raises DiskFullError.
    """
    fs, target = filesystem(join(folder, path))
    written = _create_local if isinstance(fs, LocalFileSystem) else _create_remote
    with written(fs, target) as sink:
        pending = Pending(sink)
        yield pending
    pending.written = Written(path, sink.bytes, sink.hexdigest())


@contextmanager
def _create_local(fs: Any, target: str) -> Iterator[Sink]:
    unfinished = Path(f"{target}.tmp-{uuid.uuid4().hex[:8]}")
    with told_of_full_disk(target):
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        sink = unfinished.open("xb")
        try:
            temporary.lock(sink.fileno())
            yield Sink(sink)
            sink.flush()
            os.fsync(sink.fileno())
            os.replace(unfinished, target)
            sink.close()
        except BaseException:  # whatever ended the writing, a half-written file must not stay
            unfinished.unlink(missing_ok=True)
            with suppress(OSError):  # it writes what its buffer holds, and fails again where the disk is full
                sink.close()
            raise


@contextmanager
def _create_remote(fs: Any, target: str) -> Iterator[Sink]:
    with stores.writing(fs, target) as sink:
        yield Sink(sink)


def is_full(error: BaseException) -> bool:
    """Return whether an error says that a disk takes no more."""
    return isinstance(error, OSError) and error.errno in _FULL


@contextmanager
def told_of_full_disk(path: str) -> Iterator[None]:
    """Turn the error of a full disk into one that says which file could not be written there."""
    try:
        yield
    except DiskFullError:
        raise
    except OSError as error:
        if not is_full(error):
            raise
        raise DiskFullError(cast(int, error.errno), str(error.filename or path)) from error


def sweep(folder: str, is_ours: Callable[[str], bool]) -> None:
    """Remove the temporary files in a local folder that killed processes left; those of living ones stay.

    `is_ours(name)` says whether derlem writes a file of that name there. Others' files are never touched.
    """
    if not is_local(folder):
        return
    with suppress(FileNotFoundError, NotADirectoryError):
        for entry in list(os.scandir(filesystem(folder)[1])):
            named = _TEMPORARY.fullmatch(entry.name)
            if named and is_ours(named[1]) and entry.is_file(follow_symlinks=False):
                temporary.remove_abandoned(Path(entry.path))


def open_bytes(url: str) -> BinaryIO:
    """Open a path or URL for reading; raises OSError as the file system does.

    Locally without a buffer: it is for readers that take large pieces.
    """
    fs, target = filesystem(url)
    if is_local(url):
        return open(target, "rb", buffering=0)
    return stores.reading(fs, target)


def write_bytes(folder: str, path: str, data: bytes, sweeps: bool = False) -> Written:
    """Write one whole file, return its checksum; `sweeps`: remove what killed runs left of it (`sweep`)."""
    with create(folder, path) as pending:
        pending.sink.write(data)
    if sweeps:
        above, _, name = path.rpartition("/")
        sweep(join(folder, above) if above else folder, lambda found: found == name)
    assert pending.written is not None
    return pending.written


def write_json(folder: str, path: str, value: Any, sweeps: bool = False) -> Written:
    """Write JSON in one canonical form (sorted keys, UTF-8), so that equal values are equal bytes."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    # Half a surrogate pair stands for a byte of a file's name that is not UTF-8; JSON has an escape for it.
    return write_bytes(folder, path, text.encode("utf-8", "backslashreplace") + b"\n", sweeps)


def read_bytes(folder: str, path: str) -> bytes | None:
    """Read a file whole; None if it does not exist."""
    fs, target = filesystem(join(folder, path))
    try:
        return stores.whole(fs, target)
    except FileNotFoundError:
        return None


def read_json(folder: str, path: str) -> Any | None:
    """Read a JSON file; None if it does not exist, ValueError if it is damaged."""
    data = read_bytes(folder, path)
    try:
        return None if data is None else json.loads(data)
    except RecursionError:
        raise ValueError("lists or objects are nested too deeply") from None


def names(folder: str) -> set[str]:
    """Return the names in a folder, none where there is no folder; its own name has no meaning to a glob."""
    fs, root = filesystem(folder)
    if not is_local(folder):
        fs.invalidate_cache(root)  # others write there
    try:
        return {str(path).rstrip("/").rpartition("/")[2] for path in fs.ls(root, detail=False)}
    except FileNotFoundError:
        return set()


def remove(folder: str, path: str) -> None:
    """Remove a file if it exists."""
    fs, target = filesystem(join(folder, path))
    with suppress(FileNotFoundError):
        fs.rm_file(target)


def remove_all(folder: str, paths: Iterable[str]) -> None:
    """Remove files that were listed below a folder, some of which may be gone meanwhile."""
    if is_local(folder):
        for path in paths:
            remove(folder, path)
        return
    fs, root = filesystem(folder)
    with suppress(FileNotFoundError):
        stores.remove_all(fs, [join(root, path) for path in paths])


def read_range(url: str, offset: int, length: int) -> bytes:
    """Read `length` bytes of a file from `offset` on, by one ranged request where it is remote."""
    fs, target = filesystem(url)
    data: bytes = fs.cat_file(target, start=offset, end=offset + length)
    return data


def size(folder: str, path: str) -> int | None:
    """Return a file's length in bytes; None if it does not exist."""
    fs, target = filesystem(join(folder, path))
    try:
        return int(fs.size(target))
    except FileNotFoundError:
        return None


def stamp(path: str) -> Stamp:
    """Return what changes with a local file's content: length, times and inode."""
    return _stamp(os.stat(filesystem(path)[1]))


def _stamp(found: os.stat_result) -> Stamp:
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def listing(folder: str) -> dict[str, Stamp]:
    """Return all files below a folder by their names from there, each with its stamp, by one listing.

    On a store the stamp is the length and a hash of the version that the store tells.
    """
    fs, root = filesystem(folder)
    if is_local(folder):
        return dict(_walked(root, ""))
    fs.invalidate_cache(root)
    found: dict[str, dict[str, Any]] = fs.find(root, detail=True)
    return {path[len(root) :].lstrip("/"): _stamp_told(info) for path, info in found.items()}


def _walked(folder: str, above: str) -> Iterator[tuple[str, Stamp]]:
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walked(entry.path, f"{above}{entry.name}/")
        else:
            with suppress(FileNotFoundError):  # gone meanwhile, or a link to nothing
                yield above + entry.name, _stamp(entry.stat())


def _stamp_told(info: Mapping[str, Any]) -> Stamp:
    version = next((info[key] for key in (*_VERSIONS, *_TIMES) if info.get(key)), "")
    return [int(info.get("size") or 0), xxhash.xxh3_64_intdigest(str(version).encode()) >> 1]


def sha256(url: str) -> str:
    """Hash a file's content, block by block."""
    digest = hashlib.sha256()
    with open_bytes(url) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def checksum(url: str) -> str:
    """Name a file's content: its SHA-256 locally, the store's own checksum or version where there is one.

    Reading a whole remote crawl only to name it would cost as much as the work itself.
    """
    return f"sha256:{sha256(url)}" if is_local(url) else told(url)[0]


def told(url: str) -> tuple[str, int]:
    """Return the checksum of a remote file as `checksum` does, and its length, by one request."""
    fs, target = filesystem(url)
    info = fs.info(target)
    named = next((f"{key}:{info[key]}" for key in _VERSIONS if info.get(key)), "")
    return named or f"sha256:{sha256(url)}", int(info.get("size") or 0)


def fingerprint(*parts: Any) -> str:
    """Hash JSON values into 16 hexadecimal digits, the name of a unit of work."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
