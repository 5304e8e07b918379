"""Where tokens are in memory: in local shards that are mapped, or in the cache of remote ones."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
from numpy.typing import DTypeLike, NDArray
from xxhash import xxh3_64_intdigest as xxh3

from corpus import files
from corpus.batches import Batches
from corpus.errors import DatasetError
from corpus.schema import KINDS, token_dtype
from trainer.cache import Cache, fetch, map_file
from trainer.order import Stream
from trainer.threads import Threads
from trainer.tokens import Tokens, by_stream

FETCHERS = 16  # reads in flight
_EMPTY = np.empty(0, np.int64)
_CACHED = 4 * FETCHERS  # number of batches that a cache must have room for
_MOST_MAPS = 16_384  # of the 65,530 that Linux gives a process

SOURCE = np.dtype(
    [
        ("row", np.int64),
        ("values", np.int64),
        ("limits", np.int64),
        ("documents", np.int64),
        ("offset", np.int64),
        ("length", np.int64),
    ]
)
"""The tokens offset … offset + length - 1 of a batch, read by a row. `values` and `limits` are the addresses
of the batch's tokens and of the limits of its documents: Arrow's list offsets, int32[documents + 1]."""


class Maps:
    """The record batches of a split, opened when first read: local files whole, remote batches one by one.

    Batches are numbered through all streams. For each, `index_bytes` counts its place, its checksum and, once
    it was opened, where its tokens are in it. The bytes of a batch are compared with its checksum before
    its first tokens are read, and then no more. Threads may share the object; two that need the same new
    batch at the same moment may both open it.
    """

    def __init__(self, tokens: Tokens, split: str, cache: Cache | None) -> None:
        """Take the places from the manifest; remote tokens need a cache, local ones must have none."""
        held = by_stream(tokens, split)
        every = [file for of_stream in held.values() for file in of_stream if file.batches is not None]
        places = [file.batches for file in every if file.batches is not None]
        counts = [len(of_file.offset) for of_file in places]
        self._folder = tokens.folder
        self._root = files.filesystem(tokens.folder)[1]
        self._names = list(held)
        self._cache = cache
        self._schema = KINDS[every[0].kind].schema()
        self.dtype = token_dtype(KINDS[every[0].kind])
        self._paths = [file.path for file in every]
        self._sizes = [file.bytes for file in every]
        per_stream = [sum(len(f.batches.offset) for f in of if f.batches) for of in held.values()]
        self._first = np.cumsum([0, *per_stream])[:-1]  # batch of each stream
        self._file = np.repeat(np.arange(len(places), dtype=np.int32), counts)
        self._offset = _column(places, "offset", np.int64)
        self._length = _column(places, "length", np.int32)
        self._documents = _column(places, "documents", np.int32)
        self._tokens = _column(places, "tokens", np.int32)
        checksums = bytes.fromhex("".join(of_file.xxh3.text for of_file in places))
        self._checksum = np.frombuffer(checksums, ">u8")
        # Offsets of its tokens and of its documents' limits, in bytes from its start; 0: not opened yet.
        self._values = np.zeros_like(self._length)
        self._limits = np.zeros_like(self._length)
        self._open: dict[int, pa.Buffer] = {}  # by file or, if remote, by batch; the oldest is removed first
        self._coming: dict[int, Future[pa.Buffer]] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._most = _MOST_MAPS
        self._threads: Threads | None = None
        if cache is not None:
            least = _CACHED * int(self._length.max())
            if cache.limit < least:
                raise ValueError(
                    f"data.cache_gb = {cache.limit / 2**30:.3g} is too little for these tokens: expected "
                    f"{least / 2**30:.3g} or more, {_CACHED} times their largest batch"
                )
            # Maps of files removed from the cache hold at most a quarter of the cache's size in addition.
            self._most = max(1, min(_MOST_MAPS, cache.limit // (4 * int(self._length.max()))))
            self._threads = Threads(FETCHERS, "fetch")

    @property
    def index_bytes(self) -> int:
        """Return the memory that grows with the number of batches."""
        columns = self._file, self._offset, self._length, self._documents, self._tokens, self._checksum
        return sum(column.nbytes for column in (*columns, self._values, self._limits))

    @property
    def bytes(self) -> int:
        """Return the size of all batches."""
        return int(self._length.sum(dtype=np.int64))

    def check(self, streams: Sequence[Stream]) -> None:
        """Raise ValueError unless an order's streams are those of these batches, or their first tokens."""
        known = np.split(self._tokens, self._first[1:])
        same = [stream.name for stream in streams] == self._names and all(
            np.array_equal(stream.tokens, Stream(stream.name, own).first(int(stream.tokens.sum())).tokens)
            for stream, own in zip(streams, known, strict=True)
        )
        if not same:
            raise ValueError(
                f"the order was not made from {self._folder}: make it from these tokens and this split "
                "(trainer.tokens.order)"
            )

    def sources(self, segments: NDArray[np.void]) -> tuple[NDArray[np.void], list[pa.Buffer]]:
        """Return where the tokens of segments (`trainer.order.SEGMENT`) are: SOURCE[segments].

        The addresses are valid while the returned buffers are kept. Waits for data that must be fetched.
        Raises DatasetError for missing or damaged data, StoppedError if closed meanwhile.
        """
        batch = self._first[segments["stream"]] + segments["batch"]
        wanted, which = np.unique(self._file[batch] if self._cache is None else batch, return_inverse=True)
        buffers = self._mapped(wanted.tolist())
        begins = np.array([buffer.address for buffer in buffers], np.int64)[which]
        if self._cache is None:
            begins += self._offset[batch]
        unknown = np.flatnonzero(self._values[batch] == 0).tolist()
        for number, place in {int(batch[place]): place for place in unknown}.items():
            self._parse(number, buffers[which[place]])
        made = np.empty(segments.size, SOURCE)
        made["row"] = segments["row"]
        made["values"] = begins + self._values[batch]
        made["limits"] = begins + self._limits[batch]
        made["documents"] = self._documents[batch]
        made["offset"] = segments["offset"]
        made["length"] = segments["length"]
        return made, buffers

    def close(self) -> None:
        """Abandon what is being fetched, and release the maps that nobody reads."""
        self._stop.set()
        if self._threads is not None:
            self._threads.close()
        with self._lock:
            self._open.clear()

    def _mapped(self, wanted: list[int]) -> list[pa.Buffer]:
        """Return the maps of files or remote batches, in their order."""
        with self._lock:
            found = {number: self._open.get(number) for number in wanted}
            absent = [number for number, buffer in found.items() if buffer is None]
            if self._threads is not None:
                for number in absent:
                    if number not in self._coming:
                        self._coming[number] = self._threads.submit(partial(self._fetch, number))
            coming = {number: self._coming[number] for number in absent if number in self._coming}
        for number in absent:
            found[number] = coming[number].result() if number in coming else self._map(number)
        return list(found.values())

    def _map(self, number: int) -> pa.Buffer:
        """Map a local file."""
        url = files.join(self._folder, self._paths[number])
        try:
            buffer = map_file(files.join(self._root, self._paths[number]))
        except OSError as error:
            cause = os.strerror(error.errno) if error.errno else error
            raise DatasetError(
                f"{url}: {cause}: the manifest names it; restore it or tokenize again"
            ) from error
        if buffer.size != self._sizes[number]:
            raise DatasetError(
                f"{url}: {buffer.size} bytes, the manifest says {self._sizes[number]}: "
                "remove it and tokenize again"
            )
        self._keep(number, buffer)
        return buffer

    def _fetch(self, number: int) -> pa.Buffer:
        """Map a remote batch from the cache; fetch it first if needed."""
        assert self._cache is not None
        length, checksum = int(self._length[number]), f"{self._checksum[number]:016x}"
        try:
            buffer = self._cache.open(checksum, length)
            known = bool(self._values[number])
            if buffer is None or not (known or xxh3(buffer) == self._checksum[number]):
                url = files.join(self._folder, self._paths[self._file[number]])
                data = fetch(url, int(self._offset[number]), length, checksum, self._stop)
                buffer = self._cache.put(checksum, data)
            self._keep(number, buffer)
        finally:
            with self._lock:
                del self._coming[number]
        return buffer

    def _keep(self, number: int, buffer: pa.Buffer) -> None:
        with self._lock:
            self._open[number] = buffer
            while len(self._open) > self._most:
                del self._open[next(iter(self._open))]

    def _parse(self, batch: int, buffer: pa.Buffer) -> None:
        """Find the tokens of a batch and the limits of its documents; check a local batch's bytes first."""
        begin = 0 if self._cache is not None else int(self._offset[batch])
        length, documents, tokens = (int(c[batch]) for c in (self._length, self._documents, self._tokens))
        if begin + length > buffer.size:
            raise self._damaged(batch, "it reaches beyond the end of the file")
        if self._cache is None:  # `_fetch` has checked a remote one
            found, named = xxh3(buffer.slice(begin, length)), int(self._checksum[batch])
            if found != named:
                raise self._damaged(batch, f"XXH3 is {found:016x}, the manifest says {named:016x}")
        try:
            message = ipc.read_message(buffer.slice(begin, length))
            column = ipc.read_record_batch(message, self._schema).column(0)
        except (pa.ArrowException, OSError, EOFError) as error:
            raise self._damaged(batch, f"not a record batch: {error}") from error
        _, limits, _, values = column.buffers()
        if len(column) != documents or limits.size < 4 * (documents + 1):
            raise self._damaged(batch, f"{len(column)} documents, the manifest says {documents}")
        places = np.frombuffer(limits, np.int32, documents + 1)
        held = int(places[-1]) - int(places[0])
        if held != tokens or places[0] < 0 or values.size < int(places[-1]) * self.dtype.itemsize:
            raise self._damaged(batch, f"{held} tokens, the manifest says {tokens}")
        at_values = values.address + int(places[0]) * self.dtype.itemsize - buffer.address - begin
        at_limits = limits.address - buffer.address - begin
        if not (0 < at_values < length and 0 < at_limits < length):
            raise self._damaged(batch, "its tokens are compressed, which token shards never are")
        self._limits[batch] = at_limits
        self._values[batch] = at_values  # last, because it marks the batch as opened

    def _damaged(self, batch: int, found: str) -> DatasetError:
        file = int(self._file[batch])
        number = batch - int(np.searchsorted(self._file, file))
        return DatasetError(
            f"{files.join(self._folder, self._paths[file])}: batch {number}: {found}; "
            "remove the file and tokenize again"
        )


def _column(places: list[Batches], name: str, kind: DTypeLike) -> NDArray[np.int64]:
    return np.concatenate([_EMPTY, *(getattr(of_file, name).array() for of_file in places)]).astype(kind)
