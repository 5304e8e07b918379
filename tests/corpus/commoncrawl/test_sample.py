"""What is taken: all that fits, or a draw that is mixed, exact, and the same each time."""

from __future__ import annotations

from concurrent.futures import Executor
from datetime import UTC, datetime

import cc_crawl
import cc_server
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from corpus.commoncrawl import sample
from corpus.commoncrawl.config import Access, Selection
from corpus.commoncrawl.store import opened
from corpus.schema import HITS


def piece(*places: tuple[str, int]) -> pa.Table:
    """Return a piece of an index with captures at these places."""
    rows = [
        {"url": f"https://{file}/{offset}", "file": file, "offset": offset, "fetched": datetime.now(UTC)}
        for file, offset in places
    ]
    return pa.Table.from_pylist(rows, HITS.schema())


def places(table: pa.Table) -> list[tuple[str, int]]:
    return list(zip(table["file"].to_pylist(), table["offset"].to_pylist(), strict=True))


PIECES = st.lists(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 99)), max_size=12, unique=True), max_size=8
)


@given(PIECES, st.integers(0, 30), st.integers(1, 10), st.integers(0, 3))
def test_a_draw_is_sorted_and_as_large_as_can_be(
    drawn: list[list[tuple[str, int]]], limit: int, spread: int, seed: int
) -> None:
    # Of pieces of one index none has a capture of another.
    seen: set[tuple[str, int]] = set()
    for rows in drawn:
        rows[:] = [row for row in rows if row not in seen]
        seen |= set(rows)
    selection = Selection(limit=limit, spread=spread, seed=seed)
    taken = places(sample.take([piece(*rows) for rows in drawn], selection))
    assert taken == sorted(set(taken))
    assert set(taken) <= seen
    assert len(taken) == (min(limit, len(seen)) if limit else len(seen))


def test_captures_found_twice_are_taken_once() -> None:
    taken = sample.take([piece(("a", 1), ("a", 2)), piece(("a", 2), ("b", 2))], Selection(limit=0))
    assert places(taken) == [("a", 1), ("a", 2), ("b", 2)]


def test_a_draw_does_not_depend_on_the_order_within_a_piece() -> None:
    rows = [("a", offset) for offset in range(50)]
    selection = Selection(limit=10)
    assert (
        sample.take([piece(*rows)], selection)["offset"]
        == sample.take([piece(*rows[::-1])], selection)["offset"]
    )


def test_each_piece_gives_its_share_and_no_more_is_read_than_needed() -> None:
    asked = []

    def pieces():  # type: ignore[no-untyped-def]
        for name in "abcdefgh":
            asked.append(name)
            yield piece(*((name, offset) for offset in range(100)))

    taken = sample.take(pieces(), Selection(limit=20, spread=4))
    files = taken["file"].to_pylist()
    assert {name: files.count(name) for name in files} == {"a": 5, "b": 5, "c": 5, "d": 5}
    assert asked == ["a", "b", "c", "d"]


def test_where_pieces_are_few_they_give_more_than_their_share() -> None:
    taken = sample.take(
        [piece(("a", 1)), piece(*(("b", offset) for offset in range(100)))], Selection(limit=20, spread=10)
    )
    assert taken["file"].to_pylist() == ["a"] + ["b"] * 19


def test_a_limit_is_drawn_from_all_over_the_index_in_few_requests(
    server: cc_server.Server, access: Access, pool: Executor
) -> None:
    selection = Selection(crawl=cc_crawl.CRAWL, languages=(), limit=60, spread=6)
    with opened(access, access.base) as store:
        taken = sample.take(sample.columnar(store, selection, pool), selection)
        again = sample.take(sample.columnar(store, selection, pool), selection)
        other = sample.take(
            sample.columnar(store, selection.model_copy(update={"seed": 2}), pool),
            selection.model_copy(update={"seed": 2}),
        )
    assert taken.num_rows == 60
    assert taken == again
    assert taken != other
    hosts = {url.split("/")[2] for url in taken["url"].to_pylist()}
    assert len(hosts) >= 3
    columns = [request for request in server.asked(".parquet") if request.range != "bytes=-65536"]
    assert len(columns) == 3 * 6 * 2  # three draws of six row groups, each in two reads


def test_without_a_limit_every_row_group_that_may_fit_is_read(
    server: cc_server.Server, access: Access, pool: Executor
) -> None:
    selection = Selection(crawl=cc_crawl.CRAWL, languages=(), limit=0)
    with opened(access, access.base) as store:
        assert sample.take(sample.columnar(store, selection, pool), selection).num_rows == 600
