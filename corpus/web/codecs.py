"""Compressions whose files consist of members that are decoded separately: gzip, zstd, LZ4, bzip2, xz."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import Any, Protocol

import xxhash
import zstandard

STEP = 1 << 18
"""The most bytes that one step inflates, where the decoder accepts an output limit."""

LONGEST_WINDOW = 1 << 31
"""The window of `zstd --long=31`, the longest that zstd writes; its decoder holds all of it."""

_ZSTD_SLICE = 512  # a zstd block of 4 bytes may expand to 128 KiB, and its decoder has no output limit
_ZSTD_BLOCK = 1 << 17
_XZ_MEMORY = 256 << 20
_RECORD_START = 64  # bytes of content that show whether a member starts with a record


class Inflater(Protocol):
    """Decodes one member: `feed` returns the decoded bytes and how many bytes of the input were consumed."""

    @property
    def eof(self) -> bool: ...

    def feed(self, data: bytes | memoryview) -> tuple[bytes, int]: ...


class Codec(Protocol):
    """A format whose members can be decoded separately.

    `beginning` returns the first bytes of a member's content; for this it needs the first `reach` bytes of
    the member.
    """

    name: str
    magic: bytes
    cause: str
    errors: tuple[type[Exception], ...]
    reach: int

    def begins(self, head: bytes) -> bool: ...

    def open(self) -> Inflater: ...

    def beginning(self, head: bytes) -> bytes: ...


class Deflate:
    """One deflate stream in the container that zlib's `wbits` selects: 31 gzip, 15 zlib, -15 none."""

    def __init__(self, wbits: int) -> None:
        self._stream = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    def feed(self, data: bytes | memoryview) -> tuple[bytes, int]:
        out = self._stream.decompress(data, STEP)
        rest = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
        return out, len(data) - len(rest)


class Gzip:
    """RFC 1952; deflate is the only method, so its byte counts as part of the magic number."""

    name = "gzip member"
    magic = b"\x1f\x8b\x08"
    cause = "bad-gzip-member"
    errors: tuple[type[Exception], ...] = (zlib.error,)
    reach = 4096

    def begins(self, head: bytes) -> bool:
        return head.startswith(self.magic)

    def open(self) -> Inflater:
        return Deflate(31)

    def beginning(self, head: bytes) -> bytes:
        try:
            return zlib.decompressobj(31).decompress(head, _RECORD_START)
        except zlib.error:
            return b""


class _ZstdFrame:
    def __init__(self, decompressor: zstandard.ZstdDecompressor) -> None:
        self._stream = decompressor.decompressobj()

    @property
    def eof(self) -> bool:
        return self._stream.eof

    def feed(self, data: bytes | memoryview) -> tuple[bytes, int]:
        data = data[:_ZSTD_SLICE]
        out = self._stream.decompress(data)
        return out, len(data) - (len(self._stream.unused_data) if self._stream.eof else 0)


class Zstd:
    """RFC 8878, with the dictionary that a .warc.zst file may carry in its first skippable frame.

    https://iipc.github.io/warc-specifications/specifications/warc-zstd/ defines the dictionary's place.
    Frames with a window above `window` bytes are errors; 0 stands for the library's limit, 128 MiB.
    """

    name = "zstd frame"
    magic = b"\x28\xb5\x2f\xfd"
    cause = "bad-zstd-frame"
    errors: tuple[type[Exception], ...] = (zstandard.ZstdError,)
    reach = _ZSTD_BLOCK + 32

    def __init__(self, dictionary: bytes = b"", window: int = 0) -> None:
        self._dictionary = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
        self._window = window

    def begins(self, head: bytes) -> bool:
        return head.startswith(self.magic) or _is_skippable(head)

    def open(self) -> Inflater:
        return _ZstdFrame(self._decompressor())

    def _decompressor(self) -> zstandard.ZstdDecompressor:
        return zstandard.ZstdDecompressor(dict_data=self._dictionary, max_window_size=self._window)

    def beginning(self, head: bytes) -> bytes:
        """Return the content of the frame's first block, or its start: a decoder returns nothing before a
        block is complete."""
        try:
            start = zstandard.frame_header_size(head) + 3
            block = int.from_bytes(head[start - 3 : start], "little")
            kind, size = block >> 1 & 3, block >> 3
            if kind == 0:  # stored
                return head[start : start + min(size, _RECORD_START)]
            if kind != 2 or size > _ZSTD_BLOCK:  # one byte repeated, or no block
                return b""
            return self._decompressor().decompressobj().decompress(head[: start + size])
        except zstandard.ZstdError:
            return b""


class _Lz4Frame:
    def __init__(self) -> None:
        # Imported here: few files are in LZ4, and a missing library must not stop the readers of other files.
        import lz4.frame

        self._decode = lz4.frame.decompress_chunk
        self._context: Any = lz4.frame.create_decompression_context()
        self.eof = False

    def feed(self, data: bytes | memoryview) -> tuple[bytes, int]:
        out, taken, self.eof = self._decode(self._context, data, max_length=STEP)
        return out, taken


class Lz4:
    """The LZ4 frame format, https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md."""

    name = "LZ4 frame"
    magic = b"\x04\x22\x4d\x18"
    cause = "bad-lz4-frame"
    errors: tuple[type[Exception], ...] = (RuntimeError,)
    reach = 4096

    def begins(self, head: bytes) -> bool:
        return head.startswith(self.magic) or _is_skippable(head)

    def open(self) -> Inflater:
        return _Lz4Frame()

    def beginning(self, head: bytes) -> bytes:
        """Return the literals at the start of the first block: LZ4 stores them uncompressed."""
        flags = head[4] if len(head) > 4 else 0
        end = 6 + (8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0)  # content size, dictionary id
        if len(head) < end + 7 or head[end] != xxhash.xxh32_intdigest(head[4:end]) >> 8 & 0xFF:
            return b""
        size = int.from_bytes(head[end + 1 : end + 5], "little")
        block = head[end + 5 :]
        if size >> 31:  # stored
            return block[: min(size & 0x7FFFFFFF, _RECORD_START)]
        literals = block[0] >> 4
        at = 1
        while literals >= 15 and at < len(block):
            literals += block[at]
            at += 1
            if block[at - 1] != 255:
                break
        return block[at : at + min(literals, _RECORD_START)]


class _Buffered:
    """One stream of bz2 or lzma, which buffer input that they could not use yet.

    Buffered bytes after the stream's end are returned to the caller: the number consumed by that `feed` may
    be negative.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @property
    def eof(self) -> bool:
        return bool(self._stream.eof)

    def feed(self, data: bytes | memoryview) -> tuple[bytes, int]:
        if not self._stream.needs_input:
            data = b""
        out: bytes = self._stream.decompress(data, STEP)
        return out, len(data) - len(self._stream.unused_data)


class Bzip2:
    """bzip2 streams; the first block's magic number counts as part of the stream's."""

    name = "bzip2 stream"
    magic = b"BZh"
    cause = "bad-bzip2-stream"
    errors: tuple[type[Exception], ...] = (OSError, EOFError)
    reach = 1 << 20

    def begins(self, head: bytes) -> bool:
        return head.startswith(self.magic) and head[4:10] in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90", b"")

    def open(self) -> Inflater:
        return _Buffered(bz2.BZ2Decompressor())

    def beginning(self, head: bytes) -> bytes:
        return _first_of(self.open(), head, self.errors) if self.begins(head) else b""


class Xz:
    """xz streams, with dictionaries of up to 256 MiB."""

    name = "xz stream"
    magic = b"\xfd7zXZ\x00"
    cause = "bad-xz-stream"
    errors: tuple[type[Exception], ...] = (lzma.LZMAError, EOFError)
    reach = 1 << 16

    def begins(self, head: bytes) -> bool:
        return head.startswith(self.magic)

    def open(self) -> Inflater:
        return _Buffered(lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY))

    def beginning(self, head: bytes) -> bytes:
        return _first_of(self.open(), head, self.errors)


def _first_of(inflater: Inflater, head: bytes, errors: tuple[type[Exception], ...]) -> bytes:
    try:
        return inflater.feed(head)[0]
    except errors:
        return b""


def _is_skippable(head: bytes) -> bool:
    """Return whether bytes start with a skippable frame of zstd or LZ4."""
    return head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50
