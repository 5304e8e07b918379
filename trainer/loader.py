"""Stream the windows of any range of steps from token shards, with the starts of documents in them."""

from __future__ import annotations

import threading
import time
import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corpus import files
from trainer.cache import Cache, user_folder
from trainer.maps import Maps
from trainer.order import Order, rank_rows
from trainer.threads import Threads
from trainer.tokens import Tokens

_READERS = 2
_WINDOWS = 2048  # number of windows located at once
_TOKENS_PER_START = 256  # first estimate of a document's length; buffers grow if documents are shorter


@dataclass(frozen=True, slots=True)
class Batch:
    """A micro-batch in host memory: its rows are windows of `length` targets.

    tokens [rows, length + 1], uint16 or int32: inputs are all but the last, targets all but the first; zeros
    after a short window. cu_seqlens int32 [capacity + 1]: the starts of documents among the inputs, rows ×
    length end to end; every row starts one, and so does the padding of a short window; the tail is rows ×
    length. lengths int32 [rows]: targets of each window. ends bool [rows]: whether a window's last target is
    the first token of a document. keys int64 [rows]: a number of each window, from which objectives draw.
    `targets` counts the others; `documents` is the number of stretches of
    documents in the windows, and `attended` is the sum of their n (n + 1) / 2.
    """

    tokens: Tensor
    cu_seqlens: Tensor
    lengths: Tensor
    ends: Tensor
    keys: Tensor
    targets: int
    attended: int
    documents: int


class Loader:
    """Read a rank's rows of the steps of an order; owns threads, maps and, for remote tokens, the cache.

    As many windows go into a Batch as fit into `micro_batch` tokens, at least one; all of them if it is 0.
    `ahead` steps (two or more) are prepared while one is used. With `pin`, batches are in pinned memory, for
    copies to the current CUDA device. `cache` is the folder for remote batches, by default the user's, of at
    most `cache_gb` GiB. The position is a step number, which the caller keeps.

    Raises DatasetError for missing tokens, ValueError for an order of other tokens.
    """

    def __init__(
        self,
        tokens: Tokens,
        order: Order,
        *,
        rank: int = 0,
        world: int = 1,
        micro_batch: int = 0,
        split: str = "train",
        cache: str = "",
        cache_gb: float = 32.0,
        ahead: int = 4,
        pin: bool = False,
    ) -> None:
        from trainer.gather import gather  # here, because numba takes half a second to import

        rank_rows(1, rank, world)
        self._fill = gather
        self.waited = 0.0  # seconds that callers of `steps` have waited for data
        self._order, self._rank, self._world = order, rank, world
        self._micro_batch, self._ahead, self._pin = micro_batch, max(2, ahead), pin
        self._device = torch.cuda.current_device() if pin else None
        self._starts_per_row = 1
        self._lock = threading.Lock()
        limit = int(cache_gb * (1 << 30))
        remote = not files.is_local(tokens.folder)
        self._maps = Maps(tokens, split, Cache(cache or user_folder(), limit) if remote else None)
        self._maps.check(order.streams)
        if remote and self._maps.bytes > limit * 7 // 8:
            warnings.warn(
                f"{tokens.folder} holds {self._maps.bytes / 2**30:.1f} GiB, the cache {cache_gb:g} "
                "(data.cache_gb): windows are read in random order, so batches will be fetched repeatedly; "
                "copy the tokens to a local disk, or set data.cache_gb a fifth larger than they are",
                stacklevel=2,
            )
        self._threads = Threads(_READERS, "read")

    def __enter__(self) -> Loader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def index_bytes(self) -> int:
        """Return the memory that grows with the number of batches, including the order's."""
        return self._maps.index_bytes + self._order.index_bytes

    def close(self) -> None:
        """End the threads and abandon what they are reading."""
        self._maps.close()
        self._threads.close()

    def steps(self, first: int, end: int) -> Iterator[tuple[Batch, ...]]:
        """Yield the rank's micro-batches of the steps first … end - 1, one step after another.

        A step's batches are valid until the next step is requested: then their memory is reused, once the
        copies started on the current CUDA stream have ended. Raises what reading raises: DatasetError for
        data that is missing, damaged or unreachable.
        """
        coming: deque[tuple[Future[tuple[Batch, ...]], _Slot]] = deque()
        upcoming = self._planned(first, end)
        free = [_Slot(self._maps.dtype, self._pin) for _ in range(self._ahead + 1)]
        try:
            while True:
                for plan, number in islice(upcoming, len(free)):
                    slot = free.pop()
                    coming.append((self._threads.submit(partial(self._read, plan, number, slot)), slot))
                if not coming:
                    return
                future, slot = coming.popleft()
                began = time.perf_counter()
                batches = future.result()
                self.waited += time.perf_counter() - began
                yield batches
                del batches
                slot.release()
                free.append(slot)
        finally:
            for future, _ in coming:
                future.cancel()

    def _planned(self, first: int, end: int) -> Iterator[tuple[Future[list[_Step]], int]]:
        """Locate the steps' windows, many at a time; yield for each step the future and its index in it."""
        while first < end:
            phase = self._order.locate(first)[0]
            count = min(end - first, max(1, _WINDOWS * self._world // self._order.phases[phase].batch))
            while self._order.locate(first + count - 1)[0] != phase:
                count = (count + 1) // 2
            # The readers start calls in order, so none waits for a plan that has no thread.
            plan = self._threads.submit(partial(self._plan, first, count))
            yield from ((plan, number) for number in range(count))
            first += count

    def _plan(self, first: int, count: int) -> list[_Step]:
        length = self._order.phases[self._order.locate(first)[0]].length
        windows = self._order.windows(first, self._rank, self._world, count)
        keys = self._order.keys(windows)
        segments = self._order.segments(windows)
        rows = len(windows) // count
        cuts = np.searchsorted(segments["row"], np.arange(count + 1) * rows).tolist()
        segments["row"] %= max(rows, 1)
        return [
            _Step(
                length,
                windows["length"][number * rows :][:rows],
                keys[number * rows :][:rows],
                segments[begin:end],
            )
            for number, (begin, end) in enumerate(pairwise(cuts))
        ]

    def _read(self, plan: Future[list[_Step]], number: int, slot: _Slot) -> tuple[Batch, ...]:
        if self._device is not None:  # else pinning memory would initialise the first GPU in every process
            torch.cuda.set_device(self._device)
        length, lengths, keys, segments = plan.result()[number]
        sources, held = self._maps.sources(segments)
        slot.take(len(lengths), length)
        slot.lengths.numpy()[:] = lengths
        slot.keys.numpy()[:] = keys
        rows = max(1, self._micro_batch // length) if self._micro_batch else len(lengths)
        cuts = [(at, min(at + rows, len(lengths))) for at in range(0, len(lengths), max(rows, 1))]
        bounds = np.searchsorted(sources["row"], [at for cut in cuts for at in cut])
        batches = tuple(
            self._gather(slot, number, *cut, sources[slice(*bounds[2 * number : 2 * number + 2])])
            for number, cut in enumerate(cuts)
        )
        del held  # the memory that `sources` points to may be freed only now
        return batches

    def _gather(self, slot: _Slot, number: int, begin: int, end: int, sources: NDArray[np.void]) -> Batch:
        rows, length = end - begin, slot.tokens.shape[1] - 1
        tokens, lengths, ends = slot.tokens[begin:end], slot.lengths[begin:end], slot.ends[begin:end]
        while True:
            starts = slot.starts(number, self._capacity(rows, length))
            counts = self._fill(sources, *(t.numpy() for t in (lengths, tokens, starts, ends)))
            if counts.starts < starts.numel():
                break
            with self._lock:
                while self._capacity(rows, length) < counts.starts:
                    self._starts_per_row *= 2
        keys = slot.keys[begin:end]
        return Batch(tokens, starts, lengths, ends, keys, counts.targets, counts.attended, counts.documents)

    def _capacity(self, rows: int, length: int) -> int:
        """Return the room for starts: a power of two, so that it rarely changes and recompiles models."""
        wanted = rows * max(self._starts_per_row, length // _TOKENS_PER_START)
        return 1 << max(0, wanted - 1).bit_length()


class _Step(NamedTuple):
    """What a rank reads in a step: windows of `length` targets, their actual lengths, keys and segments."""

    length: int
    lengths: NDArray[np.int64]
    keys: NDArray[np.int64]
    segments: NDArray[np.void]


class _Slot:
    """A slot of the ring: the memory of one step, and the event at which the copies from it end."""

    def __init__(self, dtype: np.dtype[Any], pin: bool) -> None:
        self._dtype = torch.uint16 if dtype.itemsize == 2 else torch.int32
        self._pin = pin
        self._copied: torch.cuda.Event | None = None
        self._starts: dict[int, Tensor] = {}
        self.tokens = self._empty(self._dtype, 0, 0)
        self.lengths, self.ends = self._empty(torch.int32, 0), self._empty(torch.bool, 0)
        self.keys = self._empty(torch.int64, 0)

    def take(self, rows: int, length: int) -> None:
        """Wait until the memory is no longer read, and resize it for windows."""
        if self._copied is not None:
            self._copied.synchronize()
            self._copied = None
        if self.tokens.shape != (rows, length + 1):
            self.tokens = self._empty(self._dtype, rows, length + 1)
            self.lengths, self.ends = self._empty(torch.int32, rows), self._empty(torch.bool, rows)
            self.keys = self._empty(torch.int64, rows)

    def starts(self, number: int, capacity: int) -> Tensor:
        """Return room for the starts of a micro-batch, plus one."""
        found = self._starts.get(number)
        if found is None or found.numel() != capacity + 1:
            found = self._starts[number] = self._empty(torch.int32, capacity + 1)
        return found

    def release(self) -> None:
        """Record that all copies from the memory have been started."""
        if self._pin:
            self._copied = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            self._copied.record()

    def _empty(self, dtype: torch.dtype, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=dtype, pin_memory=self._pin)
