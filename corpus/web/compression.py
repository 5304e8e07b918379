"""Compressed files: members are inflated in pieces of limited size, and found again after damage."""

from __future__ import annotations

import contextlib
import os
import re
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

import zstandard

from corpus.errors import Signal
from corpus.web.codecs import LONGEST_WINDOW, Bzip2, Codec, Gzip, Lz4, Xz, Zstd

PIECE = 1 << 16
"""Bytes per read, and the order of magnitude of one inflated step: memory stays at a few of these."""

_DICTIONARY_LIMIT = 64 << 20
_MAGIC = 16  # no compression has a longer one
_FEW = 6  # control characters that damage may add to a text; compressed bytes have four times this number
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_ZSTD_DICTIONARY = b"\x5d\x2a\x4d\x18"


class DamageError(Signal):
    """Compressed bytes that cannot be decoded: a stable cause, and what was found where.

    `before` is what the first bytes of a member decode to, where the damage is among them.
    """

    def __init__(self, cause: str, detail: str, before: bytes = b"") -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.detail = detail
        self.before = before


class Window:
    """A file that is read forwards: the next bytes, and the position of the first of them in the file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._buffer = b""
        self._at = 0
        self.offset = 0

    def view(self, size: int) -> memoryview:
        """Return the next `size` bytes without moving, fewer only at the end of the file.

        So what is read of a member depends on its bytes alone, not on where reading started.
        """
        while len(self._buffer) - self._at < size and (more := self._file.read(max(PIECE, size))):
            self._buffer, self._at = self._buffer[self._at :] + more, 0
        return memoryview(self._buffer)[self._at : self._at + size]

    def peek(self, size: int) -> bytes:
        """Return what `view` does, as bytes."""
        return self.view(size).tobytes()

    def move(self, size: int) -> None:
        """Move forwards by `size` bytes of the buffer, or backwards if it is negative."""
        self._at += size
        self.offset += size
        if self._at < 0:
            self.seek(self.offset)

    def skip(self, padding: bytes) -> bool:
        """Move over bytes of `padding`; return False at the end of the file."""
        while head := self.peek(64):
            rest = head.lstrip(padding)
            self.move(len(head) - len(rest))
            if rest:
                return True
        return False

    def take(self) -> bytes:
        """Return some of the next bytes and move past them; empty only at the end of the file."""
        piece = self.view(PIECE).tobytes()
        self.move(len(piece))
        return piece

    def size(self) -> int:
        """Return the length of the file in bytes."""
        size = self._file.seek(0, os.SEEK_END)
        self.seek(self.offset)
        return size

    def seek(self, offset: int) -> None:
        """Move to a position in the file."""
        self._file.seek(offset)
        self.offset, self._buffer, self._at = offset, b"", 0


_BY_SUFFIX: dict[str, Callable[[], Codec]] = {
    ".gz": Gzip,
    ".zst": lambda: Zstd(window=LONGEST_WINDOW),
    ".lz4": Lz4,
    ".bz2": Bzip2,
    ".xz": Xz,
}


def detect(window: Window, path: str) -> Codec | None:
    """Return a file's compression, decided by its first bytes, or by its name if those are not conclusive.

    Bytes come first, because files are renamed and servers decompress `.gz` files in transit. A `.gz` file
    whose first bytes are not text counts as gzip all the same: its start is damaged, but later members may be
    intact. The same is true of one that starts with the magic number of another compression but cannot be
    decoded as such.
    """
    head = window.peek(512)
    if head.startswith(_ZSTD_DICTIONARY):
        return with_dictionary(window, Zstd(window=LONGEST_WINDOW))
    codecs = {suffix: make() for suffix, make in _BY_SUFFIX.items()}
    named = next((codec for suffix, codec in codecs.items() if path.endswith(suffix)), None)
    if named is not None and named.begins(head):
        return named
    for codec in codecs.values():
        if codec.begins(head) and not _misleads(window, codec, named):
            return codec
    return None if is_text(head) else named


def with_dictionary(window: Window, codec: Codec) -> Codec:
    """Move over zstd dictionaries at the window's position; return a codec with the last of them.

    A dictionary is at the start of a file, or inside it where files were joined.
    """
    while isinstance(codec, Zstd) and window.peek(4) == _ZSTD_DICTIONARY:
        codec = Zstd(_dictionary(window), LONGEST_WINDOW)
    return codec


def _misleads(window: Window, codec: Codec, named: Codec | None) -> bool:
    """Return whether a file starts with the magic number of a compression but does not use it.

    `named` is the codec of the file's name, if that is another one.
    """
    head = window.peek(codec.reach)
    if not head.startswith(codec.magic):  # a skippable frame; the frame after it decides
        after = 8 + struct.unpack("<I", head[4:8].ljust(4, b"\0"))[0]
        return head[after : after + 4] != codec.magic
    if named is not None:
        content = codec.beginning(head)
        return not content or not is_text(content)
    # Binary bytes are compressed, unless a record's field names are readable in them.
    if len(_CONTROL.findall(head[_MAGIC:256])) > _FEW and b"\nWARC-" not in head:
        return False
    try:
        codec.open().feed(head)
    except codec.errors:
        return True
    return False


def is_text(head: bytes) -> bool:
    """Return whether bytes could be the start of a text: no control characters except the usual ones."""
    return _CONTROL.search(head[:1024]) is None


def _dictionary(window: Window) -> bytes:
    """Read the dictionary at the window's position; b"" if it is unusable: its frames then fail."""
    size = struct.unpack("<I", window.peek(8)[4:].ljust(4, b"\0"))[0]
    if size > _DICTIONARY_LIMIT:
        return b""
    frame = window.peek(8 + size)[8:]
    window.move(8 + len(frame))
    if frame.startswith(Zstd.magic):
        try:
            return zstandard.ZstdDecompressor().decompress(frame, max_output_size=_DICTIONARY_LIMIT)
        except zstandard.ZstdError:
            return b""
    return frame


def inflate(window: Window, codec: Codec) -> Iterator[bytes]:
    """Yield the content of the member at the window's position and move the window past its end.

    The last piece may be yielded before the member's checksum is read: only the iterator's end confirms it.
    Raises DamageError for bytes that are not a member, are corrupt, or end too early.
    """
    start = window.offset
    head = window.peek(10)
    if not codec.begins(head):
        raise DamageError(codec.cause, f"expected a {codec.name} at byte {start}, found {head[:4]!r}")
    inflater = codec.open()
    size = PIECE // 16  # most members are small, and a decoder copies the input after a member's end
    while not inflater.eof:
        data = window.view(size)
        try:
            out, taken = inflater.feed(data)
        except codec.errors as error:
            before = _before_damage(codec, data) if window.offset == start else b""
            raise DamageError(codec.cause, f"{codec.name} at byte {start}: {error}", before) from error
        window.move(taken)
        size = min(2 * size, PIECE)
        if out:
            yield out
        elif not data and not inflater.eof:
            raise DamageError(
                "truncated", f"the file ends at byte {window.offset} inside the {codec.name} at {start}"
            )


def _before_damage(codec: Codec, data: memoryview) -> bytes:
    """Return what a member's first bytes decode to, up to the damage in them; at most about `PIECE` bytes.

    A decoder that meets damage returns nothing of what it was fed, so it is fed byte by byte.
    """
    inflater, found, at = codec.open(), bytearray(), 0
    with contextlib.suppress(*codec.errors):
        while at < len(data) and len(found) < PIECE and not inflater.eof:
            out, taken = inflater.feed(data[at : at + 1])
            found += out
            at += taken
            if not out and not taken:
                break
    return bytes(found)


def find_member(window: Window, offset: int, codec: Codec, begins: Callable[[bytes], bool]) -> bool:
    """Move to the first member from `offset` on whose content `begins` accepts; return whether there is
    one."""
    window.seek(offset)
    while ahead := window.peek(PIECE):
        at = ahead.find(codec.magic)
        if at < 0:
            window.move(max(1, len(ahead) - len(codec.magic) + 1))
            continue
        window.move(at)
        if begins(codec.beginning(window.peek(codec.reach))):
            return True
        window.move(1)
    return False


def between(window: Window, start: int, end: int) -> Iterator[bytes]:
    """Yield the bytes of a plain file from `start` up to, not including, `end`."""
    window.seek(start)
    while (left := end - window.offset) > 0 and (piece := window.view(min(PIECE, left)).tobytes()):
        window.move(len(piece))
        yield piece


def contents(window: Window, codec: Codec | None) -> Iterator[bytes]:
    """Yield the bytes of a whole file, member by member; raises DamageError as `inflate` does."""
    if codec is None:
        while piece := window.take():
            yield piece
        return
    while window.skip(b"\0"):
        codec = with_dictionary(window, codec)
        if window.peek(1):
            yield from inflate(window, codec)
