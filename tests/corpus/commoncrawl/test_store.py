"""Reading files from wherever they lie: ranges are what was asked for, and passing failures are outlasted."""

from __future__ import annotations

import errno
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cc_server
import fsspec
import pytest

from corpus.commoncrawl.config import Access
from corpus.commoncrawl.store import BeyondEndError, MissingError, Store, _proxy, opened
from corpus.errors import ConfigError, ServerError
from corpus.web.retry import PassingError

FAULTS = ["403", "408", "429", "500", "502", "503", "503 0", "504", "reset", "short"]


def a_warc(root: Path) -> str:
    return str(min(root.glob("crawl-data/**/warc/*.gz")).relative_to(root))


@pytest.mark.parametrize("fault", [*FAULTS, "whole", "wrong-range"])
def test_a_range_is_asked_for_until_it_comes(server: cc_server.Server, access: Access, fault: str) -> None:
    path = a_warc(server.root)
    with opened(access, access.base) as store:
        store.range(path, 0, 10)
        server.faults["warc"] = [fault, fault]
        assert store.range(path, 1000, 500) == (server.root / path).read_bytes()[1000:1500]
    assert len(server.asked(path)) == 1 + 3


def test_a_server_that_knows_no_ranges_is_said_soon(server: cc_server.Server, access: Access) -> None:
    server.always = "whole"
    with (
        opened(access, access.base) as store,
        pytest.raises(ServerError, match="does not support byte ranges"),
    ):
        store.range(a_warc(server.root), 1000, 500)
    assert len(server.log) == 3


@pytest.mark.parametrize("fault", FAULTS)
def test_a_whole_answer_is_asked_for_until_it_comes(
    server: cc_server.Server, access: Access, fault: str
) -> None:
    server.faults["*"] = [fault]
    with opened(access, access.base) as store:
        assert store.whole("collinfo.json") == (server.root / "collinfo.json").read_bytes()


def test_a_server_that_stays_overloaded_is_left_alone_with_a_clear_error(
    server: cc_server.Server, access: Access
) -> None:
    server.always = "503"
    with opened(access, access.base) as store, pytest.raises(ServerError) as caught:
        store.range(a_warc(server.root), 0, 10)
    said = str(caught.value)
    assert "tried 4 times" in said
    assert "503 Service Unavailable (SlowDown)" in said
    assert "run the same command again later, and it resumes where it stopped" in said
    assert len(server.log) == 4


def test_a_retry_after_that_is_too_long_ends_it_at_once(server: cc_server.Server, access: Access) -> None:
    server.always = "503 7200"
    with opened(access, access.base) as store, pytest.raises(ServerError, match="asks to wait 7,200 s"):
        store.whole("collinfo.json")
    assert len(server.log) == 1


@pytest.mark.parametrize("status", ["400", "401", "451"])
def test_a_refusal_that_will_not_pass_is_not_tried_again(
    server: cc_server.Server, access: Access, status: str
) -> None:
    server.always = status
    with opened(access, access.base) as store, pytest.raises(ServerError, match=f"answers {status}"):
        store.whole("collinfo.json")
    assert len(server.log) == 1


def test_nobody_there_is_said_after_the_last_try(access: Access) -> None:
    gone = access.model_copy(update={"base": "http://127.0.0.1:9", "tries": 2})
    with opened(gone, gone.base) as store, pytest.raises(ServerError, match=r"tried 2 times.*NewConnection"):
        store.whole("collinfo.json")


def test_who_asks_is_said(server: cc_server.Server, access: Access) -> None:
    named = access.model_copy(update={"agent": access.agent.model_copy(update={"contact": "us@a.example"})})
    with opened(named, named.base) as store:
        store.whole("collinfo.json")
    assert server.log[0].agent.endswith("(+mailto:us@a.example)")


def test_no_more_requests_run_at_once_than_there_are_connections(
    server: cc_server.Server, access: Access
) -> None:
    few = access.model_copy(update={"connections": 2})
    path = a_warc(server.root)
    with opened(few, few.base) as store, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: store.range(path, at, 5000), range(0, 100_000, 1000)))
    assert len(server.log) == 100
    assert server.most_at_work <= 2


@pytest.mark.parametrize("fault", ["reset", "short", "503"])
def test_a_stream_that_breaks_says_so_and_can_be_gone_on_with(
    server: cc_server.Server, access: Access, fault: str
) -> None:
    path = a_warc(server.root)
    whole = (server.root / path).read_bytes()
    server.faults["warc"] = [fault]
    got = b""

    def read(store: Store) -> None:
        nonlocal got
        with store.open(path, 0, "") as body:
            for piece in body.pieces:
                got += piece

    with opened(access, access.base) as store:
        with pytest.raises(PassingError):
            read(store)
        with store.open(path, 0, "") as body:
            version = body.version
        with store.open(path, len(got), version) as body:
            assert (body.start, body.total, body.version) == (len(got), len(whole), version)
            got += b"".join(body.pieces)
    assert got == whole


def test_answers_that_are_left_unread_leave_no_connection_behind(
    server: cc_server.Server, access: Access
) -> None:
    one = access.model_copy(update={"connections": 1})
    path = a_warc(server.root)
    with opened(one, one.base) as store:
        for _ in range(3):
            with store.open(path, 0, ""):
                pass
        store.range(path, 0, 100)
        assert store.retry.paused_s == 0
        server.faults["warc"] = ["whole", "503"]
        assert len(store.range(path, 0, 100)) == 100


def test_a_stream_of_other_content_begins_at_its_beginning(server: cc_server.Server, access: Access) -> None:
    with opened(access, access.base) as store, store.open(a_warc(server.root), 1000, '"other"') as body:
        assert body.start == 0


@pytest.fixture(params=["http", "folder", "memory"])
def base(request: pytest.FixtureRequest, server: cc_server.Server) -> str:
    """Return the same crawl's base in three kinds of places."""
    if request.param == "http":
        return server.url
    if request.param == "folder":
        return str(server.root)
    url = f"memory://{uuid.uuid4().hex}"
    fsspec.filesystem("memory").put(str(server.root), url.removeprefix("memory:/"), recursive=True)
    return url


def test_every_place_gives_the_same(server: cc_server.Server, access: Access, base: str) -> None:
    path = a_warc(server.root)
    data = (server.root / path).read_bytes()
    with opened(access, base) as store:
        assert store.whole(path) == data
        assert store.range(path, 10, 20) == data[10:30]
        assert store.range(path, len(data) - 5, 100) == data[-5:]
        assert store.tail(path, 7) == (data[-7:], len(data))
        assert store.tail(path, len(data) + 7) == (data, len(data))
        assert store.tally.bytes == 2 * len(data) + 20 + 5 + 7
        with store.open(path, 0, "") as body:
            assert (body.start, body.total) == (0, len(data))
            assert b"".join(body.pieces) == data
        with pytest.raises(BeyondEndError):
            store.range(path, len(data), 1)
        with pytest.raises(MissingError):
            store.range("crawl-data/none.warc.gz", 0, 1)
        with pytest.raises(MissingError):
            store.whole("crawl-data/none.warc.gz")


def test_a_folder_that_is_not_there_is_named(access: Access, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        opened(access, str(tmp_path / "none"))


def test_a_base_on_s3_without_its_package_names_the_extra(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(url: str) -> Any:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", without)
    with pytest.raises(ConfigError, match=r"s3://commoncrawl: Install s3fs.*pip install 'derlem\[s3\]'"):
        opened(access, "s3://commoncrawl")


def test_a_file_system_that_fails_is_tried_again(
    server: cc_server.Server, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(access, str(server.root)) as store:
        read, failures = store._fs.cat_file, [OSError("reset"), TimeoutError("slow")]  # type: ignore[attr-defined]

        def failing(*args: Any, **kwargs: Any) -> bytes:
            if failures:
                raise failures.pop()
            return bytes(read(*args, **kwargs))

        monkeypatch.setattr(store._fs, "cat_file", failing)  # type: ignore[attr-defined]
        assert store.range("collinfo.json", 0, 2) == b"[{"


def test_what_may_not_be_read_is_not_tried_again(
    server: cc_server.Server, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: Any, **kwargs: Any) -> bytes:
        raise PermissionError("Access Denied")

    with opened(access, str(server.root)) as store:
        monkeypatch.setattr(store._fs, "cat_file", refused)  # type: ignore[attr-defined]
        with pytest.raises(ServerError, match=r"may not be read: Access Denied; s3://commoncrawl is open to"):
            store.whole("collinfo.json")


def test_a_range_beyond_the_end_is_known_as_s3_says_it(
    server: cc_server.Server, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    def invalid(*args: Any, **kwargs: Any) -> bytes:
        raise OSError(errno.EINVAL, "InvalidRange")

    with opened(access, str(server.root)) as store:
        monkeypatch.setattr(store._fs, "cat_file", invalid)  # type: ignore[attr-defined]
        with pytest.raises(BeyondEndError):
            store.range("collinfo.json", 1 << 20, 5)


def test_a_proxy_is_that_of_the_environment_and_never_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert _proxy("https://data.commoncrawl.org") == "http://proxy.example:3128"
    assert _proxy("https://inside.example") is None
    assert _proxy("https://127.0.0.1:8000") is None
