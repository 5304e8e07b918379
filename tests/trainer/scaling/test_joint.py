"""One law for unique tokens, epochs, a second language and weight decay, offered where runs carry them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.joint import COLUMNS, TABLE, design
from trainer.scaling.choice import candidates, choose
from trainer.scaling.fit import fit
from trainer.scaling.laws import JOINT, REPETITION
from trainer.scaling.report import build
from trainer.scaling.runs import Columns, Runs, runs
from trainer.scaling.source import Asked, load
from trainer.scaling.uncertainty import bootstrap

TRUTH = {
    "a": 2.0, "b": 3.6, "e": 0.0, "alpha": 0.2, "beta": 0.33,
    "log_tau": np.log(0.4), "p": 11.6, "gamma": 1.2, "kappa": 1.6, "delta": 0.3,
}  # fmt: skip


def planned() -> Runs:
    """Return the runs of the study of benchmarks/joint.py, without their losses."""
    points = design()
    return runs(
        np.ones(len(points)),
        params=np.array([{32: 65_536, 48: 104_448, 64: 172_032}[point.width] for point in points]),
        tokens=np.array([point.unique * point.epochs for point in points]),
        unique=np.array([point.unique for point in points]),
        share=np.array([1 - point.english for point in points]),
        decay=np.array([point.decay for point in points]),
    )


def simulated(noise: float, seed: int = 0) -> Runs:
    """Return these runs with losses of the law."""
    made = planned()
    theta = np.array([TRUTH[name] for name in JOINT.parameters])
    error = np.random.default_rng(seed).normal(0, noise, len(made))
    return made.with_loss(np.exp(JOINT.log_loss(theta, made.logs()) + error))


def test_planted_parameters_are_found_in_runs_of_the_study() -> None:
    data = simulated(0.003)
    found = fit(JOINT, data)
    for name, near in (("log_tau", 0.3), ("gamma", 0.1), ("kappa", 0.2), ("delta", 0.1), ("beta", 0.15)):
        assert found.parameters[name] == pytest.approx(TRUTH[name], abs=near), name
    assert found.derived["penalty at ten times the decay"] == pytest.approx(10**-0.3, abs=0.12)
    draws = bootstrap(found, data, 100)
    own = ("log_tau", "p", "gamma", "kappa", "delta")
    held = [name for name in own if draws.interval(name).holds(TRUTH[name])]
    assert len(held) >= 4, held


def test_it_answers_where_the_runs_need_its_terms_and_is_offered_nowhere_else() -> None:
    data = simulated(0.003)
    law, compared = choose("", data)
    assert law is JOINT
    assert [one.law for one in compared] == ["joint", "repetition", "repetition, tied"]
    for without in ("share", "decay"):
        columns = {name: column for name, column in data.columns.items() if name != without}
        assert candidates("", Runs(columns, data.loss, data.group))[0] is REPETITION
        same = data.columns | {without: np.full(len(data), 0.5)}
        assert candidates("", Runs(same, data.loss, data.group))[0] is REPETITION


def test_fresh_runs_in_one_language_follow_the_law_of_fresh_data() -> None:
    made = planned()
    fresh = made.take((made.columns["share"] == 1) & (made.columns["tokens"] == made.columns["unique"]))
    theta = np.array([TRUTH[name] for name in JOINT.parameters])
    n, d = fresh.columns["params"], fresh.columns["tokens"]
    expected = 1 + np.exp(2.0) * n**-0.2 + np.exp(3.6) * d**-0.33
    assert np.exp(JOINT.log_loss(theta, fresh.logs())) == pytest.approx(expected)


def test_a_share_divides_the_tokens_of_a_table_and_not_its_compute(tmp_path: Path) -> None:
    row = {"run": "a", "n": 1e6, "d": 4e6, "u": 1e6, "s": 0.75, "w": 0.1, "loss": 3.0}
    path = tmp_path / "runs.jsonl"
    path.write_text("\n".join(json.dumps(row | {"run": name}) for name in "ab"), encoding="utf-8")
    columns = Columns(("loss",), "n", "d", "u", "run", share="s", decay="w")
    read = load(path, Asked(columns)).runs("loss")
    found = {name: column[0] for name, column in read.columns.items()}
    assert found["compute"] == 6 * 1e6 * 4e6
    assert (found["tokens"], found["unique"], found["share"], found["decay"]) == (3e6, 1e6, 0.75, 0.1)


def table(path: Path, data: Runs) -> Path:
    """Write runs as a table whose tokens are those of both languages, as COLUMNS names it."""
    columns = {name: data.columns[name] for name in ("params", "unique", "share", "decay")}
    columns |= {"tokens": data.columns["tokens"] / data.columns["share"], "bits_per_byte": data.loss}
    rows = zip(*columns.values(), strict=True)
    lines = [
        dict(zip(columns, map(float, row), strict=True)) | {"run": f"r{i}"} for i, row in enumerate(rows)
    ]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def test_a_report_answers_by_it_for_the_share_and_the_decay_of_the_largest_run(tmp_path: Path) -> None:
    data = simulated(0.002)
    found = build.report(table(tmp_path / "runs.jsonl", data), Asked(COLUMNS), resamples=40)
    assert found.analysis.fit.law is JOINT
    largest = int((data.compute() / data.columns["share"]).argmax())
    share, decay = (float(data.columns[name][largest]) for name in ("share", "decay"))
    assert found.about.endswith(f"; answers are for share {share:g} and decay {decay:g}")
    assert found.analysis.noise is None  # runs of another share or decay are not seeds
    n, u = data.columns["params"].max(), data.columns["unique"].max()
    theta = np.array([TRUTH[name] for name in JOINT.parameters])

    def loss(params: float, tokens: float, unique: float) -> float:
        at = {"params": params, "tokens": tokens, "unique": unique, "share": share, "decay": decay}
        return float(np.exp(JOINT.log_loss(theta, {name: np.log([value]) for name, value in at.items()}))[0])

    twice, larger, _, _ = found.headline.numbers
    for number, after in ((twice, loss(n, 2 * u, 2 * u)), (larger, loss(2 * n, u, u))):
        assert number.value is not None, number.note
        assert number.value.holds(1 - after / loss(n, u, u)), number.title


def test_a_report_does_not_take_it_where_share_and_decay_do_nothing(tmp_path: Path) -> None:
    data = simulated(0.002)
    theta = np.array([TRUTH["a"], TRUTH["b"], TRUTH["e"], 0.2, 0.33, np.log(8.0), np.log(20.0)])
    noise = np.random.default_rng(3).normal(0, 0.002, len(data))
    plain = data.with_loss(np.exp(REPETITION.log_loss(theta, data.logs()) + noise))
    found = build.report(table(tmp_path / "runs.jsonl", plain), Asked(COLUMNS), resamples=40)
    assert found.analysis.fit.law is not JOINT
    assert found.analysis.compared[0].law == "joint"
    assert "answers are for" not in found.about


def test_the_runs_of_our_study_are_described_by_it() -> None:
    data = load(TABLE / "runs.jsonl", Asked(COLUMNS)).runs("bits_per_byte")
    assert len(data) == len(design())
    assert choose("", data)[0] is JOINT
    found = fit(JOINT, data, descents=16)
    assert found.error < 0.6 * fit(REPETITION, data, descents=16).error
    left = bootstrap(found, data, 100).derived()["penalty at ten times the decay"]
    assert left.upper is not None
    assert left.upper < 1  # more decay makes repetition cheaper
