"""Questions to the index of a build: which texts, how many by what, in which order, and with which words."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus import dataset
from corpus.errors import NotThereError
from corpus.inspect import rows
from corpus.inspect.documents import search_pattern
from corpus.inspect.texts import Texts

FACETS = ("rule", "language", "source", "host")
ORDERS = ("n", "words", "bytes", "score", "fetched", "copies", "host")
PAGE = 50  # texts of a page
SEARCH_S = 1.5  # a search answers after this, with what it found, and can be continued
_SNIPPET = 240  # characters
_INTEGER = re.compile(r"-?\d{1,18}")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which texts, and in which order; an empty value asks for nothing.

    `state` is kept or dropped; `rule` the start of a rule's name; `find` words in the text; `order` one
    of ORDERS, a rule's name (its stored value) or "random", which `seed` draws; "-" before it turns it round.
    `start` is the position of a page's first text, or for a search the number at which it continues.
    """

    state: str = ""
    rule: str = ""
    language: str = ""
    source: str = ""
    host: str = ""
    least: str = ""  # words
    most: str = ""
    find: str = ""
    order: str = ""
    seed: str = ""
    start: str = ""

    @staticmethod
    def of(query: Mapping[str, str]) -> Selection:
        """Return the selection that a URL's query names; unknown names are ignored."""
        known = {field.name for field in fields(Selection)}
        return Selection(**{name: value for name, value in query.items() if name in known})

    def query(self, **changes: str) -> str:
        """Return the query of a URL with some values changed."""
        changed = replace(self, **changes)
        pairs = ((field.name, getattr(changed, field.name)) for field in fields(changed))
        return urlencode([(name, value) for name, value in pairs if value])


@dataclass(frozen=True, slots=True)
class Row:
    """One text of a page of the table."""

    n: int
    rule: str
    language: str
    source: str
    host: str
    words: int
    score: float
    value: float | None  # of the rule by which the table is ordered
    url: str
    snippet: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page of texts: how many there are in all, and where the next page starts ("" at the end).

    `searched` says for a search how many of the texts have been read.
    """

    rows: list[Row]
    total: int
    next: str
    searched: int | None = None


class Questions:
    """Answers questions about one build; every answer uses a cursor of its own, so threads may ask."""

    def __init__(self, texts: Texts, index: duckdb.DuckDBPyConnection) -> None:
        self.texts = texts
        self.rules = texts.rules()
        self._index = index
        self._values = lru_cache(maxsize=2)(texts.values)

    def ask(self, sql: str, parameters: list[Any] | None = None, rule: str = "") -> list[tuple[Any, ...]]:
        """Return the rows of an answer; where a rule is named, the table has its stored `value`."""
        with self._index.cursor() as cursor:
            if rule:
                cursor.register("stored", pa.table({"value": self._values(rule)}))
                sql = sql.replace("FROM texts", "FROM (SELECT * FROM texts POSITIONAL JOIN stored)")
            found: list[tuple[Any, ...]] = cursor.execute(sql, parameters or []).fetchall()
            if rule:
                cursor.unregister("stored")
        return found

    def count(self, selection: Selection) -> int:
        """Return how many texts there are."""
        where, parameters = _where(selection)
        return int(self.ask(f"SELECT count(*) FROM texts WHERE {where}", parameters)[0][0])

    def facet(self, name: str, selection: Selection, limit: int = 12) -> list[tuple[str, int, int]]:
        """Return a facet's most frequent values with documents and words, whatever is chosen of it."""
        if name not in FACETS:
            raise NotThereError(f"there is no facet {name!r}; there are: {', '.join(FACETS)}")
        where, parameters = _where(replace(selection, **{name: "", "start": ""}))
        return self.ask(
            f"SELECT {name}, count(*) AS c, sum(words)::BIGINT FROM texts WHERE {where} "
            f"GROUP BY {name} ORDER BY c DESC, {name} LIMIT {limit}",
            parameters,
        )

    def groups(self, name: str, order: str, limit: int) -> list[tuple[Any, ...]]:
        """Return by value of a facet: texts, kept, words, words kept, the rule that drops most, its drops."""
        orders = {"kept": "k DESC", "words": "5 DESC", "share": "k / t DESC, t DESC", "name": "g"}
        by_rule = f"SELECT {name} AS g, rule, count(*) AS c, sum(words)::BIGINT AS w FROM texts GROUP BY ALL"
        return self.ask(
            f"SELECT g, sum(c)::BIGINT AS t, coalesce(sum(c) FILTER (rule = ''), 0)::BIGINT AS k, "
            f"sum(w)::BIGINT, "
            f"coalesce(sum(w) FILTER (rule = ''), 0)::BIGINT, arg_max(rule, c) FILTER (rule <> ''), "
            f"max(c) FILTER (rule <> '') FROM ({by_rule}) GROUP BY g "
            f"ORDER BY {orders.get(order, 't DESC')}, g LIMIT {int(limit)}"
        )

    def page(self, selection: Selection) -> Page:
        """Return a page of texts, in their order, or as a search finds them."""
        if selection.find:
            return self._search(selection)
        where, parameters = _where(selection)
        key, rule = self._order(selection)
        start = _number(selection.start, 0)
        found = self.ask(
            f"SELECT n FROM texts WHERE {where} ORDER BY {key}, n LIMIT {PAGE} OFFSET {start}",
            parameters,
            rule,
        )
        total = self.count(selection)
        more = start + PAGE < total
        return Page(self.rows([n for (n,) in found], rule), total, str(start + PAGE) if more else "")

    def beside(self, selection: Selection, number: int, step: int) -> int | None:
        """Return the next text after a text of a selection (`step` 1), or the one before (-1)."""
        where, parameters = _where(selection)
        key, rule = self._order(selection)
        if selection.find:
            key, rule = "n", ""
        backwards = key.endswith(" DESC")
        key = key.removesuffix(" DESC")
        side, turn = (">", "ASC") if (step > 0) != backwards else ("<", "DESC")
        # The number breaks ties upwards, whichever way the order goes.
        tie, tie_turn = (">", "ASC") if step > 0 else ("<", "DESC")
        at = f"(SELECT {key} AS k FROM texts WHERE n = {int(number)})"
        sql = (
            f"SELECT n FROM texts, {at} AS here WHERE {where} "
            f"AND ({key} {side} here.k OR ({key} = here.k AND n {tie} {int(number)})) "
            f"ORDER BY {key} {turn}, n {tie_turn} LIMIT {PAGE if selection.find else 1}"
        )
        found = [n for (n,) in self.ask(sql, parameters, rule)]
        if selection.find:
            numbers = np.array(sorted(found), dtype=np.int64)
            found = list(self._matching(numbers, selection.find, _Clock()))[::step]
        return int(found[0]) if found else None

    def rows(self, numbers: list[int], rule: str = "") -> list[Row]:
        """Return the rows of the table for some texts, in the order of their numbers in the list."""
        if not numbers:
            return []
        names = "n, rule, language, source, host, words, score" + (", value" if rule else "")
        listed = ", ".join(str(int(n)) for n in numbers)
        known = {
            row[0]: row for row in self.ask(f"SELECT {names} FROM texts WHERE n IN ({listed})", rule=rule)
        }
        places = [self.texts.place(n) for n in numbers]
        read = rows.read(
            [rows.Place(place.home.stage.folder, place.home.file, place.row) for place in places],
            ["url", "text"],
        )
        found = []
        for n, text in zip(numbers, read, strict=True):
            _, outcome, language, source, host, words, score, *stored = known[n]
            value = stored[0] if stored and stored[0] == stored[0] else None  # nan: nothing was measured
            snippet = " ".join(text["text"][: 2 * _SNIPPET].split())[:_SNIPPET]
            found.append(Row(n, outcome, language, source, host, words, score, value, text["url"], snippet))
        return found

    def _order(self, selection: Selection) -> tuple[str, str]:
        """Return the SQL of an order's key, and the rule whose stored values it needs."""
        name = selection.order.removeprefix("-")
        down = " DESC" if selection.order.startswith("-") else ""
        if name == "random":
            return f"hash(n + {_number(selection.seed, 0)}::UBIGINT * 1000003)", ""
        if name in self.rules:
            # Nothing measured is nan, which DuckDB takes for the largest number.
            return f"(CASE WHEN isnan(value) THEN {'-1e308' if down else '1e308'} ELSE value END){down}", name
        if name == "fetched":
            return f"coalesce(fetched, TIMESTAMP '1970-01-01'){down}", ""
        return (f"{name}{down}" if name in ORDERS else "n"), ""

    def _search(self, selection: Selection) -> Page:
        """Read texts in the order of their numbers until a page is full or the time is over."""
        where, parameters = _where(selection)
        start = _number(selection.start, 0)
        with self._index.cursor() as cursor:
            cursor.execute(f"SELECT n FROM texts WHERE {where} ORDER BY n", parameters)
            numbers = cursor.fetchnumpy()["n"].astype(np.int64)
        first = int(np.searchsorted(numbers, start))
        clock = _Clock()
        found: list[int] = []
        for n in self._matching(numbers[first:], selection.find, clock):
            if len(found) == PAGE:
                return Page(self.rows(found), int(numbers.size), str(n), int(np.searchsorted(numbers, n)))
            found.append(n)
        done = int(np.searchsorted(numbers, clock.read, side="right")) if clock.is_over else int(numbers.size)
        following = str(clock.read + 1) if clock.is_over and done < numbers.size else ""
        return Page(self.rows(found), int(numbers.size), following, done)

    def _matching(self, numbers: NDArray[np.int64], find: str, clock: _Clock) -> Iterator[int]:
        """Yield each number (they ascend) whose text has the words, until the time is over."""
        # A word is found with its suffixes: what follows it is not looked at, and no letter precedes it.
        pattern = r"(?:^|[^\p{L}\p{N}])" + search_pattern(find)
        for home in self.texts.files:
            inside = numbers[(numbers >= home.first) & (numbers < home.first + home.file.rows)] - home.first
            if not inside.size:
                continue
            start = 0
            for batch in dataset.batches(home.stage.folder, home.file.path, ["text"]):
                mine = inside[(inside >= start) & (inside < start + batch.num_rows)]
                if mine.size:
                    texts = batch["text"].take(pa.array(mine - start))
                    hits = pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False)
                    clock.read = home.first + int(mine[-1])
                    yield from (home.first + mine[hits]).tolist()
                start += batch.num_rows
                if clock.is_late():
                    return


class _Clock:
    """The time of a search, and how far it has read."""

    def __init__(self) -> None:
        self._end = time.monotonic() + SEARCH_S
        self.is_over = False
        self.read = -1

    def is_late(self) -> bool:
        self.is_over = time.monotonic() > self._end
        return self.is_over


def _where(selection: Selection) -> tuple[str, list[Any]]:
    """Return the condition of a selection, and its parameters; `find` is not in it."""
    conditions = ["true"]
    parameters: list[Any] = []
    if selection.state in ("kept", "dropped"):
        conditions.append("rule = ''" if selection.state == "kept" else "rule <> ''")
    if selection.rule:
        conditions.append("starts_with(rule, ?)")
        parameters.append(selection.rule)
    for name in ("language", "source", "host"):
        if value := getattr(selection, name):
            conditions.append(f"{name} = ?")
            parameters.append("" if value == "-" else value)
    for value, sign in ((selection.least, ">="), (selection.most, "<=")):
        if _INTEGER.fullmatch(value):
            conditions.append(f"words {sign} ?")
            parameters.append(int(value))
    return " AND ".join(conditions), parameters


def _number(text: str, otherwise: int) -> int:
    return max(0, int(text)) if _INTEGER.fullmatch(text) else otherwise
