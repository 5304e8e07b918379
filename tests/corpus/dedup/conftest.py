"""Signature files that the tests make from plain rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from corpus.dedup.store import SignatureStore
from corpus.schema import PERMUTATIONS, SIGNATURES

Rows = Sequence[dict[str, Any]]


def row(**values: Any) -> dict[str, Any]:
    """A signature row unlike any other but for the given values."""
    name = str(values.get("id", "x"))
    random = np.random.default_rng(list(name.encode()))
    plain = {
        "id": name,
        "exact": random.bytes(16),
        "url": 0,
        "source": "web",
        "bytes": 1000,
        "words": 150,
        "fetched": None,
        "language": "tur_Latn",
        "signature": random.integers(0, 1 << 32, PERMUTATIONS, dtype=np.uint32),
    }
    return plain | values


def write(path: Path, rows: Rows, batch_rows: int = 3) -> str:
    """Write a signature file in small record batches."""
    schema = SIGNATURES.schema()
    columns = [pa.array([r[name] for r in rows], schema.field(name).type) for name in schema.names]
    table = pa.table(columns, schema=schema)
    with pa.ipc.new_file(path, schema) as writer:
        writer.write_table(table, max_chunksize=batch_rows)
    return str(path)


@pytest.fixture
def make_row() -> Callable[..., dict[str, Any]]:
    return row


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., SignatureStore]:
    """Write each list of rows as one part and open them."""

    def make(*parts: Rows) -> SignatureStore:
        folder = tmp_path / f"store{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        return SignatureStore([write(folder / f"{i}.arrow", rows) for i, rows in enumerate(parts)])

    return make
