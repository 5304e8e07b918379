"""What every test may use: the shared sample data by path, skipped with a clear message where absent."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

# Tests run side by side, a process a core; threads of each on top would only be in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED = Path(os.environ.get("DERLEM_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Give the path of a folder or file of the sample data, or skip the test."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"sample data {name!r} not found under {SHARED} (set DERLEM_SHARED_DATA)")
        return path

    return find
