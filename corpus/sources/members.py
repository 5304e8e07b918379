"""Compressed archives cut where members start with a record.

Bytes inside a member may look like the start of another: a page may itself be an archive. So a cut is a
guess, which the reader of the piece before it verifies: it must reach a member's end exactly there. The first
piece starts at the file's start; so if all pieces are verified, all cuts are right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from corpus import files
from corpus.items import Piece
from corpus.web.codecs import Codec, Gzip, Zstd
from corpus.web.compression import Window, detect
from corpus.web.framing import Framing, detect_framing

if TYPE_CHECKING:
    from corpus.config import Source

_REACH = 4 << 20  # bytes that are searched for a member's start; few records are longer


def cut(source: Source, path: str, size: int) -> tuple[Piece, ...]:
    """Cut a file of gzip or zstd members about every `size` bytes, where a member starts with a record."""
    length = files.size("", path) or 0
    if length < 2 * size:
        return ()
    with files.open_bytes(path) as file:
        window = Window(file)
        codec = detect(window, path)
        if not isinstance(codec, Gzip | Zstd) or window.offset:  # an offset: there is a dictionary
            return ()
        framing = detect_framing(codec.beginning(window.peek(codec.reach)), path)
        number = round(length / size)
        starts = [0]
        for target in (length * n // number for n in range(1, number)):
            found = _member_at(file, max(target, starts[-1] + 1), codec, framing)
            if found is not None:
                starts.append(found)
    ends = [*starts[1:], length]
    return tuple(Piece(start, end, 0, end - start) for start, end in zip(starts, ends, strict=True))


def _member_at(file: BinaryIO, offset: int, codec: Codec, framing: Framing) -> int | None:
    """Return the first position from `offset` on where a member seems to start with a record, or None."""
    window = Window(file)
    window.seek(offset)
    tried = 0
    for reach in (_REACH >> 6, _REACH):
        data = window.peek(reach + codec.reach)
        while (at := data.find(codec.magic, tried, reach)) >= 0:
            content = codec.beginning(data[at : at + codec.reach])
            if framing.begins(content.lstrip(b"\r\n")):
                return offset + at
            tried = at + 1
    return None
