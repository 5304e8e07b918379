"""Stores and engines on this machine, and the command line in an environment that can reach them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from anywhere import environments, stores
from anywhere.stores import Store

RUN_S = 600


@pytest.fixture(scope="session")
def cloud() -> "Cloud":
    """derlem with its extras, as a command."""
    return Cloud(_made(environments.cloud))


class Cloud:
    """Runs derlem, or Python, with derlem's extras."""

    def __init__(self, python: Path) -> None:
        self.python = python

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the variables of a process that has derlem and its extras."""
        bin_ = f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        return {**os.environ, "PATH": bin_, "PYTHONPATH": environments.cloud_path(), **variables}

    def derlem(
        self, *words: object, store: Store | None = None, status: int = 0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of derlem to its end, which must be `status`."""
        found = subprocess.run(
            [str(self.python), "-P", "-m", "derlem", *map(str, words)],
            env=self.environment(**(store.variables if store else {}), **variables),
            capture_output=True,
            text=True,
            timeout=RUN_S,
        )
        assert found.returncode == status, (found.returncode, found.stdout, found.stderr)
        return found


def _made(make: object) -> Path:
    """Return what `make` makes, or skip the test with the cause."""
    try:
        return make()  # type: ignore[operator]
    except environments.EnvironmentError_ as error:
        if os.environ.get(environments.REQUIRED):
            raise
        pytest.skip(f"no environment for this test (it needs a package registry once): {error}")


@pytest.fixture(scope="session", params=["s3", "gs"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store of each kind in turn."""
    _made(environments.servers)
    kinds: dict[str, AbstractContextManager[Store]] = {"s3": stores.s3, "gs": stores.gs}  # type: ignore[dict-item]
    with kinds[request.param](tmp_path_factory.mktemp(request.param)) as running:  # type: ignore[operator]
        yield running
