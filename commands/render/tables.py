"""A table whose numbers can be read on a terminal of any width."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import rich.table
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Column

_NAMES = 16  # cells in which a name still reads well when it is folded


class Table(rich.table.Table):
    """A table of names and right-justified numbers; columns that do not fit continue below the others.

    Rich would cut numbers, or break them into lines. Each part repeats the first column.
    """

    def add_column(self, *arguments: Any, **options: Any) -> None:
        """Add a column; one of numbers is not narrower than its widest cell."""
        if options.get("justify") == "right":
            options["no_wrap"] = True
        super().add_column(*arguments, **options)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for number, columns in enumerate(self._fitting(console, options.max_width)):
            part = self._of(columns)
            if number:
                part.title = None
                yield ""
            yield from rich.table.Table.__rich_console__(part, console, options)

    def _fitting(self, console: Console, width: int) -> Iterator[list[Column]]:
        """Yield groups of columns, each with the first, that fit where names are folded."""
        chosen = self.columns[:1]
        for column in self.columns[1:]:
            if len(chosen) > 1 and self._least([*chosen, column], console) > width:
                yield chosen
                chosen = self.columns[:1]
            chosen = [*chosen, column]
        yield chosen

    def _least(self, columns: Sequence[Column], console: Console) -> int:
        names = (column for column in columns if not column.no_wrap)
        spare = sum(max(0, self._widest([name], console) - _NAMES) for name in names)
        return self._widest(columns, console) - spare

    def _widest(self, columns: Sequence[Column], console: Console) -> int:
        unlimited = console.options.update(width=1 << 16)
        return Measurement.get(console, unlimited, self._of(columns)).maximum

    def _of(self, columns: Sequence[Column]) -> Table:
        part = copy.copy(self)
        part.columns = [replace(column, _index=n) for n, column in enumerate(columns)]
        return part
