"""Ten thousand damaged archives: nothing raises, no good record is lost, none takes long."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fuzzing import FORMATS, GOOD, damaged, findings

EACH = 1_000


@pytest.mark.parametrize("block", range(10))
def test_a_damaged_record_costs_no_other(block: int, tmp_path: Path) -> None:
    seeds = range(block * EACH, (block + 1) * EACH)
    assert [finding for seed in seeds for finding in findings(damaged(seed), tmp_path)] == []


@pytest.mark.parametrize("seed", range(len(FORMATS)))
def test_a_lost_record_is_found(seed: int, tmp_path: Path) -> None:
    file = damaged(seed)
    assert len(file.good) == GOOD
    absent = {**file.good, "http://absent.example/": b"x"}
    [finding] = findings(replace(file, good=absent), tmp_path)
    assert finding.what == "lost http://absent.example/"
