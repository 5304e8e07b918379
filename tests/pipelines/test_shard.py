"""Each document that stays gets into one shard, whatever the number of parts and languages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus import dataset
from corpus.config import Config, parse
from corpus.counts import Counts
from corpus.schema import DOCUMENTS, REMOVED, SIGNATURES, SURVIVORS, Kind
from pipelines import shard
from pipelines.stage import Context
from pipelines.sweep import UNITS

LANGUAGES = 300


def config(folder: Path, **values: Any) -> Config:
    source = {"name": "a", "format": "jsonl", "paths": ["a"]}
    return parse({"output": str(folder), "source": [source], "shard": values}, "test")


def row(columns: Kind, **values: Any) -> dict[str, Any]:
    """A row with the given values, and nothing or zero in the other columns."""
    empty = {
        name: 0 if pa.types.is_integer(type) or pa.types.is_floating(type) else ""
        for name, type in zip(columns.schema().names, columns.schema().types, strict=True)
    }
    plain = {"fetched": None, "exact": bytes(16), "signature": [0] * 112}
    return {name: values.get(name, plain.get(name, empty[name])) for name in columns.schema().names}


def write(folder: str, path: str, kind: Kind, rows: list[dict[str, Any]], batch: int = 7) -> dataset.File:
    with dataset.create(folder, path, kind, "f") as slot:
        for at in range(0, len(rows), batch):
            slot.arrow.write(pa.RecordBatch.from_pylist(rows[at : at + batch], schema=kind.schema()))
    assert slot.file is not None
    return slot.file


def write_stages(folder: Path, parts: list[list[dict[str, Any]]], removed: list[tuple[int, int]]) -> None:
    """Write a clean stage of documents, and a dedupe stage that removed some for the first one."""
    clean, dedupe = str(folder / "clean"), str(folder / "dedupe")
    units = []
    for number, documents in enumerate(parts):
        files = tuple(
            write(clean, f"{kind.name}-{number}.arrow", kind, [row(kind, **values) for values in documents])
            for kind in (DOCUMENTS, SIGNATURES)
        )
        counts = Counts(seen=len(documents), kept=len(documents))
        counts.note("text", "bytes", sum(values["bytes"] for values in documents))
        units.append(dataset.Unit(name=f"{number}", fingerprint="f", inputs=(), files=files, counts=counts))
    dataset.save(clean, dataset.Manifest(stage="clean", version=1, settings={}, units=tuple(units)))
    gone = [row(REMOVED, part=part, row=place, kind="exact") for part, place in sorted(removed)]
    stays = [row(SURVIVORS, part=0, row=0, copies=len(removed) + 1)] if removed else []
    found = (write(dedupe, "r.arrow", REMOVED, gone, 2), write(dedupe, "s.arrow", SURVIVORS, stays))
    total = sum(map(len, parts))
    counts = Counts(seen=total, kept=total - len(removed), dropped={"dedupe.exact": len(removed)})
    unit = dataset.Unit(name="all parts", fingerprint="f", inputs=(), files=found, counts=counts)
    dataset.save(dedupe, dataset.Manifest(stage="dedupe", version=1, settings={}, units=(unit,)))


def document(number: int, language: str = "tur_Latn") -> dict[str, Any]:
    text = f"metin {number} " * (1 + number % 5)
    size = len(text.encode())
    return {"id": f"{number:032x}", "text": text, "bytes": size, "language": language}


def shards(folder: Path, manifest: Config) -> dict[str, list[dict[str, Any]]]:
    """Run all units of the stage in this process; the rows of each file written."""
    found = {}
    (folder / "shards" / UNITS).mkdir(parents=True, exist_ok=True)
    for unit in shard.plan(Context(manifest)).units:
        outcome = shard.shard_unit(manifest.shard, unit, str(folder / "shards"), lambda *_: None)
        assert outcome.counts.kept == sum(file.rows for file in outcome.files)
        for file in outcome.files:
            found[file.path] = dataset.table(str(folder / "shards"), file.path).to_pylist()
    return found


def test_what_was_removed_is_in_no_shard_and_all_else_is_in_one_with_its_copies(tmp_path: Path) -> None:
    languages = ["tur_Latn", "eng_Latn", "deu_Latn"]
    parts = [[document(p * 50 + i, languages[i % 3]) for i in range(50)] for p in range(6)]
    removed = [(0, 3), (2, 0), (2, 49), *((4, i) for i in range(50))]
    write_stages(tmp_path, parts, removed)
    found = shards(tmp_path, config(tmp_path, target_mb=0.001, group_mb=0.005, validation=0.2))
    rows = [row for rows in found.values() for row in rows]
    expected = [
        (values["id"], values["text"], values["language"], len(removed) + 1 if (p, i) == (0, 0) else 1)
        for p, documents in enumerate(parts)
        for i, values in enumerate(documents)
        if (p, i) not in removed
    ]
    assert sorted((r["id"], r["text"], r["language"], r["copies"]) for r in rows) == sorted(expected)
    assert all(row["language"] == path.split("/")[0] for path, rows in found.items() for row in rows)
    assert len(found) > 10


def test_the_number_of_scratch_files_changes_no_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_stages(tmp_path, [[document(i, f"l{i % 23:02d}_Latn") for i in range(400)]], [(0, 9)])
    settings = config(tmp_path, target_mb=0.0005, validation=0.2)
    whole = shards(tmp_path, settings)
    assert len(whole) > 40
    for files in (1, 7, 1_000):
        monkeypatch.setattr(shard, "_SPILL_FILES", files)
        assert shards(tmp_path, settings) == whole


def test_shards_of_many_languages_need_few_open_files(tmp_path: Path) -> None:
    rows = [document(i, f"l{i % LANGUAGES:03d}_Latn") for i in range(2 * LANGUAGES)]
    write_stages(tmp_path, [rows], [])
    script = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
sys.path[:0] = [sys.argv[1]]
from test_shard import config, shards
print(len(shards(Path(sys.argv[2]), config(Path(sys.argv[2]), validation=0.0))))
"""
    command = [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    assert int(done.stdout) == LANGUAGES


@pytest.mark.parametrize("number", [5, 40])
def test_planning_reads_the_list_of_parts_as_often_for_many_as_for_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write_stages(tmp_path, [[document(part)] for part in range(number)], [])
    lists = []
    plain = dataset.Manifest.files
    monkeypatch.setattr(dataset.Manifest, "files", lambda self, kind: lists.append(kind) or plain(self, kind))
    assert len(shard.plan(Context(config(tmp_path, group_mb=1e-9))).units) == number
    assert sorted(lists) == ["documents", "removed", "signatures", "survivors"]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(st.integers(0, 12), max_size=60), st.integers(1, 9))
def test_the_rows_of_a_part_are_found_in_a_file_sorted_by_part(
    tmp_path: Path, numbers: list[int], batch: int
) -> None:
    rows = [row(REMOVED, part=part, row=at) for at, part in enumerate(sorted(numbers))]
    write(str(tmp_path), "r.arrow", REMOVED, rows, batch)
    for part in range(14):
        found = shard._of_part(str(tmp_path), "r.arrow", part, ["row"])["row"]
        assert found.tolist() == [values["row"] for values in rows if values["part"] == part]


def test_a_unit_reads_its_own_part_of_the_removal_list_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row(REMOVED, part=number // 10, row=number % 10) for number in range(4_000)]
    write(str(tmp_path), "r.arrow", REMOVED, rows, 5)
    read: list[int] = []

    class Counted:
        def __init__(self, reader: pa.ipc.RecordBatchFileReader) -> None:
            self.reader = reader
            self.num_record_batches = reader.num_record_batches

        def get_batch(self, number: int) -> pa.RecordBatch:
            read.append(number)
            return self.reader.get_batch(number)

    plain = dataset._reader
    monkeypatch.setattr(dataset, "_reader", lambda *arguments: Counted(plain(*arguments)))
    assert np.array_equal(shard._of_part(str(tmp_path), "r.arrow", 333, ["row"])["row"], np.arange(10))
    assert len(read) <= 10 + 4  # of 800 batches: 10 steps to find the part, 2 that hold it, 2 beside
