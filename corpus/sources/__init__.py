"""One reader for each input format, all yielding the same kinds of item."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from corpus.config import Source
    from corpus.sources.pieces import Piece
    from corpus.usercode import UserFunction


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
    """A record that is no document by its nature (a request, a revisit, an image): counted, not stored."""

    offset: int
    kind: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file of which nothing could be read: a short stable cause, and what was found; its only item."""

    cause: str
    detail: str


Item = RawDocument | Rejected | Skipped | Unreadable
Items = Iterator[Item]

_MODULES = {"arrow": "parquet"}  # every other format's reader is the module of its name


def read(source: Source, path: str, piece: Piece | None = None, reader: UserFunction | None = None) -> Items:
    """Yield what a file of a source holds, or a piece of it, by the reader for the source's format.

    `path` is a local path or an fsspec URL; `reader` is the function of a format of the user's own. Content
    never raises; a missing file does (OSError), and so do a table without the configured text column
    (ConfigError) and a reader of the user's own that fails (`custom.ReaderError`).
    """
    # Imported here because `derlem --help` must not wait for pyarrow and the decompressors.
    if reader is not None:
        from corpus.sources import custom

        return custom.read(source, path, reader)
    module = import_module(f"corpus.sources.{_MODULES.get(source.format, source.format)}")
    items: Items = module.read(source, path) if piece is None else module.read(source, path, piece)
    return items
