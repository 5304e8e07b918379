"""What is made of an HTTP response's body, whatever its header says."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from corpus.web.http import (
    BodyError,
    Response,
    charset_of,
    decode_body,
    is_html,
    media_of,
    parse_response,
    unchunk,
)

PAGE = b"<html><p>" + "Ağaç yaşken eğilir. ".encode() * 40
LIMIT = 1 << 20


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def chunked(data: bytes, size: int = 100) -> bytes:
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def decode(body: bytes, limit: int = LIMIT, *, cut: bool = False, **headers: str) -> bytes:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return decode_body(Response(200, fields, body), limit, cut=cut)


CODINGS = [
    ("gzip", gzip.compress(PAGE)),
    ("x-gzip", gzip.compress(PAGE[:100]) + gzip.compress(PAGE[100:])),
    ("GZIP ", gzip.compress(PAGE) + b"trailing"),
    ("deflate", zlib.compress(PAGE)),
    ("deflate", raw_deflate(PAGE)),
    ("br", brotli.compress(PAGE)),
    ("zstd", zstandard.compress(PAGE)),
    ("identity", PAGE),
    ("deflate, gzip", gzip.compress(zlib.compress(PAGE))),
]


@pytest.mark.parametrize(("coding", "body"), CODINGS, ids=range(len(CODINGS)))
def test_every_coding_is_undone_with_and_without_chunks(coding: str, body: bytes) -> None:
    assert decode(body, content_encoding=coding) == PAGE
    assert decode(chunked(body), content_encoding=coding, transfer_encoding="chunked") == PAGE
    assert decode(chunked(body), transfer_encoding=f"{coding}, chunked") == PAGE


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "utf-8", "x-unheard-of"])
def test_readable_text_that_claims_to_be_compressed_is_taken_as_it_is(coding: str) -> None:
    assert decode(PAGE, content_encoding=coding) == PAGE


@pytest.mark.parametrize(
    "text",
    [
        PAGE,
        "Ağaç yaşken eğilir.".encode(),
        "Ağaç yaşken eğilir.".encode("cp1254"),
        ("x" + "ğ" * 2000).encode(),  # the look at its beginning cuts a letter
    ],
)
def test_readable_means_utf8_or_mostly_ascii(text: bytes) -> None:
    assert decode(text, content_encoding="br") == text


@pytest.mark.parametrize(
    "body", [PAGE, b"abc\nnot the 2748 bytes that it seems to announce" + b"." * 3000, b""]
)
def test_a_body_that_only_claims_to_be_chunked_is_taken_as_it_is(body: bytes) -> None:
    assert decode(body, transfer_encoding="chunked") == body


def test_chunks_may_have_extensions_trailers_or_no_end() -> None:
    assert unchunk(b"3;a=b\r\nabc\r\n2 \r\nde\r\n0\r\nExpires: 0\r\n\r\n") == b"abcde"
    assert unchunk(b"3\r\nabc\r\n5\r\nde") == b"abcde"
    assert unchunk(b"3\nabc\n0\n\n") == b"abc"


@given(st.binary(max_size=2000), st.integers(1, 500))
def test_unchunk_undoes_chunking(data: bytes, size: int) -> None:
    assert unchunk(chunked(data, size)) == data


@pytest.mark.parametrize(("coding", "body"), [CODINGS[index] for index in (0, 3, 4, 5, 6)], ids=range(5))
def test_a_compressed_body_that_is_corrupt_or_incomplete_is_rejected(coding: str, body: bytes) -> None:
    for bad in (body[: len(body) // 2], b"\x00\x01\x02" + body):
        with pytest.raises(BodyError) as caught:
            decode(bad, content_encoding=coding)
        assert caught.value.cause == "bad-body-encoding"


def test_a_compressed_body_that_the_archive_cut_gives_its_beginning() -> None:
    import random

    page = "".join(random.Random(1).choices("abcçdefgğhıijklmnoöprsştuüvyz ", k=20_000)).encode()
    beginning = decode(gzip.compress(page)[:5000], content_encoding="gzip", cut=True)
    assert len(beginning) > 1000
    assert page.startswith(beginning)
    with pytest.raises(BodyError):
        decode(gzip.compress(page)[:9], content_encoding="gzip", cut=True)


@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("br", lambda data: brotli.compress(data, quality=1)),
        ("zstd", zstandard.compress),
    ],
)
def test_a_bomb_is_not_inflated_past_the_limit(coding: str, compress: Callable[[bytes], bytes]) -> None:
    bomb = compress(b"\0" * (64 << 20))
    tracemalloc.start()
    with pytest.raises(BodyError) as caught:
        decode(bomb, content_encoding=coding)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.cause == "oversized"
    assert peak < 40 << 20


def test_the_limit_is_the_largest_body_allowed() -> None:
    assert decode(b"x" * 10, limit=10) == b"x" * 10
    with pytest.raises(BodyError) as caught:
        decode(b"x" * 11, limit=10)
    assert caught.value.cause == "oversized"


def test_a_response_is_split_into_status_headers_and_body() -> None:
    found = parse_response(
        b"HTTP/1.1 203 Non-Authoritative\r\nA: 1\r\n  2\r\nb:x\r\nno colon\r\n\r\nbody\r\n\r\nmore"
    )
    assert found == Response(203, {"a": "1 2", "b": "x"}, b"body\r\n\r\nmore")
    assert parse_response(b"HTTP/2 200\nA: 1\n\nbody") == Response(200, {"a": "1"}, b"body")
    assert parse_response(b"HTTP/1.0 200 OK\r\nA: 1") == Response(200, {"a": "1"}, b"")
    assert parse_response(b"GET / HTTP/1.1\r\n\r\n") is None


def test_repeated_encodings_are_all_undone() -> None:
    block = b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Encoding: gzip\r\n\r\n"
    found = parse_response(block + gzip.compress(zlib.compress(PAGE)))
    assert found is not None
    assert decode_body(found, LIMIT) == PAGE


@pytest.mark.parametrize(
    ("content_type", "media", "charset"),
    [
        ("text/html; charset=windows-1254", "html", "windows-1254"),
        ('TEXT/HTML ;Charset = "iso-8859-9"; x=y', "html", "iso-8859-9"),
        ("application/xhtml+xml", "html", None),
        ("text/plain;charset=utf-8", "text", "utf-8"),
        ("text/html, text/html", "html", None),
        ("text/html charset=utf-8", "html", "utf-8"),
        ('"text/html"; charset=utf-8', "html", "utf-8"),
        ("text/html: charset=iso-8859-9", "html", "iso-8859-9"),
        ("text/htm", "html", None),
        ("text/plain charset=utf-8", "text", "utf-8"),
        ("html", "unknown", None),
        ("text/", "unknown", None),
        ("charset=utf-8", "unknown", "utf-8"),
        ("image/svg+xml", "other", None),
        ("application/vnd.ms-excel;x", "other", None),
        ("", "unknown", None),
        ("*/*", "unknown", None),
        ("application/pdf", "other", None),
        ("text/css", "other", None),
    ],
)
def test_a_content_type_says_media_and_charset(content_type: str, media: str, charset: str | None) -> None:
    assert (media_of(content_type), charset_of(content_type)) == (media, charset)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"\xef\xbb\xbf\r\n<!DOCTYPE html>", True),
        (b"<?xml version='1.0'?>\n<html>", True),
        (b"<!-- saved -->\n<HEAD>", True),
        (b"<!---->" * 400 + b"<p>", True),
        (b"<!---->" * 400 + b"x", False),  # and in this century
        (b"<?xml version='1.0'?><rss>", False),
        (b"plain words", False),
        (b"%PDF-1.4", False),
        (b"", False),
    ],
)
def test_html_is_known_by_its_beginning(body: bytes, expected: bool) -> None:
    assert is_html(body) is expected


@pytest.mark.parametrize(
    "coding", ["", "identity", "br", "deflate", "gzip", "gzip;q=1.0", '"gzip"', "x-unknown"]
)
@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, zstandard.compress])
def test_a_body_is_read_by_the_compression_that_it_begins_as(
    coding: str, compress: Callable[[bytes], bytes]
) -> None:
    body = b"<html>" + b"satir " * 100
    response = Response(200, {"content-encoding": coding}, compress(body))
    assert decode_body(response, 10_000) == body


@pytest.mark.parametrize("first", ["100 Continue", "103 Early Hints\r\nLink: </a>; rel=preload"])
def test_interim_answers_are_passed_over(first: str) -> None:
    block = f"HTTP/1.1 {first}\r\n\r\n".encode() * 2 + b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody"
    assert parse_response(block) == Response(200, {"a": "b"}, b"body")


@pytest.mark.parametrize(
    "line", ["HTTP/2 200", "http/1.1 200 OK", "HTTP 200 OK", "ICY 200 OK", "\r\nHTTP/1.1 200"]
)
def test_a_status_line_may_be_written_in_many_ways(line: str) -> None:
    assert parse_response(f"{line}\r\nA: b\r\n\r\nbody".encode()) == Response(200, {"a": "b"}, b"body")


@pytest.mark.parametrize(
    "tag", ["article", "main", "section", "h2", "ul", "blockquote", "span", "strong", "link"]
)
def test_html_without_its_head_is_known_by_its_first_element(tag: str) -> None:
    assert is_html(f"\n<!-- x -->\n<{tag} class=y>z".encode())
    assert is_html(f"<{tag}>z".encode())
    assert not is_html(f"<{tag}z>z".encode())
    assert not is_html(f"a <{tag}>z".encode())
