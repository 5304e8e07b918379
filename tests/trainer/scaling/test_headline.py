"""The first screen of a report: what twice the data buys, or which runs are missing to tell."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.scaling.laws import REPETITION
from trainer.scaling.report import build
from trainer.scaling.report.report_model import Report
from trainer.scaling.runs import Columns
from trainer.scaling.source import Asked

THETA = np.array([4.0, 6.5, -0.1, 0.3, 0.35, np.log(8.0), np.log(20.0)])
ASKED = Asked(Columns(("loss",), "n", "d", "u", "run"))


def true_loss(n: Any, d: Any, u: Any) -> Any:
    logs = {"params": np.log(n), "tokens": np.log(d), "unique": np.log(u)}
    return np.exp(REPETITION.log_loss(THETA, logs))


def made(folder: Path, epochs: tuple[float, ...], sizes: int = 5, *, branches: bool = False) -> Report:
    """Return the report of a grid of runs, with a little noise; as branches those of a size are one run."""
    rng = np.random.default_rng(0)
    path = folder / "runs.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["run", "n", "d", "u", "loss"])
        for n in np.geomspace(1e6, 1e9, sizes):
            for d in np.geomspace(1e8, 1e10, 5):
                for each in epochs:
                    loss = true_loss(np.array([n]), np.array([d]), np.array([d / each]))[0]
                    run = f"run{n:.0f}" if branches else f"run{n:.0f}-{d:.0f}-{each}"
                    rows.writerow([run, n, d, d / each, loss * np.exp(0.002 * rng.normal())])
    return build.report(path, ASKED, resamples=60)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return made(tmp_path_factory.mktemp("headline"), (1.0, 2.0, 8.0))


def test_models_that_branch_off_a_run_are_counted_beside_the_runs(report: Report, tmp_path: Path) -> None:
    assert report.about.startswith("75 runs, ")
    assert made(tmp_path, (1.0,), sizes=10, branches=True).about.startswith("50 models of 10 runs, ")


def test_the_sentence_names_corpus_gain_and_size(report: Report) -> None:
    said = report.headline.sentence.replace("\u00a0", " ")
    gain = r"[\d.]+ % \([\d.]+–[\d.]+ %\)"
    corpus = r"Doubling your corpus \(10 B → 20 B tokens\)"
    assert re.fullmatch(rf"{corpus} lowers loss by {gain} at 1 B parameters\.", said)


def test_the_numbers_are_twice_the_data_twice_the_parameters_the_next_epoch_and_the_best_size(
    report: Report,
) -> None:
    data, params, epoch, best = report.headline.numbers
    assert [one.title for one in (data, params, epoch, best)] == [
        "Twice the data",
        "Twice the parameters",
        "The next epoch",
        "The best size",
    ]
    n, d = np.array([1e9]), np.array([1e10])
    before = true_loss(n, d, d)
    for one, after in (
        (data, true_loss(n, 2 * d, 2 * d)),
        (params, true_loss(2 * n, d, d)),
        (epoch, true_loss(n, 2 * d, d)),
    ):
        assert one.value is not None, one.note
        assert one.value.holds(float(1 - (after / before)[0])), one.title


def test_the_chart_marks_the_corpus_and_is_dashed_beyond_the_runs(report: Report) -> None:
    chart = report.headline.chart
    assert [(mark.at, mark.upright) for mark in chart.marks] == [(1e10, True)]
    assert "your corpus" in chart.marks[0].label
    solid = [line for line in chart.lines if not line.guess]
    dashed = [line for line in chart.lines if line.guess]
    assert len(solid) == len(dashed) == 5
    assert all(max(line.x) == pytest.approx(1e10) for line in solid)
    assert all(min(line.x) == pytest.approx(1e10) and max(line.x) == pytest.approx(1e11) for line in dashed)
    assert chart.dots[0].names[0].startswith("run1000000-")


def test_without_repeated_data_the_epoch_says_which_runs_would_tell(tmp_path: Path) -> None:
    epoch = made(tmp_path, (1.0,)).headline.numbers[2]
    assert epoch.value is None
    assert "no run saw its data more than once" in epoch.note
    assert "two, four and eight times would tell" in epoch.note


def test_with_one_size_there_is_a_sentence_and_no_number_about_sizes(tmp_path: Path) -> None:
    headline = made(tmp_path, (1.0,), sizes=1).headline
    assert headline.numbers == ()
    assert headline.sentence
    assert headline.chart.dots
