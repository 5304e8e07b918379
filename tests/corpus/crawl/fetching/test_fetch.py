"""One request: what is asked and answered, and that no server can make it last, grow or raise."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import brotli
import pytest
import web as web_module
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web import ALLOW, Exchange, Reply, Site, Web, page, redirect

from corpus.crawl.config import Crawl, Limits, Network, Scope
from corpus.crawl.fetching import connection
from corpus.crawl.fetching.failure import KINDS
from corpus.crawl.fetching.fetch import Answer, Failure, Fetcher
from corpus.crawl.fetching.response import FIELDS
from corpus.web.agent import Agent

pytestmark = pytest.mark.usefixtures("no_authorities")

AGENT = Agent(contact="https://example.org/tarama")
BROKEN = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
KIB = 1024


def crawl(web: Web, **limits: float) -> Crawl:
    """Return the settings of a crawl of a test's web, its limits tiny."""
    tiny = {"body_mb": 0.0625, "header_kb": 8.0, "connect_s": 2.0, "idle_s": 2.0, "total_s": 4.0}
    network = Network(allow=ALLOW, resolve=web.resolve)
    return Crawl(agent=AGENT, network=network, limits=Limits.model_validate({**tiny, **limits}))


def run(crawl: Crawl, use: Callable[[Fetcher], Coroutine[Any, Any, Any]]) -> Any:
    """Use a fetcher in a loop of its own."""

    async def inside() -> Any:
        async with Fetcher(crawl) as fetcher:
            return await use(fetcher)

    return asyncio.run(inside())


def get(
    web: Web, url: str = "http://a.test/", *, limits: dict[str, float] | None = None, **options: Any
) -> Any:
    """Fetch one URL of a test's web."""
    return run(crawl(web, **(limits or {})), lambda fetcher: fetcher.get(url, **options))


def fetch(reply: Reply, *, limits: dict[str, float] | None = None, **options: Any) -> Any:
    """Fetch one reply."""
    with Web({"a.test": {"/": reply}}) as web:
        return get(web, limits=limits, **options)


def failure(reply: Reply, **limits: float) -> Failure:
    """Fetch one reply that must fail."""
    result = fetch(reply, limits=limits)
    assert isinstance(result, Failure), result
    assert result.kind in KINDS
    assert result.detail
    return result


# What an answer is


def test_an_answer_holds_what_the_server_sent() -> None:
    sent = (
        b"HTTP/1.1 200 Tamam\r\nServer: k\xc3\xb6y\r\ncontent-TYPE: Text/HTML; charset=iso-8859-9\r\n"
        b"X-Robots-Tag: noai\r\nX-Robots-Tag: otherbot: noindex\r\nContent-Length: 7\r\n\r\nMerhaba"
    )
    before = datetime.now(UTC)
    answer = fetch(sent)
    assert (answer.url, answer.status, answer.reason, answer.version) == (
        "http://a.test/",
        200,
        "Tamam",
        "1.1",
    )
    assert answer.raw_headers[:2] == (
        (b"Server", "köy".encode()),
        (b"content-TYPE", b"Text/HTML; charset=iso-8859-9"),
    )
    assert answer.headers["server"] == "köy"
    assert (answer.media, answer.charset) == ("text/html", "iso-8859-9")
    assert answer.headers["x-robots-tag"] == "noai, otherbot: noindex"
    assert answer.values("x-robots-tag") == ["noai", "otherbot: noindex"]
    assert answer.body == answer.content == b"Merhaba"
    assert answer.digest == "sha1:35J4FN6FQOVXZGYKLLKZCKZNXA5KQBLR"
    assert (answer.truncated, answer.address, answer.tls) == ("", "127.0.0.1", None)
    assert before <= answer.started <= datetime.now(UTC)
    assert 0 < answer.seconds < 5


def test_hosts_that_share_an_address_are_asked_a_few_at_a_time() -> None:
    under_way, most = 0, 0

    async def slow(exchange: Exchange) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        await exchange.send(page())
        under_way -= 1

    hosts = [f"h{number}.test" for number in range(12)]
    with Web({host: {"/": slow} for host in hosts}) as web:
        settings = crawl(web)
        politeness = settings.politeness.model_copy(update={"address_requests": 3})

        async def all_at_once(fetcher: Fetcher) -> list[Answer | Failure]:
            return await asyncio.gather(*(fetcher.get(f"http://{host}/") for host in hosts))

        answers = run(settings.model_copy(update={"politeness": politeness}), all_at_once)
    assert [answer.status for answer in answers] == [200] * 12
    assert most == 3


def test_hosts_that_wait_for_their_address_hold_up_no_other_address() -> None:
    asked: list[str] = []

    async def stuck(exchange: Exchange) -> None:
        asked.append(exchange.host)
        while "free.test" not in asked:
            await asyncio.sleep(0.005)
        await exchange.send(page())

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append("free.test")
        writer.write(page())

    hosts = [f"h{number}.test" for number in range(6)]
    with Web({host: {"/": stuck} for host in hosts}) as web:
        settings = crawl(web)

        async def all_at_once(fetcher: Fetcher) -> list[Answer | Failure]:
            server = await asyncio.start_server(other, "127.0.0.2", 0)
            port = server.sockets[0].getsockname()[1]
            urls = [*(f"http://{host}/" for host in hosts), f"http://127.0.0.2:{port}/"]
            async with server:
                return await asyncio.gather(*map(fetcher.get, urls))

        politeness = settings.politeness.model_copy(update={"address_requests": 1})
        limits = settings.limits.model_copy(update={"requests_at_once": 2})
        own = settings.model_copy(update={"politeness": politeness, "limits": limits})
        answers = run(own, all_at_once)
    assert [answer.status for answer in answers] == [200] * 7


def test_the_request_is_recorded_byte_for_byte() -> None:
    with Web({"a.test": {"/": page()}}) as web:
        answer = get(web, headers={"If-None-Match": '"x"'})
    assert [answer.request] == web.raw


def test_it_says_who_asks_and_what_it_prefers() -> None:
    with Web({"a.test": {"/": page()}}) as web:
        get(web)
    fields = web.log[0].fields
    assert fields["user-agent"].startswith("derlem/")
    assert fields["user-agent"].endswith(" (+https://example.org/tarama)")
    assert fields["accept-language"].startswith("tr")
    assert fields["accept-encoding"] == "gzip, deflate"


def test_without_a_language_none_is_preferred() -> None:
    with Web({"a.test": {"/": page()}}) as web:
        settings = crawl(web).model_copy(update={"scope": Scope(language="")})
        run(settings, lambda fetcher: fetcher.get("http://a.test/"))
    assert "accept-language" not in web.log[0].fields


def test_conditions_are_sent_but_not_what_could_break_the_request() -> None:
    conditions = {"If-None-Match": '"1"', "If-Modified-Since": "x\r\nInjected: 1", "If-Match": "köy"}
    with Web({"a.test": {"/": page(status="304 Not Modified", content_length=None)}}) as web:
        answer = get(web, headers=conditions)
    assert answer.status == 304
    assert web.log[0].fields["if-none-match"] == '"1"'
    assert {"if-modified-since", "injected", "if-match"}.isdisjoint(web.log[0].fields)


@pytest.mark.parametrize(
    "target", ["/a%7Eb?x=%C3%BC&y=a+b", "/%2e%2e/a//b/", "/a'(b)[c]|{d}\\e^`", "/%zz%", "/?a=b&a=b;c"]
)
def test_a_url_is_asked_for_as_it_is_written(target: str) -> None:
    with Web({"a.test": lambda exchange: page()}) as web:
        get(web, f"http://a.test{target}#orada")
    assert (
        web.raw[0].split(b" ")[1] == target.rstrip("?").encode()
        or web.raw[0].split(b" ")[1] == target.encode()
    )


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://a.test/",
            "file:///etc/passwd",
            "/yalnız",
            "a.test/",
            "http:///x",
            "http://",
            "",
            "javascript:1",
        ),
        *(
            "http://a.test/ x",
            "http://a.test/\r\nX: 1",
            "http://a.test/ü",
            "http://[::1/",
            "http://a.test:99999/",
        ),
    ],
)
def test_what_is_no_web_address_is_not_asked_for(url: str) -> None:
    with Web({"a.test": {"/": page()}}) as web:
        result = get(web, url)
    assert (result.kind, result.passing) == ("url", False)
    assert web.log == []


def test_credentials_are_neither_sent_nor_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine a.test login ali password gizli\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with Web({"a.test": {"/": page()}}) as web:
        answer = get(web, "http://ali:gizli@a.test/")
    assert answer.url == "http://a.test/"
    assert "authorization" not in web.log[0].fields
    assert b"gizli" not in web.raw[0]


def test_cookies_are_not_sent_back() -> None:
    async def twice(fetcher: Fetcher) -> None:
        await fetcher.get("http://a.test/")
        await fetcher.get("http://a.test/")

    with Web({"a.test": {"/": page(set_cookie="oturum=1; Path=/")}}) as web:
        run(crawl(web), twice)
    assert len(web.log) == 2
    assert all("cookie" not in entry.fields for entry in web.log)


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert fetch(page("Merhaba")).body == b"Merhaba"


def test_redirects_are_left_to_the_caller() -> None:
    with Web({"a.test": {"/": redirect("http://a.test/orada"), "/orada": page()}}) as web:
        answer = get(web)
    assert (answer.status, answer.headers["location"]) == (302, "http://a.test/orada")
    assert web.paths() == ["/"]


def test_the_first_location_counts_and_letters_beyond_ascii_survive() -> None:
    head = b"HTTP/1.1 301 X\r\nLocation: /k\xfc\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"
    assert fetch(head).headers["location"] == "/kü"


def test_the_framing_of_chunks_is_taken_away_and_nothing_else() -> None:
    body = b"5\r\nhello\r\n"  # content that looks like a chunk
    sent = BROKEN + b"Transfer-Encoding: chunked\r\n\r\na\r\n%b\r\n0\r\nTrailer: 1\r\n\r\n" % body
    answer = fetch(sent)
    assert answer.body == answer.content == body


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data, wbits=-15)),
        ("br", brotli.compress),
        ("br, gzip", lambda data: gzip.compress(brotli.compress(data))),
    ],
)
def test_a_packed_body_is_kept_as_sent_and_unpacked_beside(
    coding: str, pack: Callable[[bytes], bytes]
) -> None:
    html = b"<!doctype html><p>Merhaba" * 100
    packed = pack(html)
    answer = fetch(page(packed, content_encoding=coding))
    assert answer.body == (html if "br" in coding else packed)  # which not all readers of WARC files know
    assert answer.content == html


def test_a_body_that_only_ends_with_the_connection_is_whole() -> None:
    async def reply(exchange: Exchange) -> None:
        exchange.closing = True
        await exchange.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\nMerhaba")

    answer = fetch(reply)
    assert (answer.version, answer.body, answer.truncated) == ("1.0", b"Merhaba", "")


def test_the_web_of_these_tests_runs_as_a_process_too(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, web_module.__file__, "--port", "0", "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        network = Network(allow=ALLOW, resolve={"www1.test": f"127.0.0.1:{port}"})
        answer = run(Crawl(agent=AGENT, network=network), lambda fetcher: fetcher.get("http://www1.test/3"))
        while not log.read_text():  # written when the answer is sent, which the client may see first
            time.sleep(0.01)
        process.terminate()
    assert answer.status == 200
    (entry,) = web_module.read_log(log)
    assert (entry.host, entry.path, entry.whole) == ("www1.test", "/3", True)
    assert entry.sent > len(answer.body)


# Connections


def test_a_host_is_asked_over_one_connection_and_never_twice_at_once() -> None:
    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.05)
        await exchange.send(page())

    async def both(fetcher: Fetcher) -> list[Any]:
        return await asyncio.gather(*(fetcher.get(f"http://a.test/{n}") for n in range(3)))

    with Web({"a.test": lambda exchange: slow}) as web:
        assert all(isinstance(answer, Answer) for answer in run(crawl(web), both))
    assert {entry.connection for entry in web.log} == {0}
    assert all(one.ended <= other.begun for one, other in zip(web.log, web.log[1:], strict=False))


def test_few_connections_are_kept_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "IDLE_CONNECTIONS", 3)
    hosts = [f"h{number}.test" for number in range(8)]

    async def inside(fetcher: Fetcher) -> None:
        for host in [*hosts, hosts[-1], hosts[-2], hosts[0]]:
            assert (await fetcher.get(f"http://{host}/")).status == 200

    with Web({host: {"/": page()} for host in hosts}) as web:
        run(crawl(web), inside)
    assert [entry.connection for entry in web.log] == [*range(8), 7, 6, 8]


def test_a_kept_connection_that_ends_without_an_answer_is_a_reset_and_nothing_is_sent_again() -> None:
    async def end(exchange: Exchange) -> None:
        exchange.closing = True

    async def twice(fetcher: Fetcher) -> Any:
        await fetcher.get("http://a.test/1")
        return await fetcher.get("http://a.test/2")

    with Web({"a.test": {"/1": page(), "/2": end}}) as web:
        result = run(crawl(web), twice)
    assert web.paths() == ["/1", "/2"]
    assert (result.kind, result.passing, result.address) == ("reset", True, "127.0.0.1")


def test_a_kept_connection_that_was_closed_meanwhile_is_replaced() -> None:
    async def one(exchange: Exchange) -> None:
        exchange.closing = True  # without saying so in the header
        await exchange.send(page())

    async def twice(fetcher: Fetcher) -> Any:
        await fetcher.get("http://a.test/1")
        await asyncio.sleep(0.1)
        return await fetcher.get("http://a.test/2")

    with Web({"a.test": lambda exchange: one}) as web:
        assert run(crawl(web), twice).status == 200
    assert [(entry.path, entry.connection) for entry in web.log] == [("/1", 0), ("/2", 1)]


def test_bytes_behind_an_answer_are_not_taken_for_the_next() -> None:
    async def twice(fetcher: Fetcher) -> Any:
        first = await fetcher.get("http://a.test/1")
        await asyncio.sleep(0.05)
        return first, await fetcher.get("http://a.test/2")

    with Web({"a.test": {"/1": page("bir") + page("sahte"), "/2": page("iki")}}) as web:
        first, second = run(crawl(web), twice)
    assert first.body == b"bir"
    assert second.body == b"iki"
    assert web.log[1].connection == 1


# Size


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_body_beyond_the_limit_is_cut_there(framing: str) -> None:
    async def endless(exchange: Exchange) -> None:
        field = {"length": b"Content-Length: 999999999999\r\n", "chunked": b"Transfer-Encoding: chunked\r\n"}
        await exchange.send(BROKEN + field.get(framing, b"") + b"\r\n")
        data = b"x" * 4096
        await exchange.flood(b"1000\r\n" + data + b"\r\n" if framing == "chunked" else data)

    answer = fetch(endless)
    assert answer.truncated == "length"
    assert answer.body == answer.content == b"x" * 64 * KIB


def test_a_body_of_just_the_limit_is_whole() -> None:
    assert fetch(page(b"x" * 64 * KIB)).truncated == ""
    assert fetch(page(b"x" * (64 * KIB + 1))).truncated == "length"


@pytest.mark.parametrize("wanted", [None, lambda status, fields: False])
def test_a_connection_is_closed_when_the_rest_of_a_body_is_not_read(wanted: Any) -> None:
    async def endless(exchange: Exchange) -> None:
        await exchange.send(BROKEN + b"Content-Length: 999999999999\r\n\r\n")
        await exchange.flood(b"x" * 4096)

    async def twice(fetcher: Fetcher) -> list[Any]:
        return [await fetcher.get(f"http://a.test/{n}", wanted=wanted) for n in (1, 2)]

    with Web({"a.test": {"/1": endless, "/2": page()}}) as web:
        first, second = run(crawl(web), twice)
    assert first.truncated
    assert second.status == 200
    assert [(entry.connection, entry.whole) for entry in web.log] == [(0, False), (1, True)]


def test_a_single_request_may_have_a_lower_limit() -> None:
    answer = fetch(page(b"x" * 1000), body_limit=500)
    assert (len(answer.body), answer.truncated) == (500, "length")


def test_what_was_cut_is_unpacked_as_far_as_it_goes() -> None:
    html = "".join(f"<p>{number * 7919} sayısı" for number in range(2000)).encode()
    answer = fetch(page(gzip.compress(html), content_encoding="gzip"), body_limit=3000)
    assert answer.truncated == "length"
    assert len(answer.body) == 3000
    assert len(answer.content) > 5000
    assert html.startswith(answer.content)


def test_a_body_that_is_not_wanted_is_not_read() -> None:
    async def video(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 99999999\r\n\r\n")
        await exchange.flood(b"x" * 4096)

    seen = []

    def wanted(status: int, fields: Any) -> bool:
        seen.append((status, fields["content-type"]))
        return False

    answer = fetch(video, wanted=wanted)
    assert (answer.body, answer.content, answer.truncated) == (b"", b"", "unspecified")
    assert seen == [(200, "video/mp4")]


def test_an_answer_without_a_body_is_whole_though_not_wanted() -> None:
    assert fetch(redirect("/x"), wanted=lambda status, fields: False).truncated == ""


def _quick_brotli(data: bytes) -> bytes:
    return brotli.compress(data, quality=1)


@pytest.mark.parametrize(
    ("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("br", _quick_brotli)]
)
def test_a_bomb_is_a_failure(coding: str, pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(bytes(10 << 20))
    assert len(bomb) < 64 * KIB
    result = failure(page(bomb, content_encoding=coding))
    assert (result.kind, result.passing) == ("bomb", False)


def test_a_bomb_in_a_bomb_is_a_failure() -> None:
    bomb = gzip.compress(gzip.compress(bytes(10 << 20)))
    assert failure(page(bomb, content_encoding="gzip, gzip")).kind == "bomb"


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(bytes(range(256)) * 9)[:-30]),
        ("br", b"\xff" * 90),
        ("deflate", b"\xfe" * 90),
        ("pack200", b"\xca\xfe\xd0\x0d" * 9),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_a_failure(coding: str, body: bytes) -> None:
    result = failure(page(body, content_encoding=coding))
    assert (result.kind, result.passing) == ("encoding", False)


def test_a_status_counts_even_where_its_body_cannot_be_unpacked() -> None:
    answer = fetch(page(b"\xff" * 90, status="503 Busy", content_encoding="gzip", retry_after="7"))
    assert (answer.status, answer.content, answer.headers["retry-after"]) == (503, b"", "7")


async def _endless_field(exchange: Exchange) -> None:
    await exchange.send(BROKEN + b"X: ")
    await exchange.flood(b"x" * 1024)


async def _endless_fields(exchange: Exchange) -> None:
    await exchange.send(BROKEN)
    await exchange.flood(b"X: y\r\n" * 10)


async def _endless_status(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 ")
    await exchange.flood(b"O" * 1024)


async def _endless_folds(exchange: Exchange) -> None:
    await exchange.send(BROKEN + b"X: y\r\n")
    await exchange.flood(b" x\r\n" * 100)


async def _endless_interim(exchange: Exchange) -> None:
    await exchange.flood(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 10)


@pytest.mark.parametrize(
    "reply",
    [
        *(_endless_field, _endless_fields, _endless_folds, _endless_status, _endless_interim),
        BROKEN + b"X: " + b"x" * 9 * KIB + b"\r\n\r\n",
        BROKEN + (b"X: " + b"x" * 700 + b"\r\n") * 12 + b"Content-Length: 0\r\n\r\n",
        BROKEN + b"X: y\r\n" * FIELDS + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 " + b"O" * 9 * KIB + b"\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_header_beyond_the_limit_is_a_failure(reply: Reply) -> None:
    result = failure(reply)
    assert (result.kind, result.passing) == ("oversized", False)


def test_the_limit_of_the_header_holds_for_later_answers_of_a_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def twice(fetcher: Fetcher) -> Any:
        await fetcher.get("http://a.test/1")
        return await fetcher.get("http://a.test/2")

    with Web({"a.test": {"/1": page("x" * 9 * KIB), "/2": _endless_interim}}) as web:
        result = run(crawl(web), twice)
    assert [entry.connection for entry in web.log] == [0, 0]
    assert result.kind == "oversized"


def test_interim_answers_are_passed_over() -> None:
    answer = fetch(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + page("Merhaba"))
    assert (answer.status, answer.body) == (200, b"Merhaba")


# Time


async def _silent(exchange: Exchange) -> None:
    await asyncio.sleep(9)


async def _silent_in_body(exchange: Exchange) -> None:
    await exchange.send(BROKEN + b"Content-Length: 9\r\n\r\nx")
    await asyncio.sleep(9)


async def _trickling_header(exchange: Exchange) -> None:
    await exchange.trickle(BROKEN * 9, 0.02)


async def _trickling_body(exchange: Exchange) -> None:
    await exchange.send(BROKEN + b"Content-Length: 9999\r\n\r\n")
    await exchange.trickle(b"x" * 9999, 0.02)


async def _trickling_interim(exchange: Exchange) -> None:
    for _ in range(99):
        await exchange.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        await asyncio.sleep(0.02)


async def _silent_behind_header(exchange: Exchange) -> None:
    await exchange.send(BROKEN + b"Content-Length: 9\r\n\r\n")
    await asyncio.sleep(9)


@pytest.mark.parametrize(("reply", "answered"), [(_silent, False), (_silent_behind_header, True)])
def test_a_server_that_falls_silent_is_left(reply: Reply, answered: bool) -> None:
    result = failure(reply, idle_s=0.2)
    assert (result.kind, result.passing, result.answered) == ("timeout", True, answered)
    assert result.seconds < 1


def test_of_a_body_that_takes_too_long_what_came_is_kept() -> None:
    silent = fetch(_silent_in_body, limits={"idle_s": 0.2})
    assert (silent.body, silent.truncated) == (b"x", "time")
    trickling = fetch(_trickling_body, limits={"idle_s": 2, "total_s": 0.3})
    assert trickling.truncated == "time"
    assert 0 < len(trickling.body) < 99
    assert trickling.seconds < 1


@pytest.mark.parametrize("reply", [_trickling_header, _trickling_interim])
def test_a_server_that_trickles_is_left(reply: Reply) -> None:
    result = failure(reply, idle_s=2, total_s=0.3)
    assert (result.kind, result.passing) == ("timeout", True)
    assert result.seconds < 1


@contextmanager
def listening() -> Iterator[int]:
    """Hold a port that takes connections, and does nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_handshake_that_does_not_go_on_is_left() -> None:
    with listening() as port:
        limits = Limits(connect_s=0.2, idle_s=2, total_s=4)
        settings = Crawl(agent=AGENT, network=Network(allow=ALLOW), limits=limits)
        result = run(settings, lambda fetcher: fetcher.get(f"https://127.0.0.1:{port}/"))
    assert (result.kind, result.passing) == ("timeout", True)
    assert result.seconds < 1


# Connections that fail


def test_nobody_there_is_a_passing_failure() -> None:
    with listening() as port:
        pass
    settings = Crawl(agent=AGENT, network=Network(allow=ALLOW))
    result = run(settings, lambda fetcher: fetcher.get(f"http://127.0.0.1:{port}/"))
    assert (result.kind, result.passing) == ("connect", True)


def test_a_failure_before_any_connection_names_no_address() -> None:
    async def inside(fetcher: Fetcher) -> Any:
        await fetcher.get("http://a.test/")
        return await fetcher.get("http://10.0.0.1/")

    with Web({"a.test": {"/": page()}}) as web:
        result = run(crawl(web), inside)
    assert (result.kind, result.address) == ("network.refused", "")


async def _close(exchange: Exchange) -> None:
    exchange.closing = True


async def _reset_in_body(exchange: Exchange) -> None:
    await exchange.send(BROKEN + b"\r\nx")
    await asyncio.sleep(0.05)
    exchange.reset()


async def _reset_at_once(exchange: Exchange) -> None:
    exchange.reset()


def _ends_after(data: bytes) -> Reply:
    async def reply(exchange: Exchange) -> None:
        exchange.closing = True
        await exchange.send(data)

    return reply


@pytest.mark.parametrize(
    ("reply", "answered"),
    [
        (_close, False),
        (_reset_at_once, False),
        (_ends_after(b"HTTP/1.1 200 O"), False),
        (_ends_after(b"HTTP/1.1 200 OK\r\nContent-Ty"), True),
        (_ends_after(BROKEN + b"Content-Length: 999\r\n\r\n"), True),
        (_ends_after(BROKEN + b"Transfer-Encoding: chunked\r\n\r\n5\r\n"), True),
    ],
)
def test_an_answer_that_breaks_off_before_its_body_is_a_passing_failure(reply: Reply, answered: bool) -> None:
    result = failure(reply)
    assert (result.kind, result.passing, result.answered) == ("reset", True, answered)


CHUNKED = BROKEN + b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("reply", "truncated"),
    [
        (_ends_after(BROKEN + b"Content-Length: 999\r\n\r\nMerhaba"), "disconnect"),
        (_ends_after(BROKEN + b"Content-Length: 99999999999999999999999\r\n\r\nMerhaba"), "disconnect"),
        (_ends_after(BROKEN + b"Content-Length: 7\r\n\r\nMerhaba yine"), "unspecified"),
        (_ends_after(CHUNKED + b"\r\n9\r\nMerhaba"), "disconnect"),
        (_ends_after(CHUNKED + b"\r\nfffffffffffffffff\r\nMerhaba"), "disconnect"),
        (_ends_after(CHUNKED + b"\r\n7\r\nMerhaba\r\n"), "disconnect"),
        (_ends_after(CHUNKED + b"\r\n7\r\nMerhaba"), "disconnect"),
        (_ends_after(CHUNKED + b"\r\n7\r\nMerhabalar\r\n0\r\n\r\n"), "unspecified"),
        (_ends_after(CHUNKED + b"\r\n7\r\nMerhaba\r\nlar\r\n0\r\n\r\n"), "unspecified"),
        (_ends_after(CHUNKED + b"\r\n7\r\nMerhaba\r\n" + b"1" * 9000), "unspecified"),
        (_ends_after(CHUNKED + b"\r\n7\r\nMerhaba\r\n0\r\n"), ""),  # what misses are trailers
        (_ends_after(CHUNKED + b"\r\n7\nMerhaba\n 0 ;x=y\n\n"), ""),
        (_ends_after(CHUNKED + b"Content-Length: 3\r\n\r\n7\r\nMerhaba\r\n0\r\n\r\n"), ""),
        (_ends_after(BROKEN + b"Content-Length: -5\r\n\r\nMerhaba"), ""),
        (_ends_after(BROKEN + b"Content-Length: yedi\r\n\r\nMerhaba"), ""),
    ],
)
def test_of_a_body_that_is_framed_wrongly_what_came_is_kept_and_marked(reply: Reply, truncated: str) -> None:
    answer = fetch(reply)
    assert isinstance(answer, Answer), answer
    assert (answer.content, answer.truncated) == (b"Merhaba", truncated)


def test_a_body_that_only_the_connection_could_end_is_cut_where_that_is_reset() -> None:
    answer = fetch(_reset_in_body)
    assert (answer.content, answer.truncated) == (b"x", "disconnect")


def test_a_packed_body_that_is_whole_needs_no_right_length() -> None:
    html = b"<!doctype html><p>Merhaba" * 50
    packed = gzip.compress(html)
    fields = BROKEN + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(html)
    answer = fetch(_ends_after(fields + packed))
    assert (answer.content, answer.truncated) == (html, "")
    cut = fetch(_ends_after(fields + packed[:-20]))
    assert html.startswith(cut.content)
    assert cut.truncated == "disconnect"


@pytest.mark.parametrize("status", ["404 Not Found", "503 Busy", "301 Moved", "500 Error"])
def test_a_status_counts_though_its_body_does_not_come(status: str) -> None:
    answer = fetch(_ends_after(f"HTTP/1.1 {status}\r\nLocation: /x\r\nContent-Length: 40\r\n\r\n".encode()))
    assert (answer.status, answer.body) == (int(status[:3]), b"")


@pytest.mark.parametrize(
    "line",
    [
        *(b"PHP Notice:  Undefined index", b"<br />", b"X Y: a", b": a", b"X: a\0b", b"X\0Y: a", b"\xfc: a"),
        *(b"Content-Length: 7", b"Content-Length : 7", b"Content-Length: 7, 7", b"content-length:007"),
        *(b"X:a\r\n folded\r\n\tagain", b"X: a\rContent-Length: 3", b"Set-Cookie:"),
    ],
)
def test_a_bad_line_of_the_header_costs_nothing_but_itself(line: bytes) -> None:
    for sent in (
        BROKEN + line + b"\r\nContent-Length: 7\r\n",
        b"HTTP/1.1 200 OK\r\n" + line + b"\r\n" + BROKEN[17:],
    ):
        answer = fetch(_ends_after(sent + b"\r\nMerhaba"))
        assert isinstance(answer, Answer), answer
        assert (answer.status, answer.media, answer.content) == (200, "text/html", b"Merhaba")
        assert answer.truncated == ""


def test_behind_an_answer_with_a_slip_no_connection_is_used_again() -> None:
    async def all_of_them(fetcher: Fetcher) -> None:
        for number in range(len(replies)):
            assert (await fetcher.get(f"http://a.test/{number}")).content == b"Merhaba"

    slips = (b"bozuk satir", b"Content-Length : 7", b"Content-Length: 7", b"X: y")
    replies = [BROKEN + slip + b"\r\nContent-Length: 7\r\n\r\nMerhaba" for slip in slips]
    replies += [CHUNKED + b"Content-Length: 3\r\n\r\n7\r\nMerhaba\r\n0\r\n\r\n", page("Merhaba")]
    with Web({"a.test": {f"/{number}": reply for number, reply in enumerate(replies)}}) as web:
        run(crawl(web), all_of_them)
    # of them all only the one without a slip leaves its connection to the next
    assert [entry.connection for entry in web.log] == [0, 1, 2, 3, 3, 4]


@pytest.mark.parametrize(
    "sent",
    [
        b"<html>HTTP/0.9 had no header</html>\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x00\x01\x02\x03" * 20,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        BROKEN + b"Content-Length: 5, 7\r\n\r\n",
        BROKEN + b"Content-Length: 5\r\nContent-Length: 7\r\n\r\nMerhaba",
        BROKEN + b"Transfer-Encoding: chunked\r\n\r\nmerhaba\r\n",
        BROKEN + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello",
    ],
)
def test_what_is_not_http_is_a_failure(sent: bytes) -> None:
    result = failure(_ends_after(sent))
    assert (result.kind, result.passing) == ("protocol", False)


def test_chunks_that_go_wrong_later_end_a_body_at_once() -> None:
    async def later(exchange: Exchange) -> None:
        await exchange.send(BROKEN + b"Transfer-Encoding: chunked\r\n\r\n3\r\nbir\r\n")
        await asyncio.sleep(0.05)
        await exchange.send(b"iki\r\n")
        await asyncio.sleep(9)

    answer = fetch(later)
    assert (answer.body, answer.truncated) == (b"bir", "unspecified")
    assert answer.seconds < 1


def test_a_failure_says_what_was_found_in_one_short_line_of_text() -> None:
    detail = failure(_ends_after(b"\xff\n\r\x00" * 900)).detail
    assert len(detail) <= 300
    assert "\n" not in detail
    assert detail.encode()


# TLS


def certificate(
    folder: Path,
    name: str = "a.test",
    days: int = 1,
    issuer: tuple[Any, Any] | None = None,
    linked: bool = True,
) -> tuple[ssl.SSLContext, Path, tuple[Any, Any]]:
    """Make a certificate, signed by an issuer or itself: a server's context, the file, itself as an issuer.

    `linked` adds the identifier of the issuer's key, which RFC 5280 demands and much of the web leaves out.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer and linked:
        known = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer[1].public_key())
        builder = builder.add_extension(known, critical=False)
    made = builder.sign(issuer[1] if issuer else key, hashes.SHA256())
    path = folder / f"{made.serial_number}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context, path, (made, key)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """Make an authority that is trusted as long as the test lasts."""
    _, path, issuer = certificate(tmp_path, "authority.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return issuer


def over_tls(context: ssl.SSLContext, url: str = "https://a.test/") -> Any:
    """Fetch a page over TLS."""
    with Web({"a.test": {"/": page("Merhaba")}}, tls=context) as web:
        return get(web, url), web.log


def test_a_trusted_certificate_is_accepted(tmp_path: Path, authority: tuple[Any, Any]) -> None:
    answer, _ = over_tls(certificate(tmp_path, issuer=authority)[0])
    assert answer.body == b"Merhaba"
    assert answer.tls[0] == "tls/1.3"
    assert answer.tls[1].startswith("TLS_")


def test_a_certificate_that_browsers_accept_is_accepted_on_every_python(
    tmp_path: Path, authority: tuple[Any, Any]
) -> None:
    answer, _ = over_tls(certificate(tmp_path, issuer=authority, linked=False)[0])
    assert answer.body == b"Merhaba"


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, authority: tuple[Any, Any]) -> None:
    result, log = over_tls(certificate(tmp_path)[0])
    assert (result.kind, result.passing) == ("tls", False)
    assert log == []


def test_an_expired_certificate_is_refused(tmp_path: Path, authority: tuple[Any, Any]) -> None:
    result, log = over_tls(certificate(tmp_path, days=-1, issuer=authority)[0])
    assert result.kind == "tls"
    assert "expired" in result.detail
    assert log == []


def test_a_certificate_of_another_name_is_refused(tmp_path: Path, authority: tuple[Any, Any]) -> None:
    result, log = over_tls(certificate(tmp_path, "b.test", issuer=authority)[0])
    assert result.kind == "tls"
    assert log == []


def test_a_server_without_tls_has_no_https() -> None:
    def refuse(server: socket.socket) -> None:
        taken, _ = server.accept()
        with taken:
            taken.recv(KIB)
            taken.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=refuse, args=[server]).start()
        settings = Crawl(agent=AGENT, network=Network(allow=ALLOW))
        url = f"https://127.0.0.1:{server.getsockname()[1]}/"
        result = run(settings, lambda fetcher: fetcher.get(url))
    assert (result.kind, result.passing) == ("tls", False)


def test_https_on_the_port_of_http_is_a_failure(tmp_path: Path, authority: tuple[Any, Any]) -> None:
    result, log = over_tls(certificate(tmp_path, issuer=authority)[0], "http://a.test/")
    assert result.kind in ("protocol", "reset")
    assert log == []


# Whatever comes


SERVED: dict[str, bytes] = {}


@pytest.fixture(scope="module")
def anything() -> Iterator[Web]:
    """Serve the bytes that a test puts into SERVED."""
    site: Site = lambda exchange: _ends_after(SERVED["now"])  # noqa: E731
    with Web({"a.test": site}) as web:
        yield web


_PIECES = st.sampled_from(
    [
        *(
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 100 Continue\r\n",
            b"HTTP/1.0 404\r\n",
            b"\r\n",
            b"\n",
            b"\r",
            b"\0",
        ),
        *(
            b"Content-Length: 5\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Content-Encoding: gzip\r\n",
            b"5\r\nhello",
        ),
        *(
            b"0\r\n\r\n",
            b"X: y\r\n",
            b" folded\r\n",
            b"\xff\xfe",
            gzip.compress(b"Merhaba"),
            b"Connection: close\r\n",
        ),
    ]
)


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(parts=st.lists(_PIECES | st.binary(max_size=8), max_size=12))
def test_no_answer_raises(anything: Web, parts: list[bytes]) -> None:
    SERVED["now"] = b"".join(parts)
    result = get(anything)
    assert isinstance(result, (Answer, Failure))
