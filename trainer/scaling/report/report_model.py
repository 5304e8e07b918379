"""The data model of a report: text and numbers, from which the page and its JSON twin are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from trainer.page.charts import Chart
from trainer.page.formatting import Kind
from trainer.page.html import Table
from trainer.scaling.analysis import Analysis
from trainer.scaling.uncertainty import Interval


@dataclass(frozen=True)
class Answer:
    """A question in plain language and its answer; `known` is false if the data do not allow one.

    `beyond` is the compute of the run that the answer is about over that of the largest fitted run.
    """

    question: str
    statement: str
    known: bool
    value: Interval | None = None
    unit: str = ""
    beyond: float | None = None


Verdict: TypeAlias = Literal["strong", "weak", "not measured"]


@dataclass(frozen=True)
class Check:
    """One quality check: how much it supports the answers, and why."""

    name: str
    verdict: Verdict
    why: str


@dataclass(frozen=True)
class Section:
    """A section of the page."""

    id: str
    title: str
    text: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True)
class Number:
    """One of the numbers of the first screen; without a value, `note` says what is missing."""

    title: str
    value: Interval | None
    kind: Kind
    note: str


@dataclass(frozen=True)
class Headline:
    """The first screen: a sentence, a chart, numbers, charts of tasks, how far to trust it, predictions."""

    sentence: str
    chart: Chart
    numbers: tuple[Number, ...]
    tasks: tuple[Chart, ...]
    trust: str
    predictions: tuple[Chart, ...]


@dataclass(frozen=True)
class Report:
    """Everything that the page shows, and in `analysis` and `more` what only its twin has.

    `input` names what it was made from, `versions` the software.
    """

    title: str
    about: str
    input: Mapping[str, str]
    versions: Mapping[str, str]
    headline: Headline
    answers: tuple[Answer, ...]
    checklist: tuple[Check, ...]
    cannot: tuple[str, ...]
    sections: tuple[Section, ...]
    analysis: Analysis
    more: Mapping[str, Any]
