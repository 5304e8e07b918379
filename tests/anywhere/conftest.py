"""Stores and engines on this machine, and the command line in an environment that can reach them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from anywhere import environments, stores
from anywhere.environments import NotMadeError
from anywhere.stores import Store
from support import write_input

LIMIT_S = 300
SETTINGS = ["--until", "tokenize", "--workers", "1", "--set", "tokenizer.vocabulary=600"]
"""Of a build to tokens of the small corpus; a later --until counts more."""


class Cloud:
    """Runs derlem, or Python, with derlem's extras."""

    def __init__(self, python: Path) -> None:
        self.python = python

    def environment(self, store: Store | None = None) -> dict[str, str]:
        """Return the variables of a process that has derlem and its extras, and finds the store."""
        path = f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        own = {"PATH": path, "PYTHONPATH": environments.cloud_path()}
        return {**os.environ, **own, **(store.variables if store else {})}

    def start(self, *words: object, store: Store | None = None, before: str = "") -> subprocess.Popen[str]:
        """Start a command of derlem, with Python code that runs before it."""
        code = f"import sys\nsys.argv[0] = 'derlem'\n{before}\nfrom derlem import main\nmain()"
        return self._start(["-P", "-c", code, *map(str, words)], store)

    def derlem(self, *words: object, store: Store | None = None, status: int = 0, before: str = "") -> str:
        """Run a command of derlem to its end, which must be `status`; return all that it printed."""
        return self.finished(self.start(*words, store=store, before=before), status)

    def run(self, code: str, *words: object, store: Store | None = None) -> str:
        """Run Python code; return what it printed."""
        return self.finished(self._start(["-P", "-c", code, *map(str, words)], store), 0)

    def build(self, config: Path, store: Store | None = None, *words: object, status: int = 0) -> str:
        """Build the small corpus to tokens, on a store if one is given."""
        return self.finished(self.start_build(config, store, *words), status)

    def start_build(
        self, config: Path, store: Store | None = None, *words: object, before: str = ""
    ) -> subprocess.Popen[str]:
        """Start to build the small corpus to tokens, on a store if one is given."""
        output = ["--set", f'output="{store.url(config.parent.name)}"'] if store else []
        return self.start("build", config, *SETTINGS, *output, *words, store=store, before=before)

    def _start(self, words: list[str], store: Store | None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.python), *words],
            env=self.environment(store),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finished(self, process: subprocess.Popen[str], status: int) -> str:
        """Wait for the end of a process, which must be `status`; return all that it printed."""
        try:
            said, _ = process.communicate(timeout=LIMIT_S)
        finally:
            process.kill()
        assert process.returncode == status, (process.returncode, said)
        return said


def made(make: Callable[[], Path]) -> Path:
    """Return the Python of an environment, or skip the test with the cause."""
    try:
        return make()
    except (NotMadeError, OSError) as error:
        if os.environ.get(environments.REQUIRED):
            raise
        pytest.skip(f"no environment for this test (it is made once, from a package registry): {error}")


@pytest.fixture(scope="session")
def cloud() -> Cloud:
    """derlem with its extras, as a command."""
    return Cloud(made(environments.cloud))


@pytest.fixture(scope="session")
def local(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of the small corpus, built locally: what every other build is compared with."""
    config = write_input(tmp_path_factory.mktemp("local"))
    cloud.build(config)
    return config


@pytest.fixture(scope="module", params=["s3", "gs"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store of each kind in turn."""
    made(environments.servers)
    start = {"s3": stores.s3, "gs": stores.gs}[request.param]
    with start(tmp_path_factory.mktemp(request.param)) as running:
        yield running
