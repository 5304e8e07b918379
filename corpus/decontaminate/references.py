"""References: the questions, passages and answers of evaluation sets, cut into pieces that are looked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpus.decontaminate.stems import stems_of
from corpus.errors import ConfigError
from corpus.quality import tables

PIECE_WORDS = 50
"""Words of a piece of a long text: a document that has one piece is found."""

LEAST_WORDS = 5
"""Words of the shortest text that is looked for; a shorter one is found anywhere by chance."""

LEAST_DIFFERENT = 4
"""Different stems that it has at least."""

_SHOWN = 60  # characters of a reference in a reason


@dataclass(frozen=True, slots=True)
class Reference:
    """One piece of a text to look for: its stems, those of its answer, its place and first words."""

    stems: NDArray[np.uint64]
    answer: NDArray[np.uint64]
    file: str
    row: int
    text: str

    @property
    def name(self) -> str:
        """What a reason says: file, row and first words."""
        return f"{self.file} row {self.row}: {self.text}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a piece stands: its number, its file and row, and the first words of the text."""

    piece: int
    file: str
    row: int
    text: str


@dataclass(frozen=True, slots=True)
class References:
    """The pieces of evaluation sets, equal ones once, and how many texts are too short.

    `places` has for every piece of every text the number of its equal in `pieces`.
    """

    pieces: tuple[Reference, ...]
    places: tuple[Place, ...]
    texts: int
    too_short: int


def read(paths: Sequence[str], columns: Sequence[str], answer: str = "") -> References:
    """Return the texts in columns of tables (JSON lines, Parquet, Arrow) as references.

    `answer` names the column of the answer, or is empty. Raises ConfigError where a file has no such column,
    or where no text is long enough.
    """
    found = of(_rows(paths, columns, answer))
    if not found.pieces:
        raise ConfigError(
            f"{', '.join(paths)}: no text of {LEAST_WORDS} words or more in {', '.join(columns)}; "
            f"shorter ones stand in documents by chance and are not looked for"
        )
    return found


def of(rows: Iterable[tuple[int, str, str, str]]) -> References:
    """Return the references of rows: number, name of the file, text, and answer or nothing."""
    found: dict[tuple[bytes, bytes], Reference] = {}
    numbers: dict[tuple[bytes, bytes], int] = {}
    places: list[Place] = []
    texts = too_short = 0
    for row, name, text, reply in rows:
        texts += 1
        pieces = list(_pieces(stems_of(text)))
        too_short += not pieces
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        answer = stems_of(reply)
        for piece in pieces:
            key = (piece.tobytes(), answer.tobytes())
            found.setdefault(key, Reference(piece, answer, name, row, shown))
            places.append(Place(numbers.setdefault(key, len(numbers)), name, row, shown))
    return References(tuple(found.values()), tuple(places), texts, too_short)


def _rows(paths: Sequence[str], columns: Sequence[str], answer: str) -> Iterator[tuple[int, str, str, str]]:
    for path in paths:
        wanted = dict.fromkeys([*columns, *([answer] if answer else [])])
        table = tables.read(path, *wanted)
        replies = _texts(table[answer].to_pylist()) if answer else [""] * table.num_rows
        for column in columns:
            for row, (text, reply) in enumerate(zip(_texts(table[column].to_pylist()), replies, strict=True)):
                if text:
                    yield row, path.rpartition("/")[2], text, reply


def _texts(values: Iterable[object]) -> list[str]:
    """Return texts; those of a list (choices) are joined, and other values are empty."""
    return [
        " ".join(map(str, value)) if isinstance(value, list) else value if isinstance(value, str) else ""
        for value in values
    ]


def _pieces(stems: NDArray[np.uint64]) -> Iterator[NDArray[np.uint64]]:
    """Yield equal pieces of about `PIECE_WORDS` words; none of a text that is too short."""
    for piece in np.array_split(stems, max(1, round(stems.size / PIECE_WORDS))):
        if piece.size >= LEAST_WORDS and np.unique(piece).size >= LEAST_DIFFERENT:
            yield piece
