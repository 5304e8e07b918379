"""The Dockerfiles: a linter finds nothing, and what they take from the repository exists."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "infra" / "docker").glob("*.Dockerfile"))


def test_hadolint_finds_nothing(tool: Callable[[str], str]) -> None:
    found = subprocess.run([tool("hadolint"), *FILES], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_hadolint_finds_something_where_there_is_something(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM debian\nRUN cd /tmp && sudo pip install derlem\n")
    found = subprocess.run([tool("hadolint"), bad], capture_output=True, text=True, check=False)
    assert "DL3006" in found.stdout


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_mounted_folder_is_in_the_repository_or_made_by_the_first_lines(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    mounted = re.findall(r"--mount=type=bind,source=([\w/.-]+)", text)
    assert mounted
    for name in mounted:
        assert (ROOT / name).exists() or f"--wheel-dir {name} " in text, name


def test_beam_in_the_image_is_the_beam_of_the_workers() -> None:
    """Beam's workers refuse a graph of another version."""
    text = (ROOT / "infra" / "docker" / "worker.Dockerfile").read_text(encoding="utf-8")
    tag = re.search(r"beam_python(\S+)_sdk:(\S+)", text)
    python = re.search(r"library/python:([\d.]+)", text)
    assert tag is not None
    assert python is not None
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"apache-beam=={tag[2]}" in pinned
    assert tag[1] == python[1]
