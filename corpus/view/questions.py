"""Questions to the index of a build: which texts, how many by what, in which order, and with which words."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
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

_CERTAINTY = (0.99, 0.9, 0.7, 0.5)  # where ranges of the language score start
FACETS = {
    "rule": "rule",
    "language": "language",
    "source": "source",
    "host": "host",
    "register": "register",
    "page_kind": "page_kind",
    "certainty": "CASE "
    + " ".join(f"WHEN score >= {low} THEN 'from {low}'" for low in _CERTAINTY)
    + f" ELSE 'below {_CERTAINTY[-1]}' END",
}
"""What the table can be narrowed by, each as SQL; `certainty` is the range of the language score."""
ORDERS = ("n", "words", "bytes", "score", "fetched", "copies", "host")
PAGE = 50  # texts of a page
SEARCH_S = 1.5  # a search answers after this, with what it found, and can be continued
_SNIPPET = 240  # characters
_INTEGER = re.compile(r"-?\d{1,18}")
_SCHEME = re.compile(r"(?i)^(?:https?:)?(?://)?(?:www\.)?")
_DECIMAL = re.compile(r"-?\d{1,18}(\.\d{1,18})?")
_NEAR = 64  # texts that are looked at for the next one, then as many times more


@dataclass(frozen=True, slots=True)
class Selection:
    """Which texts, and in which order; an empty value asks for nothing.

    `state` is kept or dropped; `rule` the start of a rule's name; `find` words in the text, `address` a URL
    or a part of one; `order` one of ORDERS, a rule's name (its stored value) or "random", which `seed` draws;
    "-" before it turns it round. `low` and `high` are limits of a rule's value where the order is by one.
    `start` is the position of a page's first text, or for a search the number at which it continues.
    """

    state: str = ""
    rule: str = ""
    language: str = ""
    source: str = ""
    host: str = ""
    register: str = ""
    page_kind: str = ""
    certainty: str = ""
    low: str = ""
    high: str = ""
    least: str = ""  # words
    most: str = ""
    find: str = ""
    address: str = ""
    order: str = ""
    seed: str = ""
    start: str = ""

    @property
    def is_search(self) -> bool:
        """Whether texts or URLs have to be read to answer."""
        return bool(self.find or self.address)

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
        self._ordered = lru_cache(maxsize=2)(self._all_ordered)

    def ask(self, sql: str, parameters: list[Any] | None = None, rule: str = "") -> list[tuple[Any, ...]]:
        """Return the rows of an answer; where a rule is named, the table has its stored `value`."""
        with self._table(sql, rule) as (cursor, named):
            found: list[tuple[Any, ...]] = cursor.execute(named, parameters or []).fetchall()
        return found

    @contextmanager
    def _table(self, sql: str, rule: str) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
        """Hold a cursor whose table has the stored values of a rule, and the SQL that names it."""
        with self._index.cursor() as cursor:
            if rule:
                cursor.register("stored", pa.table({"value": self._values(rule)}))
                sql = sql.replace("FROM texts", "FROM (SELECT * FROM texts POSITIONAL JOIN stored)")
            yield cursor, sql
            if rule:
                cursor.unregister("stored")

    def _where(self, selection: Selection) -> tuple[str, list[Any], str]:
        """Return the condition of a selection, its parameters, and the rule whose stored values it needs."""
        where, parameters = _where(selection)
        rule = self._order(selection)[1]
        limits = [(selection.low, ">="), (selection.high, "<=")] if rule else []
        given = [(float(text), sign) for text, sign in limits if _DECIMAL.fullmatch(text)]
        for value, sign in given:
            where += f" AND value {sign} ?"
            parameters.append(value)
        return where + (" AND NOT isnan(value)" if given else ""), parameters, rule if given else ""

    def count(self, selection: Selection) -> int:
        """Return how many texts there are."""
        where, parameters, rule = self._where(selection)
        return int(self.ask(f"SELECT count(*) FROM texts WHERE {where}", parameters, rule)[0][0])

    def facet(self, name: str, selection: Selection, limit: int = 12) -> list[tuple[str, int, int]]:
        """Return a facet's most frequent values with documents and words, whatever is chosen of it."""
        if name not in FACETS:
            raise NotThereError(f"there is no facet {name!r}; there are: {', '.join(FACETS)}")
        where, parameters, rule = self._where(replace(selection, **{name: "", "start": ""}))
        return self.ask(
            f"SELECT {FACETS[name]} AS g, count(*) AS c, sum(words)::BIGINT FROM texts WHERE {where} "
            f"GROUP BY g ORDER BY c DESC, g LIMIT {limit}",
            parameters,
            rule,
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
        if selection.is_search:
            return self._search(selection)
        where, parameters, _ = self._where(selection)
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
        if selection.is_search:
            near = self._near(selection, number, step, PAGE)
            found = list(self._matching(np.sort(near), selection, _Clock()))[::step]
            return int(found[0]) if found else None
        if self._order(selection)[0] == "n":
            near = self._near(selection, number, step, 1)
            return int(near[0]) if near.size else None
        ordered = self._ordered(replace(selection, start=""))
        at = np.flatnonzero(ordered == number)
        beside = int(at[0]) + step if at.size else -1
        return int(ordered[beside]) if 0 <= beside < ordered.size else None

    def _near(self, selection: Selection, number: int, step: int, most: int) -> NDArray[np.int64]:
        """Return the numbers that follow a number in their own order (`step` 1), or precede it (-1).

        Only as many texts are looked at as it takes: their numbers are those of the rows of the index.
        """
        where, parameters, rule = self._where(selection)
        width, turn = _NEAR, "ASC" if step > 0 else "DESC"
        while True:
            low, high = (number + 1, number + width) if step > 0 else (number - width, number - 1)
            found = self.ask(
                f"SELECT n FROM texts WHERE n BETWEEN {low} AND {high} AND {where} "
                f"ORDER BY n {turn} LIMIT {most}",
                parameters,
                rule,
            )
            if len(found) == most or (low <= 0 and step < 0) or (high >= self.texts.count and step > 0):
                return np.array([n for (n,) in found], dtype=np.int64)
            width *= _NEAR

    def _all_ordered(self, selection: Selection) -> NDArray[np.uint32]:
        """Return the numbers of a selection in its order, 4 bytes a text, in which neighbours are found.

        Sorted here: DuckDB would sort them on the disk.
        """
        where, parameters, _ = self._where(selection)
        key, rule = self._order(selection)
        is_down = key.endswith(" DESC")
        key = key.removesuffix(" DESC")
        if key == "host":  # a text, which only DuckDB sorts well
            sql = f"SELECT n FROM texts WHERE {where} ORDER BY host {'DESC' if is_down else 'ASC'}, n"
            return self._columns(sql, parameters)["n"]
        found = self._columns(f"SELECT n, {key} AS k FROM texts WHERE {where}", parameters, rule)
        numbers, keys = found["n"], found["k"]
        if keys.dtype == np.uint32:  # joined with the numbers they are sorted several times as fast
            turned = keys ^ np.uint32(0xFFFFFFFF if is_down else 0)
            return np.sort(turned.astype(np.uint64) << np.uint64(32) | numbers).astype(np.uint32)
        keys = keys.astype(np.float64) if keys.dtype.kind != "M" else keys.astype(np.int64)
        ordered: NDArray[np.uint32] = numbers[np.argsort(-keys if is_down else keys, kind="stable")]
        return ordered

    def _columns(self, sql: str, parameters: list[Any], rule: str = "") -> dict[str, NDArray[Any]]:
        """Return the columns of an answer as arrays."""
        with self._table(sql, rule) as (cursor, named):
            columns: dict[str, NDArray[Any]] = cursor.execute(named, parameters).fetchnumpy()
        return columns

    @cached_property
    def by_rule(self) -> dict[str, int]:
        """How many texts each rule dropped, by its name."""
        return dict(self.ask("SELECT rule, count(*) FROM texts WHERE rule <> '' GROUP BY rule"))

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
            return f"(hash(n + {_number(selection.seed, 0)}::UBIGINT * 1000003) >> 32)::UINTEGER", ""
        if name in self.rules:
            # Nothing measured is nan, which DuckDB takes for the largest number.
            return f"(CASE WHEN isnan(value) THEN {'-1e308' if down else '1e308'} ELSE value END){down}", name
        if name == "fetched":
            return f"coalesce(fetched, TIMESTAMP '1970-01-01'){down}", ""
        return (f"{name}{down}" if name in ORDERS else "n"), ""

    def _search(self, selection: Selection) -> Page:
        """Read texts in the order of their numbers until a page is full or the time is over."""
        where, parameters, rule = self._where(selection)
        start = _number(selection.start, 0)
        found_by = f"SELECT n FROM texts WHERE {where} ORDER BY n"
        numbers = self._columns(found_by, parameters, rule)["n"].astype(np.int64)
        first = int(np.searchsorted(numbers, start))
        clock = _Clock()
        found: list[int] = []
        for n in self._matching(numbers[first:], selection, clock):
            if len(found) == PAGE:
                return Page(self.rows(found), int(numbers.size), str(n), int(np.searchsorted(numbers, n)))
            found.append(n)
        done = int(np.searchsorted(numbers, clock.read, side="right")) if clock.is_over else int(numbers.size)
        following = str(clock.read + 1) if clock.is_over and done < numbers.size else ""
        return Page(self.rows(found), int(numbers.size), following, done)

    def _matching(self, numbers: NDArray[np.int64], selection: Selection, clock: _Clock) -> Iterator[int]:
        """Yield each number (they ascend) whose text has the words and the address, while there is time."""
        # A word is found with its suffixes: what follows it is not looked at, and no letter precedes it.
        words = r"(?:^|[^\p{L}\p{N}])" + search_pattern(selection.find)
        wanted = {"text": words} if selection.find else {}
        wanted |= {"url": f"(?i){re.escape(_plain(selection.address))}"} if selection.address else {}
        for home in self.texts.files:
            inside = numbers[(numbers >= home.first) & (numbers < home.first + home.file.rows)] - home.first
            if not inside.size:
                continue
            start = 0
            for batch in dataset.batches(home.stage.folder, home.file.path, list(wanted)):
                mine = inside[(inside >= start) & (inside < start + batch.num_rows)]
                if mine.size:
                    rows = batch.take(pa.array(mine - start))
                    each = [pc.match_substring_regex(rows[name], wanted[name]) for name in wanted]
                    hits = np.logical_and.reduce([one.to_numpy(zero_copy_only=False) for one in each])
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
    for name in ("language", "source", "host", "register", "page_kind", "certainty"):
        if value := getattr(selection, name):
            conditions.append(f"{FACETS[name]} = ?")
            parameters.append("" if value == "-" else value)
    if host := host_of_address(selection.address):
        conditions.append("host IN (?, ?)")
        parameters += [host, f"www.{host}"]
    for value, sign in ((selection.least, ">="), (selection.most, "<=")):
        if _INTEGER.fullmatch(value):
            conditions.append(f"words {sign} ?")
            parameters.append(int(value))
    return " AND ".join(conditions), parameters


def _plain(address: str) -> str:
    """Return an address without its scheme, `www.`, fragment and final slash, as it is looked for in URLs."""
    return _SCHEME.sub("", address.strip()).partition("#")[0].rstrip("/")


def host_of_address(address: str) -> str:
    """Return the host of an address that a person may have pasted, "" for a mere part of one."""
    host = _plain(address).partition("/")[0].partition(":")[0].lower()
    return host if "." in host and ("/" in address or "://" in address) else ""


def _number(text: str, otherwise: int) -> int:
    return max(0, int(text)) if _INTEGER.fullmatch(text) else otherwise
