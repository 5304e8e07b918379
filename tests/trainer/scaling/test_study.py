"""A study follows its plan, trains each cell once even if interrupted, and predicts its largest cell."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ranks import process
from token_shards import write

from corpus import settings
from corpus.cores import cores
from corpus.errors import ConfigError, StoppedError, StudyError
from corpus.teller import SILENT
from corpus.tokenizer.train import fit
from trainer import held_out, run, tokens
from trainer.config import Run
from trainer.scaling import blind_prediction, started, study
from trainer.scaling.config import Study
from trainer.scaling.dispatch import Workers, devices, locked
from trainer.scaling.plan import estimate, plan
from trainer.scaling.units import DONE, configured

QUIET = SILENT


def asked(corpora: dict[str, str], output: Path, **changes: Any) -> Study:
    """A study of two sizes, three budgets, two seeds and two epochs, with other values by dotted key."""
    data: dict[str, Any] = {
        "output": str(output),
        "corpora": corpora,
        "tasks": ["turkish"],
        "sizes": {"smallest": 9_000, "largest": 20_000, "count": 2, "aspect": 16},
        "tokens": {"per_parameter": 0.06, "multiples": [0.5, 1, 2]},
        "seeds": {"smallest": 2},
        "repetition": {"epochs": [2], "multiples": [1]},
        "check": [0.5],
        "workers": 1,
        "train": {
            "model": {"head": 8},
            "data": {"length": 16, "batch": 4},
            "evaluate": {"documents": 5},
            "checkpoint": {"every": 6},
            "run": {"device": "cpu", "log": []},
        },
    }
    return settings.parse(Study, settings.overlay(data, [f"{k}={v}" for k, v in changes.items()]), "test")


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two corpora of one tokenizer: 3,000 tokens that count upwards, and 3,000 of which half are random."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghıijklmnoöprsştuüvyz", k=draw.randint(2, 7))) for _ in range(400)]
    model = fit([" ".join(draw.choices(words, k=20)) for _ in range(200)], "unigram", 336)
    found = {}
    for name, noise in (("clean", 0.0), ("noisy", 0.5)):
        rng = np.random.default_rng(1)
        documents = []
        for _ in range(120):
            counted = (np.arange(rng.integers(10, 40)) + rng.integers(280)) % 280 + 10
            other = rng.random(counted.size) < noise
            documents.append([*np.where(other, rng.integers(10, 290, counted.size), counted).tolist(), 2])
        folder = tmp_path_factory.mktemp(name)
        held = {"tur_Latn/web": [documents[100:110]], "aze_Latn/web": [documents[110:]]}
        write(folder, {"tur_Latn/web": [documents[:100]]}, validation=held, model=model)
        found[name] = str(folder)
    return found


@pytest.fixture(scope="module", autouse=True)
def _no_garbage() -> Iterator[None]:
    """Skip the garbage collection of a starting run: with torch it takes longer than these runs train."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "collect", lambda: 0)
        yield


def done(wanted: Study) -> study.Outcome:
    torch.set_num_threads(1)
    return study.scale(plan(wanted), QUIET)


def timeless(rows: Any) -> list[dict[str, Any]]:
    """A table without what the clock decides, or a commit in another window."""
    return [{key: row[key] for key in row if key not in ("seconds", "versions")} for row in rows]


def table(folder: Path) -> list[dict[str, Any]]:
    return timeless(json.loads(line) for line in (folder / study.TABLE).read_text().splitlines())


@pytest.fixture(scope="module")
def whole(corpora: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> study.Outcome:
    """A study of both corpora that nothing happened to."""
    return done(asked(corpora, tmp_path_factory.mktemp("whole") / "study"))


def only(corpora: dict[str, str], output: Path, **changes: Any) -> Study:
    """A study of the first corpus alone."""
    return asked({"clean": corpora["clean"]}, output, **changes)


def test_a_finished_study_has_a_line_for_every_cell_in_the_plans_order(
    whole: study.Outcome, corpora: dict[str, str]
) -> None:
    made = plan(asked(corpora, whole.folder))
    assert [row["run"] for row in whole.rows] == [cell.name for cell in made.cells()]
    assert len(whole.rows) == 2 * (3 * 2 + 3 + 1)  # corpora × (smallest × seeds + largest + repeated)
    for row, cell in zip(whole.rows, made.cells(), strict=True):
        assert row["tokens"] == row["steps"] * row["batch"] * row["length"] == cell.tokens
        assert row["unique_tokens"] == pytest.approx(cell.unique, abs=row["length"])
        assert row["unique_tokens"] <= min(row["tokens"], made.held[row["corpus"]])
        assert 0.5 < row["flops"] / (6 * row["matmul_parameters"] * row["targets"]) < 3
        assert row["flops"] < row["flops_full"]
        assert row["evaluated"]["documents"] == 10
        assert row["evaluated"]["tokens"] > 100
        assert set(row["languages"]) == {"tur_Latn", "aze_Latn"}
        task = row["tasks"]["turkish"]
        assert 0 <= task["low"] < task["share"] < task["high"] <= 1
        assert task["chance"] == 0.5
        assert (whole.folder / row["folder"] / "checkpoints").is_dir()
    assert table(whole.folder) == timeless(whole.rows)


def test_models_learn_and_all_are_scored_on_the_same_documents(whole: study.Outcome) -> None:
    assert len({row["documents"] for row in (*whole.rows, *whole.checks)}) == 1
    loss = {row["run"]: row["loss"] for row in whole.rows}
    last = max((row for row in whole.rows if row["corpus"] == "clean"), key=lambda row: row["tokens"])
    assert last["loss"] < np.log(336) - 0.1
    assert last["loss"] < loss[last["run"].replace("clean", "noisy")]
    lines = (whole.folder / last["folder"] / "documents.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) == 10
    bits = sum(each["bits"] for each in records) / sum(each["bytes"] for each in records)
    assert bits == pytest.approx(last["bits_per_byte"], rel=1e-6)


def test_the_largest_cells_are_foretold_before_they_are_begun(whole: study.Outcome) -> None:
    largest = [row for row in whole.rows if row["prediction"]]
    assert [row["corpus"] for row in largest] == ["clean", "noisy"]
    most = max(row["matmul_parameters"] * row["tokens"] for row in whole.rows)
    for row in largest:
        assert row["matmul_parameters"] * row["tokens"] == most
        path = whole.folder / "predictions" / f"{row['prediction']}.json"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row["prediction"]
        started = (whole.folder / row["folder"] / "run.json").stat().st_mtime_ns
        assert path.stat().st_mtime_ns < started
        held = json.loads(path.read_text())
        assert held["cell"] == row["run"]
        assert row["run"] not in held["fitted_to"]
        assert all(name.startswith(row["corpus"]) for name in held["fitted_to"])
        assert len(held["fitted_to"]) == 8  # one of nine reads its data twice, and the largest once
        assert held["fitted_rows"] == "those on fresh data"
        assert 0 < held["loss"] < 6


def test_a_study_at_rates_that_could_clearly_be_better_stops_after_its_smallest_size(
    corpora: dict[str, str], tmp_path: Path
) -> None:
    slow = {"train.optimizer.lr": 1e-5, "train.optimizer.matrix_lr": 1e-5, "check": [1000.0]}
    slow |= {"tokens.multiples": [0.5, 1], "repetition.epochs": [], "repetition.multiples": []}
    with pytest.raises(
        ConfigError, match=r"set train.optimizer.lr = 0.01 and train.optimizer.matrix_lr = 0.01"
    ):
        done(only(corpora, tmp_path, **slow))
    assert {row["size"] for row in table(tmp_path)} == {"d1w16"}
    assert len(done(only(corpora, tmp_path, **slow | {"check": []})).rows) == 2 * (2 + 1)


def test_a_task_that_is_not_there_is_refused_before_anything_is_trained(
    corpora: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"questions\.jsonl: no such file, folder or packaged set"):
        plan(only(corpora, tmp_path, tasks=["questions.jsonl"]))
    assert not list(tmp_path.iterdir())


def test_a_study_of_one_cell_has_nothing_to_foretell_it_from(corpora: dict[str, str], tmp_path: Path) -> None:
    cell = plan(only(corpora, tmp_path)).last[0]
    name = blind_prediction.predict_blind(cell, [], tmp_path)
    found = blind_prediction.predictions(tmp_path)[name]
    assert found["loss"] is None
    assert found["why"] == "no finished run to fit"


def test_a_changed_prediction_is_noticed(whole: study.Outcome, tmp_path: Path) -> None:
    name, held = next(iter(blind_prediction.predictions(whole.folder).items()))
    folder = tmp_path / "predictions"
    folder.mkdir()
    (folder / f"{name}.json").write_text(json.dumps({**held, "loss": 1.0}))
    with pytest.raises(ConfigError, match="was changed after it was made"):
        blind_prediction.predictions(tmp_path)


def test_a_cell_is_what_one_run_from_its_beginning_would_be(
    whole: study.Outcome, corpora: dict[str, str], tmp_path: Path
) -> None:
    made = plan(asked(corpora, whole.folder))
    for cell in (made.cells()[2], made.cells()[-1]):  # of the whole corpus, of a part
        config = configured(made.study, cell.trunk, cell.steps, cooled=True)
        straight = tmp_path / cell.name
        run.train(corpora[cell.trunk.corpus], straight, config, QUIET)
        row = next(row for row in whole.rows if row["run"] == cell.name)
        ours = (whole.folder / row["folder"] / "metrics.jsonl").read_text().splitlines()
        alone = (straight / "metrics.jsonl").read_text().splitlines()
        assert len(alone) == cell.steps
        assert [json.loads(line)["loss"] for line in ours] == [
            json.loads(line)["loss"] for line in alone[cell.branch :]
        ]


def test_a_finished_study_trains_nothing_again(whole: study.Outcome, corpora: dict[str, str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.folder.glob("runs/*/*/metrics.jsonl")}
    again = done(asked(corpora, whole.folder))
    assert again.rows == whole.rows
    assert {path: path.stat().st_mtime_ns for path in whole.folder.glob("runs/*/*/metrics.jsonl")} == before


def test_a_lost_cell_is_trained_again_and_no_other(whole: study.Outcome, corpora: dict[str, str]) -> None:
    row = whole.rows[1]
    for path in sorted((whole.folder / row["folder"]).rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    before = {path: path.stat().st_mtime_ns for path in whole.folder.glob("runs/*/*/metrics.jsonl")}
    again = done(asked(corpora, whole.folder))
    assert timeless(again.rows) == timeless(whole.rows)
    assert (
        before.items()
        <= {path: path.stat().st_mtime_ns for path in whole.folder.glob("runs/*/*/metrics.jsonl")}.items()
    )


def _slowly(corpora: dict[str, str], output: str) -> None:
    """Do a study, a little time between steps, so that there is a moment to be hit in."""
    advance = run.Run.advance

    def slower(self: run.Run, batches: Any) -> Any:
        time.sleep(0.01)
        return advance(self, batches)

    run.Run.advance = slower  # type: ignore[method-assign]
    try:
        done(only(corpora, Path(output)))
    except StoppedError as stopped:
        os._exit(128 + stopped.signal)


def _until(working: BaseProcess, folder: Path, cells: int) -> None:
    end = time.monotonic() + 120
    while len(list(folder.glob(f"runs/*/cell-*/{DONE}"))) < cells:
        assert working.is_alive(), "the study failed"
        assert time.monotonic() < end, "the study did not come so far"
        time.sleep(0.002)


@pytest.mark.parametrize(("number", "cells"), [("SIGTERM", 2), ("SIGKILL", 6)])
def test_a_study_stopped_at_any_moment_goes_on_to_the_same_table(
    number: str, cells: int, whole: study.Outcome, corpora: dict[str, str], tmp_path: Path
) -> None:
    working = process(_slowly, corpora, str(tmp_path))
    _until(working, tmp_path, cells)
    time.sleep(0.05)
    assert working.pid is not None
    os.kill(working.pid, signal.Signals[number])
    working.join()
    code = signal.Signals[number]
    assert working.exitcode == (128 + code if number == "SIGTERM" else -code)
    held = len(table(tmp_path))
    assert held < 10
    done(only(corpora, tmp_path))
    assert table(tmp_path) == timeless(whole.rows[:10])


def test_a_study_grows_by_budgets_without_training_what_is_there(
    corpora: dict[str, str], tmp_path: Path
) -> None:
    small = {"sizes.count": 1, "sizes.largest": 9_000, "seeds.smallest": 1, "check": []}
    small |= {"repetition.epochs": [], "repetition.multiples": []}
    first = done(only(corpora, tmp_path, **small, **{"tokens.multiples": [0.5, 2.0]}))
    more = done(only(corpora, tmp_path, **small, **{"tokens.multiples": [0.5, 1.0, 2.0, 4.0]}))
    assert [row["multiple"] for row in more.rows] == [0.5, 1.0, 2.0, 4.0]
    assert [row for row in more.rows if row["multiple"] in (0.5, 2.0)] == list(first.rows)
    fresh = done(only(corpora, tmp_path / "fresh", **small, **{"tokens.multiples": [0.5, 1.0, 2.0, 4.0]}))
    # The first study predicted its largest cell of that time.
    assert [{**row, "prediction": ""} for row in timeless(more.rows)] == [
        {**row, "prediction": ""} for row in timeless(fresh.rows)
    ]


def test_other_settings_do_not_go_on_in_a_studys_folder(
    whole: study.Outcome, corpora: dict[str, str]
) -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.matrix_lr was .*choose another --output"):
        done(asked(corpora, whole.folder, **{"train.optimizer.matrix_lr": 0.5}))


@pytest.mark.parametrize(
    "content", ["", "{", "{}", "null", "[]", '{"plan": {"corpora": {"clean": 3}}}', "\0" * 9]
)
@pytest.mark.parametrize("name", [started.STUDY, DONE])
def test_a_damaged_record_of_a_study_is_named(
    whole: study.Outcome, corpora: dict[str, str], name: str, content: str
) -> None:
    path = whole.folder / (whole.rows[0]["folder"] if name == DONE else "") / name
    before = path.read_text()
    path.write_text(content)
    try:
        with pytest.raises(ConfigError, match=rf"{name} .*restore the file"):
            done(asked(corpora, whole.folder))
    finally:
        path.write_text(before)


def test_another_corpus_does_not_go_on_in_a_studys_folder(
    whole: study.Outcome, corpora: dict[str, str]
) -> None:
    swapped = {"clean": corpora["noisy"], "noisy": corpora["clean"]}
    with pytest.raises(ConfigError, match=r"corpora\.clean is not the corpus that this study started with"):
        done(asked(swapped, whole.folder))


def test_a_study_works_in_one_process_at_a_time(corpora: dict[str, str], tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(ConfigError, match="another process is running this study"):
        done(only(corpora, tmp_path))


def test_units_spread_over_devices_in_processes_of_their_own(
    whole: study.Outcome, corpora: dict[str, str], tmp_path: Path
) -> None:
    """Devices without a name are not GPUs: the processes train on the CPU. A worker outlives its units."""
    fresh = {"tokens.multiples": [0.5, 2.0], "repetition.epochs": [], "repetition.multiples": []}
    made = plan(only(corpora, tmp_path, **fresh))
    units = made.units(made.trunks[:1])
    first, cell, second, left = units
    second.path.mkdir(parents=True)
    (second.path / "thesis.tex").touch()
    seen: list[str] = []
    with locked(tmp_path) as lock, Workers(tmp_path, ["", ""], lock) as workers:
        with pytest.raises(StudyError, match=rf"(?s){second.name} failed: .*no run of derlem"):
            workers.dispatch(units, lambda unit: seen.append(unit.name))
        assert seen == [first.name, cell.name]
        assert not left.path.exists()  # what hangs on the one that failed
        (second.path / "thesis.tex").unlink()
        workers.dispatch(units, lambda unit: seen.append(unit.name))
        assert seen[2:] == [second.name, left.name]  # finished units are not started again
        sample = held_out.choose({"own": tokens.open(first.corpus)}, 2, 0)
        documents = held_out.write(tmp_path, sample)
        shutil.rmtree(first.path)
        scored = [replace(unit, held_out=documents) for unit in (first, cell)]
        workers.dispatch(scored, lambda unit: seen.append(unit.name))
        assert seen[4:] == [cell.name]  # other held-out documents do not train it again
        bits = held_out.stored(cell.path, sample.digest)
        assert bits is not None
        assert bits.size == 4  # of two streams
    assert (tmp_path / "workers" / "0.log").exists()
    row, (same,) = cell.row(), [dict(each) for each in whole.rows if each["run"] == cell.name]
    del same["prediction"]  # a column of the table, not of a unit
    assert timeless([row]) == timeless([same])


def test_a_study_that_was_moved_with_its_corpus_trains_nothing_again(
    whole: study.Outcome, corpora: dict[str, str], tmp_path: Path
) -> None:
    moved = {name: shutil.copytree(folder, tmp_path / name) for name, folder in corpora.items()}
    made = plan(asked({name: str(folder) for name, folder in moved.items()}, whole.folder))
    assert all(unit.done for unit in made.units(made.trunks) if unit.facts)


def test_rates_are_measured_once(
    corpora: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan(only(corpora, tmp_path))
    first = estimate(made, 1, keep=True)
    monkeypatch.setattr("trainer.scaling.plan._rate", pytest.fail)
    assert estimate(made, 1) == first


def test_the_time_of_a_study_counts_the_scores_of_its_models(
    corpora: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.scaling.plan._rate", lambda *_: 100.0)
    made = plan(only(corpora, tmp_path))
    unscored = replace(made, scored=0)
    assert made.scored > 0
    scores = estimate(made, 1).seconds - estimate(unscored, 1).seconds
    cells = len(made.cells()) + len(made.cells(made.checks))
    assert scores == pytest.approx(cells * made.scored / 3 / 100)


def test_a_cpu_has_a_worker_for_each_core_unless_a_number_is_set() -> None:
    run_ = Run(device="cpu")
    assert devices(run_, 3) == ["", "", ""]
    assert devices(run_, 1) == []
    assert len(devices(run_)) == (cores() if cores() > 1 else 0)
