"""What the readers of sources yield, and the pieces of files that they read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from corpus.errors import Signal


@dataclass(frozen=True, slots=True)
class RawDocument:
    """One document as its source holds it, before any cleaning.

    `content` is bytes when the payload is still undecoded (a web page, in which case `charset` is what the
    HTTP header said, if anything) and str when the source has decoded it already (JSONL, Parquet).
    `offset` is where the record starts in its file: a byte offset for WARC, WET and text, a row number for
    tables and JSON lines. `truncated` is why the content ends too early, as `schema` names it; "" where it is
    whole.
    """

    content: bytes | str
    media: Literal["html", "text"]
    url: str
    offset: int
    fetched: datetime | None = None
    charset: str | None = None
    truncated: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that could not be read: where it starts, a short stable cause, and what was found."""

    offset: int
    cause: str
    detail: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that is not a document by its nature (a request, a revisit, an image): counted, not stored."""

    offset: int
    kind: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file of which nothing could be read: a short stable cause, and what was found; its only item."""

    cause: str
    detail: str


Item = RawDocument | Rejected | Skipped | Unreadable
Items = Iterator[Item]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file: its bytes, or the row groups or batches of a table, from `start` to before `end`.

    `row` is its first row, where rows are counted; `bytes` is its length in the file.
    """

    start: int
    end: int
    row: int
    bytes: int


class CutError(Signal):
    """A piece with wrong bounds: its file has to be read whole. The message is the file's path."""
