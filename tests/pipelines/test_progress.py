"""Progress is told from the notes of units: on a terminal as a bar, elsewhere by a line a minute."""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from commands.terminal import Terminal
from corpus import files
from corpus.teller import SILENT, Teller
from pipelines import progress
from pipelines.progress import Patience, Standing, Watch

OPENED: list[str] = []
_WATCHED: list[str] = []


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _WATCHED and str(arguments[0]).startswith(_WATCHED[0]):
        OPENED.append(str(arguments[0]))


sys.addaudithook(_audit)  # it cannot be taken away again; without a watched folder it does nothing


def finish(folder: Path, fingerprint: str, seen: int, kept: int) -> None:
    record = {"unit": {"counts": {"seen": seen, "kept": kept}}}
    (folder / f"{fingerprint}.json").write_text(json.dumps(record))


def test_units_done_and_under_way_add_up(tmp_path: Path) -> None:
    watch = Watch(tmp_path, {"a": 10, "b": 20, "c": 30})
    assert watch.look() == Standing()
    finish(tmp_path, "a", 5, 4)
    (tmp_path / "b.progress").write_text("[6, 3, 0.5]")
    assert watch.look() == Standing(1, 11, 7, 20.0)
    finish(tmp_path, "b", 9, 8)
    (tmp_path / "c.progress").write_text("")  # being written
    assert watch.look() == Standing(2, 14, 12, 30.0)


def test_notes_of_other_units_and_damaged_ones_count_nothing(tmp_path: Path) -> None:
    watch = Watch(tmp_path, {"a": 1, "b": 1})
    finish(tmp_path, "done-before", 5, 4)
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text("[]")
    (tmp_path / "stage.json").write_text("{}")
    assert watch.look() == Standing()
    finish(tmp_path, "a", 2, 1)
    assert watch.look() == Standing(1, 2, 1, 1.0)


def test_a_folder_that_is_not_there_yet_is_no_fault(tmp_path: Path) -> None:
    assert Watch(tmp_path / "none", {"a": 1}).look() == Standing()


@pytest.mark.parametrize("units", [10, 300])
def test_a_look_opens_only_what_is_new(tmp_path: Path, units: int) -> None:
    watch = Watch(tmp_path, {str(n): 1 for n in range(2 * units)})
    for number in range(units):
        finish(tmp_path, str(number), 1, 1)
    (tmp_path / f"{units}.progress").write_text("[1, 1, 0.5]")
    _WATCHED.append(str(tmp_path))
    try:
        counts = []
        for _ in range(3):
            OPENED.clear()
            watch.look()
            counts.append(len(OPENED))
    finally:
        _WATCHED.clear()
    assert counts == [units + 1, 1, 1]


def lines_of(teller: Teller, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 0.01)
    monkeypatch.setattr(progress, "_EVERY_S", 0.01)
    with progress.shown("extract", folder, {"a": 1, "b": 1}, teller):
        time.sleep(0.2)


def test_without_a_terminal_lines_tell_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(tmp_path, "a", 1234, 1000)
    out = io.StringIO()
    lines_of(Terminal(Console(file=out, width=200)), str(tmp_path), monkeypatch)
    assert out.getvalue().startswith("extract: 1/2 units  1,234 in  1,000 kept")


def test_lines_come_once_a_minute() -> None:
    assert progress._LINE_EVERY_S == 60


def test_workers_elsewhere_are_known_to_be_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=True, highlight=False, no_color=True)
    files.write_bytes("memory://elsewhere/units", "a.json", b"{}")
    lines_of(Terminal(console), "memory://elsewhere/units", monkeypatch)
    assert "extract: 1/2 units, at work for 0 min" in out.getvalue()


def test_a_stage_with_nothing_to_do_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 0.01)
    out = io.StringIO()
    with progress.shown("extract", str(tmp_path), {}, Terminal(Console(file=out))):
        time.sleep(0.1)
    assert out.getvalue() == ""


def test_a_stage_without_a_sign_of_any_unit_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Beam's job service waits forever for a worker that is gone."""
    said: list[tuple[str, int]] = []
    monkeypatch.setattr(progress.interrupt, "leave", lambda text, status: said.append((text, status)))
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 0.01)
    with progress.shown("toy", str(tmp_path), {"a": 1}, SILENT, patience_s=0.06):
        until = time.monotonic() + 30
        while not said and time.monotonic() < until:
            time.sleep(0.02)
    assert "toy: no unit has ended or reported for 0.001 min" in said[0][0]
    assert said[0][1] == 1


def test_a_unit_that_ends_or_reports_is_a_sign() -> None:
    patience = Patience(10, 0)
    assert [patience.is_over(Standing(0, at // 8, 0, 0.0), at) for at in range(0, 40, 4)] == [False] * 10
    assert not patience.is_over(Standing(0, 4, 0, 0.0), 42)
    assert patience.is_over(Standing(0, 4, 0, 0.0), 43)
    assert not Patience(0, 0).is_over(Standing(), 1e9)
