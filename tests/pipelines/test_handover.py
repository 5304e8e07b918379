"""What one pipeline writes, the next one reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corpus.dedup.bands import EDGE, NEAR, make_edges
from pipelines import handover


def test_an_array_comes_back_with_its_type(tmp_path: Path) -> None:
    numbers = np.arange(3, dtype=np.uint64)
    edges = make_edges(numbers, numbers + np.uint64(5), NEAR, np.full(3, 0.8, np.float32))
    handover.save(str(tmp_path), "pass/edges.npy", edges)
    found = handover.load(str(tmp_path), "pass/edges.npy")
    assert found.dtype == EDGE
    assert np.array_equal(found, edges)


def test_a_list_is_in_an_order_that_no_scheduling_decides(tmp_path: Path) -> None:
    written = []
    for order in ([3, 1, 2], [2, 3, 1]):
        handover.write_list(str(tmp_path), "list.json", [{"number": number} for number in order])
        written.append((tmp_path / "list.json").read_bytes())
        assert handover.read_list(str(tmp_path), "list.json") == [{"number": n} for n in (1, 2, 3)]
    assert written[0] == written[1]
