"""Inputs are hashed once for all builds, unless they may have changed."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from corpus import files
from pipelines import inputs
from pipelines.inputs import Checksums


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were read to be hashed."""
    found: list[str] = []
    usual = files.sha256

    def noted(url: str) -> str:
        found.append(Path(url).name)
        return usual(url)

    monkeypatch.setattr(files, "sha256", noted)
    return found


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """All files were written long ago."""
    now = time.time_ns
    monkeypatch.setattr(inputs.time, "time_ns", lambda: now() + 10**10)


def checksums(folder: Path, *names: str) -> list[str]:
    known = Checksums(str(folder / "stage"))
    found = known.of([str(folder / name) for name in names])
    known.save()
    return found


def sha256(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@pytest.mark.usefixtures("settled")
def test_a_file_is_hashed_once(tmp_path: Path, hashed: list[str]) -> None:
    (tmp_path / "a").write_text("one")
    (tmp_path / "b").write_text("two")
    for _ in range(3):
        assert checksums(tmp_path, "a", "b") == [sha256("one"), sha256("two")]
    assert sorted(hashed) == ["a", "b"]


@pytest.mark.usefixtures("settled")
def test_a_change_of_equal_length_is_seen_also_where_its_time_is_hidden(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("one")
    checksums(tmp_path, "a")
    before = path.stat()
    with path.open("r+") as file:
        file.write("two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert checksums(tmp_path, "a") == [sha256("two")]


@pytest.mark.usefixtures("settled")
def test_a_file_in_another_s_place_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    checksums(tmp_path, "a")
    (tmp_path / "b").write_text("two")
    os.replace(tmp_path / "b", tmp_path / "a")
    assert checksums(tmp_path, "a") == [sha256("two")]


def test_of_a_file_that_was_just_written_nothing_is_remembered(tmp_path: Path, hashed: list[str]) -> None:
    (tmp_path / "a").write_text("one")
    checksums(tmp_path, "a")
    checksums(tmp_path, "a")
    assert hashed == ["a", "a"]


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("damage", ["{", "[]", '{"PATH": 3}', '{"PATH": [[], "x"]}', '{"PATH": []}'])
def test_a_damaged_memory_is_none(tmp_path: Path, damage: str) -> None:
    (tmp_path / "a").write_text("one")
    checksums(tmp_path, "a")
    memory = tmp_path / "stage" / "units" / "inputs.json"
    memory.write_text(damage.replace("PATH", str(tmp_path / "a")))
    assert checksums(tmp_path, "a") == [sha256("one")]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        Checksums(str(tmp_path)).of([str(tmp_path / "none")])
    assert caught.value.filename == str(tmp_path / "none")


@pytest.mark.usefixtures("settled")
def test_a_file_whose_name_is_not_utf8_is_remembered(tmp_path: Path, hashed: list[str]) -> None:
    name = os.fsdecode(b"k\xff.jsonl")
    (tmp_path / name).write_bytes(b"{}")
    assert checksums(tmp_path, name) == checksums(tmp_path, name)
    assert hashed == [name]
