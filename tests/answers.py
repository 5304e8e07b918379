"""Answers as a fetcher gives them, for tests of what is made of them without a server."""

from __future__ import annotations

from datetime import UTC, datetime

from corpus.crawl.fetching.failure import Kind
from corpus.crawl.fetching.fetch import Answer, Failure, _joined
from corpus.web.warc import digest_of


def answer(
    url: str, body: bytes = b"", status: int = 200, fields: tuple[tuple[str, str], ...] = (), **named: str
) -> Answer:
    """Return an answer; `content_type=...` and `fields`, for those that come twice, are header fields."""
    lines = {"content_type": "text/html; charset=utf-8", **named}
    pairs = [*((name.replace("_", "-"), value) for name, value in lines.items()), *fields]
    raw = tuple((name.encode("latin-1"), value.encode("utf-8")) for name, value in pairs)
    return Answer(
        url=url,
        status=status,
        reason="",
        version="1.1",
        raw_headers=raw,
        headers=_joined(raw),
        body=body,
        content=body,
        digest=digest_of(body),
        truncated="",
        request=b"",
        address="192.0.2.1",
        tls=None,
        started=datetime.now(UTC),
        seconds=0.001,
    )


def failure(url: str, kind: Kind, passing: bool) -> Failure:
    """Return a failure."""
    return Failure(url, kind, "", passing, "", datetime.now(UTC), 0.001)
