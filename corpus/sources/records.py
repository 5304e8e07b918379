"""WARC framing: records found in a plain, gzip or zstd file, one after the other and past any damage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from corpus.sources import Rejected
from corpus.sources.compression import Codec, DamageError, Window, contents, detect, find_member, inflate

HEADER_LIMIT = 1 << 16
"""Bytes after which a block of header lines is given up."""

TYPES = frozenset(
    ("warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion", "continuation")
)
"""The record types of the WARC standard."""

_VERSION = re.compile(rb"WARC/\d+\.\d+", re.IGNORECASE)
_RECORD = re.compile(rb"WARC/\d\.\d+\r?\n(?=[A-Za-z][A-Za-z-]* *:)", re.IGNORECASE)
_RECORD_HEAD = 64  # bytes within which `_RECORD` matches or does not
_FOLD = re.compile(r"\r?\n[ \t]+")


@dataclass(frozen=True, slots=True)
class Record:
    """One WARC record: header names in lower case, and its block.

    `length` is the block's size in bytes; `block` holds its beginning only, where that is more than the
    reader was asked to keep. `offset` is the byte of the file at which the record's member starts. Of several
    records in one member (against the standard, but met) the later ones have no byte of their own in the
    file, so their distance from the member's start, decompressed, is added.
    """

    offset: int
    headers: dict[str, str]
    block: bytes
    length: int

    @property
    def url(self) -> str:
        """The target, without the angle brackets that wget used to write; "" when there is none."""
        return target(self.headers)


def target(headers: dict[str, str]) -> str:
    """Return the target URL of a record's headers."""
    return headers.get("warc-target-uri", "").strip("<> \t")


def read_records(file: BinaryIO, path: str, keep: int) -> Iterator[Record | Rejected]:
    """Yield the records of a file in order, at most `keep` bytes of each block.

    Content never raises: what cannot be read is Rejected, and reading goes on with the next member that
    begins with a record (gzip, zstd) or the next line that does (plain). A record is handed out once its
    member's checksum was seen to be right, or more bytes have followed it in the same member.
    Bytes that are no record at all are rejected as "not-warc", once where the file begins with them.
    """
    window = Window(file)
    seen = found = strange = False
    for section in _sections(window, detect(window, path)):
        for item in section.records(keep):
            found = found or isinstance(item, Record)
            if isinstance(item, Rejected) and item.cause == "not-warc":
                if strange and not found:
                    continue
                strange = True
            seen = True
            yield item
    if not seen:
        yield Rejected(0, "not-warc", "the file holds nothing")


def _sections(window: Window, codec: Codec | None) -> Iterator[_Section]:
    """Yield what must be read apart, so that the damage of one cannot reach into the next."""
    if codec is None:
        yield _Section((0, piece) for piece in contents(window, None))
        return
    members = _Members(window, codec)
    while members.ahead:
        section = _Section(members.section())
        yield section
        if section.damage:
            members.find_after_damage()


def _begins_record(content: bytes) -> bool:
    return _VERSION.match(content.lstrip(b"\r\n")) is not None


class _Members:
    """The members of a compressed file, opened one ahead to see whether the next begins with a record.

    One that does is a section of its own. One that does not goes on with the record before it: there are
    files whose records are cut into several members.
    """

    def __init__(self, window: Window, codec: Codec) -> None:
        self._window = window
        self._codec = codec
        self._open()

    def _open(self) -> None:
        self._first: bytes | DamageError = b""
        self.ahead = self._window.skip(b"\0\r\n")
        if self.ahead:
            self._start = self._window.offset
            self._pieces = inflate(self._window, self._codec)
            try:
                self._first = next(self._pieces, b"")
            except DamageError as damage:
                self._first = damage

    def section(self) -> Iterator[tuple[int, bytes]]:
        """Yield (start of the member, bytes) up to the next section; raises DamageError."""
        while self.ahead:
            if isinstance(self._first, DamageError):
                yield self._start, b""
                raise self._first
            yield self._start, self._first
            for piece in self._pieces:
                yield self._start, piece
            self._open()
            if isinstance(self._first, DamageError) or _begins_record(self._first):
                return

    def find_after_damage(self) -> None:
        """Open the next member behind the damaged one that begins with a record."""
        if find_member(self._window, self._start + 1, self._codec, _begins_record):
            self._open()
        else:
            self.ahead = False


class _Section:
    """A run of decompressed bytes, with the damage that ended it, if any."""

    def __init__(self, pieces: Iterator[tuple[int, bytes]]) -> None:
        self.damage: DamageError | None = None
        self._pieces = pieces
        self._ahead = bytearray()
        self._position = 0
        self._members: list[tuple[int, int]] = []  # where each member starts: here, and in the file

    @property
    def _offset(self) -> int:
        """The place in the file of the byte that comes next, as `Record` defines it."""
        while len(self._members) > 1 and self._members[1][0] <= self._position:
            del self._members[0]
        here, start = self._members[0] if self._members else (self._position, 0)
        return start + self._position - here

    def records(self, keep: int) -> Iterator[Record | Rejected]:
        """Yield the section's records; it is read to its end or to its damage."""
        while self._skip_blank() or self.damage:
            item = self._next(keep)
            yield item
            if self.damage and not self._ahead:
                return

    def _next(self, keep: int) -> Record | Rejected:
        offset = self._offset
        if not self._ahead and self.damage:
            return Rejected(offset, self.damage.cause, self.damage.detail)
        self._fill(_RECORD_HEAD)
        if not _VERSION.match(self._ahead):
            return self._strange(offset)
        raw = self._header()
        if isinstance(raw, DamageError):
            self._drop(1)
            self._seek_record()
            return Rejected(offset, raw.cause, raw.detail)
        headers = parse_fields(raw)
        written = headers.get("content-length", "")
        if not (written.isascii() and written.isdigit() and len(written) <= 18):
            self._seek_record()
            return Rejected(offset, "bad-header", f"Content-Length is {written[:40]!r}", target(headers))
        return self._body(offset, headers, int(written), keep)

    def _body(self, offset: int, headers: dict[str, str], length: int, keep: int) -> Record | Rejected:
        url = target(headers)
        block, present = self._block(length, keep)
        blank = self._blank_ahead()
        if self.damage and len(self._ahead) == blank:
            self._drop(blank)
            return Rejected(offset, self.damage.cause, self.damage.detail, url)
        if present < length:
            self._unread_record(block)
            detail = f"Content-Length is {length}, but the record ends after {present} bytes"
            return Rejected(offset, "truncated", detail, url)
        if len(self._ahead) > blank and not _VERSION.match(self._ahead, blank):
            cut_short = self._unread_record(block) is not None
            if cut_short or not blank:
                if not cut_short:
                    self._seek_record()
                detail = f"Content-Length is {length}, but no record ends there"
                return Rejected(offset, "bad-length", detail, url)
        return Record(offset, headers, block, length)

    def _block(self, length: int, keep: int) -> tuple[bytes, int]:
        """Take the first `keep` bytes of a block and move over the rest; return them and what was there.

        A length above `keep` may be a lie that would swallow the rest of the file, so there the beginning of
        another record ends the block.
        """
        block = self._take(min(length, keep))
        if length <= keep or len(block) < keep:
            return block, len(block)
        other = self._unread_record(block)
        if other is not None:
            return block[:other], other
        return block, keep + self._skip(length - keep)

    def _strange(self, offset: int) -> Rejected:
        head = bytes(self._ahead[:40])
        self._seek_record()
        hint = " (an ARC file; only WARC is read)" if head.startswith(b"filedesc:") else ""
        return Rejected(
            offset, "not-warc", f"expected a record that begins with 'WARC/', found {head!r}{hint}"
        )

    def _header(self) -> bytes | DamageError:
        """Take the header lines and the blank line after them, or say why they have no end."""
        size = 1024
        while True:
            filled = self._fill(size)
            end, after = header_end(self._ahead)
            other = self._ahead.find(b"WARC/", 1, end)
            if other >= 0 and (
                inside := _RECORD.search(self._ahead, other, end if end >= 0 else len(self._ahead))
            ):
                return DamageError(
                    "truncated", f"another record begins {inside.start()} bytes on, inside the header"
                )
            if end >= 0:
                return self._take(after)[:end]
            if not filled:
                return self.damage or DamageError("truncated", "the record ends inside its header")
            if size >= HEADER_LIMIT:
                return DamageError("bad-header", f"no blank line in the first {size} bytes")
            size *= 4

    def _fill(self, size: int) -> bool:
        """Hold at least `size` bytes ahead; False when the section ends before."""
        while len(self._ahead) < size:
            piece = self._piece()
            if piece is None:
                return False
            self._ahead += piece
        return True

    def _piece(self) -> bytes | None:
        """Return what comes behind the bytes held ahead; None at the section's end or damage."""
        try:
            start, content = next(self._pieces, (-1, None))
        except DamageError as damage:
            self.damage = damage
            return None
        if content is not None and (not self._members or self._members[-1][1] != start):
            self._members.append((self._position + len(self._ahead), start))
        return content

    def _take(self, size: int) -> bytes:
        """Return the next `size` bytes and move over them; fewer at the section's end."""
        parts = [bytes(self._ahead[:size])]
        self._drop(len(parts[0]))
        left = size - len(parts[0])
        while left and (piece := self._piece()) is not None:
            parts.append(piece[:left])
            self._ahead += piece[left:]
            self._position += len(parts[-1])
            left -= len(parts[-1])
        return b"".join(parts)

    def _drop(self, size: int) -> None:
        del self._ahead[:size]
        self._position += size

    def _skip(self, size: int) -> int:
        """Move over `size` bytes, but not past the beginning of another record; return how many."""
        left = size
        while left and self._fill(1):
            self._fill(min(left, _RECORD_HEAD))
            other = _RECORD.search(self._ahead)
            step = other.start() if other else max(1, len(self._ahead) - _RECORD_HEAD)
            step = min(left, step)
            self._drop(step)
            left -= step
            if other and step == other.start():
                break
        return size - left

    def _blank_ahead(self) -> int:
        """Count the line ends that lie ahead (the first of them, if they are very many)."""
        self._fill(2 * _RECORD_HEAD)
        head = self._ahead[:_RECORD_HEAD]
        return len(head) - len(head.lstrip(b"\r\n"))

    def _skip_blank(self) -> bool:
        """Move over the line ends between records; False at the section's end."""
        while blank := self._blank_ahead():
            self._drop(blank)
        return bool(self._ahead)

    def _unread_record(self, block: bytes) -> int | None:
        """Put back a block from the beginning of another record in it, and return where that was."""
        other = _RECORD.search(block)
        if other is None:
            return None
        self._ahead[:0] = block[other.start() :]
        self._position -= len(block) - other.start()
        return other.start()

    def _seek_record(self) -> None:
        """Move to the beginning of the next record, or to the section's end."""
        while self._fill(_RECORD_HEAD + 1) or self._ahead:
            if other := _RECORD.search(self._ahead):
                self._drop(other.start())
                return
            ended = len(self._ahead) <= _RECORD_HEAD
            self._drop(len(self._ahead) if ended else len(self._ahead) - _RECORD_HEAD)


def header_end(data: bytes | bytearray) -> tuple[int, int]:
    """Find the blank line after header lines: where they end and where it does, or (-1, -1)."""
    end = data.find(b"\r\n\r\n")
    bare = data.find(b"\n\n", 0, end if end >= 0 else len(data))
    if bare >= 0:
        return bare, bare + 2
    return (end, end + 4) if end >= 0 else (-1, -1)


def parse_fields(raw: bytes) -> dict[str, str]:
    """Parse header lines behind a first line: lower-case names, the last value of each, lines unfolded.

    The values of repeated encodings are all needed, so they are joined by commas.
    """
    text = raw.decode("utf-8", "replace")
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    fields: dict[str, str] = {}
    for line in text.split("\n")[1:]:
        key, colon, value = line.partition(":")
        if not colon:
            continue
        name = key.strip().lower()
        if name in fields and name in ("content-encoding", "transfer-encoding"):
            value = f"{fields[name]},{value}"
        fields[name] = value.strip()
    return fields
