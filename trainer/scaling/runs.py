"""Training runs as columns, read from a table and checked for what would spoil a fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet
from numpy.typing import NDArray

from corpus.errors import RunsError
from trainer.scaling.laws import Floats, Logs

SHOWN = 3
"""Number of rows that a message names."""


@dataclass(frozen=True, eq=False)
class Runs:
    """`columns` by name, each float64[n]: params, tokens, unique, compute if known; `loss` [n], above zero.

    Of runs that read a second language too, `tokens` and `unique` are of the loss's language, and `share` is
    the share of all tokens that these are; `decay` is the weight decay.
    `group` [n] names the training run of a row: rows of one run (checkpoints) are not independent.
    """

    columns: Mapping[str, Floats]
    loss: Floats
    group: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.loss)

    def logs(self) -> Logs:
        """Return the natural logarithm of every column."""
        return {name: np.log(column) for name, column in self.columns.items()}

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Runs:
        """Return some rows, by index or by mask."""
        return Runs({k: v[rows] for k, v in self.columns.items()}, self.loss[rows], self.group[rows])

    def with_loss(self, loss: Floats) -> Runs:
        """Return the same runs with other losses."""
        return Runs(self.columns, loss, self.group)

    def compute(self) -> Floats:
        """Return the training FLOPs [n]: as counted, or 6·N·D; without one of the two, 6 times the other."""
        if "compute" in self.columns:
            return self.columns["compute"]
        product = np.full(len(self), 6.0)
        for name in ("params", "tokens"):
            if name in self.columns:
                product = product * self.columns[name]
        return product

    def clusters(self) -> NDArray[np.int64]:
        """Number the runs from 0 [n]: rows with the same number are of one run."""
        return np.unique(self.group, return_inverse=True)[1].astype(np.int64)


def runs(
    loss: Floats,
    *,
    params: Floats | None = None,
    tokens: Floats | None = None,
    unique: Floats | None = None,
    compute: Floats | None = None,
    share: Floats | None = None,
    decay: Floats | None = None,
    group: NDArray[np.str_] | None = None,
) -> Runs:
    """Make runs from arrays; without `group` each row is its own run, without `unique` nothing repeats."""
    unique = tokens if unique is None else unique
    columns = {"params": params, "tokens": tokens, "unique": unique, "compute": compute}
    columns |= {"share": share, "decay": decay}
    known = {name: np.asarray(column, dtype=float) for name, column in columns.items() if column is not None}
    loss = np.asarray(loss, dtype=float)
    wrong = {name: len(column) for name, column in known.items() if len(column) != len(loss)}
    if wrong:
        raise RunsError(f"{len(loss)} losses, but {wrong}: expected columns of one length")
    names = np.array([str(i) for i in range(len(loss))]) if group is None else np.asarray(group, dtype=str)
    return Runs(known, loss, names)


@dataclass(frozen=True)
class Columns:
    """The column names of a table; an empty name means that there is none.

    `loss` may name several columns, one per language: each is fitted separately on the same runs. `compute`
    is in FLOPs, by default 6·N·D. `share` is the share of `tokens` in the language of the loss, of which
    `unique` are counted; `decay` is the weight decay.
    """

    loss: tuple[str, ...]
    params: str = ""
    tokens: str = ""
    unique: str = ""
    run: str = ""
    compute: str = ""
    share: str = ""
    decay: str = ""

    @property
    def given(self) -> list[str]:
        """Return the roles that have a column, which are the names of their options too."""
        return [role for role, name in vars(self).items() if name]


def read(path: Path) -> pa.Table:
    """Read a table by its suffix; RunsError if the file is missing, of another kind or damaged."""
    readers = {".csv": pa.csv.read_csv, ".parquet": pa.parquet.read_table, ".jsonl": pa.json.read_json}
    if path.suffix not in readers:
        raise RunsError(f"{path}: kind {path.suffix or 'none'} is unknown; expected {', '.join(readers)}")
    try:
        table = readers[path.suffix](path)
    except FileNotFoundError as error:
        raise RunsError(f"{path}: no such file") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise RunsError(f"{path}: cannot be read: {error}") from error
    twice = sorted(name for name, count in Counter(table.column_names).items() if count > 1)
    if twice:
        raise RunsError(f"{path}: several columns are named {', '.join(twice)}: rename all but one")
    if not len(table):
        raise RunsError(f"{path}: no rows: expected one row per run")
    return table


def refusals(values: Mapping[str, Floats], losses: Mapping[str, Floats]) -> Iterator[str]:
    """Yield why runs cannot be fitted: numbers by role (`Columns`), losses by name."""
    for name, column in {**values, **losses}.items():
        wrong = ~(np.isfinite(column) & (column > 0))
        if wrong.any():
            hint = "; an integer that overflowed looks like this" if (column < 0).any() else ""
            if name in losses and not hint:
                hint = ": nothing was fitted; a diverged run has no loss, so remove its row"
            yield f"{name} is not a finite number above 0 in {_rows(wrong, column)}{hint}"
    if "unique" in values and "tokens" in values:
        wrong = values["unique"] > values["tokens"] * values.get("share", 1.0) * (1 + 1e-6)
        if wrong.any():
            yield f"more unique tokens than tokens seen in {_rows(wrong, values['unique'])}"


def warnings(values: Mapping[str, Floats], losses: Mapping[str, Floats], group: Any) -> Iterator[str]:
    """Yield what a fit's reader must know: numbers by role (`Columns`), losses by name, names of runs."""
    if {"params", "tokens", "compute"} <= values.keys():
        yield from _compute(values["compute"], 6.0 * values["params"] * values["tokens"])
    yield from _duplicates(values, losses, group)


def _compute(compute: Floats, expected: Floats) -> Iterator[str]:
    ratio = compute / expected
    wrong = (ratio < 0.5) | (ratio > 3)
    if wrong.any():
        wrapped = (expected > 2.0**63) & (ratio < 0.5)
        hint = "; 6·N·D is above 2^63 there: an integer that overflowed?" if wrapped.any() else ""
        yield f"compute is outside 0.5 to 3 times 6·N·D in {_rows(wrong, ratio)}{hint}"


def _duplicates(values: Mapping[str, Floats], losses: Mapping[str, Floats], group: Any) -> Iterator[str]:
    keys = [values[name] for name in ("params", "tokens", "unique") if name in values]
    whole = np.column_stack([*keys, *losses.values()])
    _, first, count = np.unique(whole, axis=0, return_index=True, return_counts=True)
    if (count > 1).any():
        row = int(first[count > 1][0]) + 1
        extra = int((count - 1).sum())
        yield f"{extra} rows repeat another in full (row {row} is one): they count twice"
    if group is not None and (rows := np.bincount(np.unique(group, return_inverse=True)[1])).max() > 1:
        yield (
            f"{int((rows > 1).sum())} runs have several rows: intervals resample whole runs, and "
            "only rows whose learning rate had decayed are finished runs"
        )


def _rows(wrong: Any, values: Floats) -> str:
    where = np.flatnonzero(wrong)
    shown = ", ".join(f"row {i + 1} ({values[i]:.4g})" for i in where[:SHOWN])
    return f"{len(where)} rows: {shown}" + (" …" if len(where) > SHOWN else "")
