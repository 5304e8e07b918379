"""What units read: small changes of the inputs leave all other units as they were."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from corpus import dataset
from corpus.config import Source
from corpus.errors import ConfigError
from corpus.items import RawDocument
from corpus.sources import pieces
from pipelines import inputs, readings
from pipelines.inputs import Checksums

UNIT = 1 << 16


def source(kind: str = "text", **more: Any) -> Source:
    return Source.model_validate({"name": "s", "format": kind, "paths": ("in/*",), **more})


def found(folder: Path, given: Source, unit: int = UNIT) -> list[readings.Input]:
    known = Checksums(str(folder / "out"))
    made = list(readings.find(given, folder, str(folder / "out"), known, unit))
    known.save()
    return made


Name = tuple[str, tuple[tuple[str, str], ...]]


def names(folder: Path, given: Source) -> set[Name]:
    """Return what the units are known by."""
    return {
        (
            json.dumps(one.reading.identity, sort_keys=True),
            tuple((each.name, each.checksum) for each in one.inputs),
        )
        for one in found(folder, given)
    }


def write_small(folder: Path, number: int) -> None:
    (folder / "in").mkdir()
    for n in range(number):
        (folder / "in" / f"{n:05}.txt").write_text(f"text {n} " * (n % 40))


def test_a_new_file_that_sorts_first_leaves_the_other_units(tmp_path: Path) -> None:
    write_small(tmp_path, 300)
    before = names(tmp_path, source())
    assert len(before) > 20
    (tmp_path / "in" / "00000-new.txt").write_text("new")
    after = names(tmp_path, source())
    assert len(before - after) <= 2
    os.remove(tmp_path / "in" / "00150.txt")
    assert len(after - names(tmp_path, source())) <= 2


def test_a_corpus_that_moves_with_its_inputs_has_the_same_units(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write_small(tmp_path / "a", 50)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert names(tmp_path / "a", source()) == names(tmp_path / "b", source())


def test_an_option_at_its_default_is_not_in_a_unit_s_identity(tmp_path: Path) -> None:
    write_small(tmp_path, 1)
    [one] = found(tmp_path, source(max_record_mb=32.0, text_unit="file"))
    assert one.reading.identity == {"name": "s", "format": "text"}


def write_lines(folder: Path, number: int) -> list[str]:
    (folder / "in").mkdir()
    texts = [f"document {n} " * (n % 30) + "." for n in range(number)]
    lines = [json.dumps({"text": text}) + "\n" for text in texts]
    (folder / "in" / "x.jsonl").write_text("".join(lines))
    return texts


def test_a_large_file_is_several_units_that_hold_it_once(tmp_path: Path) -> None:
    texts = write_lines(tmp_path, 2000)
    units = found(tmp_path, source("jsonl"))
    size = (tmp_path / "in" / "x.jsonl").stat().st_size
    assert len(units) == round(size / UNIT) > 3
    assert sum(one.bytes for one in units) == size
    items = [item for one in units for _, path in one.reading.named for item in one.reading.items(path)]
    assert [item.content for item in items if isinstance(item, RawDocument)] == texts
    assert [item.offset for item in items if isinstance(item, RawDocument)] == list(range(2000))
    labels = [one.reading.label for one in units]
    assert len(set(labels)) == len(labels)
    assert all(label.startswith("in/x.jsonl [") for label in labels)


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were looked at to be cut; all files were written long ago."""
    now, usual = time.time_ns, pieces.cut
    monkeypatch.setattr(inputs.time, "time_ns", lambda: now() + 10**10)
    seen: list[str] = []

    def noted(given: Source, path: str, size: int) -> tuple[pieces.Piece, ...]:
        seen.append(Path(path).name)
        return usual(given, path, size)

    monkeypatch.setattr(pieces, "cut", noted)
    return seen


def test_a_file_is_cut_once_until_it_changes(tmp_path: Path, cuts: list[str]) -> None:
    write_lines(tmp_path, 1000)
    first = found(tmp_path, source("jsonl"))
    assert found(tmp_path, source("jsonl")) == first
    assert cuts == ["x.jsonl"]
    assert len(found(tmp_path, source("jsonl"), UNIT // 2)) > len(first)
    assert cuts == ["x.jsonl"] * 2
    with (tmp_path / "in" / "x.jsonl").open("a") as file:
        file.write('{"text": "one more"}\n')
    assert found(tmp_path, source("jsonl"), UNIT // 2)[-1].inputs != first[-1].inputs
    assert cuts == ["x.jsonl"] * 3


@pytest.mark.parametrize("damage", [[], [1], ["k", 2], {"a": 1}, None, 7])
def test_a_damaged_memory_of_a_cut_is_made_anew(tmp_path: Path, cuts: list[str], damage: Any) -> None:
    write_lines(tmp_path, 1000)
    first = found(tmp_path, source("jsonl"))
    [kept] = (tmp_path / "out" / "units").glob("inputs.json")
    remembered = json.loads(kept.read_text())
    for entry in remembered.values():
        entry[2] = [entry[2][0], damage] if damage is None else damage
    kept.write_text(json.dumps(remembered))
    assert found(tmp_path, source("jsonl")) == first


READER = "def read(path, source):\n    for line in open(path): yield {'text': line}\n"


def test_a_reader_of_the_user_s_own_is_known_by_its_content(tmp_path: Path) -> None:
    write_small(tmp_path, 10)
    (tmp_path / "sub").mkdir()
    for place in ("r.py", "sub/r.py"):
        (tmp_path / place).write_text(READER)
    here = names(tmp_path, source("r.py:read"))
    assert here == names(tmp_path, source("sub/r.py:read"))
    (tmp_path / "r.py").write_text(READER + "# another\n")
    assert not here & names(tmp_path, source("r.py:read"))


def test_a_reader_that_is_not_there_stops_the_plan(tmp_path: Path) -> None:
    write_small(tmp_path, 1)
    with pytest.raises(ConfigError, match=r"r\.py cannot be read: No such file"):
        found(tmp_path, source("r.py:read"))


@pytest.mark.parametrize("way", ["shards/a.txt", "units/a.txt", "link.txt", "folder/a.txt"])
def test_the_build_s_own_output_is_no_input(tmp_path: Path, way: str) -> None:
    for inner in ("shards", "units", dataset.MANIFEST):
        (tmp_path / "out" / inner).mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / inner / "a.txt").write_text("x")
    (tmp_path / "out" / "link.txt").symlink_to(tmp_path / "out" / "shards" / "a.txt")
    (tmp_path / "out" / "folder").symlink_to(tmp_path / "out" / "shards")

    given = source(paths=(f"out/{way}",))
    with pytest.raises(ConfigError, match="is in the build's own output"):
        found(tmp_path, given)


def test_a_file_that_cannot_be_cut_after_all_is_not_cut_again_until_it_changes(tmp_path: Path) -> None:
    write_lines(tmp_path, 1000)
    path = str(tmp_path / "in" / "x.jsonl")

    def units(uncut: set[str]) -> int:
        known = Checksums(str(tmp_path / "out"))
        made = list(readings.find(source("jsonl"), tmp_path, str(tmp_path / "out"), known, UNIT, uncut))
        known.save()
        return len(made)

    assert units(set()) > 1
    assert units({path}) == 1
    assert units(set()) == 1
    with open(path, "a") as file:
        file.write('{"text": "one more"}\n')
    assert units(set()) > 1
