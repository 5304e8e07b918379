"""Large files cut into pieces that are read separately, and together yield what the whole file yields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, BinaryIO

from corpus import files
from corpus.items import Piece
from corpus.sources.inputs import foreign
from corpus.web.compression import PIECE, Window, between, contents, detect

if TYPE_CHECKING:
    from corpus.config import Source

_BLOCK = 1 << 20
_CUTTERS = {
    "jsonl": "jsonl",
    "text": "text",
    "parquet": "parquet",
    "arrow": "parquet",
    "warc": "members",
    "wet": "members",
}


def cut(source: Source, path: str, size: int) -> tuple[Piece, ...]:
    """Cut a file into pieces of about `size` bytes, in order; none if it must be read whole.

    Cuts are found without decoding the file: line ends, row groups or batches of tables. Members of archives
    are guessed, and the reader of a piece raises CutError if the guess was wrong. A remote file is read
    whole, because planning must not read more from a store than its list of files. Raises OSError if the file
    system does, and nothing for content.
    """
    module = _CUTTERS.get(source.format)
    if module is None or not files.is_local(path):
        return ()
    pieces: tuple[Piece, ...] = import_module(f"corpus.sources.{module}").cut(source, path, size)
    return pieces if len(pieces) > 1 else ()


def line_pieces(file: BinaryIO, length: int, size: int, counts_rows: bool) -> tuple[Piece, ...]:
    """Cut a plain file of lines: each piece has the lines that start in an equal part of the bytes.

    To count the rows before each piece, the file is read once; otherwise only the bytes around the cuts are
    read.
    """
    number = round(length / size)
    starts = [0, *_line_starts(file, [length * n // number for n in range(1, number)])]
    ends = [start for start in starts[1:] if start < length] + [length]
    ranges = list(pairwise([0, *ends]))
    rows = _rows_before(file, [start for start, _ in ranges]) if counts_rows else [0] * len(ranges)
    return tuple(Piece(start, end, row, end - start) for (start, end), row in zip(ranges, rows, strict=True))


def runs_of(parts: Sequence[tuple[int, int, int]], size: int) -> tuple[Piece, ...]:
    """Combine the parts of a table into pieces of about `size` bytes.

    Each part is its rows, the bytes that count, and its bytes in the file.
    """
    pieces: list[Piece] = []
    start = row = next_row = held = packed = 0
    for number, (rows, counted, in_file) in enumerate(parts, start=1):
        next_row, held, packed = next_row + rows, held + counted, packed + in_file
        if held >= size or number == len(parts):
            pieces.append(Piece(start, number, row, packed))
            start, row, held, packed = number, next_row, 0, 0
    return tuple(pieces)


def are_plain_lines(file: BinaryIO, path: str) -> bool:
    """Return whether a file consists of uncompressed lines of text."""
    window = Window(file)
    return detect(window, path) is None and foreign(window.peek(PIECE), by_line=True) is None


def content_of(window: Window, path: str, piece: Piece | None) -> Iterator[bytes]:
    """Yield the decompressed bytes of a file, or those of a piece of a plain one."""
    if piece is None:
        return contents(window, detect(window, path))
    return between(window, piece.start, piece.end)


def _line_starts(file: BinaryIO, targets: list[int]) -> Iterator[int]:
    """Yield the first start of a line at or after each of some ascending positions, each once."""
    last = 0
    for target in targets:
        if target <= last:
            continue
        at = target - 1
        file.seek(at)
        while block := file.read(_BLOCK):
            if (found := block.find(b"\n")) >= 0:
                last = at + found + 1
                yield last
                break
            at += len(block)
        else:
            return


def _rows_before(file: BinaryIO, starts: list[int]) -> Iterator[int]:
    """Yield the number of lines that end before each of some ascending positions."""
    file.seek(0)
    at = rows = 0
    for start in starts:
        while at < start and (block := file.read(min(_BLOCK, start - at))):
            rows += block.count(b"\n")
            at += len(block)
        yield rows
