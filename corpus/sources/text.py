"""Plain text files, plain or compressed: one document a file, or one a line, still undecoded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from corpus import files
from corpus.sources import Items, RawDocument, Rejected
from corpus.sources.compression import DamageError, Window, contents, detect
from corpus.sources.inputs import MIB, lines

if TYPE_CHECKING:
    from corpus.config import Source

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read(source: Source, path: str) -> Items:
    """Yield the file, or each line that is not blank, as bytes; `offset` counts bytes of decompressed text.

    Rejected causes: "oversized", "utf-16" for a file that cannot be cut at line-feed bytes, and once, where
    reading had to stop, what `compression.inflate` says of a damaged file. Raises OSError where the file
    system does, never on content.
    """
    limit = int(source.max_record_mb * MIB)
    with files.open_bytes(path) as file:
        window = Window(file)
        codec = detect(window, path)
        at = 0
        try:
            if source.text_unit == "file":
                yield _whole(contents(window, codec), limit)
                return
            for at, line in lines(contents(window, codec), limit):
                if at == 0 and line and line.startswith(_UTF16_MARKS):
                    yield Rejected(0, "utf-16", "UTF-16 text has no lines of bytes; convert it to UTF-8")
                    return
                if line is None:
                    yield Rejected(at, "oversized", f"the line has more than {limit} bytes")
                elif line.strip():
                    yield RawDocument(line, "text", "", at)
        except DamageError as damage:
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
