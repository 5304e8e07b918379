"""Steps give the same records by Beam and without it, in an order that no scheduling decides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus.errors import StageError
from pipelines import handover, installed, shuffle
from pipelines.options import Runner
from pipelines.shuffle import Grouped, Keyed, Record


def by_length(word: str) -> Iterator[Keyed]:
    yield len(word), word.encode()


def by_first_letter(group: Grouped) -> Iterator[Keyed]:
    for block in group[1]:
        yield block[0], block + b" %d" % group[0]


def listed(group: Grouped) -> Record:
    return {"letter": chr(group[0]), "found": [block.decode() for block in sorted(group[1])]}


STEPS = [("Length", by_length), ("Letter", by_first_letter)]
FOUND = [{"letter": "a", "found": ["ad 2", "ay 2", "az 2"]}, {"letter": "g", "found": ["gece 4"]}]


def test_steps_give_the_same_records_with_and_without_beam(tmp_path: Path) -> None:
    words = ["gece", "az", "ay", "ad"]
    found = shuffle.run(Runner(), str(tmp_path), "a", words, STEPS, ("Found", listed), "here.json")
    shuffle._by_beam(Runner(), str(tmp_path), "a", words, STEPS, ("Found", listed), "beam.json")
    assert found == handover.read_list(str(tmp_path), "beam.json") == [FOUND[0], FOUND[1]]


def test_a_list_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    handover.write_list(str(tmp_path), "there.json", FOUND)
    found = shuffle.run(Runner(), str(tmp_path), "a", ["gece"], STEPS, ("Found", listed), "there.json")
    assert found == sorted(FOUND, key=str)


def test_a_worker_with_other_versions_than_the_driver_does_no_step() -> None:
    driver = {**installed.here(), "Python": "2.7"}
    with pytest.raises(StageError, match=r"this worker has Python .* \(driver: 2.7\)"):
        list(shuffle._checked(driver, by_length, "az"))
    assert list(shuffle._checked(installed.here(), by_length, "az")) == [(2, b"az")]


def test_one_local_worker_needs_no_beam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffle, "_by_beam", None)
    assert shuffle.run(Runner(), str(tmp_path), "a", [], STEPS, ("Found", listed), "none.json") == []
