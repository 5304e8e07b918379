"""The tools that check infra/: `infra/check` brings them, and says where by DERLEM_INFRA_TOOLS."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest

TOOLS = os.environ.get("DERLEM_INFRA_TOOLS")


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Return what finds a program by its name, or skips the test; under `infra/check` it fails it."""

    def find(name: str) -> str:
        own = [f"{TOOLS}/lint/bin", f"{TOOLS}/sky/bin"] if TOOLS else []
        found = shutil.which(name, path=os.pathsep.join([*own, os.environ.get("PATH", "")]))
        if found is None and TOOLS:
            pytest.fail(f"{name} is not here, and infra/check should have brought it")
        if found is None:
            pytest.skip(f"{name} is not here: infra/check runs this test")
        return found

    return find
