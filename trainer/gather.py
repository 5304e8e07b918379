"""Copy windows of tokens out of the memory of Arrow batches, and find the starts of documents in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of what was gathered: see `gather`."""

    starts: int
    targets: int
    attended: int
    documents: int


def gather(
    sources: NDArray[np.void],
    lengths: NDArray[np.int32],
    tokens: NDArray[Any],
    starts: NDArray[np.int32],
    ends: NDArray[np.bool_],
) -> Counts:
    """Fill `tokens` [rows, length + 1], `starts` [capacity + 1] and `ends` [rows], without the GIL.

    `sources` (`maps.SOURCE`) are in the order of their rows, the first of which is `tokens[0]`; `lengths` are
    the rows' targets. Zeros follow the lengths + 1 tokens of a row. `starts` receives the places among the
    inputs, rows × length end to end, where a row, a document or the padding of a short row starts; rows ×
    length follows them. `ends` is true where a row's last target starts a document.

    Returns the numbers of starts; of targets that start no document; Σ n (n + 1) / 2 over the documents'
    stretches of n inputs; and of these stretches, without padding. Starts beyond the room of `starts` are
    only counted. Addresses are not checked: the caller must keep the memory alive.
    """
    counts = np.zeros(4, np.int64)
    _gather(sources, lengths, tokens, starts, ends, counts)
    return Counts(*counts.tolist())


@intrinsic
def _copy(typing, target, source, size):  # type: ignore[no-untyped-def]
    """Copy this many bytes from one address to another."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        to, of = (builder.inttoptr(address, cgutils.voidptr_t) for address in arguments[:2])
        cgutils.raw_memcpy(builder, to, of, arguments[2], 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def _int32(typing, address):  # type: ignore[no-untyped-def]
    """Load the 32-bit number at an address."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.load(builder.inttoptr(arguments[0], cgutils.int32_t.as_pointer()))

    return types.int32(types.int64), generate


@njit(cache=True, nogil=True)
def _gather(sources, lengths, tokens, starts, ends, counts):  # type: ignore[no-untyped-def]
    rows, width = tokens.shape
    length = width - 1
    size = tokens.itemsize
    base = tokens.ctypes.data
    capacity = starts.size - 1
    found = targets = attended = documents = at = 0
    for row in range(rows):
        last = int(lengths[row])
        column = begin = masked = 0  # `begin`: the start of the document that contains `column`
        if found < capacity:
            starts[found] = row * length
        found += 1
        documents += 1
        ends[row] = False
        while at < sources.size and sources[at].row == sources[0].row + row:
            source = sources[at]
            at += 1
            _copy(
                base + (row * width + column) * size,
                source.values + source.offset * size,
                source.length * size,
            )
            zero = int(_int32(source.limits))
            low, high = 0, source.documents
            while low < high:  # the first document that starts at the offset or later
                middle = (low + high) // 2
                if _int32(source.limits + 4 * middle) - zero < source.offset:
                    low = middle + 1
                else:
                    high = middle
            while low < source.documents:
                place = column + _int32(source.limits + 4 * low) - zero - source.offset
                low += 1
                if place >= column + source.length:
                    break
                if place == last:
                    ends[row] = True
                    masked += 1
                elif place > begin:
                    if found < capacity:
                        starts[found] = row * length + place
                    found += 1
                    documents += 1
                    masked += 1
                    attended += (place - begin) * (place - begin + 1) // 2
                    begin = place
            column += source.length
        attended += (last - begin) * (last - begin + 1) // 2
        targets += last - masked
        if last < length:
            tokens[row, last + 1 :] = 0
            if found < capacity:
                starts[found] = row * length + last
            found += 1
    starts[min(found, capacity) :] = rows * length
    counts[0], counts[1], counts[2], counts[3] = found, targets, attended, documents
