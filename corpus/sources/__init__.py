"""One reader for each input format, all yielding the same kinds of item."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from corpus.items import Items

if TYPE_CHECKING:
    from corpus.config import Source
    from corpus.items import Piece
    from corpus.usercode import UserFunction


_MODULES = {"arrow": "parquet"}  # every other format's reader is the module of its name


def read(source: Source, path: str, piece: Piece | None = None, reader: UserFunction | None = None) -> Items:
    """Yield what a file of a source holds, or a piece of it, by the reader for the source's format.

    `path` is a local path or an fsspec URL; `reader` is the function of a format of the user's own. Content
    never raises; a missing file does (OSError), and so do a table without the configured text column
    (ConfigError) and a reader of the user's own that fails (`ReaderError`).
    """
    # Imported here because `derlem --help` must not wait for pyarrow and the decompressors.
    if reader is not None:
        from corpus.sources import custom

        return custom.read(source, path, reader)
    module = import_module(f"corpus.sources.{_MODULES.get(source.format, source.format)}")
    items: Items = module.read(source, path) if piece is None else module.read(source, path, piece)
    return items
