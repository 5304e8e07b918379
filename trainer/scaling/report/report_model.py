"""The data model of a report: text and numbers, from which the page and its JSON twin are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainer.page.charts import Chart
from trainer.page.formatting import Kind, around
from trainer.page.html import Table
from trainer.scaling.analysis import Analysis
from trainer.scaling.checks import Check
from trainer.scaling.uncertainty import Interval


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

    def __str__(self) -> str:
        value = f"{around(self.value, self.kind)}: " if self.value else ""
        return f"{self.title}: {value}{self.note}"


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
    corpora: tuple[str, ...]
    checklist: tuple[Check, ...]
    sections: tuple[Section, ...]
    analysis: Analysis
    more: Mapping[str, Any]

    @property
    def lines(self) -> tuple[str, ...]:
        """Return what it says, a line each."""
        numbers = map(str, self.headline.numbers)
        return tuple(filter(None, (self.headline.sentence, *numbers, *self.corpora, self.headline.trust)))
