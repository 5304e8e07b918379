"""The state of an origin that a crawl keeps between requests and between rounds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from corpus.crawl.config import Politeness
from corpus.crawl.rows import OriginRow
from corpus.crawl.rules.optout import Tdm
from corpus.crawl.rules.robots import Robots, decide

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

_SITEMAPS = 50  # of an origin, including those in a sitemap index
_NO_TDM = "[]"


@dataclass(slots=True)
class Origin:
    """An origin: its published rules, its pause, and the number of its pages so far.

    `robots` is None if no valid robots.txt is known; the same for `tdm`. The first `sitemaps_read` of its
    `sitemaps` are done and yielded `sitemap_urls` URLs.
    """

    name: str
    robots: Robots | None = None
    robots_status: int = 0
    robots_body: bytes = b""
    robots_fetched: datetime = LONG_AGO
    tdm: Tdm | None = None
    tdm_body: str = ""
    delay_s: float = 0.0
    not_before: datetime = LONG_AGO
    pages: int = 0
    sitemaps: list[str] = field(default_factory=list)
    sitemaps_read: int = 0
    sitemap_urls: int = 0

    @classmethod
    def from_row(cls, row: OriginRow, settings: Politeness, now: datetime) -> Origin:
        """Return the origin of a row, without rules that are older than the settings allow."""
        origin = cls(
            name=row.origin,
            delay_s=row.delay_s,
            not_before=row.not_before,
            pages=row.pages,
            sitemaps=list(row.sitemaps),
            sitemaps_read=row.sitemaps_read,
            sitemap_urls=row.sitemap_urls,
        )
        origin.learn(row.robots_status, row.robots, row.robots_fetched)
        if row.tdm:
            origin.learn_tdm(row.tdm)
        origin.expire(settings, now)
        return origin

    def as_row(self) -> OriginRow:
        """Return the origin's row [ORIGINS]."""
        return OriginRow(
            origin=self.name,
            robots_status=self.robots_status,
            robots=self.robots_body,
            robots_fetched=self.robots_fetched,
            tdm=self.tdm_body,
            delay_s=self.delay_s,
            not_before=self.not_before,
            pages=self.pages,
            sitemaps=list(self.sitemaps),
            sitemaps_read=self.sitemaps_read,
            sitemap_urls=self.sitemap_urls,
        )

    def learn(self, status: int, body: bytes, fetched: datetime) -> None:
        """Store a robots.txt: its HTTP status (0: no response) and its body."""
        self.robots = decide(status or None, body, f"{self.name}/")
        self.robots_status, self.robots_body, self.robots_fetched = status, body, fetched

    def learn_tdm(self, body: str) -> None:
        """Store a tdmrep.json; "" if there is none."""
        self.tdm, self.tdm_body = Tdm.parse(body.encode()), body or _NO_TDM

    def expire(self, settings: Politeness, now: datetime) -> None:
        """Remove rules that are older than the settings allow."""
        if now - self.robots_fetched >= timedelta(hours=settings.robots_hours):
            self.robots, self.robots_status, self.robots_body, self.robots_fetched = None, 0, b"", LONG_AGO
            self.tdm, self.tdm_body = None, ""

    def reserved(self, url: str) -> bool:
        """Return whether tdmrep.json reserves a URL of this origin."""
        return self.tdm is not None and bool(self.tdm.reserved(url[len(self.name) :] or "/"))

    def find_sitemaps(self, named: Iterable[str]) -> None:
        """Add sitemaps that are not known yet.

        Sitemaps on other hosts or ports are skipped, because this origin's rules and pauses do not apply to
        them. A URL with the other scheme is read under this origin's, since files keep http URLs long after a
        site moved to https.
        """
        known = set(self.sitemaps)
        for url in named:
            if len(known) >= _SITEMAPS:
                return
            server, _, path = url.partition("://")[2].partition("/")
            here = f"{self.name}/{path}"
            if server == self.name.partition("://")[2] and here not in known:
                known.add(here)
                self.sitemaps.append(here)

    @property
    def has_sitemaps(self) -> bool:
        """Return whether there are sitemaps to read."""
        return self.sitemaps_read < len(self.sitemaps)
