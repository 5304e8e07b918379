"""Runs read from a study or any table, with what was found and the reasons for excluding some."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpus.errors import RunsError
from trainer.scaling import started
from trainer.scaling.laws import Floats
from trainer.scaling.runs import Columns, Runs, read, refusals, runs, warnings

FILE = "runs.jsonl"
BITS = "bits_per_byte"
_NUMBERS = ("params", "tokens", "unique", "compute", "share", "decay")
UNITS = 10
"""The fewest independent trunks whose branches are resampled together."""
FAR = 2.0
"""Answers are for the whole corpus of a study up to this many times the most that a run read of it."""
STUDY = Columns(
    loss=(BITS,),
    params="matmul_parameters",
    tokens="tokens",
    unique="unique_tokens",
    run="run",
    compute="flops",
)
"""The columns of a study's runs.jsonl; N counts the parameters that a token is multiplied by."""


@dataclass(frozen=True)
class Asked:
    """What is read of a table: its columns, and the sizes that its answers are for.

    `corpus` and `seed` are columns too. `about` is the corpus that is fitted, by default the one with most
    runs; `params` and `unique` are the model's parameters and the corpus's unique tokens: if 0 the most of
    the table, and for `unique` of a study its corpus unless that is `FAR` more. `left_out` gives reasons by
    run.
    """

    columns: Columns = STUDY
    corpus: str = ""
    seed: str = ""
    law: str = ""
    about: str = ""
    params: float = 0.0
    unique: float = 0.0
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Accuracy:
    """The share of a task's questions with the right answer, its 95 % interval, and that of guessing."""

    share: float
    low: float
    high: float
    chance: float


@dataclass(frozen=True)
class Run:
    """One row: a finished run, or a checkpoint; NaN or an empty string for what the table does not have.

    `group` is the unit of resampling; `tasks` has accuracies by the name of the task; `nats` is a study's
    loss per token, `documents` names its validation documents; `exact`: whether its tokenizer keeps all text;
    `record` is the row as the table has it, names of nested columns joined by dots.
    """

    run: str
    corpus: str
    seed: str
    params: float
    tokens: float
    unique: float
    share: float
    decay: float
    compute: float
    nats: float
    losses: Mapping[str, float]
    tasks: Mapping[str, Accuracy]
    documents: str
    folder: str
    group: str
    record: Mapping[str, Any]
    exact: bool = True
    left_out: str = ""

    @property
    def epochs(self) -> float:
        """Return how often it saw its unique tokens."""
        return self.tokens / self.unique


@dataclass(frozen=True, eq=False)
class Source:
    """The runs, the table that they come from, and the findings about it.

    `branches` says why branches of a run are resampled one by one, empty if runs are; `exact`: whether all
    tokenizers keep all text. `part_of` is the tokens of the study's corpus where they are more than `FAR`
    times what a run read, so that the answers are for what was read; else 0.
    """

    path: Path
    digest: str
    study: bool
    asked: Asked
    rows: tuple[Run, ...]
    about: str
    findings: tuple[str, ...]
    branches: str
    exact: bool
    predictions: Mapping[str, Mapping[str, Any]]
    part_of: float = 0.0

    def kept(self, corpus: str | None = None) -> list[Run]:
        """Return the rows that are fitted, of one corpus or all."""
        return [row for row in self.rows if not row.left_out and corpus in (None, row.corpus)]

    @property
    def corpora(self) -> list[str]:
        """Return the names of the corpora that runs were trained on."""
        return sorted({row.corpus for row in self.kept()})

    def places(self, loss: str) -> list[int]:
        """Return the places of the rows that are fitted to a loss: of the report's corpus, with this loss."""
        return [
            place
            for place, row in enumerate(self.rows)
            if not row.left_out and row.corpus == self.about and _finite(row.losses.get(loss))
        ]

    def fitted(self, loss: str) -> list[Run]:
        """Return the rows that are fitted to a loss."""
        return [self.rows[place] for place in self.places(loss)]

    def without(self, reasons: Mapping[int, str]) -> Source:
        """Return the same without these rows, by their places among all; each with its reason."""
        rows = [replace(row, left_out=row.left_out or reasons.get(i, "")) for i, row in enumerate(self.rows)]
        return replace(self, rows=tuple(rows))

    def runs(self, loss: str) -> Runs:
        """Return them as columns."""
        return as_runs(self.fitted(loss), loss)


def as_runs(rows: list[Run], loss: str) -> Runs:
    """Return rows as columns, without columns that no row has."""

    def column(name: str) -> Floats | None:
        values = np.array([getattr(row, name) for row in rows], dtype=float)
        return values if np.isfinite(values).all() else None

    return runs(
        np.array([row.losses[loss] for row in rows]),
        params=column("params"),
        tokens=column("tokens"),
        unique=column("unique"),
        compute=column("compute"),
        share=column("share"),
        decay=column("decay"),
        group=np.array([row.group for row in rows]),
    )


def load(path: Path, asked: Asked) -> Source:
    """Read a study's folder or a table; RunsError if it is refused or nothing remains to fit."""
    study = path.is_dir()
    file = path / FILE if study else path
    if study and not file.exists():
        raise RunsError(f"{path}: no {FILE} in this folder: `derlem scale` writes one, or name a table")
    table = read(file)
    if study:
        asked = replace(asked, columns=_study_columns(table), corpus="corpus", seed="seed")
    columns = asked.columns
    if not columns.loss:
        raise RunsError(f"{file}: no loss column named: expected --loss NAME, of {_names(table)}")
    named = [n for n in (*vars(columns).values(), asked.corpus, asked.seed) if n and isinstance(n, str)]
    missing = [n for n in (*named, *columns.loss) if n not in _flat(table).column_names]
    if missing:
        raise RunsError(f"{file}: no column {', '.join(missing)}; it has {_names(table)}: name those")
    records = _flat(table).to_pylist()
    rows = _left_out([_row(i, record, asked, study) for i, record in enumerate(records)], asked)
    kept = [row for row in rows if not row.left_out]
    if not kept:
        reasons = sorted({row.left_out for row in rows})
        raise RunsError(f"{file}: none of {len(rows)} runs can be fitted: {'; '.join(reasons) or 'no rows'}")
    corpora = [row.corpus for row in kept]
    about = asked.about or max(sorted(set(corpora)), key=corpora.count)
    if about not in corpora:
        there = ", ".join(filter(None, sorted(set(corpora))))
        known = f"corpora are {there}" if there else "no column of corpora is named: name it with --corpus"
        raise RunsError(f"{file}: no run of corpus {about!r}; {known}")
    rows, branches = _units(rows, about) if study else (rows, "")
    fitted = [row for row in rows if row.corpus == about and not row.left_out]
    findings = _checked(file, fitted, columns)
    part_of = 0.0
    if study and not asked.unique:
        whole = float(started.corpora(path).get(about, {}).get("tokens", 0))
        if whole > FAR * max(row.unique for row in fitted):
            part_of = whole
        else:
            asked = replace(asked, unique=whole)
    return Source(
        path=path,
        digest=hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest(),
        study=study,
        asked=asked,
        rows=tuple(rows),
        about=about,
        findings=findings,
        branches=branches,
        exact=all(row.exact for row in fitted),
        predictions=_predictions(path) if study else {},
        part_of=part_of,
    )


def _predictions(study: Path) -> Mapping[str, Mapping[str, Any]]:
    """Read the predictions made before training, by hash."""
    from trainer.scaling.blind_prediction import predictions

    return predictions(study)


def _flat(table: pa.Table) -> pa.Table:
    """Turn nested records into columns with dotted names."""
    while any(pa.types.is_struct(each.type) for each in table.schema):
        table = table.flatten()
    return table


def _names(table: pa.Table) -> str:
    return ", ".join(_flat(table).column_names)


def _study_columns(table: pa.Table) -> Columns:
    languages = [n for n in _flat(table).column_names if n.startswith("languages.") and n.endswith(BITS)]
    return replace(STUDY, loss=(BITS, *sorted(languages)))


def _row(index: int, record: Mapping[str, Any], asked: Asked, study: bool) -> Run:
    columns = asked.columns

    def number(name: str) -> float:
        value = record.get(name) if name else None
        try:
            return _float(value)
        except (TypeError, ValueError):
            raise RunsError(f"row {index + 1}, column {name}: {value!r} is not a number") from None

    def word(name: str) -> str:
        return "" if not name or record.get(name) is None else str(record[name])

    params, tokens, share = number(columns.params), number(columns.tokens), number(columns.share)
    own = tokens * share if columns.share else tokens
    trunk = word("branch_of").split(" at ")[0] if study else ""
    return Run(
        run=word(columns.run) or f"row {index + 1}",
        corpus=word(asked.corpus),
        seed=word(asked.seed),
        params=params,
        tokens=own,
        unique=number(columns.unique) if columns.unique else own,
        share=share,
        decay=number(columns.decay),
        compute=number(columns.compute) if columns.compute else 6.0 * params * tokens,
        nats=number("loss") if study else float("nan"),
        losses={name: number(name) for name in columns.loss if record.get(name) is not None},
        tasks={
            task: Accuracy(*(number(f"tasks.{task}.{part}") for part in ("share", "low", "high", "chance")))
            for task in sorted({name.split(".")[1] for name in record if name.startswith("tasks.")})
        },
        documents=word("documents") if study else "",
        folder=word("folder") if study else "",
        group=trunk or word(columns.run) or str(index),
        record=record,
        exact=record.get("exact") is not False,
    )


def _left_out(rows: list[Run], asked: Asked) -> list[Run]:
    """Return the rows, each with the reason why it is not fitted, if any."""
    lists = [row.documents for row in rows]
    usual = max(sorted(set(lists)), key=lists.count) if lists else ""
    main = asked.columns.loss[0]

    def why(row: Run) -> str:
        if row.run in asked.left_out:
            return asked.left_out[row.run]
        if not _finite(row.losses.get(main)):
            return "no finite loss: the run diverged or was not scored"
        if row.documents != usual:
            return "scored on other validation documents than most runs"
        return ""

    unknown = set(asked.left_out) - {row.run for row in rows}
    if unknown:
        raise RunsError(f"no run {', '.join(sorted(unknown))}: expected names of the run column")
    return [replace(row, left_out=why(row)) for row in rows]


def _units(rows: list[Run], about: str) -> tuple[list[Run], str]:
    """Resample trunks if the corpus that is fitted has enough of them, else branches, and say why."""
    fitted = [row for row in rows if row.corpus == about and not row.left_out]
    trunks = {row.group for row in fitted}
    if len(trunks) >= UNITS or len(trunks) == len(fitted):
        return rows, ""
    why = (
        f"the runs branch off only {len(trunks)} trunks: intervals treat each branch as independent, and are "
        f"narrower than those of {UNITS} trunks or more would be"
    )
    return [replace(row, group=row.run) for row in rows], why


def _checked(file: Path, rows: list[Run], columns: Columns) -> tuple[str, ...]:
    """Return the warnings about the fitted rows; RunsError if they cannot be fitted."""
    names = {role: name for role, name in vars(columns).items() if name and role in _NUMBERS}
    values = {role: np.array([_float(row.record.get(name)) for row in rows]) for role, name in names.items()}
    main = columns.loss[0]
    losses = {main: np.array([row.losses[main] for row in rows])}
    if refused := [*refusals(values, losses)]:
        raise RunsError(f"{file}: {'; '.join(refused)}")
    return tuple(warnings(values, losses, np.array([row.run for row in rows]) if columns.run else None))


def _float(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _finite(value: float | None) -> bool:
    return value is not None and bool(np.isfinite(value)) and value > 0
