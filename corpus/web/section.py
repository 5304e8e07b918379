"""Decompressed bytes split into records: an uncompressed archive, or the content of some members."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from corpus.items import Rejected
from corpus.web.compression import DamageError
from corpus.web.framing import Framing
from corpus.web.headers import target

HEADER_LIMIT = 1 << 16
"""The most bytes in which a header must end; a longer one is rejected."""

_REWINDS = 4  # rereadings of a section to search a block whose length is wrong


@dataclass(frozen=True, slots=True)
class Record:
    """One record: the names of its WARC headers in lower case, and its block.

    `length` is the block's size in bytes; `block` holds only the first bytes if there are more than the
    reader was asked to keep. `offset` is the position in the file at which the record's member starts. If a
    member has several records (a violation of the standard that occurs), the later ones have no position in
    the file of their own, so their decompressed distance from the member's start is added.
    """

    offset: int
    headers: dict[str, str]
    block: bytes
    length: int

    @property
    def url(self) -> str:
        """The target URL; "" if there is none."""
        return target(self.headers)


class Pieces(Protocol):
    """The bytes of a section, each piece with the start of its member in the file.

    `read` starts at a distance from the section's start; `is_random` means that it does so without reading
    the bytes before.
    """

    is_random: bool

    def read(self, position: int) -> Iterator[tuple[int, bytes]]: ...

    def holds(self, position: int) -> bool:
        """Return whether the section has a byte at `position`; called only if `is_random`."""


class Section:
    """The records of bytes that must be read together.

    `damage` is the error that ended them, if any; `has_begun` is True once a whole header was read.
    """

    def __init__(self, source: Pieces, framing: Framing) -> None:
        self.damage: DamageError | None = None
        self.has_begun = False
        self._source = source
        self._pieces = source.read(0)
        self._framing = framing
        self._ahead = bytearray()
        self._position = 0
        self._members: deque[tuple[int, int]] = deque()  # start of each member: here, and in the file
        self._rewinds = 0

    @property
    def _offset(self) -> int:
        """The position of the next byte in the file, as `Record` defines it."""
        while len(self._members) > 1 and self._members[1][0] <= self._position:
            self._members.popleft()
        here, start = self._members[0] if self._members else (self._position, 0)
        return start + self._position - here

    def records(self, keep: int) -> Iterator[Record | Rejected]:
        """Yield the section's records up to its end or its damage."""
        while self._skip_blank() or self.damage:
            yield self._next(keep)
            if self.damage and not self._ahead:
                return

    def _next(self, keep: int) -> Record | Rejected:
        offset = self._offset
        if not self._ahead and self.damage:
            return Rejected(offset, self.damage.cause, self.damage.detail)
        self._fill(self._framing.reach)
        if not self._framing.begins(self._ahead):
            return self._not_a_record(offset)
        raw = self._header()
        if isinstance(raw, DamageError):
            self._drop(1)
            self._seek_record()
            return Rejected(offset, raw.cause, raw.detail)
        self.has_begun = True
        headers = self._framing.fields(raw)
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
        ends = self._record_ends(blank)
        if not ends or not (blank or self._part_ends(0)):
            cut_short = self._unread_record(block) is not None
            if cut_short or not (blank or ends):
                if not cut_short:
                    self._seek_record()
                detail = f"Content-Length is {length}, but no record ends there"
                return Rejected(offset, "bad-length", detail, url)
        return Record(offset, headers, block, length)

    def _block(self, length: int, keep: int) -> tuple[bytes, int]:
        """Take the first `keep` bytes of a block and move past the rest; return them and the bytes found.

        A length above `keep` may be wrong and would consume the rest of the section. If no record ends there,
        the start of another record ends the block. If one does, the block is not searched: a page may contain
        what looks like the record of another URL.
        """
        start = self._position
        block = self._take(min(length, keep))
        if length <= keep or len(block) < keep:
            return block, len(block)
        if self._ends_after(length - keep):
            return block, length
        if self.damage:
            return block, self._position - start
        self._move_to(start + keep)
        other = self._unread_record(block)
        if other is not None:
            return block[:other], other
        return block, keep + self._skip(length - keep)

    def _ends_after(self, size: int) -> bool:
        """Move over `size` bytes; return whether the record ends there, False also if this is not tried."""
        if self._rewinds == _REWINDS:
            return False
        end = self._position + size
        if self._source.is_random:
            if self._source.holds(end - 1):
                self._move_to(end)
                if self._record_ends(self._blank_ahead()):
                    return True
            return False
        while size and self._fill(1):
            step = min(size, len(self._ahead))
            self._drop(step)
            size -= step
        if not size and self._record_ends(self._blank_ahead()) and not self.damage:
            return True
        self._rewinds += 1
        return False

    def _record_ends(self, blank: int) -> bool:
        """Return whether the record may end here, `blank` bytes of line ends before the next content."""
        return self._part_ends(blank) or self._framing.begins(self._ahead, blank)

    def _part_ends(self, blank: int) -> bool:
        """Return whether the section or a member ends after `blank` bytes of line ends."""
        end = self._position + blank
        return len(self._ahead) == blank or any(here == end for here, _ in self._members)

    def _move_to(self, position: int) -> None:
        """Move to any position of the section."""
        self._pieces = self._source.read(position)
        self._ahead.clear()
        self._position = position
        while len(self._members) > 1 and self._members[-1][0] > position:
            self._members.pop()

    def _not_a_record(self, offset: int) -> Rejected:
        head = bytes(self._ahead[:40])
        self._drop(1)
        self._seek_record()
        cause = f"not-{self._framing.name.lower()}"
        return Rejected(offset, cause, f"expected {self._framing.expected}, found {head!r}")

    def _header(self) -> bytes | DamageError:
        """Take the header lines and the blank line after them; return the error if they have no end."""
        size = 1024
        while True:
            filled = self._fill(size)
            end, after = self._framing.header_end(self._ahead)
            inside = self._framing.search(self._ahead, 1, end if end >= 0 else None)
            if inside >= 0:
                return DamageError(
                    "truncated", f"another record starts inside the header, {inside} bytes later"
                )
            if end >= 0:
                return self._take(after)[:end]
            if not filled:
                return self.damage or DamageError("truncated", "the record ends inside its header")
            if size >= HEADER_LIMIT:
                return DamageError("bad-header", f"no blank line in the first {size} bytes")
            size *= 4

    def _fill(self, size: int) -> bool:
        """Buffer at least `size` bytes; return False if the section ends before."""
        while len(self._ahead) < size:
            piece = self._piece()
            if piece is None:
                return False
            self._ahead += piece
        return True

    def _piece(self) -> bytes | None:
        """Return the next bytes after the buffer; None at the section's end or damage."""
        try:
            start, content = next(self._pieces, (-1, None))
        except DamageError as damage:
            self.damage = damage
            return None
        if content is not None and (not self._members or self._members[-1][1] != start):
            self._members.append((self._position + len(self._ahead), start))
        return content

    def _take(self, size: int) -> bytes:
        """Return the next `size` bytes and move past them; fewer at the section's end."""
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
        """Move over `size` bytes, but not past the start of another record; return the number skipped."""
        left, reach = size, self._framing.reach
        while left and self._fill(1):
            self._fill(min(left, reach))
            other = self._framing.search(self._ahead)
            step = other if other >= 0 else max(1, len(self._ahead) - reach)
            step = min(left, step)
            self._drop(step)
            left -= step
            if step == other:
                break
        return size - left

    def _blank_ahead(self) -> int:
        """Return the length of the line ends at the current position (limited, if there are very many)."""
        reach = self._framing.reach
        self._fill(2 * reach)
        head = self._ahead[:reach]
        return len(head) - len(head.lstrip(b"\r\n"))

    def _skip_blank(self) -> bool:
        """Move over the line ends between records; return False at the section's end."""
        while blank := self._blank_ahead():
            self._drop(blank)
        return bool(self._ahead)

    def _unread_record(self, block: bytes) -> int | None:
        """Put a block back from the start of another record in it; return where that was, or None."""
        # Its header may start in the block and end after it.
        self._fill(self._framing.reach)
        other = self._framing.search(block + self._ahead[: self._framing.reach])
        if not 0 <= other < len(block):
            return None
        self._ahead[:0] = block[other:]
        self._position -= len(block) - other
        return other

    def _seek_record(self) -> None:
        """Move to the start of the next record, or to the section's end."""
        reach = self._framing.reach
        while self._fill(reach + 1) or self._ahead:
            if (other := self._framing.search(self._ahead)) >= 0:
                self._drop(other)
                return
            ended = len(self._ahead) <= reach
            self._drop(len(self._ahead) if ended else len(self._ahead) - reach)
