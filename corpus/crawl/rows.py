"""The rows that a crawl's modules exchange, with the columns that `corpus.schema` defines."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self

from corpus.web.url import key, origin_of

LONGEST_FIELD = 1_000
"""Characters of a header field that are stored; a longer ETag cannot be sent back."""


class _Row:
    __slots__: tuple[str, ...] = ()

    def values(self) -> dict[str, Any]:
        """Return the values by column."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class FrontierRow(_Row):
    """A row of FRONTIER: a URL that is known and not yet fetched."""

    key: int
    url: str
    origin: str
    depth: int = 0
    priority: float = 0.0
    referrer: str = ""
    via: str = ""
    hops: int = 0
    due: bool = False
    tries: int = 0
    etag: str = ""
    modified: str = ""
    digest: str = ""
    fetched: datetime | None = None

    @classmethod
    def of(cls, url: str, **more: Any) -> Self:
        """Return the row of a URL in normal form."""
        return cls(key(url), url, origin_of(url), **more)

    def tried_again(self) -> Self:
        """Return the row with one more try."""
        return replace(self, tries=self.tries + 1)


@dataclass(frozen=True, slots=True)
class Outlink(_Row):
    """A row of OUTLINKS: a URL that a page links to, within the crawl's scope."""

    key: int
    url: str
    origin: str
    depth: int
    priority: float
    referrer: str
    via: str
    hops: int


@dataclass(frozen=True, slots=True)
class Fetch(_Row):
    """A row of FETCHES: the outcome of a URL. `started`: milliseconds since 1970; None without a request."""

    key: int
    url: str
    origin: str
    outcome: str
    cause: str = ""
    detail: str = ""
    status: int = 0
    media: str = ""
    started: int | None = None
    seconds: float = 0.0
    address: str = ""
    bytes: int = 0
    digest: str = ""
    etag: str = ""
    modified: str = ""
    location: str = ""
    optouts: str = ""
    depth: int = 0
    tries: int = 0
    referrer: str = ""
    file: str = ""
    offset: int = 0


@dataclass(frozen=True, slots=True)
class OriginRow(_Row):
    """A row of ORIGINS: the state of an origin between rounds."""

    origin: str
    robots_status: int
    robots: bytes
    robots_fetched: datetime
    tdm: str
    delay_s: float
    not_before: datetime
    pages: int
    sitemaps: list[str] = field(default_factory=list)
    sitemaps_read: int = 0
    sitemap_urls: int = 0
