"""Plain text files, plain or compressed: one document a file, or one a line, still undecoded."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING

from corpus import files
from corpus.sources import Items, RawDocument, Rejected, Unreadable
from corpus.sources.compression import DamageError, Window, contents, detect
from corpus.sources.inputs import MIB, foreign, lines

if TYPE_CHECKING:
    from corpus.config import Source


def read(source: Source, path: str) -> Items:
    """Yield the file, or each line that is not blank, as bytes; `offset` counts bytes of decompressed text.

    Rejected causes: "oversized", and once, where reading had to stop, what `compression.inflate` says of a
    damaged file. A file that is damaged in its beginning, or cannot be cut into lines where it should be, is
    Unreadable. Raises OSError where the file system does, never on content.
    """
    limit = int(source.max_record_mb * MIB)
    with files.open_bytes(path) as file:
        window = Window(file)
        at, found = 0, False
        try:
            pieces = contents(window, detect(window, path))
            head = next(pieces, b"")
            by_line = source.text_unit == "line"
            if strange := foreign(head, by_line):
                yield strange
                return
            if not by_line:
                yield _whole(chain([head], pieces), limit)
                return
            for at, line in lines(chain([head], pieces), limit):
                found = True
                if line is None:
                    yield Rejected(at, "oversized", f"the line has more than {limit} bytes")
                elif line.strip():
                    yield RawDocument(line, "text", "", at)
        except DamageError as damage:
            if not found:
                yield Unreadable(damage.cause, damage.detail)
                return
            yield Rejected(at, damage.cause, f"{damage.detail}; nothing behind it was read")


def _whole(pieces: Iterable[bytes], limit: int) -> RawDocument | Rejected:
    parts: list[bytes] = []
    size = 0
    for piece in pieces:
        parts.append(piece)
        size += len(piece)
        if size > limit:
            return Rejected(0, "oversized", f"the file has more than {limit} bytes of text")
    return RawDocument(b"".join(parts), "text", "", 0)
