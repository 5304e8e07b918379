"""The table of contents of a checkpoint, which torch pickles: read as data, so that it can run no code."""

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
"""What a table of contents is made of: plain records, and nothing that acts when it is made."""


class ContentsError(Signal):
    """A file is no table of contents of a checkpoint; the message says why."""


class _Unpickler(pickle.Unpickler):
    """Makes known records and torch's data types, and refuses any other name in the file."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _KNOWN or (
            module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        ):
            return super().find_class(module, name)
        raise ContentsError(
            f"it names {module}.{name}, which is no part of a checkpoint: loading it could run code; "
            "do not use this checkpoint unless you know who made it"
        )


def read(folder: Path) -> Metadata:
    """Return the table of contents of a checkpoint's folder.

    Raises ContentsError for a file that holds anything else, or that refers to files outside of the folder.
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
    except Exception as error:  # a damaged pickle raises whatever its instructions come upon
        raise ContentsError(f"{NAME} is no table of contents: {type(error).__name__}: {error}") from None
    if outside:
        raise ContentsError(f"{NAME} is refused: it refers to {outside[0]!r}, outside of the checkpoint")
    found.storage_meta = found.storage_meta or StorageMeta()
    return found
