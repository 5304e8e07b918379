"""Files that steps of a pipeline exchange: arrays, short lists, and the signatures that all read."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus import files
from corpus.dedup.store import SignatureStore

PARTS = "parts.json"


@dataclass(frozen=True, slots=True)
class Parts:
    """The signature files of a corpus by the numbers of their parts, and how many documents each has."""

    paths: tuple[str, ...]
    rows: tuple[int, ...]


def save_parts(folder: str, parts: Parts) -> None:
    """Write down for the workers which parts there are: in a graph the list would grow with the corpus."""
    files.write_json(folder, PARTS, {"paths": parts.paths, "rows": parts.rows})
    parts_of.cache_clear()
    store_of.cache_clear()


@lru_cache(maxsize=1)
def parts_of(folder: str) -> Parts:
    """Return what `save_parts` wrote, read once a process."""
    found = files.read_json(folder, PARTS)
    assert found is not None, f"{folder}/{PARTS} was not written"
    return Parts(tuple(found["paths"]), tuple(found["rows"]))


@lru_cache(maxsize=1)
def store_of(folder: str) -> SignatureStore:
    """Return one store a process of the parts that `save_parts` wrote: a file is mapped, or fetched, once."""
    return SignatureStore(parts_of(folder).paths)


def save(folder: str, path: str, array: NDArray[Any]) -> None:
    """Write one array below a folder."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    files.write_bytes(folder, path, buffer.getvalue())


def load(folder: str, path: str) -> NDArray[Any]:
    """Return the array that `save` wrote."""
    filesystem, target = files.filesystem(files.join(folder, path))
    array: NDArray[Any] = np.load(io.BytesIO(filesystem.cat_file(target)), allow_pickle=False)
    return array


def mapped(folder: str, path: str) -> NDArray[Any]:
    """Return the array that `save` wrote, where the folder is local without reading it before it is used."""
    if not files.is_local(folder):
        return load(folder, path)
    array: NDArray[Any] = np.load(files.filesystem(files.join(folder, path))[1], mmap_mode="r")
    return array


def write_list(folder: str, path: str, records: list[dict[str, Any]]) -> None:
    """Write the records of a small collection as one JSON list, in an order independent of scheduling."""
    files.write_json(folder, path, sorted(records, key=lambda record: json.dumps(record, sort_keys=True)))


def read_list(folder: str, path: str) -> list[dict[str, Any]] | None:
    """Return the records that `write_list` wrote; None where it has not."""
    records: Any = files.read_json(folder, path)
    return None if records is None else list(records)
