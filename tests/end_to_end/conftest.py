"""The command line, and one build that all read-only tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import Command, command, write_input


@pytest.fixture(scope="session")
def derlem() -> Command:
    """The command line."""
    return command


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of an uninterrupted build in one process."""
    folder = tmp_path_factory.mktemp("built")
    command("build", write_input(folder))
    return folder / "corpus"
