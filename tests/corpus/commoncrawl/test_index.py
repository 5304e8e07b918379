"""The columnar index: the captures found are those of a full reading, and little of the files is read."""

from __future__ import annotations

import json
import random
from concurrent.futures import Executor
from datetime import datetime
from pathlib import Path
from typing import Any

import cc_crawl
import cc_server
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.commoncrawl import index
from corpus.commoncrawl.config import Access, Selection
from corpus.commoncrawl.store import Store, opened
from corpus.errors import ConfigError, ServerError
from corpus.schema import HITS


def found(store: Store, selection: Selection, pool: Executor) -> pa.Table:
    """Return what the index gives, row group by row group."""
    tables = [HITS.schema().empty_table()]
    for path in index.paths(store, cc_crawl.CRAWL):
        footer = index.footer(store, path)
        tables += [
            index.hits(store, footer, group, selection, pool) for group in index.groups(footer, selection)
        ]
    return pa.concat_tables(tables)


def expected(root: Path, selection: Selection) -> list[str]:
    """Return the URLs that fit by reading every row, each rule written out anew."""
    fitting = []
    for row in ds.dataset(root / "cc-index", format="parquet").to_table().to_pylist():
        languages = (row["content_languages"] or "").split(",")
        host, tld = row["url_host_name"], row["url_host_tld"]
        places = [tld in selection.tlds, host in selection.hosts]
        places += [host == name or host.endswith(f".{name}") for name in selection.domains]
        fits = (
            row["fetch_status"] in selection.statuses
            and row["content_mime_detected"] in selection.mimes
            and (selection.truncated or row["content_truncated"] is None)
            and (not (selection.tlds or selection.hosts or selection.domains) or any(places))
        )
        if selection.languages:
            chosen = languages if selection.secondary else languages[:1]
            fits = fits and any(language in selection.languages for language in chosen)
        fitting += [row["url"]] * fits
    return fitting


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a crawl with other statuses, media types, cut pages, ports, odd hosts and no language."""
    made = cc_crawl.pages(240)
    for number, page in enumerate(made):
        page.status = 404 if number % 7 == 0 else 200
        page.mime = "application/pdf" if number % 11 == 0 else "text/html"
        page.mime = "application/xhtml+xml" if number % 5 == 0 else page.mime
        page.truncated = "length" if number % 13 == 0 else None
    odd = ["http://10.1.2.3/a", "http://haber.com.tr:8080/b", "http://haber-com.tr/c", "http://tr/d"]
    odd += ["http://www2.haber.com.tr/e", "http://haber.com/f", "http://com.tr/g", "http://xhaber.com.tr/h"]
    root = tmp_path_factory.mktemp("mixed")
    cc_crawl.write(root, made + [cc_crawl.Page(url) for url in odd], indexes=3, group=16)
    return root


PLACES = ["tr", "com", "org", "haber.com.tr", "com.tr", "example.org"]
ORIGINS = ["www.haber.com.tr", "haber.com.tr", "10.1.2.3", "tr", "www2.haber.com.tr", "a.example.org"]


def _few(names: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(names), max_size=2, unique=True).map(tuple)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.builds(
        Selection,
        languages=_few(["tur", "eng", "deu", "fra"]),
        secondary=st.booleans(),
        tlds=_few(["tr", "com", "net"]),
        domains=_few(PLACES),
        hosts=_few(ORIGINS),
        statuses=st.sampled_from([(200,), (404,), (200, 404), (500,)]),
        mimes=st.sampled_from([("text/html",), ("text/html", "application/xhtml+xml"), ("image/png",)]),
        truncated=st.booleans(),
    )
)
def test_what_is_found_is_what_a_full_reading_finds(
    mixed: Path, pool: Executor, selection: Selection
) -> None:
    with opened(Access(), str(mixed)) as store:
        assert sorted(found(store, selection, pool)["url"].to_pylist()) == sorted(expected(mixed, selection))


@pytest.mark.parametrize(
    "values",
    [
        {"hosts": ("www.haber.com.tr",)},
        {"hosts": ("www2.haber.com.tr",)},
        {"hosts": ("10.1.2.3",)},
        {"hosts": ("tr",)},
        {"hosts": ("haber.com.tr",)},
        {"domains": ("haber.com.tr",)},
        {"domains": ("com",)},
        {"tlds": ("tr", "org")},
    ],
)
def test_a_place_gives_all_its_pages_and_no_others(
    mixed: Path, pool: Executor, values: dict[str, object]
) -> None:
    selection = Selection.model_validate({"languages": (), **values})
    with opened(Access(), str(mixed)) as store:
        urls = sorted(found(store, selection, pool)["url"].to_pylist())
    assert urls == sorted(expected(mixed, selection)) != []


def test_an_address_without_a_name_is_found(tmp_path: Path, pool: Executor) -> None:
    cc_crawl.write(tmp_path, [cc_crawl.Page(f"http://10.1.2.{n}/") for n in range(3, 9)], group=1)
    with opened(Access(), str(tmp_path)) as store:
        assert found(store, Selection(hosts=("10.1.2.5",)), pool).num_rows == 1


def test_a_first_language_is_found_where_none_stands_alone(tmp_path: Path, pool: Executor) -> None:
    made = [cc_crawl.Page(f"https://example.com/{n}", "tur,eng") for n in range(20)]
    cc_crawl.write(tmp_path, made)
    with opened(Access(), str(tmp_path)) as store:
        assert found(store, Selection(), pool).num_rows == 20
        assert found(store, Selection(languages=("eng",)), pool).num_rows == 0


@given(
    st.sampled_from(ORIGINS + PLACES),
    st.sampled_from(["", "a.", "www.", "a.b.", "xn--a."]),
    st.sampled_from(["", ":8080", ":1"]),
    st.text("abc/?=%-~", max_size=5),
)
def test_every_key_below_a_name_lies_in_its_range(host: str, below: str, port: str, path: str) -> None:
    if host[-1].isdigit():
        return
    first, last = index._surts(host)
    assert first <= cc_crawl.surt(f"http://{below}{host}{port}/{path}").encode() <= last  # type: ignore[operator]


def test_a_plan_s_row_says_where_the_record_lies(
    server: cc_server.Server, access: Access, pool: Executor
) -> None:
    with opened(access, access.base) as store:
        table = found(store, Selection(), pool)
    assert table.schema == HITS.schema()
    lines = {line["url"]: line for line in json.loads((server.root / "cdx.json").read_text())}
    for row in table.to_pylist():
        line = lines[row["url"]]
        assert (row["file"], str(row["offset"]), str(row["length"])) == (
            line["filename"],
            line["offset"],
            line["length"],
        )
        assert (row["digest"], row["languages"]) == (line["digest"], line["languages"])
        assert row["fetched"].strftime("%Y%m%d%H%M%S") == line["timestamp"]
        assert str(row["fetched"].tzinfo) == "UTC"


def test_row_groups_that_hold_no_key_of_the_place_are_not_read(
    server: cc_server.Server, access: Access
) -> None:
    every = kept = 0
    with opened(access, access.base) as store:
        for path in index.paths(store, cc_crawl.CRAWL):
            footer = index.footer(store, path)
            every += footer.metadata.num_row_groups
            kept += len(index.groups(footer, Selection(hosts=("kitap.org.tr",))))
    assert every == 12
    assert kept == 2  # its 100 of 600 rows lie in two groups of 50
    assert {request.range for request in server.asked(".parquet")} == {"bytes=-65536"}


def test_only_the_needed_columns_of_a_row_group_are_asked_for(tmp_path: Path, pool: Executor) -> None:
    draw, rows = random.Random(1), []
    for _ in range(20_000):
        page = cc_crawl.Page(f"https://example.com/{draw.randbytes(40).hex()}")
        moment = datetime.fromtimestamp(draw.randrange(1 << 30))
        rows.append(cc_crawl.row(page, draw.randbytes(9), "x", draw.randrange(1 << 30), 9, "1", moment))
    cc_crawl.write_index(tmp_path, rows, indexes=1, group=10_000)
    with opened(Access(), str(tmp_path)) as store:
        (path,) = index.paths(store, cc_crawl.CRAWL)
        footer = index.footer(store, path)
        group = footer.metadata.row_group(0)
        size = {
            group.column(i).path_in_schema: group.column(i).total_compressed_size
            for i in range(group.num_columns)
        }
        over = 2 * 64 * 1024  # what lies between columns that are near to each other
        before = store.tally.bytes
        assert index.hits(store, footer, 0, Selection(), pool).num_rows == 10_000
        read = store.tally.bytes - before
        assert read <= sum(size[name] for name in index.columns.KEPT) + over < sum(size.values())
        before = store.tally.bytes
        assert index.hits(store, footer, 0, Selection(languages=("fin",)), pool).num_rows == 0
        assert store.tally.bytes - before <= over < size["url"]


def rewrite(root: Path, change: Any, **options: Any) -> None:
    """Write the index files anew after a change of each table."""
    for path in root.glob("cc-index/**/*.parquet"):
        pq.write_table(change(pq.read_table(path, partitioning=None)), path, row_group_size=50, **options)


def test_an_index_without_statistics_is_read_whole(tmp_path: Path, pool: Executor) -> None:
    cc_crawl.write(tmp_path, cc_crawl.pages(120))
    rewrite(tmp_path, lambda table: table, write_statistics=False, store_schema=False)
    selection = Selection(tlds=("tr",))
    with opened(Access(), str(tmp_path)) as store:
        assert sorted(found(store, selection, pool)["url"].to_pylist()) == sorted(
            expected(tmp_path, selection)
        )


def test_times_of_older_indexes_are_read(tmp_path: Path, pool: Executor) -> None:
    cc_crawl.write(tmp_path, cc_crawl.pages(60))
    with opened(Access(), str(tmp_path)) as store:
        before = found(store, Selection(), pool)
        rewrite(tmp_path, lambda table: table, use_deprecated_int96_timestamps=True, store_schema=False)
        assert found(store, Selection(), pool) == before


def test_a_long_footer_takes_one_request_more(tmp_path: Path, pool: Executor) -> None:
    cc_crawl.write(tmp_path, cc_crawl.pages(200), indexes=1, group=2)
    with cc_server.serve(tmp_path) as server, opened(Access(requests_per_s=1000), server.url) as store:
        (path,) = index.paths(store, cc_crawl.CRAWL)
        footer = index.footer(store, path)
        assert footer.metadata.num_row_groups == 100
        assert len(server.asked(".parquet")) == 2


@pytest.mark.parametrize(
    ("column", "selection", "said"),
    [
        ("content_languages", Selection(), "no column content_languages.*CC-MAIN-2018-39.*--language all"),
        ("content_truncated", Selection(), "no column content_truncated.*CC-MAIN-2019-47.*--allow-truncated"),
        ("url_host_tld", Selection(tlds=("tr",)), "no column url_host_tld: is this the index of a crawl"),
    ],
)
def test_a_column_that_an_older_index_lacks_is_named(
    tmp_path: Path, pool: Executor, column: str, selection: Selection, said: str
) -> None:
    cc_crawl.write(tmp_path, cc_crawl.pages(20))
    rewrite(tmp_path, lambda table: table.drop_columns([column]), store_schema=False)
    with opened(Access(), str(tmp_path)) as store, pytest.raises(ConfigError, match=said):
        found(store, selection, pool)


def test_an_older_index_can_be_asked_without_what_it_lacks(tmp_path: Path, pool: Executor) -> None:
    cc_crawl.write(tmp_path, cc_crawl.pages(20))
    lacking = ["content_languages", "content_truncated"]
    rewrite(tmp_path, lambda table: table.drop_columns(lacking), store_schema=False)
    with opened(Access(), str(tmp_path)) as store:
        table = found(store, Selection(languages=(), truncated=True), pool)
    assert table.num_rows == 20
    assert pc.unique(table["languages"]).to_pylist() == [""]


def test_a_crawl_without_an_index_is_named(server: cc_server.Server, access: Access) -> None:
    with opened(access, access.base) as store, pytest.raises(ConfigError, match="not published"):
        index.paths(store, "CC-MAIN-2099-01")


def test_what_is_no_index_file_is_named(tmp_path: Path) -> None:
    cc_crawl.write(tmp_path, cc_crawl.pages(20), indexes=1)
    (path,) = tmp_path.glob("cc-index/**/*.parquet")
    whole = path.read_bytes()
    with opened(Access(), str(tmp_path)) as store:
        (name,) = index.paths(store, cc_crawl.CRAWL)
        for damaged in (
            b"",
            whole[:-100],
            b"x" * 100 + b"\xff\xff\xff\x7fPAR1",
            whole[:-60] + b"x" * 52 + whole[-8:],
        ):
            path.write_bytes(damaged)
            with pytest.raises(ServerError, match=r"part-00000.*(not a Parquet file|damaged)"):
                index.footer(store, name)
