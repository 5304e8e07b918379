"""The units of a job in files, so that its graph is as small for a hundred thousand units as for one."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from typing import Any

from corpus import files
from pipelines.sweep import UNITS

_PIECE = 1_000  # units of a file


def write(folder: str, fingerprint: str, units: Sequence[Any]) -> int:
    """Write units below a stage's folder, some to a file; return the number of files."""
    starts = range(0, len(units), _PIECE)
    for number, start in enumerate(starts):
        data = pickle.dumps(units[start : start + _PIECE])
        files.write_bytes(folder, _path(fingerprint, number), data)
    return len(starts)


def read(number: int, folder: str, fingerprint: str) -> Iterator[Any]:
    """Yield the units of one of the files that `write` wrote."""
    data = files.read_bytes(folder, _path(fingerprint, number))
    assert data is not None
    yield from pickle.loads(data)


def _path(fingerprint: str, number: int) -> str:
    return f"{UNITS}/plan-{fingerprint}-{number:05d}.pickle"
