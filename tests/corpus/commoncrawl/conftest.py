"""What the tests of Common Crawl's parts share: one small crawl on disk, served and read without waiting."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cc_crawl
import cc_server
import pytest

from corpus.commoncrawl.config import Access


@pytest.fixture(scope="session")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a crawl of 600 pages: 4 archives, 3 index files of 4 row groups each."""
    root = tmp_path_factory.mktemp("commoncrawl")
    cc_crawl.write(root, cc_crawl.pages(600))
    return root


@pytest.fixture
def server(crawled: Path) -> Iterator[cc_server.Server]:
    """Serve that crawl."""
    with cc_server.serve(crawled) as running:
        yield running


@pytest.fixture
def access(server: cc_server.Server) -> Access:
    """Return what reads from the server at once, and tries again soon."""
    return Access(
        base=server.url,
        index_base=server.url,
        requests_per_s=1_000.0,
        backoff_s=0.01,
        max_backoff_s=0.05,
        tries=4,
        idle_s=5.0,
    )


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Return four threads."""
    with ThreadPoolExecutor(4) as threads:
        yield threads
