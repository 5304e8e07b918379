"""`make reproduce` fails where a published number is missed, and where there was nothing to compare."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from benchmarks import reproduce
from benchmarks.reproduce import CHECKS, TABLES, checked, main

NANOCHAT = "nanochat_log"


def test_every_table_is_shipped_with_its_licence_and_source() -> None:
    held = {path.name for path in TABLES.iterdir() if path.is_dir()}
    assert held == set(CHECKS)
    sources = (TABLES / "README.md").read_text(encoding="utf-8")
    for name in held:
        assert f"| `{name}` |" in sources
        assert (TABLES / name / "LICENSE").stat().st_size > 1000
    assert sum(path.stat().st_size for path in TABLES.rglob("*") if path.is_file()) < 900_000


def test_the_shipped_tables_are_read() -> None:
    assert len(reproduce.gemstones(TABLES / "gemstones", "hot")) == 220
    assert len(reproduce.datablations(TABLES / "datablations")) == 182
    assert len(reproduce.gadre(TABLES / "gadre_overtraining", "rpj")[0]) > 25
    rows = checked(TABLES, NANOCHAT)
    assert len(rows) == 3
    assert all(good for *_, good in rows)


def test_a_run_that_compared_nothing_fails_and_names_every_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tmp_path) == 1
    shown = capsys.readouterr().out
    assert all(name in shown for name in CHECKS)
    assert "0 published numbers reproduced, 4 missed" in shown


def test_one_absent_table_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproduce, "CHECKS", {name: CHECKS[name] for name in (NANOCHAT, "datablations")})
    shutil.copytree(TABLES / NANOCHAT, tmp_path / NANOCHAT)
    assert main(tmp_path) == 1
    shown = capsys.readouterr().out
    assert "no such file" in shown
    assert "3 published numbers reproduced, 1 missed" in shown


def test_a_number_that_is_not_the_published_one_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproduce, "CHECKS", {NANOCHAT: CHECKS[NANOCHAT]})
    shutil.copytree(TABLES / NANOCHAT, tmp_path / NANOCHAT)
    assert main(tmp_path) == 0
    path = tmp_path / NANOCHAT / "isoflop_optima.csv"
    with path.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    rows[0]["params"] = str(3 * float(rows[0]["params"]))
    with path.open("w", encoding="utf-8", newline="") as lines:
        written = csv.DictWriter(lines, list(rows[0]))
        written.writeheader()
        written.writerows(rows)
    assert main(tmp_path) == 1
