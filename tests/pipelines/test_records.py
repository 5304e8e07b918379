"""A finished unit is known by its record, and by what its files look like."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from corpus import dataset, files
from corpus.counts import Counts
from corpus.teller import SILENT
from corpus.verify import find_faults
from pipelines import stage, sweep
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
    return stage.run(planned, Runner(), SILENT)


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
    assert find_faults(str(tmp_path)) == []


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


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is asked of the store in memory: method and path, each call once, however it does its work."""
    asked: list[tuple[str, str]] = []
    lock, inside = threading.Lock(), threading.local()

    def counted(name: str, usual: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: MemoryFileSystem, path: Any, *arguments: Any, **named: Any) -> Any:
            is_outer = not getattr(inside, "is_busy", False)
            inside.is_busy = True
            if is_outer:
                with lock:
                    asked.append((name, str(path)))
            try:
                return usual(self, path, *arguments, **named)
            finally:
                inside.is_busy = not is_outer

        return call

    for name in ("ls", "find", "info", "exists", "isdir", "size", "cat_file", "open", "rm_file", "makedirs"):
        monkeypatch.setattr(MemoryFileSystem, name, counted(name, getattr(MemoryFileSystem, name)))
    return asked


def on_store(folder: str, names: Sequence[str], done: list[str]) -> dataset.Manifest:
    def work(unit: stage.Planned, where: str, beat: Callable[..., None]) -> stage.Outcome:
        done.append(unit.name)
        path = f"warc/{unit.fingerprint}-00000.warc.gz"
        written = files.write_bytes(where, path, f"records of {unit.name}".encode())
        file = dataset.File(kind="warc", path=path, rows=1, bytes=written.bytes, sha256=written.sha256)
        return stage.Outcome([file], Counts(seen=1, kept=1))

    inputs = [dataset.Input(name=name, checksum=name) for name in names]
    units = tuple(stage.plan_unit("toy", 1, {}, each.name, (each,), each, 1) for each in inputs)
    planned = stage.Stage("toy", 1, folder, {}, units, work, spread=False)
    return stage.run(planned, Runner(), SILENT)


def test_to_find_that_nothing_is_to_do_asks_a_store_as_often_for_many_units_as_for_few(
    tmp_path: Path, requests: list[tuple[str, str]]
) -> None:
    asked = []
    for number in (3, 60):
        folder, done = f"memory://{tmp_path.name}/{number}", list[str]()
        names = [str(n) for n in range(number)]
        first = on_store(folder, names, done)
        requests.clear()
        assert on_store(folder, names, done) == first
        assert done == names
        asked.append(len(requests))
        assert [name for name, _ in requests].count("find") == 1
    assert asked[0] == asked[1] < 20


def test_a_new_unit_asks_a_store_as_often_for_many_others_as_for_few(
    tmp_path: Path, requests: list[tuple[str, str]]
) -> None:
    asked = []
    for number in (3, 60):
        folder, done = f"memory://{tmp_path.name}/{number}", list[str]()
        names = [str(n) for n in range(number)]
        on_store(folder, names, done)
        requests.clear()
        on_store(folder, [*names, "new"], done)
        assert done == [*names, "new"]
        asked.append(len(requests))
    assert asked[0] == asked[1] < 40


def test_a_file_that_a_store_lost_or_cut_is_made_again(tmp_path: Path) -> None:
    folder, done = f"memory://{tmp_path.name}/toy", list[str]()
    first = on_store(folder, ["a", "b", "c"], done)
    files.remove(folder, first.units[0].files[0].path)
    files.write_bytes(folder, first.units[2].files[0].path, b"cut")
    assert on_store(folder, ["a", "b", "c"], done) == first
    assert done == ["a", "b", "c", "a", "c"]


@pytest.mark.parametrize("damage", [b"", b"not an index", None])
def test_without_its_index_a_stage_reads_its_records(tmp_path: Path, damage: bytes | None) -> None:
    done: list[str] = []
    first = run(tmp_path, done)
    index = tmp_path / sweep.INDEX
    if damage is None:
        index.unlink()
    else:
        index.write_bytes(damage)
    assert run(tmp_path, done) == first
    assert done == ["a", "b"]


def test_a_record_that_was_written_anew_or_removed_counts_more_than_the_index(tmp_path: Path) -> None:
    done: list[str] = []
    first = run(tmp_path, done)
    record, other = (tmp_path / "units" / f"{unit.fingerprint}.json" for unit in first.units)
    record.write_text(record.read_text().replace('"seen": 1', '"seen": 2').replace('"kept": 1', '"kept": 2'))
    other.unlink()
    again = run(tmp_path, done)
    assert again.units[0].counts.seen == 2
    assert done == ["a", "b", "b"]


@pytest.mark.parametrize("number", [2, 40])
def test_known_records_are_not_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    names = [str(n) for n in range(number)]
    on_store(str(tmp_path), names, [])
    read: list[str] = []
    usual = files.read_bytes
    monkeypatch.setattr(files, "read_bytes", lambda folder, path: read.append(path) or usual(folder, path))
    on_store(str(tmp_path), names, [])
    assert read == [sweep.CLAIM]
    (tmp_path / sweep.INDEX).unlink()
    on_store(str(tmp_path), names, [])
    assert len(read) == 1 + 1 + number
