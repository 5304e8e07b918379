"""Object stores as derlem asks them: few requests, each for much; a request takes as long as a megabyte."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, cast

# gcsfs would ask for the bucket's kind before each write, which takes more rights than objects do; it reads
# this when it is imported.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")

_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"})
_SMALL = 8 << 20  # an object up to here is sent by one request
_PIECE = 16 << 20  # of a larger one; S3 takes 10,000 pieces
_BLOCK = 8 << 20  # that a reader fetches at once
_HELD = 3  # blocks of an open file


def is_store(fs: Any) -> bool:
    """Return whether a file system is an object store, whose folders are nothing but parts of names."""
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    return not _STORES.isdisjoint(protocols)


def reading(fs: Any, target: str) -> BinaryIO:
    """Open a remote file for reading; from a store it comes in large blocks, which are kept a while."""
    if not is_store(fs):
        return cast(BinaryIO, fs.open(target, "rb"))
    found = fs.open(
        target, "rb", block_size=_BLOCK, cache_type="blockcache", cache_options={"maxblocks": _HELD}
    )
    return cast(BinaryIO, found)


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
    try:
        fs.pipe_file(target, data, mode="create")
    except FileExistsError:
        return False
    except OSError as error:
        if "PreconditionFailed" in str(error) or "412" in str(error):
            return False
        raise
    return True


def remove_all(fs: Any, targets: Sequence[str]) -> None:
    """Remove objects that were listed, many by one request where the store can."""
    if targets:
        fs.rm(list(targets))
