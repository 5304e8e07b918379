"""What every test may use: the shared sample data by path, and a machine that trusts no authority."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine must fail no test: the time of an example says nothing of what it states.
settings.register_profile("untimed", deadline=None, max_examples=50)
# For a second Python, where what is asked is whether everything works there, too.
settings.register_profile("few", deadline=None, max_examples=10)
settings.load_profile("untimed")

# Tests run side by side, a process a core; threads of each on top would only be in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED = Path(os.environ.get("DERLEM_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name gzip's bytes by their argument: they hold the second in which they were made.

    Workers of pytest-xdist that collected in different seconds would refuse to run.
    """
    return argname if isinstance(val, bytes) and val.startswith(b"\x1f\x8b") else None


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Return what finds a folder or file of the sample data, or skips the test where it is absent."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"sample data {name!r} not found under {SHARED} (set DERLEM_SHARED_DATA)")
        return path

    return find


@pytest.fixture
def eager_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start as many workers as are asked for, however small the work is."""
    from pipelines import stage

    monkeypatch.setattr(stage, "useful_workers", lambda planned, pending, most: min(most, len(pending)))


@pytest.fixture
def no_authorities(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust nobody; besides, the machine's list of authorities takes longer to read than a test lasts."""
    folder = tmp_path_factory.mktemp("authorities")
    (folder / "none.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
