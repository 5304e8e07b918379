"""A file of a stage that is gone or damaged is one message with what to do, however it is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import write_shards

from corpus import dataset
from corpus.counts import Counts
from corpus.errors import DatasetError


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
    with pytest.raises(DatasetError, match=f"{name}.*derlem verify"):
        read(str(shards), name)


def test_a_folder_in_place_of_the_manifest_is_told(shards: Path) -> None:
    a_folder(shards / dataset.MANIFEST)
    with pytest.raises(DatasetError, match=r"manifest\.json is damaged"):
        dataset.load(str(shards))


def made(units: int) -> dataset.Manifest:
    """Return a manifest of units whose names are hard on JSON."""
    return dataset.Manifest(
        stage="toy",
        version=1,
        settings={"units": [], "name": ',\n "units": [\n'},
        units=tuple(
            dataset.Unit(
                name=f'ı,\n{number}\n ]\n}}\n "{{',
                fingerprint=f"{number:016x}",
                inputs=(dataset.Input(name="a\n", checksum="b"),),
                files=(dataset.File(kind="warc", path="x\n,", rows=1, bytes=2, sha256="c"),),
                counts=Counts(seen=1, kept=1),
            )
            for number in range(units)
        ),
        facts={"remarks": ["\n ]\n}\n"]},
    )


@pytest.mark.parametrize("units", [0, 1, 3])
def test_a_manifest_comes_back_however_its_json_is_laid_out(tmp_path: Path, units: int) -> None:
    manifest = made(units)
    dataset.save(str(tmp_path), manifest)
    assert dataset.load(str(tmp_path)) == manifest
    assert dataset.is_saved(str(tmp_path), manifest)
    path = tmp_path / dataset.MANIFEST
    for indent in (None, 1, 2):
        path.write_text(json.dumps(json.loads(path.read_text()), indent=indent))
        assert dataset.load(str(tmp_path)) == manifest
        assert not dataset.is_saved(str(tmp_path), manifest)


def test_a_manifest_names_a_unit_a_line(tmp_path: Path) -> None:
    dataset.save(str(tmp_path), made(3))
    lines = (tmp_path / dataset.MANIFEST).read_text().splitlines()
    assert [line.startswith('{"name":') for line in lines].count(True) == 3


def test_a_cut_manifest_is_damaged(tmp_path: Path) -> None:
    dataset.save(str(tmp_path), made(3))
    path = tmp_path / dataset.MANIFEST
    data = path.read_bytes()
    for length in range(0, len(data) - 1, 7):
        path.write_bytes(data[:length])
        with pytest.raises(DatasetError, match="is damaged"):
            dataset.load(str(tmp_path))
