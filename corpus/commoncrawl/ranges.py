"""Byte ranges: near ones joined into one read, long ones cut, concurrent reads returned in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Read:
    """One read of `length` bytes of a file from `start`, which contain the ranges `first` to `last` - 1."""

    file: str
    start: int
    length: int
    first: int
    last: int


def joined(
    files: Sequence[str], offsets: Sequence[int], lengths: Sequence[int], gap: int, most: int
) -> list[Read]:
    """Join consecutive ranges into reads; the three sequences are parallel and sorted.

    Two ranges of one file are joined if at most `gap` bytes are between them (ranges may overlap) and the
    read has at most `most` bytes; a longer range is a read of its own.
    """
    reads: list[Read] = []
    for number, (file, offset, length) in enumerate(zip(files, offsets, lengths, strict=True)):
        end = offset + length
        if reads:
            last = reads[-1]
            reach = max(last.start + last.length, end)
            near = last.file == file and last.start <= offset <= last.start + last.length + gap
            if near and reach - last.start <= most:
                reads[-1] = Read(file, last.start, reach - last.start, last.first, number + 1)
                continue
        reads.append(Read(file, offset, length, number, number + 1))
    return reads


def cut(start: int, length: int, most: int) -> list[tuple[int, int]]:
    """Return a range in parts (start, length) of at most `most` bytes each."""
    return [(at, min(most, start + length - at)) for at in range(start, start + length, most)]


def in_order(pool: Executor, work: Callable[[S], T], items: Iterable[S], ahead: int) -> Iterator[tuple[S, T]]:
    """Yield each item with the result of `work`, in order; at most `ahead` of them are processed at a time.

    If one fails or the caller stops, work that has not started is cancelled.
    """
    waiting: deque[tuple[S, Future[T]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) >= ahead:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()
    finally:
        for _, future in waiting:
            future.cancel()
