"""Files that steps of a pipeline exchange: arrays, short lists, and the signatures that all read."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import apache_beam as beam
import numpy as np
from numpy.typing import NDArray

from corpus import files
from corpus.dedup.store import SignatureStore


@lru_cache(maxsize=1)
def store_of(signatures: tuple[str, ...]) -> SignatureStore:
    """Return the store of this process, so that a file is mapped, or fetched, once."""
    return SignatureStore(signatures)


def rows_of(signatures: Sequence[str]) -> int:
    """Return the number of documents in signature files."""
    store = store_of(tuple(signatures))
    return sum(store.part(number).num_rows for number in range(len(signatures)))


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


def write_list(records: Any, folder: str, path: str) -> None:
    """Write a small collection's records as one JSON list, in an order independent of scheduling."""

    def write(found: list[dict[str, Any]]) -> None:
        files.write_json(folder, path, sorted(found, key=lambda record: json.dumps(record, sort_keys=True)))

    _ = records | f"List {path}" >> beam.combiners.ToList() | f"Write {path}" >> beam.Map(write)


def read_list(folder: str, path: str) -> list[dict[str, Any]] | None:
    """Return the records that `write_list` wrote, which does so last; None where it has not."""
    records: Any = files.read_json(folder, path)
    return None if records is None else list(records)


def must_read_list(folder: str, path: str) -> list[dict[str, Any]]:
    """Return the records that `write_list` has just written."""
    records = read_list(folder, path)
    assert records is not None, f"{folder}/{path} was not written"
    return records
