"""The number of processors that a process may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus import cores


@pytest.mark.parametrize(
    ("written", "quota"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, float("inf")),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, float("inf")),
        ({"cpu.max": "odd"}, float("inf")),
        ({}, float("inf")),
    ],
)
def test_the_processors_of_a_container_are_its_quota(
    tmp_path: Path, written: dict[str, str], quota: float
) -> None:
    for name, text in written.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cores.quota(tmp_path) == quota
