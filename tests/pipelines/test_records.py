"""A finished unit is known by its record, and by what its files look like."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from corpus import dataset, files
from corpus.counts import Counts
from pipelines import stage
from pipelines.options import Runner


def run(folder: Path, done: list[str]) -> dataset.Manifest:
    """Do a stage of two units, each of which writes one archive."""

    def work(unit: stage.Planned, where: str, beat: Callable[..., None]) -> stage.Outcome:
        done.append(unit.name)
        path = f"warc/{unit.fingerprint}-00000.warc.gz"
        written = files.write_bytes(where, path, f"records of {unit.name}".encode())
        file = dataset.File(kind="warc", path=path, rows=1, bytes=written.bytes, sha256=written.sha256)
        return stage.Outcome([file], Counts(seen=1, kept=1))

    inputs = [dataset.Input(name=name, checksum=name) for name in ("a", "b")]
    units = tuple(stage.plan_unit("toy", 1, {}, each.name, (each,), each, 1) for each in inputs)
    planned = stage.Stage("toy", 1, str(folder), {}, units, work, spread=False)
    return stage.run(planned, Runner(), Console(quiet=True))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    with path.open("r+b") as file:
        file.write(data)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read to be hashed."""
    found: list[str] = []
    usual = files.sha256

    def noted(url: str) -> str:
        found.append(Path(url).name)
        return usual(url)

    monkeypatch.setattr(files, "sha256", noted)
    return found


@pytest.mark.parametrize("restored", [False, True])
def test_a_changed_byte_of_equal_length_is_noticed_and_made_good(tmp_path: Path, restored: bool) -> None:
    done: list[str] = []
    first = run(tmp_path, done)
    path = tmp_path / first.units[1].files[0].path
    before = path.stat()
    flip(path)
    if restored:  # also where the time of the change is hidden
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert run(tmp_path, done) == first
    assert done == ["a", "b", "b"]
    assert path.read_bytes() == b"records of b"
    assert dataset.verify(str(tmp_path)) == []


def test_files_as_they_were_are_not_read_again(tmp_path: Path, hashed: list[str]) -> None:
    run(tmp_path, [])
    run(tmp_path, [])
    assert hashed == []


def test_a_touched_or_moved_file_is_read_once_and_not_made_again(tmp_path: Path, hashed: list[str]) -> None:
    done: list[str] = []
    first = run(tmp_path / "old", done)
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    for _ in range(2):
        assert run(tmp_path / "new", done) == first
    assert done == ["a", "b"]
    assert sorted(hashed) == sorted(Path(unit.files[0].path).name for unit in first.units)


def test_a_record_of_an_earlier_derlem_has_its_files_read_once(tmp_path: Path, hashed: list[str]) -> None:
    done: list[str] = []
    for unit in run(tmp_path, done).units:
        path = tmp_path / "units" / f"{unit.fingerprint}.json"
        record = json.loads(path.read_text())
        del record["stamps"]
        path.write_text(json.dumps(record))
    run(tmp_path, done)
    run(tmp_path, done)
    assert done == ["a", "b"]
    assert len(hashed) == 2


def test_a_stage_with_nothing_to_do_writes_neither_report_nor_manifest(tmp_path: Path) -> None:
    run(tmp_path, [])
    kept = {name: (tmp_path / name).stat().st_ino for name in (dataset.REPORT, dataset.MANIFEST)}
    report = json.loads((tmp_path / dataset.REPORT).read_text())
    run(tmp_path, [])
    assert report["units_done_before"] == 0
    assert {name: (tmp_path / name).stat().st_ino for name in kept} == kept
    (tmp_path / dataset.REPORT).unlink()
    run(tmp_path, [])
    assert json.loads((tmp_path / dataset.REPORT).read_text())["units_done_before"] == 2
