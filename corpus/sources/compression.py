"""Gzip members and zstd frames: inflated in bounded pieces, and found again after damage."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

import zstandard

PIECE = 1 << 16
"""Bytes read at a time, and the order of size of what one step inflates: memory stays at a few of these."""

_ZSTD_SLICE = 512  # a zstd block of 4 bytes may stand for 128 KiB, and its decoder knows no output limit
_DICTIONARY_LIMIT = 64 << 20
_ZSTD_DICTIONARY = b"\x5d\x2a\x4d\x18"


class DamageError(Exception):
    """Compressed bytes that cannot be read on: a stable cause, and what was found where."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.detail = detail


class Inflater(Protocol):
    """Decodes one member: `feed` returns what came out and how many bytes of the input it took."""

    @property
    def eof(self) -> bool: ...

    def feed(self, data: bytes | memoryview) -> tuple[bytes, int]: ...


class Codec(Protocol):
    """A format made of members that can be decoded each on its own."""

    name: str
    magic: bytes
    cause: str
    errors: tuple[type[Exception], ...]

    def begins(self, head: bytes) -> bool: ...

    def open(self) -> Inflater: ...


class Deflate:
    """One deflate stream in the wrapping that zlib's `wbits` names: 31 gzip, 15 zlib, -15 none."""

    def __init__(self, wbits: int) -> None:
        self._stream = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    def feed(self, data: bytes | memoryview) -> tuple[bytes, int]:
        out = self._stream.decompress(data, 4 * PIECE)
        rest = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
        return out, len(data) - len(rest)


class _ZstdFrame:
    def __init__(self, dictionary: zstandard.ZstdCompressionDict | None) -> None:
        self._stream = zstandard.ZstdDecompressor(dict_data=dictionary).decompressobj()

    @property
    def eof(self) -> bool:
        return self._stream.eof

    def feed(self, data: bytes | memoryview) -> tuple[bytes, int]:
        data = data[:_ZSTD_SLICE]
        out = self._stream.decompress(data)
        return out, len(data) - (len(self._stream.unused_data) if self._stream.eof else 0)


class Gzip:
    """RFC 1952; only the deflate method exists, so its byte counts as part of the magic."""

    name = "gzip member"
    magic = b"\x1f\x8b\x08"
    cause = "bad-gzip-member"
    errors: tuple[type[Exception], ...] = (zlib.error,)

    def begins(self, head: bytes) -> bool:
        return head.startswith(self.magic)

    def open(self) -> Inflater:
        return Deflate(31)


class Zstd:
    """RFC 8878, with the dictionary that a .warc.zst file may carry in a first skippable frame.

    The dictionary's place is fixed by https://iipc.github.io/warc-specifications/specifications/warc-zstd/.
    """

    name = "zstd frame"
    magic = b"\x28\xb5\x2f\xfd"
    cause = "bad-zstd-frame"
    errors: tuple[type[Exception], ...] = (zstandard.ZstdError,)

    def __init__(self, dictionary: bytes = b"") -> None:
        self._dictionary = zstandard.ZstdCompressionDict(dictionary) if dictionary else None

    def begins(self, head: bytes) -> bool:
        skippable = head[1:4] == _ZSTD_DICTIONARY[1:] and head[0] & 0xF0 == 0x50
        return head.startswith(self.magic) or skippable

    def open(self) -> Inflater:
        return _ZstdFrame(self._dictionary)


class Window:
    """A file read forwards: the bytes that lie ahead, and where in the file the first of them stands."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._buffer = b""
        self._at = 0
        self.offset = 0

    def view(self, size: int) -> memoryview:
        """Give up to `size` bytes that lie ahead without moving; none only at the end of the file."""
        if self._at == len(self._buffer):
            self._buffer, self._at = self._file.read(PIECE), 0
        return memoryview(self._buffer)[self._at : self._at + size]

    def peek(self, size: int) -> bytes:
        """Return the next `size` bytes without moving, fewer at the end of the file."""
        while len(self._buffer) - self._at < size and (more := self._file.read(max(PIECE, size))):
            self._buffer, self._at = self._buffer[self._at :] + more, 0
        return self._buffer[self._at : self._at + size]

    def move(self, size: int) -> None:
        """Move over `size` bytes that lie ahead."""
        self._at += size
        self.offset += size

    def skip(self, padding: bytes) -> bool:
        """Move over bytes of `padding`; False when the file ends there."""
        while head := self.peek(64):
            rest = head.lstrip(padding)
            self.move(len(head) - len(rest))
            if rest:
                return True
        return False

    def seek(self, offset: int) -> None:
        """Move to a byte of the file."""
        self._file.seek(offset)
        self.offset, self._buffer, self._at = offset, b"", 0


def detect(window: Window, path: str) -> Codec | None:
    """Tell how a file is compressed by its first bytes; by its name where those say nothing.

    Bytes decide, because files are renamed and servers unpack `.gz` on the way. A `.gz` file whose first
    bytes are no text counts as gzip all the same: its beginning is damaged, its later members may be good.
    """
    head = window.peek(512)
    if head.startswith(_ZSTD_DICTIONARY):
        return Zstd(_dictionary(window))
    for codec in (Gzip(), Zstd()):
        if codec.begins(head):
            return codec
    if not is_text(head):
        if path.endswith(".gz"):
            return Gzip()
        if path.endswith(".zst"):
            return Zstd()
    return None


def is_text(head: bytes) -> bool:
    """Say whether bytes could be the beginning of a text: no control characters but the usual ones."""
    return re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", head[:1024]) is None


def _dictionary(window: Window) -> bytes:
    """Read the dictionary at the window's start; b"" when it is unusable, which the frames will show."""
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
    """Yield the content of the member that starts here and leave the window behind its end.

    The last piece may come before the member's checksum is read: only the iterator's end says that it is
    right. Raises DamageError where the bytes are no member, are corrupt, or end too early.
    """
    start = window.offset
    head = window.peek(4)
    if not codec.begins(head):
        raise DamageError(codec.cause, f"expected a {codec.name} at byte {start}, found {head!r}")
    inflater = codec.open()
    size = PIECE // 16  # most members are small, and what follows a member in its input is copied
    while not inflater.eof:
        data = window.view(size)
        try:
            out, taken = inflater.feed(data)
        except codec.errors as error:
            raise DamageError(codec.cause, f"{codec.name} at byte {start}: {error}") from error
        window.move(taken)
        size = min(2 * size, PIECE)
        if out:
            yield out
        elif not data and not inflater.eof:
            raise DamageError(
                "truncated", f"the file ends at byte {window.offset} inside the {codec.name} at {start}"
            )


def find_member(window: Window, offset: int, codec: Codec, begins: Callable[[bytes], bool]) -> bool:
    """Move to the first member from `offset` on whose content `begins` accepts; False when there is none."""
    window.seek(offset)
    while ahead := window.peek(PIECE):
        at = ahead.find(codec.magic)
        if at < 0:
            window.move(max(1, len(ahead) - len(codec.magic) + 1))
            continue
        window.move(at)
        if begins(_beginning(window, codec)):
            return True
        window.move(1)
    return False


def _beginning(window: Window, codec: Codec) -> bytes:
    """Inflate the first bytes of the member ahead, as far as they can be."""
    try:
        return codec.open().feed(window.peek(PIECE // 16))[0]
    except codec.errors:
        return b""


def contents(window: Window, codec: Codec | None) -> Iterator[bytes]:
    """Yield the bytes of a whole file, its members in turn; raises DamageError as `inflate` does."""
    if codec is None:
        while piece := window.view(PIECE).tobytes():
            window.move(len(piece))
            yield piece
        return
    while window.skip(b"\0"):
        yield from inflate(window, codec)
