"""Each document that stays gets into one shard, whatever the number of parts and languages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from corpus import dataset
from corpus.config import Config, parse
from corpus.counts import Counts
from corpus.dedup import removals
from corpus.dedup.clusters import REMOVAL, SURVIVOR
from corpus.dedup.removals import SUBSTRINGS
from corpus.dedup.spans import SPAN
from corpus.dedup.store import SignatureStore
from corpus.errors import DatasetError
from corpus.schema import DOCUMENTS, SIGNATURES, Kind
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


def write(folder: str, path: str, kind: Kind, rows: list[dict[str, Any]], part: str) -> dataset.File:
    with dataset.create(folder, path, kind, part, compression=None) as slot:
        for at in range(0, len(rows), 7):
            slot.arrow.write(pa.RecordBatch.from_pylist(rows[at : at + 7], schema=kind.schema()))
    assert slot.file is not None
    return slot.file


def write_stages(
    folder: Path,
    parts: Sequence[list[dict[str, Any]]],
    removed: list[tuple[int, int]],
    first: int = 0,
    spans: Sequence[tuple[int, int, int, int]] = (),
) -> None:
    """Write a filter stage of documents, and a dedupe stage that removed some for the first one.

    `first` is the number of the first part, which names it. `spans` are part, row, start and end of passages.
    """
    home, dedupe = str(folder / "filter"), str(folder / "dedupe")
    units = []
    for number, documents in enumerate(parts, first):
        name = f"{number:016x}"
        files = tuple(
            write(
                home, f"{kind.name}-{name}.arrow", kind, [row(kind, **values) for values in documents], name
            )
            for kind in (DOCUMENTS, SIGNATURES)
        )
        counts = Counts(seen=len(documents), kept=len(documents))
        counts.note("text", "bytes", sum(values["bytes"] for values in documents))
        units.append(dataset.Unit(name=f"{number}", fingerprint=name, inputs=(), files=files, counts=counts))
    dataset.save(home, dataset.Manifest(stage="filter", version=1, settings={}, units=tuple(units)))
    gone = np.array([(part << 32 | place, 0, 0, 1.0) for part, place in sorted(removed)], REMOVAL)
    stays = np.array([(0, len(removed) + 1)] if removed else [], SURVIVOR)
    cut = np.array([(part << 32 | place, *ends, 0, SUBSTRINGS) for part, place, *ends in spans], SPAN)
    store = SignatureStore([f"{home}/{unit.files[1].path}" for unit in units])
    names = [unit.fingerprint for unit in units]
    found, index = [], []
    for number, at in enumerate(range(0, len(parts), 2)):  # a range of two parts
        numbers = range(at, min(at + 2, len(parts)))
        mine = [rows[np.isin(rows["document"] >> 32, numbers)] for rows in (gone, stays, cut)]
        of_range = removals.write(dedupe, "f", number, numbers, names, store, *mine)
        found += of_range[0]
        index += of_range[1]
    found.append(removals.write_index(dedupe, "f", index))
    total = sum(map(len, parts))
    counts = Counts(seen=total, kept=total - len(removed), dropped={"dedupe.exact": len(removed)})
    unit = dataset.Unit(name="all parts", fingerprint="f", inputs=(), files=tuple(found), counts=counts)
    dataset.save(dedupe, dataset.Manifest(stage="dedupe", version=1, settings={}, units=(unit,)))


def document(number: int, language: str = "tur_Latn") -> dict[str, Any]:
    text = f"metin {number} " * (1 + number % 5)
    size = len(text.encode())
    return {"id": f"{number:032x}", "text": text, "bytes": size, "language": language}


def shards(folder: Path, manifest: Config) -> dict[str, list[dict[str, Any]]]:
    """Run all units of the stage in this process; the rows of each file written."""
    found = {}
    (folder / "shards" / UNITS).mkdir(parents=True, exist_ok=True)
    stage = shard.plan(Context(manifest))
    for unit in stage.units:
        outcome = stage.work(unit, str(folder / "shards"), lambda *_: None)
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


def test_passages_that_are_kept_elsewhere_are_cut_out(tmp_path: Path) -> None:
    parts = [[document(p * 10 + i) for i in range(10)] for p in range(2)]
    parts[1][4] |= {"text": "bir iki üç dört beş altı", "bytes": 27}
    write_stages(tmp_path, parts, [(0, 3)], spans=[(1, 4, 4, 8), (1, 4, 12, 18)])
    rows = [row for rows in shards(tmp_path, config(tmp_path)).values() for row in rows]
    (cut,) = (row for row in rows if row["id"] == parts[1][4]["id"])
    assert (cut["text"], cut["bytes"], cut["words"]) == ("bir\nüç\nbeş altı", 19, 4)
    assert cut["spans_removed"] == 2
    assert {row["spans_removed"] for row in rows if row is not cut} == {0}
    expected = {row["text"] for part in parts for row in part} - {parts[0][3]["text"], parts[1][4]["text"]}
    assert {row["text"] for row in rows} - {cut["text"]} == expected


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
    plain = dataset.Manifest.by_unit
    monkeypatch.setattr(
        dataset.Manifest, "by_unit", lambda self, kind: lists.append(kind) or plain(self, kind)
    )
    assert len(shard.plan(Context(config(tmp_path, group_mb=1e-9))).units) == number
    assert sorted(lists) == ["documents", "signatures"]


def test_a_small_corpus_holds_out_a_larger_share_unless_it_is_set(tmp_path: Path) -> None:
    write_stages(tmp_path, [[document(number) for number in range(2500)]], [])
    chosen = {name: rows for name, rows in shards(tmp_path, config(tmp_path)).items() if "validation" in name}
    assert 150 < sum(map(len, chosen.values())) < 350
    written = shards(tmp_path, config(tmp_path, validation=0.001))
    assert sum(len(rows) for name, rows in written.items() if "validation" in name) < 20


@pytest.mark.parametrize("parts", [3, 24])
def test_a_unit_opens_two_files_of_the_removal_list_for_each_of_its_parts_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    documents = [[document(p * 20 + i) for i in range(20)] for p in range(parts)]
    write_stages(tmp_path, documents, [(p, i) for p in range(parts) for i in range(1, 6)])
    settings = config(tmp_path, group_mb=1e-9)
    stage = shard.plan(Context(settings))
    assert len(stage.units) == parts
    opened: list[str] = []
    plain = dataset.open_arrow

    def noted(folder: str, path: str, *more: Any, **named: Any) -> Any:
        opened.append(path)
        return plain(folder, path, *more, **named)

    monkeypatch.setattr(dataset, "open_arrow", noted)
    (tmp_path / "shards" / UNITS).mkdir(parents=True)
    stage.work(stage.units[0], str(tmp_path / "shards"), lambda *_: None)
    assert sum(path.startswith(("removed", "survivors")) for path in opened) <= 2


def test_a_unit_stands_when_other_parts_come(tmp_path: Path) -> None:
    parts = [[document(p * 20 + i) for i in range(20)] for p in range(30)]
    settings = config(tmp_path, group_mb=0.003)
    found = []
    for first in (1, 0):  # the part that comes is the first one
        write_stages(tmp_path, parts[first:], [], first)
        found.append({unit.fingerprint for unit in shard.plan(Context(settings)).units})
    before, after = found
    assert len(before) > 5
    assert len(before - after) <= 1  # the group that it has come to
    write_stages(tmp_path, parts, [(4, 7)])
    removed = {unit.fingerprint for unit in shard.plan(Context(settings)).units}
    assert len(after - removed) == 2  # that of the removed document, and that of the one it was removed for


def test_the_order_of_the_parts_means_nothing(tmp_path: Path) -> None:
    parts = [[document(p * 20 + i) for i in range(20)] for p in range(9)]
    write_stages(tmp_path, parts, [(4, 7)])
    settings = config(tmp_path, group_mb=0.003)
    before = [unit.fingerprint for unit in shard.plan(Context(settings)).units]
    parts = dataset.load(str(tmp_path / "filter"))
    dataset.save(str(tmp_path / "filter"), parts.model_copy(update={"units": parts.units[::-1]}))
    assert [unit.fingerprint for unit in shard.plan(Context(settings)).units] == before


def test_a_dedupe_of_other_parts_is_refused(tmp_path: Path) -> None:
    write_stages(tmp_path, [[document(0)], [document(1)]], [])
    parts = dataset.load(str(tmp_path / "filter"))
    dataset.save(str(tmp_path / "filter"), parts.model_copy(update={"units": parts.units[:1]}))
    with pytest.raises(DatasetError, match="1 of its parts are gone, 0 are new; run the build again"):
        shard.plan(Context(config(tmp_path)))
