"""The table of contents of a checkpoint, which torch pickles; it is read as data and can run no code."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from corpus.errors import Signal

if TYPE_CHECKING:
    from torch.distributed.checkpoint.metadata import Metadata

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


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a tensor: its place in the tensor, and the bytes of a file that hold it."""

    name: str
    shape: tuple[int, ...]
    offsets: tuple[int, ...]
    file: str
    begin: int
    bytes: int


class _Unpickler(pickle.Unpickler):
    """Make known records and torch's data types, and refuse any other name in the file."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _KNOWN:
            return self.known(module, name)
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        raise ContentsError(
            f"it names {module}.{name}, which does not belong in a checkpoint: loading it could run code; "
            "do not use this checkpoint unless you know who made it"
        )

    def known(self, module: str, name: str) -> Any:
        return super().find_class(module, name)


class _Light(_Unpickler):
    """Make records of our own in place of torch's, whose modules take a second and more to import."""

    def known(self, module: str, name: str) -> Any:
        return type(name, (_Record,), {}) if module.startswith(_MODULE) else super().known(module, name)


class _Record:
    """The attributes of a record, whatever it is."""

    def __init__(self, *values: object) -> None:
        self.values = values

    def __setstate__(self, state: object) -> None:
        self.values = (state,)
        if isinstance(state, dict):
            self.__dict__.update(state)


def read(folder: Path) -> Metadata:
    """Return the table of contents of a checkpoint's folder, as torch has it.

    Raises ContentsError for a file with any other content, or one that refers to files outside the folder.
    """
    from torch.distributed.checkpoint.metadata import StorageMeta

    found: Metadata = _load(folder, _Unpickler)
    found.storage_meta = found.storage_meta or StorageMeta()
    return found


def pieces(folder: Path) -> list[Piece]:
    """Return the pieces of all tensors of a checkpoint; raises as `read`."""
    found = _load(folder, _Light)
    try:
        return sorted(_pieces(found), key=lambda piece: (piece.file, piece.begin))
    except (AttributeError, TypeError, ValueError, KeyError) as error:
        raise ContentsError(f"{NAME} is not a table of contents: {type(error).__name__}: {error}") from None


def _pieces(found: Any) -> Iterator[Piece]:
    for index, place in found.storage_data.items():
        described = found.state_dict_metadata[index.fqn]
        if hasattr(described, "size"):  # else it is a value, not a tensor
            shape = tuple(described.size)
            offsets = tuple(index.offset) if index.offset is not None else (0,) * len(shape)
            yield Piece(index.fqn, shape, offsets, place.relative_path, place.offset, place.length)


def _load(folder: Path, unpickler: type[_Unpickler]) -> Any:
    """Return the table of contents, made by an unpickler of known records."""
    try:
        with (folder / NAME).open("rb") as file:
            found: Any = unpickler(file).load()
        if type(found).__name__ != "Metadata":
            raise ContentsError(f"it holds a {type(found).__name__}, expected a table of contents")
        names = {place.relative_path for place in found.storage_data.values()}
        outside = sorted(name for name in names if name != Path(name).name or name == "..")
    except ContentsError as error:
        raise ContentsError(f"{NAME} is refused: {error}") from None
    except Exception as error:  # a damaged pickle can raise anything
        raise ContentsError(f"{NAME} is not a table of contents: {type(error).__name__}: {error}") from None
    if outside:
        raise ContentsError(f"{NAME} is refused: it refers to {outside[0]!r}, outside the checkpoint")
    return found
