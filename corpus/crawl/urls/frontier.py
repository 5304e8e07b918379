"""The frontier: every URL that is known and not yet fetched, and which of them are due in the next round."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from corpus.crawl.config import Limits
from corpus.crawl.rows import FrontierRow
from corpus.schema import FRONTIER, ORIGINS, OUTLINKS
from corpus.web.url import site_of

Keys = NDArray[np.uint64]

FINAL = ("kept", "unchanged", "redirect", "dropped", "failed")
"""Outcomes after which a URL is not requested again."""
AGAIN = "retry"

_SEED_PRIORITY = 10.0


def from_seeds(seeds: Sequence[str], earlier: pa.Table | None = None) -> pa.Table:
    """Return the first frontier [FRONTIER]: normalized seeds, then the kept pages of an `earlier` crawl
    [FETCHES].

    Requests for the pages of an earlier crawl carry what it stored (ETag, date, digest). Names in brackets
    are the kinds of rows in `corpus.schema`.
    """
    rows = [FrontierRow.of(url, via="seed", priority=_SEED_PRIORITY) for url in seeds]
    for page in earlier.to_pylist() if earlier is not None else ():
        noted = {name: page[name] for name in ("etag", "modified", "digest")} | {"fetched": page["started"]}
        rows.append(FrontierRow.of(page["url"], via="recrawl", depth=page["depth"], **noted))
    table = pa.Table.from_pylist([row.values() for row in rows], FRONTIER.schema())
    # if the earlier crawl kept a seed, its row comes first, because it has more data
    order = np.lexsort((np.array(pc.equal(table["via"], "seed")), _keys(table)))
    return _unique(table.take(order))


def following(waiting: pa.Table, fetches: pa.Table, outlinks: pa.Table, done: Keys) -> pa.Table:
    """Return the frontier after a round: the unsettled rest of `waiting` [FRONTIER], and new outlinks
    [OUTLINKS].

    `fetches` [FETCHES] are those of the round, `done` the sorted keys of URLs that earlier rounds settled.
    """
    settled = np.union1d(done, keys_of(fetches, FINAL))
    known = np.union1d(settled, _keys(waiting))
    left = waiting.filter(~_among(_keys(waiting), settled))
    left = _with_tries(left, fetches.filter(pc.equal(fetches["outcome"], AGAIN)))
    new = outlinks.filter(~_among(_keys(outlinks), known))
    new = _unique(new.take(np.lexsort((-np.array(new["priority"]), _keys(new)))))
    return pa.concat_tables([left, _as_frontier(new)])


def keys_of(fetches: pa.Table, outcomes: Sequence[str]) -> Keys:
    """Return the sorted keys of the rows that have one of these outcomes."""
    chosen = fetches.filter(pc.is_in(fetches["outcome"], value_set=pa.array(outcomes)))
    return np.unique(_keys(chosen))


def redirects(fetches: Iterable[pa.Table], due: pa.Table, limit: int) -> dict[str, str]:
    """Return the redirects, by requested URL, that led to `due` URLs over at most `limit` redirects.

    `fetches` have the columns url, outcome and location [FETCHES] of the finished rounds.
    """
    tables = [table.filter(pc.equal(table["outcome"], "redirect")) for table in fetches]
    if not tables:
        return {}
    known = pa.concat_tables(tables).select(["url", "location"])
    found: dict[str, str] = {}
    targets = pc.unique(due["url"])
    for _ in range(limit):
        leading = known.filter(pc.is_in(known["location"], value_set=targets))
        new = {row["url"]: row["location"] for row in leading.to_pylist() if row["url"] not in found}
        if not new:
            break
        found |= new
        targets = pa.array(list(new), pa.string())
    return found


def _keys(table: pa.Table) -> Keys:
    return np.asarray(table["key"], dtype=np.uint64)


def _among(keys: Keys, those: Keys) -> NDArray[np.bool_]:
    """Return for each key whether it is one of `those`, which are sorted."""
    if not len(those):
        return np.zeros(len(keys), bool)
    at = np.minimum(np.searchsorted(those, keys), len(those) - 1)
    return np.asarray(those[at] == keys)


def _unique(table: pa.Table) -> pa.Table:
    """Keep the first row of each key; rows with equal keys are adjacent."""
    keys = _keys(table)
    first = np.ones(len(keys), bool)
    first[1:] = keys[1:] != keys[:-1]
    return table.filter(first)


def _with_tries(table: pa.Table, retried: pa.Table) -> pa.Table:
    """Return a frontier with the current number of tries of its URLs."""
    order = np.lexsort((np.array(retried["tries"]), _keys(retried)))
    keys, counts = _keys(retried)[order], np.array(retried["tries"], dtype=np.uint8)[order]
    tries = np.asarray(table["tries"], dtype=np.uint8).copy()
    mine = _keys(table)
    again = _among(mine, keys)
    tries[again] = counts[np.searchsorted(keys, mine[again], side="right") - 1]
    return table.set_column(table.schema.get_field_index("tries"), table.schema.field("tries"), [tries])


def _as_frontier(found: pa.Table) -> pa.Table:
    """Return outlinks with the columns of a frontier: not due, not tried, no stored data."""
    schema = FRONTIER.schema()
    columns = []
    for field in schema:
        if field.name in found.column_names:
            columns.append(found[field.name])
        elif pa.types.is_string(field.type):
            columns.append(pa.repeat(pa.scalar("", field.type), len(found)))
        elif pa.types.is_timestamp(field.type):
            columns.append(pa.nulls(len(found), field.type))
        else:
            columns.append(pa.array(np.zeros(len(found)), type=pa.int8()).cast(field.type))
    return pa.table(columns, schema=schema)


def as_outlinks(frontier: pa.Table) -> pa.Table:
    """Return frontier rows with the columns of outlinks."""
    return frontier.select([field.name for field in OUTLINKS.schema()]).cast(OUTLINKS.schema())


def given_up(fetches: Iterable[pa.Table], share: int) -> set[str]:
    """Return the origins that never responded in a round although enough of their URLs were requested.

    Enough means that some URLs were given up, or that more than an origin's `share` of a round was postponed:
    after the first are given up, all due URLs are postponed. `fetches` have the columns origin, outcome,
    cause and status [FETCHES].
    """
    whole = pa.concat_tables(fetches)
    unasked = whole.filter(
        pc.is_in(whole["cause"], value_set=pa.array(["origin.down", "robots.unreachable"]))
    )
    ended = set(unasked.filter(pc.equal(unasked["outcome"], "failed"))["origin"].to_pylist())
    counts = pc.value_counts(unasked["origin"]).to_pylist()
    many = {row["values"] for row in counts if row["counts"] > share}
    answered = whole.filter(pc.greater(whole["status"], 0))
    return (ended | many) - set(answered["origin"].to_pylist())


def mark_due(
    frontier: pa.Table,
    pages: Mapping[str, int],
    limits: Limits,
    left: int,
    silent: Collection[str] = frozenset(),
) -> pa.Table:
    """Return the frontier by origin, best first, with the URLs marked that are due in the next round.

    `pages` is the number of pages that each origin returned so far; `left` is the number of pages that the
    crawl may still fetch. If that is not enough for all origins, each gets its best page before any gets its
    second. All URLs of `silent` origins are due at once: if an origin does not respond again, the same few
    requests give them all up.
    """
    origins = pc.dictionary_encode(frontier["origin"]).combine_chunks()
    codes = np.asarray(origins.indices, dtype=np.int64)
    names = origins.dictionary.to_pylist()
    caps = np.array([limits.host_pages - pages.get(name, 0) for name in names], dtype=np.int64)
    shares = [limits.host_pages if name in silent else limits.host_round_pages for name in names]
    caps = np.clip(caps, 0, np.array(shares, dtype=np.int64))
    # Origins by name, so that the order does not depend on the order of the rows.
    place = np.empty(len(names), np.int64)
    place[np.argsort(np.array(names, dtype=object), kind="stable")] = np.arange(len(names))
    keys, depth = _keys(frontier), np.asarray(frontier["depth"])
    priority = np.asarray(frontier["priority"])
    order = np.lexsort((keys, depth, -priority, place[codes]))
    grouped = codes[order]
    starts = np.flatnonzero(np.r_[True, grouped[1:] != grouped[:-1]]) if len(order) else np.zeros(0, int)
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    due = rank < caps[grouped]
    if due.sum() > left:
        candidates = np.flatnonzero(due)
        best = np.lexsort((keys[order][candidates], -priority[order][candidates], rank[candidates]))
        due[:] = False
        due[candidates[best[: max(left, 0)]]] = True
    chosen = frontier.take(order)
    return chosen.set_column(chosen.schema.get_field_index("due"), chosen.schema.field("due"), [due])


def by_bucket(frontier: pa.Table, buckets: int) -> list[pa.Table]:
    """Split a frontier into buckets of origins; all origins of a site are in the same bucket."""
    origins = pc.dictionary_encode(frontier["origin"]).combine_chunks()
    bucket = np.array([bucket_of(name, buckets) for name in origins.dictionary.to_pylist()], dtype=np.int64)
    of_row = bucket[np.asarray(origins.indices)] if len(bucket) else np.zeros(0, np.int64)
    return [frontier.filter(of_row == number) for number in range(buckets)]


def bucket_of(origin: str, buckets: int) -> int:
    """Return the bucket of an origin, by its site."""
    return xxhash.xxh3_64_intdigest(site_of(origin).encode()) % buckets


def latest(tables: Iterable[pa.Table]) -> pa.Table:
    """Return the last row of each origin [ORIGINS]; the tables are in the order of their rounds."""
    whole = pa.concat_tables([ORIGINS.schema().empty_table(), *tables])
    origins = pc.dictionary_encode(whole["origin"]).combine_chunks()
    last = np.zeros(len(origins.dictionary), np.int64)
    last[np.asarray(origins.indices)] = np.arange(len(whole))
    is_last = np.zeros(len(whole), bool)
    is_last[last] = True
    return whole.filter(is_last)
