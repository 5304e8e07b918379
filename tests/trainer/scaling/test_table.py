"""Tables of runs are read from three kinds of file, and what would spoil a fit is refused or said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from commands.render.fit import show
from corpus.errors import RunsError
from trainer.records import plain
from trainer.scaling.analysis import diverged
from trainer.scaling.choice import candidates
from trainer.scaling.laws import CHINCHILLA
from trainer.scaling.runs import Columns, Runs, runs
from trainer.scaling.source import Asked, Source
from trainer.scaling.source import load as load_source
from trainer.scaling.table import fit_table

NAMES = Columns(loss=("loss",), params="N", tokens="D", run="run")
Rows = dict[str, list[object]]


def rows(noise: float = 0.005) -> Rows:
    """Make 40 runs of the Chinchilla law as a table."""
    n, ratio = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 3e9, 8), np.geomspace(5, 160, 5)))
    made = runs(np.ones(40), params=n, tokens=n * ratio)
    theta = np.array([6.0, 7.2, 0.6, 0.34, 0.37])
    error = np.random.default_rng(0).normal(0, noise, 40)
    loss = np.exp(CHINCHILLA.log_loss(theta, made.logs()) + error)
    return {
        "run": [f"r{i}" for i in range(40)],
        "N": n.tolist(),
        "D": (n * ratio).tolist(),
        "loss": loss.tolist(),
    }


def write(folder: Path, table: Rows, kind: str = "jsonl") -> Path:
    """Write a table as one of the three kinds of file."""
    path = folder / f"runs.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table(table), path)
        return path
    lines = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    if kind == "jsonl":
        path.write_text("\n".join(json.dumps(line) for line in lines))
    else:
        body = "\n".join(",".join(str(v) for v in line.values()) for line in lines)
        path.write_text(",".join(table) + "\n" + body)
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_three_kinds_of_file_give_the_same_runs(tmp_path: Path, kind: str) -> None:
    table = rows()
    read = load(write(tmp_path, table, kind), NAMES)
    assert read.findings == ()
    assert read.runs("loss").loss == pytest.approx(table["loss"])
    assert read.runs("loss").columns["params"] == pytest.approx(table["N"])
    assert list(read.runs("loss").group) == table["run"]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("N", float("nan"), "params is not a finite number above 0 in 1 rows: row 3"),
        ("N", 0.0, "params is not a finite number above 0"),
        ("D", -5e18, "an integer that overflowed looks like this"),
    ],
)
def test_numbers_that_are_none_are_refused(tmp_path: Path, column: str, value: float, said: str) -> None:
    table = rows()
    table[column][2] = value
    with pytest.raises(RunsError, match=said):
        load(write(tmp_path, table, "parquet"), NAMES)


def test_more_unique_tokens_than_tokens_are_refused(tmp_path: Path) -> None:
    table = rows()
    table["U"] = [2 * float(str(d)) if i == 5 else d for i, d in enumerate(table["D"])]
    with pytest.raises(RunsError, match="more unique tokens than tokens seen in 1 rows: row 6"):
        load(write(tmp_path, table), replace(NAMES, unique="U"))


def load(path: Path, columns: Columns) -> Source:
    """Read a table by its columns alone."""
    return load_source(path, Asked(columns))


def warned(folder: Path, table: Rows, names: Columns) -> tuple[str, ...]:
    """Return the warnings of a table."""
    return load(write(folder, table), names).findings


def test_a_compute_far_from_six_times_parameters_and_tokens_is_said(tmp_path: Path) -> None:
    table = rows()
    product = 6 * np.array(table["N"], dtype=float) * np.array(table["D"], dtype=float)
    product[4] *= 4
    (said,) = warned(tmp_path, table | {"C": product.tolist()}, replace(NAMES, compute="C"))
    assert "1 rows: row 5 (4)" in said


def test_an_integer_compute_that_wrapped_is_recognised(tmp_path: Path) -> None:
    table = rows()
    table["C"] = [float((int(6 * n * d)) % 2**63) for n, d in zip(table["N"], table["D"], strict=True)]
    assert "an integer that overflowed?" in warned(tmp_path, table, replace(NAMES, compute="C"))[0]


def test_rows_that_count_twice_and_checkpoints_are_said(tmp_path: Path) -> None:
    table = {name: [*column, column[0]] for name, column in rows().items()}
    twice, several = warned(tmp_path, table, NAMES)
    assert "1 rows repeat another" in twice
    assert "1 runs have several rows" in several


def test_unknown_files_and_columns_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, rows())
    with pytest.raises(RunsError, match=r"no column params; it has run, N, D, loss"):
        load(path, replace(NAMES, params="params"))
    with pytest.raises(RunsError, match=r"kind \.txt is unknown"):
        load(tmp_path / "runs.txt", NAMES)
    with pytest.raises(RunsError, match="no such file"):
        load(tmp_path / "none.csv", NAMES)
    table = rows()
    table["N"] = ["7B", *(str(n) for n in table["N"][1:])]
    with pytest.raises(RunsError, match="row 1, column N: '7B' is not a number"):
        load(write(tmp_path, table), NAMES)


def test_each_language_is_fitted_by_itself_on_the_same_runs(tmp_path: Path) -> None:
    tokens = np.geomspace(1e8, 1e11, 20)
    table: Rows = {"D": tokens.tolist(), "loss": (1.8 + 900 * tokens**-0.35).tolist()}
    table["tur"] = [2 * float(str(v)) for v in table["loss"]]
    names = Columns(loss=("loss", "tur"), tokens="D")
    result = fit_table(write(tmp_path, table), names, resamples=20)
    first, second = result.analyses
    assert second.fit.derived["E"] == pytest.approx(2 * first.fit.derived["E"], rel=1e-3)
    assert second.fit.parameters["beta"] == pytest.approx(first.fit.parameters["beta"], abs=1e-3)


def test_an_analysis_shows_the_law_its_rivals_and_its_checks(tmp_path: Path) -> None:
    result = fit_table(write(tmp_path, rows()), NAMES, resamples=30)
    (one,) = result.analyses
    assert [each.law for each in one.compared] == ["chinchilla", "tied"]
    assert one.held_out is not None
    assert one.held_out.fitted + len(one.held_out.runs) == 40
    assert json.loads(json.dumps(plain(result)))["analyses"][0]["runs"] == 40
    console = Console(record=True, width=140)
    show(result, console)
    text = console.export_text().replace("\u00a0", " ")
    for words in ("tied", "chinchilla answers", "descents from the best", "inside 95 % intervals"):
        assert words in text


def test_the_law_follows_from_the_columns() -> None:
    n, d = np.geomspace(1e7, 1e9, 12), np.geomspace(1e9, 1e10, 12)[::-1].copy()
    loss = np.linspace(3, 4, 12)
    assert candidates("", runs(loss, params=n, tokens=d))[0].name == "chinchilla"
    assert candidates("", runs(loss, params=n, tokens=d, unique=d / 4))[0].name == "repetition"
    assert candidates("", runs(loss, tokens=d))[0].name == "data"
    assert candidates("", runs(loss, params=np.full(12, 1e8), tokens=d))[0].name == "data"
    assert candidates("tied", runs(loss, params=n, tokens=d))[0].name == "tied"
    for same in (runs(loss, params=n), runs(loss, params=n, tokens=np.full(12, 1e9))):
        with pytest.raises(RunsError, match="no tokens that differ from run to run"):
            candidates("", same)
    with pytest.raises(RunsError, match="law 'power' is unknown"):
        candidates("power", runs(loss, tokens=d))


def made(noise: float = 0.005) -> Runs:
    """Return the runs of `rows`."""
    table = {name: np.array(values) for name, values in rows(noise).items() if name != "run"}
    return runs(table["loss"], params=table["N"], tokens=table["D"])


@pytest.mark.parametrize(("row", "loss"), [(39, 9.8), (39, 1e9), (0, 11.0), (17, 4.9), (20, 0.02)])
def test_a_run_whose_loss_is_absurd_is_found(row: int, loss: float) -> None:
    held = made()
    absurd, why = diverged(
        "loss", CHINCHILLA, held.with_loss(np.where(np.arange(40) == row, loss, held.loss))
    )
    assert np.flatnonzero(absurd).tolist() == [row]
    assert f"gives {held.loss[row]:.2g}"[:8] in why[0]


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.3])
def test_runs_that_scatter_are_not_taken_for_diverged_ones(noise: float) -> None:
    assert not diverged("loss", CHINCHILLA, made(noise))[0].any()


def test_an_absurd_loss_is_named_and_left_out_of_the_fit(tmp_path: Path) -> None:
    table = rows()
    rest = {name: values[:39] for name, values in table.items()}
    kept = fit_table(write(tmp_path, rest), NAMES, resamples=40)
    table["loss"][39] = 9.8
    found = fit_table(write(tmp_path, table), NAMES, resamples=40)
    (told,) = found.findings
    assert told.startswith("r39 is excluded from the fit: loss is 9.8, the law of the other runs gives")
    assert found.analyses[0].runs == 39
    assert found.analyses[0].fit.parameters == pytest.approx(kept.analyses[0].fit.parameters, rel=1e-6)


def test_one_absurd_checkpoint_does_not_exclude_the_others_of_its_run(tmp_path: Path) -> None:
    table = rows()
    table["run"] = [f"r{i // 5}" for i in range(40)]
    table["loss"][7] = 40.0
    found = fit_table(write(tmp_path, table), NAMES, resamples=40)
    assert found.analyses[0].runs == 39
    assert any(said.startswith("r1 (row 8) is excluded from the fit: loss is 40") for said in found.findings)


@pytest.mark.parametrize("loss", [None, -3.0])
def test_a_row_without_another_loss_is_named_and_left_out_of_that_fit_alone(
    tmp_path: Path, loss: float | None
) -> None:
    table = rows()
    table["second"] = [loss if i == 5 else value for i, value in enumerate(table["loss"])]
    found = fit_table(write(tmp_path, table), replace(NAMES, loss=("loss", "second")), resamples=40)
    assert [one.runs for one in found.analyses] == [40, 39]
    assert "r5 has no second above 0: it is excluded from that fit" in found.findings


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), None])
def test_a_run_without_a_loss_is_named_and_left_out_of_the_fit(tmp_path: Path, loss: float | None) -> None:
    table = rows()
    table["loss"][25] = loss
    found = fit_table(write(tmp_path, table, "parquet"), NAMES, resamples=40)
    assert list(found.findings) == [
        "r25 is excluded from the fit: no finite loss: the run diverged or was not scored"
    ]
    assert found.analyses[0].runs == 39


def test_bits_per_byte_of_a_tokenizer_that_loses_text_are_told(tmp_path: Path) -> None:
    table = rows() | {"exact": [True] * 39 + [False]}
    table["bits_per_byte"] = table.pop("loss")
    found = fit_table(write(tmp_path, table), replace(NAMES, loss=("bits_per_byte",)), resamples=40)
    assert found.checks[0][-1].why == "bits per byte are too low: the tokenizer loses text"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("N,D,loss\n", "no rows: expected one row per run"),
        ("N,D,loss,loss\n1,2,3,4\n", "several columns are named loss"),
        ("N,D,loss\n1,2,x\n", "row 1, column loss: 'x' is not a number"),
    ],
)
def test_a_table_without_rows_or_with_one_name_twice_is_named(tmp_path: Path, body: str, said: str) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(body)
    with pytest.raises(RunsError, match=said):
        load(path, replace(NAMES, run=""))
