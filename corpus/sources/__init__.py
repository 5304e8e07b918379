"""The readers of input formats; all of them yield the same kinds of item."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from corpus.items import Items

if TYPE_CHECKING:
    from corpus.config import Source
    from corpus.items import Piece
    from corpus.usercode import UserFunction


_MODULES = {"arrow": "parquet"}  # the reader of every other format is the module with its name


def read(source: Source, path: str, piece: Piece | None = None, reader: UserFunction | None = None) -> Items:
    """Yield the items of a file of a source, or of a piece of it, by the reader of the source's format.

    `path` is a local path or an fsspec URL; `reader` is the function of a format defined by the user. Content
    never raises; a missing file does (OSError), and so do a table without the configured text column
    (ConfigError) and a reader of the user that fails (`ReaderError`).
    """
    # Imported here because `derlem --help` must not wait for pyarrow and the decompressors.
    if reader is not None:
        from corpus.sources import custom

        return custom.read(source, path, reader)
    module = import_module(f"corpus.sources.{_MODULES.get(source.format, source.format)}")
    items: Items = module.read(source, path) if piece is None else module.read(source, path, piece)
    return items
