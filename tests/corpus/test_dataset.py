"""A file of a stage that is gone or damaged is one message with what to do, however it is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import write_shards

from corpus import dataset


def gone(path: Path) -> None:
    path.unlink()


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def another(path: Path) -> None:
    path.write_bytes(b"%PDF-1.7 " * 50)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    write_shards(tmp_path, {"tur_Latn/train": ["Liman sabah erken uyanır."] * 9})
    return tmp_path


@pytest.mark.parametrize("damage", [gone, emptied, cut, another, a_folder])
@pytest.mark.parametrize("read", [dataset.table, lambda *names: list(dataset.batches(*names))])
def test_a_file_that_is_not_what_the_manifest_names_is_told(
    damage: Callable[[Path], None], read: Callable[..., Any], shards: Path
) -> None:
    name = dataset.load(str(shards)).files("shard")[0].path
    damage(shards / name)
    with pytest.raises(dataset.DatasetError, match=f"{name}.*derlem verify"):
        read(str(shards), name)


def test_a_folder_in_place_of_the_manifest_is_told(shards: Path) -> None:
    a_folder(shards / dataset.MANIFEST)
    with pytest.raises(dataset.DatasetError, match=r"manifest\.json is damaged"):
        dataset.load(str(shards))
