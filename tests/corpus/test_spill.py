"""Rows come back from scratch files as they were written, in any order asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpus import spill

SCHEMA = pa.schema([pa.field("text", pa.string()), pa.field("bytes", pa.uint32())])


def batch(first: int, number: int) -> pa.RecordBatch:
    texts = [f"{i} " * (i % 9) for i in range(first, first + number)]
    return pa.RecordBatch.from_arrays(
        [pa.array(texts), pa.array(map(len, texts), pa.uint32())], schema=SCHEMA
    )


@pytest.mark.parametrize("piece", [1, 100, 1 << 20])
def test_rows_come_back_in_the_order_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(spill, "_PIECE_BYTES", piece)
    random = np.random.default_rng(3)
    numbers = random.integers(0, 4, 500)
    with spill.create(tmp_path, 5, SCHEMA) as writer:
        for at in range(0, 500, 50):
            writer.write(batch(at, 50), numbers[at : at + 50])
    whole = batch(0, 500)
    for number in range(5):
        expected = whole.take(pa.array(np.flatnonzero(numbers == number)))
        with spill.read(tmp_path, number) as reader:
            assert reader.bytes.tolist() == expected.column("bytes").to_pylist()
            if expected.num_rows:
                rows = random.permutation(expected.num_rows)[:40]
                assert reader.take(rows).to_pylist() == expected.take(pa.array(rows)).to_pylist()
    assert list(tmp_path.iterdir()) == []
