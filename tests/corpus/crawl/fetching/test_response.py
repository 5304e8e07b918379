"""An answer is read the same however its bytes come."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import Any

import pytest
from aiohttp.http_exceptions import HttpProcessingError
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.crawl.fetching.response import CHUNKS, ResponseParser

ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nMerhaba",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\nBozuk\nContent-Length: 7\nContent-Length: 7\n\nMerhaba",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nMer\r\n4;x\r\nhaba\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nMerhaba\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nMerhaba\r\nx\r\n0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nX: a\r\n b\r\n\r\nMerhaba",
]


class Protocol:
    """As much of aiohttp's protocol as a parser and its body speak to."""

    transport = None

    def force_close(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self, resume_parser: bool = True) -> None: ...


def parsed(pieces: list[bytes]) -> Any:
    """Feed an answer piece by piece to its end; return its messages, its body and why that is cut."""

    async def inside() -> Any:
        parser = ResponseParser(Protocol(), 1000, timer=None, buffer=1 << 16)
        messages: list[Any] = []
        try:
            for piece in pieces:
                found, upgraded, rest = parser.feed_data(piece)
                assert (upgraded, rest) == (False, b"")
                messages += found
            parser.feed_eof()
            body = messages[-1][1] if messages else None
            read = await body.read() if body is not None and body.is_eof() else b""
        except HttpProcessingError as error:
            return type(error)
        return [message for message, _ in messages], read, getattr(body, "cut", "")

    return asyncio.run(inside())


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_is_the_same_by_the_byte_and_at_once(answer: bytes) -> None:
    whole = parsed([answer])
    assert whole[1] == b"Merhaba"
    assert parsed([answer[at : at + 1] for at in range(len(answer))]) == whole


_PIECES = st.sampled_from(
    [
        *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 C\r\n\r\n", b"HTTP/1.0 404\n", b"\r\n", b"\n", b"\r", b"\0"),
        *(
            b"Content-Length: 5\r\n",
            b"Content-Length: 6\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b" katla\r\n",
        ),
        *(
            b"5\r\nhello",
            b"5\r\nhello\r\n",
            b"0\r\n\r\n",
            b"X: y\r\n",
            b"\xff\xfe",
            b"hello",
            b"HTTP/1.1 204 N\r\n\r\n",
        ),
    ]
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    parts=st.lists(_PIECES | st.binary(max_size=8), max_size=12),
    cuts=st.lists(st.integers(0, 200), max_size=6),
)
def test_where_the_pieces_are_cut_does_not_count(parts: list[bytes], cuts: list[int]) -> None:
    data = b"HTTP/1.1 200 OK\r\n" + b"".join(parts)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert parsed([data[start:end] for start, end in pairwise(places)]) == parsed([data])


def seconds(chunks: int) -> float:
    """Return the processor time for a body of so many chunks that comes at once, the least of three."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = head + b"1\r\nx\r\n" * chunks + b"0\r\n\r\n"
    times = []
    for _ in range(3):
        begun = time.process_time()
        assert parsed([answer])[1:] == (b"x" * chunks, "")
        times.append(time.process_time() - begun)
    return min(times)


def test_small_chunks_cost_time_in_proportion() -> None:
    assert seconds(80_000) < 30 * seconds(8_000)


def test_a_body_has_so_many_chunks_and_no_more() -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * (CHUNKS + 9)
    assert parsed([answer])[1:] == (b"x" * CHUNKS, "unspecified")
