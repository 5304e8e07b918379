"""The status of a build comes from its files: claims, records, heartbeats, notes of errors."""

from __future__ import annotations

import json
import os
from pathlib import Path

import fsspec

from corpus import files
from pipelines.status import FINISHED, UNFINISHED, WAITING, BuildWatch
from pipelines.sweep import CLAIM

UNITS = 10
PENDING = 8  # two of them a run before this one has done
BEGAN = 1_000_000.0


def write(path: Path, text: str, written: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (written, written))


def record(seen: int, kept: int) -> str:
    return json.dumps({"unit": {"counts": {"seen": seen, "kept": kept}}})


def at_work(folder: Path) -> None:
    """Write a finished extract, and a filter that has done two of eight units within a hundred seconds."""
    (folder / "extract").mkdir(parents=True)
    (folder / "extract" / "manifest.json").write_text("{}")
    report = {"units": 10, "counts": {"seen": 500, "kept": 400}, "documents_per_s": 3.5}
    (folder / "extract" / "report.json").write_text(json.dumps(report))
    units = folder / "filter" / "units"
    write(units / f"{1:016x}.json", record(999, 999), BEGAN - 50)
    write(
        folder / "filter" / CLAIM, json.dumps({"stage": "filter", "units": UNITS, "pending": PENDING}), BEGAN
    )
    write(units / f"{2:016x}.json", record(40, 30), BEGAN + 40)
    write(units / f"{3:016x}.json", record(40, 20), BEGAN + 90)
    write(units / f"{4:016x}.progress", "[20, 10, 0.5]", BEGAN + 100)
    write(units / f"{5:016x}.error", json.dumps({"unit": "b.jsonl", "error": "OSError: gone"}), BEGAN + 95)
    for later in ("dedupe", "shards"):
        write(folder / later / CLAIM, json.dumps({"stage": later}), BEGAN - 99)


def test_a_stage_at_work_is_told_with_its_rate_time_left_and_errors(tmp_path: Path) -> None:
    at_work(tmp_path)
    found = BuildWatch(str(tmp_path)).look()
    assert found is not None
    extract, filtering, *later = found.stages
    assert (extract.state, extract.done, extract.kept, extract.rate) == (FINISHED, 10, 400, 3.5)
    assert (filtering.name, filtering.state) == ("filter", UNFINISHED)
    assert (filtering.done, filtering.planned) == (4, 10)
    assert (filtering.seen, filtering.kept, filtering.rate) == (100, 60, 1.0)
    assert filtering.left_s == (8 - 2.5) * 100 / 2.5
    assert filtering.last == BEGAN + 100
    assert (filtering.errors, filtering.failed) == (("b.jsonl: OSError: gone",), 1)
    assert {stage.state for stage in later} == {WAITING}


def test_a_second_look_counts_what_is_new(tmp_path: Path) -> None:
    at_work(tmp_path)
    watch = BuildWatch(str(tmp_path))
    watch.look()
    units = tmp_path / "filter" / "units"
    write(units / f"{4:016x}.json", record(40, 20), BEGAN + 140)
    (units / f"{4:016x}.progress").unlink()
    found = watch.look()
    assert found is not None
    assert (found.stages[1].done, found.stages[1].seen, found.stages[1].rate) == (5, 120, 120 / 140)


def test_a_claim_of_an_earlier_version_tells_no_number_of_units(tmp_path: Path) -> None:
    write(tmp_path / "extract" / CLAIM, json.dumps({"stage": "extract"}), BEGAN)
    write(tmp_path / "extract" / "units" / f"{1:016x}.json", "{", BEGAN + 1)  # being written
    found = BuildWatch(str(tmp_path)).look()
    assert found is not None
    assert (found.stages[0].planned, found.stages[0].left_s, found.stages[0].seen) == (None, None, 0)


def test_a_build_on_a_store_is_told_from_there(tmp_path: Path) -> None:
    home = "memory://status"
    files.write_json(f"{home}/extract", CLAIM, {"stage": "extract", "units": 2, "pending": 2})
    files.write_bytes(f"{home}/extract/units", f"{1:016x}.json", record(4, 3).encode())
    files.write_json(home, ".running", {"host": "far", "process": 7, "began": "today"})
    try:
        found = BuildWatch(home).look()
    finally:
        fsspec.filesystem("memory").rm("/status", recursive=True)
    assert found is not None
    assert found.holder == "far, process 7, since today"
    assert (found.stages[0].done, found.stages[0].planned, found.stages[0].seen) == (1, 2, None)


def test_another_folder_has_no_status(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    assert BuildWatch(str(tmp_path)).look() is None
