"""The items that readers of sources yield, and the pieces of files that they read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from corpus.errors import Signal


@dataclass(frozen=True, slots=True)
class Work:
    """What a file says of the work in it: title, authors, and licence or notice of rights; "" for nothing."""

    title: str = ""
    authors: tuple[str, ...] = ()
    licence: str = ""


NO_WORK = Work()


@dataclass(frozen=True, slots=True)
class RawDocument:
    """One document as in its source, before extraction.

    `content` is bytes if it is still undecoded (a web page; then `charset` is that of the HTTP header, if
    any), and str if the source has decoded it (JSONL, Parquet). `offset` is where the record starts in its
    file: a position in bytes for WARC, WET and text, a row number for tables and JSON lines. `truncated` is
    why the content ends too early, in the values of `schema`; "" if it is complete. `work` is what the file
    says of the work that it holds.
    """

    content: bytes | str
    media: Literal["html", "text"]
    url: str
    offset: int
    fetched: datetime | None = None
    charset: str | None = None
    truncated: str = ""
    work: Work = NO_WORK


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that could not be read: where it starts, a short stable cause, and what was found."""

    offset: int
    cause: str
    detail: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record of a kind that is never a document (a request, a revisit, an image): counted, not stored."""

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
    """A part of a file from `start` to before `end`, which count bytes, or row groups or batches of a table.

    `row` is its first row, where rows are counted; `bytes` is its length in the file.
    """

    start: int
    end: int
    row: int
    bytes: int


class CutError(Signal):
    """A piece with wrong bounds: its file has to be read whole. The message is the file's path."""
