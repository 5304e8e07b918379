"""Fit a table of runs: the analysis of each column of losses, with its checks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from corpus.errors import RunsError
from trainer.scaling.analysis import Analysis, analyse, without_diverged
from trainer.scaling.checks import Check, checklist
from trainer.scaling.runs import Columns
from trainer.scaling.source import Asked, Run, Source, load
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
        told += [
            f"{_named(row, place, source)} is excluded from the fit: {row.left_out}"
            for place, row in enumerate(kept.rows)
            if row.left_out
        ]
        told += [
            f"{_named(row, place, source)} has no {name} above 0: it is excluded from that fit"
            for place, row in enumerate(source.rows)
            if not row.left_out and row.corpus == source.about and place not in source.places(name)
        ]
        analyses.append(analyse(kept, name, resamples))
        checks.append(checklist(kept, analyses[-1]))
    return TableFit(str(path), tuple(dict.fromkeys(told)), tuple(analyses), tuple(checks))


def _named(row: Run, place: int, source: Source) -> str:
    """Return the name of a row for messages: of its run, and its number where the run has several."""
    several = sum(each.run == row.run for each in source.rows) > 1
    return f"{row.run} (row {place + 1})" if several else row.run
