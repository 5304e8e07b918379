"""The CDX API: it finds what the columnar index finds, politely, and is not believed blindly."""

from __future__ import annotations

import json
from concurrent.futures import Executor

import cc_crawl
import cc_server
import pytest

from corpus.commoncrawl import cdx, sample
from corpus.commoncrawl.config import Access, Selection
from corpus.commoncrawl.store import opened
from corpus.errors import ConfigError, ServerError

SELECTIONS = [
    {"tlds": ("tr",)},
    {"domains": ("haber.com.tr", "com.tr")},
    {"hosts": ("www.haber.com.tr", "example.com"), "languages": ()},
    {"domains": ("com",), "secondary": True, "mimes": ("text/html",)},
    {"hosts": ("none.example",)},
]


@pytest.mark.parametrize("values", SELECTIONS)
def test_both_indexes_find_the_same(
    server: cc_server.Server, access: Access, pool: Executor, values: dict[str, object]
) -> None:
    columnar = Selection.model_validate({"crawl": cc_crawl.CRAWL, "limit": 0, **values})
    with opened(access, access.base) as store:
        one = sample.take(sample.columnar(store, columnar, pool), columnar)
        two = sample.take(sample.from_cdx(store, columnar), columnar)
    assert one == two
    assert bool(one.num_rows) == ("none.example" not in columnar.hosts)


def test_pages_are_asked_for_one_after_the_other(server: cc_server.Server, access: Access) -> None:
    selection = Selection(crawl=cc_crawl.CRAWL, tlds=("tr",), limit=0)
    with opened(access, access.base) as store:
        sample.take(sample.from_cdx(store, selection), selection)
    pages = [request.query.partition("page=")[2].partition("&")[0] for request in server.asked("-index")]
    assert pages == ["", *map(str, range(8))]  # 300 captures, 40 lines a page
    assert server.most_at_work == 1


def test_with_a_limit_no_more_pages_are_asked_for_than_are_needed(
    server: cc_server.Server, access: Access
) -> None:
    selection = Selection(crawl=cc_crawl.CRAWL, tlds=("tr",), limit=60, spread=3)
    with opened(access, access.base) as store:
        assert sample.take(sample.from_cdx(store, selection), selection).num_rows == 60
    assert len(server.asked("-index")) == 1 + 3


def test_the_server_is_asked_to_filter(server: cc_server.Server, access: Access) -> None:
    selection = Selection(crawl=cc_crawl.CRAWL, tlds=("tr",), mimes=("text/html",))
    with opened(access, access.base) as store:
        cdx.hits(store, cc_crawl.CRAWL, ("tr", "domain"), 0, selection)
    (request,) = server.log
    for part in ("matchType=domain", "output=json", "filter=%3Dstatus%3A200", "mime-detected%3Atext%2Fhtml"):
        assert part in request.query


def line(**values: str) -> str:
    given = {
        "url": "https://example.com.tr/a",
        "timestamp": "20240518015810",
        "status": "200",
        "mime-detected": "text/html",
        "languages": "tur",
        "filename": "crawl-data/CC-MAIN-2024-22/segments/1/warc/x.warc.gz",
        "offset": "1",
        "length": "2",
        "digest": "A",
        **values,
    }
    return json.dumps(given)


@pytest.mark.parametrize(
    "values",
    [
        {"status": "404"},
        {"status": "-"},
        {"languages": "eng,tur"},
        {"mime-detected": "application/pdf"},
        {"truncated": "length"},
        {"url": "https://example.com/a"},
        {"filename": "crawl-data/CC-MAIN-2024-22/segments/1/robotstxt/x.warc.gz"},
        {"offset": "?"},
    ],
)
def test_a_line_that_does_not_fit_is_passed_by_whatever_the_server_filters(
    access: Access, values: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    selection = Selection(tlds=("tr",))
    with opened(access, access.base) as store:
        monkeypatch.setattr(store, "whole", lambda path: f"{line()}\n{line(**values)}\n".encode())
        assert cdx.hits(store, "C", ("tr", "domain"), 0, selection)["offset"].to_pylist() == [1]


def test_the_newest_crawl_is_the_first_of_the_list(server: cc_server.Server, access: Access) -> None:
    with opened(access, access.base) as store:
        assert cdx.newest(store) == cc_crawl.CRAWL


def test_a_crawl_that_the_api_does_not_know_is_named(server: cc_server.Server, access: Access) -> None:
    with opened(access, access.base) as store, pytest.raises(ConfigError, match="is there a crawl of this"):
        cdx.pages(store, "CC-MAIN-2099-01", ("tr", "domain"), Selection(tlds=("tr",)))


@pytest.mark.parametrize("body", [b"<html>busy</html>", b"[]", b"{}", b'{"pages": "many"}'])
def test_an_answer_of_another_form_is_named(
    access: Access, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(access, access.base) as store:
        monkeypatch.setattr(store, "whole", lambda path: body)
        with pytest.raises(ServerError, match=r"expected the number of pages|expected JSON lines"):
            cdx.pages(store, "C", ("tr", "domain"), Selection(tlds=("tr",)))
        with pytest.raises(ServerError, match="expected a list of crawls"):
            cdx.newest(store)
