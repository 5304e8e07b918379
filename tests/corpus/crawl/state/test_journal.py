"""A journal gives back what was written whole, whatever a kill left behind it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.crawl.state import journal

EVENTS = [{"fetch": {"url": "https://a.example/ç"}, "end": [0, 10]}, {"host": {"host": "x"}}, {"n": "\udcfe"}]


def written(folder: Path, events: list[dict[str, object]]) -> Path:
    folder.mkdir(exist_ok=True)
    open_ = journal.Journal(folder)
    for event in events:
        open_.write(event)
    open_.close()
    return folder / journal.FILE


def test_events_come_back_in_their_order(tmp_path: Path) -> None:
    written(tmp_path, EVENTS)
    assert list(journal.events(tmp_path)) == EVENTS


def test_a_journal_that_is_opened_again_goes_on(tmp_path: Path) -> None:
    written(tmp_path, EVENTS[:1])
    written(tmp_path, EVENTS[1:])
    assert list(journal.events(tmp_path)) == EVENTS


def test_where_there_is_no_journal_there_are_no_events(tmp_path: Path) -> None:
    assert list(journal.events(tmp_path / "nowhere")) == []


@given(cut=st.integers(0, 200))
def test_what_a_kill_cut_short_is_taken_away(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("cut")
    path = written(folder, EVENTS)
    data = path.read_bytes()
    path.write_bytes(data[: min(cut, len(data))])
    whole = data[: min(cut, len(data))].count(b"\n")
    assert list(journal.events(folder)) == EVENTS[:whole]
    written(folder, [{"next": 1}])
    assert list(journal.events(folder)) == [*EVENTS[:whole], {"next": 1}]


def test_a_line_longer_than_a_block_is_found_whole(tmp_path: Path) -> None:
    long = {"text": "ğ" * 200_000}
    path = written(tmp_path, [long])
    path.write_bytes(path.read_bytes() + b'{"half": "' + b"x" * 100_000)
    assert list(journal.events(tmp_path)) == [long]


def test_cutting_takes_what_lies_behind_a_place_of_the_archive_and_all_after_it(tmp_path: Path) -> None:
    events = [{"end": [0, 10]}, {"end": None}, {"end": [1, 5]}, {"end": [1, 9]}, {"host": {}}]
    written(tmp_path, events)
    journal.cut(tmp_path, 1, 8)
    assert list(journal.events(tmp_path)) == events[:3]


def test_a_full_disk_is_an_error_and_no_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_ = journal.Journal(tmp_path)
    open_.write(EVENTS[0])
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, bytes(data[:5])))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        open_.write(EVENTS[1])
    monkeypatch.undo()
    assert list(journal.events(tmp_path)) == EVENTS[:1]


def test_after_a_line_that_could_not_be_written_nothing_comes_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ = journal.Journal(tmp_path)
    open_.write(EVENTS[0])
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, bytes(data[:5])))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        open_.write(EVENTS[1])
    monkeypatch.undo()  # there is room again, and another visit has an answer before it is ended
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        open_.write(EVENTS[2])
    assert written(tmp_path, EVENTS[1:])
    assert list(journal.events(tmp_path)) == EVENTS


def test_a_journal_with_a_gap_ends_before_it_and_goes_on_there(tmp_path: Path) -> None:
    path = written(tmp_path, EVENTS)
    first, rest = path.read_bytes().split(b"\n", 1)
    path.write_bytes(first + b"\n" + bytes(20) + b"\n" + rest)
    assert list(journal.events(tmp_path)) == EVENTS[:1]
    written(tmp_path, EVENTS[1:2])
    assert list(journal.events(tmp_path)) == EVENTS[:2]
