"""Fit a table of runs: the analysis of each column of losses, with its checks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from corpus.errors import RunsError
from trainer.scaling.analysis import Analysis, analyse, without_diverged
from trainer.scaling.checks import Check, checklist
from trainer.scaling.runs import Columns
from trainer.scaling.source import Asked, load
from trainer.scaling.uncertainty import RESAMPLES


@dataclass(frozen=True, eq=False)
class TableFit:
    """The analysis of every loss column of a table with its checks, and what its reader must know."""

    path: str
    findings: tuple[str, ...]
    analyses: tuple[Analysis, ...]
    checks: tuple[tuple[Check, ...], ...]


def fit_table(path: Path, columns: Columns, law: str = "", resamples: int = RESAMPLES) -> TableFit:
    """Fit every loss column of a table, by the named law or the one that predicts held-out runs best.

    RunsError if the table is refused.
    """
    if path.is_dir():
        table = "expected a table of the kind .csv, .parquet or .jsonl"
        raise RunsError(f"{path}: a folder; {table}; `derlem report` reads a study's folder")
    source = load(path, Asked(columns, law=law))
    told, analyses, checks = [*source.findings], [], []
    for name in columns.loss:
        kept = without_diverged(source, name)
        told += [f"{row.run} is excluded from the fit: {row.left_out}" for row in kept.rows if row.left_out]
        analyses.append(analyse(kept, name, resamples))
        checks.append(checklist(kept, analyses[-1]))
    return TableFit(str(path), tuple(dict.fromkeys(told)), tuple(analyses), tuple(checks))
