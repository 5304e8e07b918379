"""The plan: written once, cut into units named by their captures, and never mixed with another's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cc_crawl
import cc_server
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus import dataset
from corpus.commoncrawl import plan as plans
from corpus.commoncrawl.config import Access, CommonCrawl, Selection
from corpus.errors import ConfigError
from corpus.schema import HITS


def config(access: Access, **selection: Any) -> CommonCrawl:
    return CommonCrawl(access=access, selection=Selection.model_validate(selection))


def test_a_plan_is_written_once(server: cc_server.Server, access: Access, tmp_path: Path) -> None:
    first, said = plans.ensure(str(tmp_path), config(access, limit=50))
    assert (first.crawl, first.rows) == (cc_crawl.CRAWL, 50)
    assert "50 captures of CC-MAIN-2024-22; read " in said
    asked = len(server.log)
    again, said = plans.ensure(str(tmp_path), config(access, limit=50))
    assert again == first
    assert said == "50 captures of CC-MAIN-2024-22, as planned"
    named, _ = plans.ensure(str(tmp_path), config(access, limit=50, crawl=cc_crawl.CRAWL))
    assert named == first
    assert len(server.log) == asked


def test_equal_selections_make_equal_plans(server: cc_server.Server, access: Access, tmp_path: Path) -> None:
    for name in ("a", "b"):
        plans.ensure(str(tmp_path / name), config(access, limit=50))
    for name in (f"{cc_crawl.CRAWL}.arrow", f"{cc_crawl.CRAWL}.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_crawl_that_was_begun_is_gone_on_with_when_a_newer_one_is_there(
    server: cc_server.Server, access: Access, tmp_path: Path
) -> None:
    first, _ = plans.ensure(str(tmp_path), config(access, limit=50))
    server.faults["collinfo"] = ["404"] * 9
    assert plans.ensure(str(tmp_path), config(access, limit=50))[0] == first


@pytest.mark.parametrize("crawl", ["", cc_crawl.CRAWL])
def test_another_selection_of_the_same_crawl_is_refused(
    server: cc_server.Server, access: Access, tmp_path: Path, crawl: str
) -> None:
    plans.ensure(str(tmp_path), config(access, limit=50))
    with pytest.raises(ConfigError, match=r"limit = 60 \(stored: 50\); the files fetched for the stored one"):
        plans.ensure(str(tmp_path), config(access, limit=60, crawl=crawl))


def test_a_plan_that_was_not_finished_is_made_anew(
    server: cc_server.Server, access: Access, tmp_path: Path
) -> None:
    first, _ = plans.ensure(str(tmp_path), config(access, limit=50))
    (tmp_path / first.path).unlink()
    assert plans.ensure(str(tmp_path), config(access, limit=50))[0] == first
    (tmp_path / f"{cc_crawl.CRAWL}.json").unlink()
    assert plans.ensure(str(tmp_path), config(access, limit=70))[0].rows == 70


def test_where_nothing_fits_it_says_what_was_asked_for(
    server: cc_server.Server, access: Access, tmp_path: Path
) -> None:
    with pytest.raises(
        ConfigError, match=r"no capture matches: languages \['fin'\].*read .* MB of the index"
    ):
        plans.ensure(str(tmp_path), config(access, languages=("fin",)))
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 1000), min_size=1, max_size=40), st.integers(1, 2000))
def test_units_cut_a_plan_into_runs_of_about_a_size(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], size: int
) -> None:
    folder = str(tmp_path_factory.mktemp("plan"))
    rows = [{"url": str(n), "file": "a", "offset": 1000 * n, "length": x} for n, x in enumerate(lengths)]
    write(folder, rows)
    units = list(plans.Plan("C", folder, len(rows)).units(size))
    assert [number for unit in units for number in range(unit.first, unit.last)] == list(range(len(rows)))
    assert [unit.bytes for unit in units] == [sum(lengths[unit.first : unit.last]) for unit in units]
    assert all(unit.bytes < size + max(lengths) for unit in units)
    assert len({unit.checksum for unit in units}) == len(units)


def write(folder: str, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa

    full = [{"digest": "", "fetched": 1000 * n, **row} for n, row in enumerate(rows)]
    with dataset.create(folder, "C.arrow", HITS, "f") as slot:
        for batch in pa.Table.from_pylist(full, HITS.schema()).to_batches(max_chunksize=plans._BATCH):
            slot.arrow.write(batch)


def test_a_unit_reads_its_own_captures(tmp_path: Path) -> None:
    rows = [{"url": str(n), "file": "a", "offset": n, "length": 10} for n in range(2 * plans._BATCH + 5)]
    write(str(tmp_path), rows)
    plan = plans.Plan("C", str(tmp_path), len(rows))
    for first, last in ((0, 3), (plans._BATCH - 2, plans._BATCH + 2), (2 * plans._BATCH, len(rows))):
        assert [hit.offset for hit in plan.hits(first, last)] == list(range(first, last))
        assert plan.latest(first, last).timestamp() == last - 1
