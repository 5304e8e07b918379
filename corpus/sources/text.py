"""Text files, plain or compressed: one document per file or per line, not yet decoded."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING

from corpus import files
from corpus.items import Items, Piece, RawDocument, Rejected, Unreadable
from corpus.sources.inputs import MIB, foreign, lines
from corpus.sources.pieces import are_plain_lines, content_of, line_pieces
from corpus.web.compression import DamageError, Window

if TYPE_CHECKING:
    from corpus.config import Source


def cut(source: Source, path: str, size: int) -> tuple[Piece, ...]:
    """Cut a plain file whose documents are lines at line ends."""
    if source.text_unit != "line" or (length := files.size("", path) or 0) < 2 * size:
        return ()
    with files.open_bytes(path) as file:
        return line_pieces(file, length, size, counts_rows=False) if are_plain_lines(file, path) else ()


def read(source: Source, path: str, piece: Piece | None = None) -> Items:
    """Yield the file, or each line that is not blank, as bytes; `offset` counts bytes of decompressed text.

    Rejected causes: "oversized", and once, where reading had to stop, the cause from `compression.inflate`
    for a damaged file. A file that is damaged at its start, or should consist of lines but cannot be split
    into them, is Unreadable. Raises OSError if the file system does, never for content.
    """
    limit = int(source.max_record_mb * MIB)
    with files.open_bytes(path) as file:
        window = Window(file)
        first = piece.start if piece is not None else 0
        at, found = first, False
        try:
            content = content_of(window, path, piece)
            head = next(content, b"")
            by_line = source.text_unit == "line"
            if piece is None and (unreadable := foreign(head, by_line)):
                yield unreadable
                return
            if not by_line:
                yield _whole(chain([head], content), limit)
                return
            for start, line in lines(chain([head], content), limit):
                at, found = first + start, True
                if line is None:
                    yield Rejected(at, "oversized", f"the line has more than {limit} bytes")
                elif line.strip():
                    yield RawDocument(line, "text", "", at)
        except DamageError as damage:
            if not found:
                yield Unreadable(damage.cause, damage.detail)
                return
            yield Rejected(at, damage.cause, f"{damage.detail}; nothing after it was read")


def _whole(pieces: Iterable[bytes], limit: int) -> RawDocument | Rejected:
    parts: list[bytes] = []
    size = 0
    for piece in pieces:
        parts.append(piece)
        size += len(piece)
        if size > limit:
            return Rejected(0, "oversized", f"the file has more than {limit} bytes of text")
    return RawDocument(b"".join(parts), "text", "", 0)
