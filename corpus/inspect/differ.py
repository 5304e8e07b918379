"""The differences of two texts, word by word, in nearly linear time."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

MAX_WORDS = 200_000  # of each text; what follows is not compared
_SMALL = 10_000  # cells of the table that difflib may fill for one gap, about 100 by 100 words
_DEPTH = 12  # rounds of anchoring inside one gap
_NOISE = 2  # fewer equal words than this between two differing passages are not shown as equal

# A word with the space before it; letters of scripts without spaces stand alone.
_TOKEN = re.compile(
    r"\s*(?:[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|[^\s\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]+)|\s+"
)

Block = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """A passage of both texts: the same words in both, or what stands in the one where the other differs."""

    left: str
    right: str
    same: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two texts as passages in order; `cut` says that a text was longer than what was compared."""

    pieces: tuple[Piece, ...]
    cut: bool

    def differing(self) -> list[Piece]:
        """Return the passages that differ."""
        return [piece for piece in self.pieces if not piece.same]


def compare(left: str, right: str) -> Comparison:
    """Split two texts into passages that are the same and that differ, by whole words, spaces ignored.

    The passages of each side, joined, are that side's text (its first MAX_WORDS words). Words that occur
    once in both texts anchor the comparison (patience diff), first in runs of four, then alone; the text
    between two anchors goes to difflib if it is short.
    """
    a, b = _TOKEN.findall(left), _TOKEN.findall(right)
    cut = max(len(a), len(b)) > MAX_WORDS
    a, b = a[:MAX_WORDS], b[:MAX_WORDS]
    numbers: dict[str, int] = {}
    x = [numbers.setdefault(token.strip(), len(numbers)) for token in a]
    y = [numbers.setdefault(token.strip(), len(numbers)) for token in b]
    blocks = _joined(sorted(_blocks(x, y)), len(a), len(b))
    pieces = []
    i = j = 0
    for start_a, start_b, length in [*blocks, (len(a), len(b), 0)]:
        if start_a > i or start_b > j:
            pieces.append(Piece("".join(a[i:start_a]), "".join(b[j:start_b]), same=False))
        i, j = start_a + length, start_b + length
        if length:
            pieces.append(Piece("".join(a[start_a:i]), "".join(b[start_b:j]), same=True))
    return Comparison(tuple(pieces), cut)


def _blocks(x: list[int], y: list[int]) -> Iterator[Block]:
    """Find runs of equal numbers (start in x, start in y, length) that follow each other in both lists."""
    gaps = [(0, len(x), 0, len(y), 0)]
    while gaps:
        i, i_end, j, j_end, depth = gaps.pop()
        start = i
        while i < i_end and j < j_end and x[i] == y[j]:
            i, j = i + 1, j + 1
        if i > start:
            yield start, j - (i - start), i - start
        tail = 0
        while i < i_end - tail and j < j_end - tail and x[i_end - tail - 1] == y[j_end - tail - 1]:
            tail += 1
        if tail:
            i_end, j_end = i_end - tail, j_end - tail
            yield i_end, j_end, tail
        if i == i_end or j == j_end or depth > _DEPTH:
            continue
        if (i_end - i) * (j_end - j) <= _SMALL:
            for block in SequenceMatcher(None, x[i:i_end], y[j:j_end], autojunk=False).get_matching_blocks():
                if block.size:
                    yield i + block.a, j + block.b, block.size
            continue
        anchors = _anchors(x, i, i_end, y, j, j_end, 4) or _anchors(x, i, i_end, y, j, j_end, 1)
        if not anchors:
            continue
        for at_x, at_y in anchors:
            gaps.append((i, at_x, j, at_y, depth + 1))
            yield at_x, at_y, 1
            i, j = at_x + 1, at_y + 1
        gaps.append((i, i_end, j, j_end, depth + 1))


def _anchors(
    x: list[int], i: int, i_end: int, y: list[int], j: int, j_end: int, width: int
) -> list[tuple[int, int]]:
    """Return pairs of positions, rising in both, of runs of `width` that occur once in x and once in y."""
    in_y = _once(y, j, j_end, width)
    pairs = [(at, in_y[run]) for run, at in _once(x, i, i_end, width).items() if run in in_y]
    return _rising(sorted(pairs))


def _once(values: list[int], start: int, end: int, width: int) -> dict[tuple[int, ...], int]:
    places: dict[tuple[int, ...], int] = {}
    for at in range(start, end - width + 1):
        run = tuple(values[at : at + width])
        places[run] = -1 if run in places else at
    return {run: at for run, at in places.items() if at >= 0}


def _rising(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest subsequence whose second members rise (the first ones do already)."""
    tops: list[int] = []  # the smallest end of a rising run of each length
    at: list[int] = []
    before: list[int] = []
    for number, (_, second) in enumerate(pairs):
        length = bisect_left(tops, second)
        if length == len(tops):
            tops.append(second)
            at.append(number)
        else:
            tops[length] = second
            at[length] = number
        before.append(at[length - 1] if length else -1)
    found = []
    number = at[-1] if at else -1
    while number >= 0:
        found.append(pairs[number])
        number = before[number]
    return found[::-1]


def _joined(blocks: list[Block], left: int, right: int) -> list[Block]:
    """Join blocks that touch in both texts, and drop short ones that differences surround."""
    whole: list[Block] = []
    for i, j, length in blocks:
        if whole and whole[-1][0] + whole[-1][2] == i and whole[-1][1] + whole[-1][2] == j:
            whole[-1] = (whole[-1][0], whole[-1][1], whole[-1][2] + length)
        else:
            whole.append((i, j, length))
    kept = []
    for number, (i, j, length) in enumerate(whole):
        at_edge = (number == 0 and (i == 0 or j == 0)) or (
            number == len(whole) - 1 and (i + length == left or j + length == right)
        )
        if length > _NOISE or at_edge:
            kept.append((i, j, length))
    return kept
