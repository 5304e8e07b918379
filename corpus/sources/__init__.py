"""One reader for each input format, all yielding the same three kinds of item."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class RawDocument:
    """One document as its source holds it, before any cleaning.

    `content` is bytes when the payload is still undecoded (a web page, in which case `charset` is what the
    HTTP header said, if anything) and str when the source has decoded it already (JSONL, Parquet).
    `offset` is where the record starts in its file: a byte offset for WARC, WET and text, a row number for
    tables and JSON lines.
    """

    content: bytes | str
    media: Literal["html", "text"]
    url: str
    offset: int
    fetched: datetime | None = None
    charset: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that could not be read: where it starts, a short stable cause, and what was found."""

    offset: int
    cause: str
    detail: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that is no document by its nature (a request, a revisit, an image): counted, not stored."""

    offset: int
    kind: str


Item = RawDocument | Rejected | Skipped
Items = Iterator[Item]
