"""What a crawl remembers of a host from request to request and from round to round."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from corpus.crawl.config import Politeness
from corpus.crawl.optout import Tdm
from corpus.crawl.robots import Robots, decide

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Host:
    """An origin: its rules as it published them, its pace, what it gave.

    `robots` is None where no robots.txt of the last hours is known; `tdm` likewise.
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
    sitemaps: bool = False

    @classmethod
    def from_row(cls, row: dict[str, Any], settings: Politeness, now: datetime) -> Host:
        """Take a host from its row [HOSTS]; rules that are older than the settings allow are forgotten."""
        host = cls(
            name=row["host"],
            delay_s=row["delay_s"],
            not_before=row["not_before"],
            pages=row["pages"],
            sitemaps=row["sitemaps"],
        )
        if now - row["robots_fetched"] < timedelta(hours=settings.robots_hours):
            host.learn(row["robots_status"], row["robots"], row["robots_fetched"])
            host.learn_tdm(row["tdm"])
        return host

    def as_row(self) -> dict[str, Any]:
        """Give the host's row [HOSTS]."""
        return {
            "host": self.name,
            "robots_status": self.robots_status,
            "robots": self.robots_body,
            "robots_fetched": self.robots_fetched,
            "tdm": self.tdm_body,
            "delay_s": self.delay_s,
            "not_before": self.not_before,
            "pages": self.pages,
            "sitemaps": self.sitemaps,
        }

    def learn(self, status: int, body: bytes, fetched: datetime) -> None:
        """Take note of a robots.txt: its HTTP status (0: it could not be reached) and its body."""
        self.robots = decide(status or None, body)
        self.robots_status, self.robots_body, self.robots_fetched = status, body, fetched

    def learn_tdm(self, body: str) -> None:
        """Take note of a tdmrep.json; "" where there is none."""
        self.tdm, self.tdm_body = Tdm.parse(body.encode()), body
