"""The table of contents of a checkpoint, which torch pickles; it is read as data and can run no code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta

from corpus.errors import Signal

NAME = ".metadata"

_MODULE = "torch.distributed.checkpoint"
_KNOWN = {
    *((f"{_MODULE}.metadata", name) for name in (
        "Metadata", "TensorStorageMetadata", "BytesStorageMetadata", "ChunkStorageMetadata",
        "TensorProperties", "MetadataIndex", "StorageMeta", "_MEM_FORMAT_ENCODING",
    )),
    (f"{_MODULE}.filesystem", "_StorageInfo"),
    ("torch", "Size"),
    ("torch.serialization", "_get_layout"),  # looks a layout up by its name
    ("pathlib", "PosixPath"),
    ("collections", "OrderedDict"),
}  # fmt: skip
"""The names that a table of contents may use: plain records, which do nothing when they are made."""


class ContentsError(Signal):
    """A file is not a table of contents of a checkpoint; the message says why."""


class _Unpickler(pickle.Unpickler):
    """Make known records and torch's data types, and refuse any other name in the file."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _KNOWN or (
            module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        ):
            return super().find_class(module, name)
        raise ContentsError(
            f"it names {module}.{name}, which does not belong in a checkpoint: loading it could run code; "
            "do not use this checkpoint unless you know who made it"
        )


def read(folder: Path) -> Metadata:
    """Return the table of contents of a checkpoint's folder.

    Raises ContentsError for a file with any other content, or one that refers to files outside the folder.
    """
    try:
        with (folder / NAME).open("rb") as file:
            found = _Unpickler(file).load()
        if not isinstance(found, Metadata):
            raise ContentsError(f"it holds a {type(found).__name__}, expected a table of contents")
        names = {place.relative_path for place in found.storage_data.values()}
        outside = sorted(name for name in names if name != Path(name).name or name == "..")
    except ContentsError as error:
        raise ContentsError(f"{NAME} is refused: {error}") from None
    except Exception as error:  # a damaged pickle can raise anything
        raise ContentsError(f"{NAME} is not a table of contents: {type(error).__name__}: {error}") from None
    if outside:
        raise ContentsError(f"{NAME} is refused: it refers to {outside[0]!r}, outside the checkpoint")
    found.storage_meta = found.storage_meta or StorageMeta()
    return found
