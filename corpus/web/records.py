"""WARC and ARC records of a plain or compressed file, read in order and beyond any damage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from corpus.items import CutError, Piece, Rejected, Unreadable
from corpus.web.codecs import Codec
from corpus.web.compression import DamageError, Window, detect, find_member, inflate, with_dictionary
from corpus.web.framing import Framing, detect_framing
from corpus.web.section import Record, Section

TYPES = frozenset(
    ("warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion", "continuation")
)
"""The record types of the WARC standard."""

_FIRST = 1 << 10


def read_records(
    file: BinaryIO, path: str, keep: int, piece: Piece | None = None
) -> Iterator[Record | Rejected | Unreadable]:
    """Yield the records of a file, or of a piece of it, in order, with at most `keep` bytes of each block.

    Content never raises: an unreadable record is Rejected, and reading resumes at the next member that starts
    with a record (compressed) or at the next line that does (plain). A record is yielded once its member's
    checksum was verified, or once more bytes follow it in the same member. Bytes that are not a record are
    rejected as "not-warc" or "not-arc", at the start of a file only once; a file without the start of a
    record is Unreadable. Raises CutError if a piece does not end where a reading of the whole file would
    start the next section: then what was read of the piece may be wrong.
    """
    window = Window(file)
    codec = detect(window, path)
    early: list[Rejected] = []  # before the first record
    found = piece is not None and piece.start > 0
    for section in _sections(window, codec, path, piece):
        for item in section.records(keep):
            if not found and isinstance(item, Rejected) and not section.has_begun:
                if not early or not item.cause.startswith("not-"):
                    early.append(item)
                continue
            yield from early
            early.clear()
            found = True
            yield item
    if not found and piece is not None:
        raise CutError(path)
    if not found:
        first = early[0] if early else Rejected(0, "empty", "the file holds nothing")
        yield Unreadable(first.cause, first.detail)


def _sections(window: Window, codec: Codec | None, path: str, piece: Piece | None) -> Iterator[Section]:
    """Yield sections: they are read separately, so that damage in one cannot affect the next."""
    if codec is None:
        framing = detect_framing(window.peek(_FIRST), path)
        yield Section(_Plain(window), framing)
        return
    members = _Members(window, codec, path)
    if piece is not None:
        yield from _of_piece(members, codec, path, piece)
        return
    while members.ahead:
        section = Section(members.section(), members.framing)
        yield section
        if section.damage:
            members.find_after_damage()


def _of_piece(members: _Members, codec: Codec, path: str, piece: Piece) -> Iterator[Section]:
    members.return_to(piece.start, codec)
    while members.ahead and members.start < piece.end:
        section = Section(members.section(), members.framing)
        yield section
        if section.damage:
            members.find_after_damage()
    end = members.start if members.ahead else members.length
    if end != piece.end or members.codec is not codec:  # another dictionary applies from here on
        raise CutError(path)


class _Plain:
    """An uncompressed file, which can be read from any position."""

    is_random = True

    def __init__(self, window: Window) -> None:
        self._window = window

    def read(self, position: int) -> Iterator[tuple[int, bytes]]:
        window = self._window
        if position != window.offset:
            window.seek(position)
        while piece := window.take():
            yield 0, piece

    def holds(self, position: int) -> bool:
        return position < self._window.size()


class _Members:
    """The members of a compressed file; the next one is always open, to see whether it starts with a record.

    If it does, it starts a new section. If not, it continues the record before it: there are files whose
    records are split into several members.
    """

    def __init__(self, window: Window, codec: Codec, path: str) -> None:
        self._window = window
        self.codec = codec
        self._open()
        first = self._first if isinstance(self._first, bytes) else b""
        self.framing: Framing = detect_framing(first, path)

    def _open(self) -> None:
        self._first: bytes | DamageError = b""
        self.ahead = self._window.skip(b"\0\r\n")
        if self.ahead:
            self.codec = with_dictionary(self._window, self.codec)
            self.ahead = self._window.peek(1) != b""
        self.start = self._window.offset
        if self.ahead:
            self._pieces = inflate(self._window, self.codec)
            try:
                self._first = next(self._pieces, b"")
            except DamageError as damage:
                self._first = damage

    @property
    def length(self) -> int:
        """The length of the file."""
        return self._window.size()

    def section(self) -> _Run:
        """Return the members up to the next that starts with a record."""
        return _Run(self, self.start, self.codec)

    def read(self) -> Iterator[tuple[int, bytes]]:
        """Yield (start of the member, bytes) up to the next section; raises DamageError."""
        while self.ahead:
            if isinstance(self._first, DamageError):
                yield self.start, self._header(self._first.before)
                raise self._first
            yield self.start, self._first
            for piece in self._pieces:
                yield self.start, piece
            self._open()
            if isinstance(self._first, DamageError) or self._begins_record(self._first):
                return

    def _begins_record(self, content: bytes) -> bool:
        return self.framing.begins(content.lstrip(b"\r\n"))

    def _header(self, before: bytes) -> bytes:
        """Return the header of a damaged record, which names its address; what follows cannot be trusted."""
        end = self.framing.header_end(before)[1]
        return before[:end] if end > 0 and self._begins_record(before) else b""

    def return_to(self, start: int, codec: Codec) -> None:
        """Open the member that starts at byte `start` of the file again, with the codec that it had."""
        self._window.seek(start)
        self.codec = codec
        self._open()

    def find_after_damage(self) -> None:
        """Open the next member after the damaged one that starts with a record."""
        if find_member(self._window, self.start + 1, self.codec, self.framing.may_begin):
            self._open()
        else:
            self.ahead = False


class _Run:
    """The members of one section; each `read` starts at the first of them."""

    is_random = False

    def __init__(self, members: _Members, start: int, codec: Codec) -> None:
        self._members = members
        self._start = start
        self._codec = codec
        self._is_fresh = True

    def read(self, position: int) -> Iterator[tuple[int, bytes]]:
        if not self._is_fresh:
            self._members.return_to(self._start, self._codec)
        self._is_fresh = False
        for start, piece in self._members.read():
            before = min(position, len(piece))
            position -= before
            yield start, piece[before:]

    def holds(self, position: int) -> bool:
        raise NotImplementedError
