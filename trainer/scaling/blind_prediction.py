"""Predict the largest cells from all others before they are trained, in files named by their own hash."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from corpus import files
from corpus.errors import ConfigError, RunsError
from trainer.scaling import rates
from trainer.scaling.choice import candidates, choose, repeats
from trainer.scaling.fit import fit
from trainer.scaling.laws import LAWS
from trainer.scaling.prediction import predict
from trainer.scaling.runs import Runs, runs

if TYPE_CHECKING:  # a report reads predictions without importing torch
    from trainer.scaling.grid import Cell

FOLDER = "predictions"
LOSS = "loss"


def predict_blind(cell: Cell, rows: Sequence[Mapping[str, Any]], folder: Path) -> str:
    """Predict a cell's loss from the rows of its corpus; return the hash that names the prediction's file.

    A cell that reads fresh data is predicted from rows with fresh data, by the law that `derlem fit` takes,
    else by the next simpler one that can be fitted. A cell that repeats data is predicted from all rows. Runs
    that diverged do not count. An existing prediction is kept. Raises ConfigError if one was changed.
    """
    for name, held in predictions(folder).items():
        if held["cell"] == cell.name:
            return name
    fresh = not repeats(cell.tokens, cell.unique)
    known = [
        row
        for row in rows
        if row["corpus"] == cell.trunk.corpus
        and row["run"] != cell.name
        and math.isfinite(rates.loss(row))
        and not (fresh and repeats(row["tokens"], row["unique_tokens"]))
    ]
    target = {
        "params": cell.trunk.size.shape.matmul_parameters,
        "tokens": cell.tokens,
        "unique": cell.unique,
    }
    found = {
        "cell": cell.name,
        "loss_of": "nats a token, all validation documents",
        "target": target,
        "fitted_to": {row["run"]: row[LOSS] for row in known},
        "fitted_rows": "those on fresh data" if fresh else "all",
        **(_predicted(table(known), target) if known else {"loss": None, "why": "no finished run to fit"}),
    }
    data = json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
    name = hashlib.sha256(data).hexdigest()
    files.write_bytes(str(folder), f"{FOLDER}/{name}.json", data, sweeps=True)
    return name


def table(rows: Sequence[Mapping[str, Any]]) -> Runs:
    """Return rows of runs.jsonl as columns; cells of one trunk share its noise, so they are one group."""
    column = {name: np.array([row[name] for row in rows], float) for name in _COLUMNS.values()}
    return runs(
        np.array([row[LOSS] for row in rows], float),
        **{name: column[own] for name, own in _COLUMNS.items()},
        group=np.array([row["branch_of"].split(" at ")[0] for row in rows], str),
    )


_COLUMNS = {"params": "matmul_parameters", "tokens": "tokens", "unique": "unique_tokens"}


def predictions(folder: Path) -> dict[str, dict[str, Any]]:
    """Read a study's predictions by hash; ConfigError if a file's content does not match its name."""
    found = {}
    for path in sorted((folder / FOLDER).glob("*.json")):
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != path.stem:
            raise ConfigError(
                f"{path}: the prediction was changed after it was made: its hash is not its name; restore "
                "the file, or start the study again with another output"
            )
        found[path.stem] = json.loads(data)
    return found


def _predicted(known: Runs, target: Mapping[str, int]) -> dict[str, Any]:
    """Predict with the law that predicts best; without an interval if rows are too few for one."""
    asked = runs(np.ones(1), **{name: np.array([float(value)]) for name, value in target.items()})
    why = []
    try:
        laws = (choose("", known)[0], *candidates("", known), LAWS["tied"])
    except RunsError as error:  # as few runs as one, or all on as many tokens
        return {"loss": None, "why": str(error)}
    for name in dict.fromkeys(law.name for law in laws):
        try:
            fitted = fit(LAWS[name], known)
        except RunsError as error:
            why.append(str(error))
            continue
        found = {
            "law": fitted.law.name,
            "formula": fitted.law.formula,
            "parameters": fitted.parameters,
            "objective": fitted.objective.describe(),
            "loss": float(fitted.predict(asked)[0]),
        }
        try:
            near = predict(fitted, known, asked)
        except RunsError as error:
            return {**found, "lower": None, "upper": None, "why": str(error)}
        ends = {"lower": float(near.lower[0]), "upper": float(near.upper[0]), "level": near.level}
        return {**found, **ends, "times_beyond": float(near.ratio[0])}
    return {"loss": None, "why": "; ".join(why)}
