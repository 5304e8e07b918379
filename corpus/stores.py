"""Object stores as derlem asks them: few requests, each for much; a request takes as long as a megabyte."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import MethodType
from typing import IO, Any, BinaryIO, cast
from urllib.parse import quote

# gcsfs would ask for the bucket's kind before each write, which takes more rights than objects do; it reads
# this when it is imported.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")

_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"})
_CLIENTS = frozenset({"aiobotocore", "aiohttp", "botocore", "gcsfs", "google"})
_SMALL = 8 << 20  # an object up to here is sent, and read, by one request
_PIECE = 16 << 20  # of a larger one; S3 takes 10,000 pieces
_BLOCK = 8 << 20  # that a reader fetches at once
_HELD = 3  # blocks of an open file
_S3_TRIES, _GS_TRIES = 14, 8  # of a request: both wait longer from try to try, a minute and a half in all


def is_store(fs: Any) -> bool:
    """Return whether a file system is an object store, whose folders are nothing but parts of names."""
    return not _STORES.isdisjoint(_protocols(fs))


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def made_patient(fs: Any) -> Any:
    """Return a file system that repeats a request while its store is away for a minute.

    s3fs would give up after a second, or at once where nothing listens; gcsfs, which has no setting for it,
    after half a minute.
    """
    if "s3" in _protocols(fs):
        fs.retries = _S3_TRIES
        s3fs, away = import_module("s3fs.core"), import_module("botocore.exceptions").EndpointConnectionError
        if away not in s3fs.S3_RETRYABLE_ERRORS:
            s3fs.add_retryable_error(away)
    elif "gs" in _protocols(fs) and "_request" not in vars(fs):
        retried = import_module("gcsfs.retry").retry_request(retries=_GS_TRIES)
        fs._request = MethodType(retried(type(fs)._request.__wrapped__), fs)
    return fs


def is_failure(error: Exception) -> bool:
    """Return whether an error is of a store's client: not each becomes an OSError on its way."""
    return type(error).__module__.partition(".")[0] in _CLIENTS


def reading(fs: Any, target: str, size: int | None = None) -> BinaryIO:
    """Open a remote file for reading; from a store it comes in large blocks, which are kept a while.

    One whose `size` in bytes is known to be small comes whole, by one request instead of two.
    """
    if not is_store(fs):
        return cast(BinaryIO, fs.open(target, "rb"))
    if size is not None and size <= _SMALL:
        return io.BytesIO(whole(fs, target))
    found = fs.open(
        target, "rb", block_size=_BLOCK, cache_type="blockcache", cache_options={"maxblocks": _HELD}
    )
    return cast(BinaryIO, found)


def whole(fs: Any, target: str) -> bytes:
    """Return the bytes of a small file, by one request; raises FileNotFoundError."""
    # s3fs would first ask for the length, to read a large object by several requests at a time.
    one = {"max_concurrency": 1} if "s3" in _protocols(fs) else {}
    data: bytes = fs.cat_file(target, **one)
    return data


@contextmanager
def writing(fs: Any, target: str) -> Iterator[IO[bytes]]:
    """Write a remote file, which appears when the block ends without an error."""
    if not is_store(fs):
        fs.makedirs(fs._parent(target), exist_ok=True)
    upload = _Upload(fs, target)
    try:
        yield cast(IO[bytes], upload)
        upload.commit()
    except BaseException:  # whatever ended the writing, no half of the file may appear
        upload.discard()
        raise


class _Upload:
    """Takes the bytes of an object: a small one is sent whole, a larger one piece by piece."""

    def __init__(self, fs: Any, target: str) -> None:
        self._fs = fs
        self._target = target
        self._small = bytearray()
        self._stream: Any = None

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if self._stream is None and len(self._small) + len(view) > _SMALL:
            self._stream = self._fs.open(self._target, "wb", block_size=_PIECE)
            self._stream.write(bytes(self._small))
            self._small = bytearray()
        if self._stream is not None:
            self._stream.write(view)
        else:
            self._small += view
        return len(view)

    def flush(self) -> None:
        """Send nothing: an object appears whole."""

    def commit(self) -> None:
        """Send the remaining bytes; then the object exists."""
        if self._stream is not None:
            self._stream.close()
        else:
            self._fs.pipe_file(self._target, bytes(self._small))

    def discard(self) -> None:
        """Discard the object."""
        if self._stream is not None and hasattr(self._stream, "discard"):
            self._stream.discard()


def create_new(fs: Any, target: str, data: bytes) -> bool:
    """Write a small object unless there is one of this name; return whether it was written.

    The store itself decides which of two writers is the first.
    """
    return _is_met(lambda: fs.pipe_file(target, data, mode="create"))


def version(fs: Any, target: str) -> str | None:
    """Return what the store calls the version of an object; None where there is no object."""
    fs.invalidate_cache(fs._parent(target))
    try:
        info = fs.info(target)
    except FileNotFoundError:
        return None
    return str(info.get("generation") or info.get("ETag") or "")


def replace(fs: Any, target: str, data: bytes, before: str) -> bool:
    """Write a small object in place of its version `before`; return whether it still was that version.

    The store itself decides which of two writers is the first.
    """
    if "gs" in _protocols(fs):  # whose file system has no word for it
        bucket, key, _ = fs.split_path(target)
        place = f"{fs._location}/upload/storage/v1/b/{quote(bucket)}/o"
        head, end = "--==0==\nContent-Type: application/", b"\n--==0==--"
        body = f"{head}json\n\n{json.dumps({'name': key})}\n{head}octet-stream\n\n".encode() + data + end
        kind = {"Content-Type": 'multipart/related; boundary="==0=="'}
        given = {"uploadType": "multipart", "ifGenerationMatch": before}
        return _is_met(lambda: fs.call("POST", place, headers=kind, data=body, **given))
    condition = {"IfMatch": before} if "s3" in _protocols(fs) else {}
    return _is_met(lambda: fs.pipe_file(target, data, **condition))


def _is_met(write: Callable[[], object]) -> bool:
    """Write, and return whether the condition of the write was met."""
    try:
        write()
    except (FileExistsError, FileNotFoundError):
        return False
    except OSError as error:
        if re.search("PreconditionFailed|pre-conditions|412", str(error)):  # as the file systems say it
            return False
        raise
    return True


def remove_all(fs: Any, targets: Sequence[str]) -> None:
    """Remove objects that were listed, many by one request where the store can."""
    if targets:
        fs.rm(list(targets))
