"""Files of fastText's supervised models (.bin, .ftz), read for `corpus.classifier`."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

I32 = NDArray[np.int32]
F32 = NDArray[np.float32]

HIERARCHICAL, SOFTMAX = 1, 3
"""Kinds of loss; of any other, a label has a sigmoid of its own."""

_MAGIC, _VERSION = 793_712_314, 12
_NO_NGRAMS = 11  # the version whose supervised models have no character n-grams, whatever their head says
_SUPERVISED = 3
_LOSSES = (1, 2, 3, 4)
_LENGTHS = set(range(65))  # of n-grams: a longer one is damage, and would ask for any amount of memory
_LABEL = "__label__"
_CENTROIDS = 256


class Shape(NamedTuple):
    """What of a model's head decides how a line becomes scores."""

    word_ngrams: int
    loss: int
    buckets: int
    shortest: int  # character n-grams; longest 0: none
    longest: int
    words: int  # rows of the input matrix before those of the n-grams


class Model(NamedTuple):
    """A model in memory; its quantised rows are spelled out, since there is room for them."""

    labels: tuple[str, ...]  # without their prefix, in the order of the file
    shape: Shape
    text: NDArray[np.uint8]  # the dictionary's entries, one after another
    entries: NDArray[np.int64]  # start, end and kind (0: word, 1: label) of each
    kept: NDArray[np.uint64]  # a bit for each bucket that pruning left; empty: it left all
    before: I32  # buckets left before each 64 of them: their rows follow the words' in this order
    rows: F32
    output: F32
    norms: F32  # of the output matrix's rows
    tree: I32  # left and right below each inner node of a hierarchical softmax


def read(path: str) -> Model:
    """Return the model of a file.

    Raises OSError where it cannot be read, ValueError where it is not a supervised model of fastText.
    """
    with _opened(path) as reader:
        return reader.model()


def read_labels(path: str) -> tuple[str, ...]:
    """Return the labels of a file's model without their prefix; raises as `read` does."""
    with _opened(path) as reader:
        return reader.dictionary().labels


@contextmanager
def _opened(path: str) -> Iterator[_Reader]:
    with open(path, "rb") as file:
        try:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                yield _Reader(data)
        except (struct.error, ValueError, IndexError, OverflowError) as error:
            raise ValueError(f"{path}: no classifier of fastText: {error}") from None


class _Dictionary(NamedTuple):
    shape: Shape
    dim: int
    text: NDArray[np.uint8]
    entries: NDArray[np.int64]
    labels: tuple[str, ...]
    label_counts: list[int]
    pruned: int  # buckets that pruning left, -1 where nothing was pruned


class _Reader:
    """The bytes of a model's file, and how far they were read."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def model(self) -> Model:
        """Read the whole file."""
        shape, dim, text, entries, labels, counts, pruned = self.dictionary()
        left = self._array(np.int32, 2 * max(pruned, 0)).reshape(-1, 2)
        (quantised,) = self._values("?")
        rows, row_norms = self._quantised() if quantised else self._dense()
        (quantised_output,) = self._values("?")
        output, norms = self._quantised() if quantised and quantised_output else self._dense()
        buckets = shape.buckets if pruned < 0 else pruned
        if rows.shape != (shape.words + buckets, dim) or output.shape != (len(labels), dim):
            raise ValueError(
                f"its matrices are {rows.shape} and {output.shape}; expected {dim} columns, "
                f"{shape.words} + {buckets} and {len(labels)} rows"
            )
        if quantised:
            rows *= row_norms[:, None]
        kept, before = np.empty(0, np.uint64), np.empty(0, np.int32)
        if pruned >= 0:
            kept, before = _kept(left[:, 0], shape.buckets)
            rows = np.concatenate([rows[: shape.words], rows[shape.words :][left[left[:, 0].argsort(), 1]]])
        tree = _tree(counts) if shape.loss == HIERARCHICAL else np.empty((0, 2), np.int32)
        return Model(labels, shape, text, entries, kept, before, rows, output, norms, tree)

    def dictionary(self) -> _Dictionary:
        """Read the head, and words and labels."""
        magic, version = self._values("ii")
        if magic != _MAGIC or version > _VERSION:
            raise ValueError(f"it starts with {magic}, {version}; expected {_MAGIC} and at most {_VERSION}")
        dim, _, _, _, _, word_ngrams, loss, model, buckets, shortest, longest, _, _ = self._values("12id")
        if model != _SUPERVISED:
            raise ValueError(f"it is a model of kind {model}; expected {_SUPERVISED}, a supervised one")
        shortest, longest = max(shortest, 1), longest if version > _NO_NGRAMS else 0
        has_ngrams = longest >= shortest or word_ngrams > 1
        if loss not in _LOSSES or not {longest, word_ngrams} <= _LENGTHS or buckets < has_ngrams:
            raise ValueError(
                f"it has loss {loss}, and {buckets} buckets for n-grams of {longest} characters and "
                f"{word_ngrams} words; expected a loss of {_LOSSES}, at most {max(_LENGTHS)}, and buckets"
            )
        size, words, labels, _, pruned = self._values("iiiqq")
        if not 0 <= 10 * size <= len(self._data):
            raise ValueError(f"its {len(self._data)} bytes hold no {size} words and labels")
        first, places = self._at, np.empty((size, 3), np.int64)
        for n in range(size):
            end = self._data.find(b"\0", self._at)
            if not 0 <= end < len(self._data) - 9:
                raise ValueError(f"it ends within its dictionary of {size} words and labels")
            places[n] = self._at - first, end - first, self._data[end + 9]
            self._at = end + 10
        text = np.frombuffer(self._data, np.uint8, self._at - first, first).copy()
        if not 0 < labels == size - words or not (places[:, 2] == np.repeat([0, 1], [words, labels])).all():
            raise ValueError(f"its dictionary of {size} is not {words} words before {labels} labels")
        of_labels = [(text[start:end], text[end + 1 : end + 9]) for start, end, _ in places[words:].tolist()]
        return _Dictionary(
            Shape(word_ngrams, loss, buckets, shortest, longest, words),
            dim,
            text,
            places,
            tuple(name.tobytes().decode().removeprefix(_LABEL) for name, _ in of_labels),
            [int.from_bytes(count.tobytes(), "little") for _, count in of_labels],
            pruned,
        )

    def _values(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(f"<{form}", self._data, self._at)
        self._at += struct.calcsize(f"<{form}")
        return found

    def _array(self, kind: type, count: int) -> NDArray[Any]:
        """Return the next `count` numbers, copied to where they are aligned."""
        if not count:
            return np.empty(0, kind)
        found: NDArray[Any] = np.frombuffer(self._data, kind, count, self._at).copy()
        self._at += found.nbytes
        return found

    def _dense(self) -> tuple[F32, F32]:
        """Read a matrix of numbers; the norms of its rows say nothing."""
        rows, columns = self._values("qq")
        return self._array(np.float32, rows * columns).reshape(rows, columns), np.ones(rows, np.float32)

    def _quantised(self) -> tuple[F32, F32]:
        """Read a product quantiser's matrix: its rows spelled out, and their norms."""
        has_norms, rows, columns, size = self._values("?qqi")
        codes = self._array(np.uint8, size).reshape(rows, -1)
        parts = self._centroids()
        matrix = np.concatenate([part[codes[:, n]] for n, part in enumerate(parts)], axis=1)
        if matrix.shape[1] != columns:
            raise ValueError(f"a quantiser has {matrix.shape[1]} dimensions, its matrix {columns}")
        if not has_norms:
            return matrix, np.ones(rows, np.float32)
        norm_codes = self._array(np.uint8, rows)
        return matrix, self._centroids()[0][norm_codes, 0]

    def _centroids(self) -> list[F32]:
        """Read a quantiser: a table of 256 rows for each part of a vector."""
        dim, parts, width, last = self._values("4i")
        flat = self._array(np.float32, dim * _CENTROIDS)
        ends = [_CENTROIDS * width * part for part in range(1, parts)]
        widths = [width] * (parts - 1) + [last]
        return [
            part.reshape(_CENTROIDS, wide) for part, wide in zip(np.split(flat, ends), widths, strict=True)
        ]


def _kept(left: I32, buckets: int) -> tuple[NDArray[np.uint64], I32]:
    """Return a bit for each bucket, set where it is left, and how many are left before each 64 of them."""
    if np.unique(left).size != left.size:
        raise ValueError("pruning left a bucket twice")
    bits = np.zeros(-(-buckets // 64), np.uint64)
    np.bitwise_or.at(bits, left >> 6, np.uint64(1) << (left & 63).astype(np.uint64))
    counts = np.bincount(left >> 6, minlength=bits.size)
    return bits, (counts.cumsum() - counts).astype(np.int32)


def _tree(counts: Sequence[int]) -> I32:
    """Return the two nodes below each inner node of fastText's Huffman tree, whose leaves come first.

    `counts` falls from label to label: the next leaf and the next inner node are the rarest of their kinds.
    """
    leaves = len(counts)
    weights = [*counts, *[10**15] * (leaves - 1)]
    below = np.empty((leaves - 1, 2), np.int32)
    leaf, inner = leaves - 1, leaves
    for node in range(leaves, 2 * leaves - 1):
        for side in range(2):
            if leaf >= 0 and weights[leaf] < weights[inner]:
                chosen, leaf = leaf, leaf - 1
            else:
                chosen, inner = inner, inner + 1
            below[node - leaves, side] = chosen
        weights[node] = weights[below[node - leaves, 0]] + weights[below[node - leaves, 1]]
    return below
