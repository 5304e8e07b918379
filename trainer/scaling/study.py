"""Run a study from its plan to its table: train what is missing, predict the largest cells first."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus import files
from corpus.errors import ConfigError
from corpus.teller import Teller
from corpus.tokenizer.lost import TOO_LOW
from trainer import recipe
from trainer.scaling import rates, started
from trainer.scaling.blind_prediction import predict_blind, predictions
from trainer.scaling.dispatch import Workers, devices, locked
from trainer.scaling.grid import Cell, Trunk
from trainer.scaling.plan import Plan
from trainer.scaling.units import Unit, part

TABLE = "runs.jsonl"
CHECKS = "checks.jsonl"
"""The smallest size at other learning rates: a separate table, because these would bend a law."""


@dataclass(frozen=True)
class Outcome:
    """A finished study: the table's rows, those of the learning-rate check, and predictions with losses."""

    folder: Path
    rows: tuple[dict[str, Any], ...]
    checks: tuple[dict[str, Any], ...]
    predictions: tuple[dict[str, Any], ...]


def scale(plan: Plan, teller: Teller) -> Outcome:
    """Run a planned study, or the rest of it; the same call resumes it after a stop.

    Learning rates are checked before all sizes but the smallest are trained; the largest cells are predicted
    before they are trained. Raises ConfigError or DatasetError for what a user can fix, such as rates that
    could clearly be better, UnitError for failed units, StoppedError after SIGTERM or Ctrl-C.
    """
    folder = Path(plan.study.output)
    on = devices(plan.study.train.run, plan.study.workers)
    with locked(folder) as lock, Workers(folder, on, lock) as workers:
        _claim(plan, folder)
        every = plan.units((*plan.checks, *plan.trunks))
        last = {name for cell in plan.last for name in (cell.name, part(cell))}
        report = _Report(plan, teller, every)
        beside = [unit for unit in plan.units((*plan.checks, *_beside(plan))) if unit.name not in last]
        workers.dispatch(beside, report.finished)
        _refuse(plan, collect(plan))
        workers.dispatch([unit for unit in every if unit.name not in last], report.finished)
        rows = collect(plan).rows
        for cell in plan.last:
            if not any(row["run"] == cell.name for row in rows):
                report.predicted(cell, predict_blind(cell, rows, folder))
        workers.dispatch(every, report.finished)
        return collect(plan)


def _beside(plan: Plan) -> list[Trunk]:
    """Return the trunks with which the check's are compared: the same size and corpus, of every seed."""
    like = {(trunk.corpus, trunk.size.name) for trunk in plan.checks}
    return [each for each in plan.trunks if (each.corpus, each.size.name) in like and each.unique is None]


def _refuse(plan: Plan, done: Outcome) -> None:
    """Stop a study whose rates are clearly not the best: its small models would be worse than needed.

    Untuned rates at the small end bend the law: Porian et al. found an exponent of 0.50 instead of 0.57.
    """
    found = rates.learning_rate_check(done.rows, done.checks)
    if found is None or not found.better:
        return
    optimizer = plan.study.train.optimizer
    better = [f"train.optimizer.lr = {recipe.lr(optimizer) * found.best:.3g}"]
    if optimizer.name == "muon":
        better.append(f"train.optimizer.matrix_lr = {optimizer.matrix_lr * found.best:.3g}")
    raise ConfigError(
        f"{found}: set {' and '.join(better)} and another output, or continue as it is with --set check=[]"
    )


class _Report:
    """Write the tables again, and a line, whenever a unit is finished."""

    def __init__(self, plan: Plan, teller: Teller, every: Sequence[Unit]) -> None:
        self._plan, self._teller = plan, teller
        self._cells = sum(unit.facts is not None for unit in every)
        self._done = sum(unit.facts is not None and unit.done for unit in every)
        if self._done:
            teller.say(f"{self._done} of {self._cells} cells exist already")

    def finished(self, unit: Unit) -> None:
        row = unit.row()
        if row is None:
            return
        self._done += 1
        collect(self._plan)
        if math.isinf(rates.loss(row)):
            self._teller.say(f"{self._done}/{self._cells} {unit.name}: it diverged, its loss is not finite")
            return
        mark = "" if row.get("exact", True) else f" ({TOO_LOW})"
        self._teller.say(
            f"{self._done}/{self._cells} {unit.name}: {row['loss']:.4f} nats per token, "
            f"{row['bits_per_byte']:.4f} bits per byte{mark}, epochs {row['epochs']:.2g}"
        )

    def predicted(self, cell: Cell, name: str) -> None:
        found = predictions(Path(self._plan.study.output))[name]
        loss = found["loss"]
        rows = f"{len(found['fitted_to'])} runs ({found['fitted_rows']})"
        by = "" if loss is None else f"{loss:.4f} nats per token, by the {found['law']} law of {rows}"
        text = by or f"no law fits: {found['why']}"
        self._teller.say(f"predicted before training: {cell.name}: {text}; SHA-256 {name}")


def _claim(plan: Plan, folder: Path) -> None:
    """Write the record of the study, or compare the corpora with those it started with."""
    for name, facts in started.corpora(folder).items():
        if name in plan.fingerprints and facts["content"] != plan.fingerprints[name]:
            raise ConfigError(
                f"{folder}: corpora.{name} is not the corpus that this study started with: name another "
                "output, or restore its token shards"
            )
    found = {"study": plan.study.model_dump(mode="json"), "plan": plan.as_dict()}
    files.write_json(str(folder), started.STUDY, found, sweeps=True)


def collect(plan: Plan) -> Outcome:
    """Write the tables of finished cells, one row per cell in the plan's order, and return them."""
    folder = Path(plan.study.output)
    predicted = {each["cell"]: {**each, "hash": name} for name, each in predictions(folder).items()}
    tables = {}
    for name, chosen in ((TABLE, plan.trunks), (CHECKS, plan.checks)):
        rows = [row for unit in plan.units(chosen) if (row := unit.row()) is not None]
        for row in rows:
            row["prediction"] = predicted.get(row["run"], {}).get("hash")
        tables[name] = tuple(rows)
        text = "".join(json.dumps(row, sort_keys=True, ensure_ascii=False) + "\n" for row in rows)
        files.write_bytes(str(folder), name, text.encode(), sweeps=True)
    return Outcome(folder, tables[TABLE], tables[CHECKS], tuple(predicted.values()))
