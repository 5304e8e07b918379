"""What a site's robots.txt allows (RFC 9309), and what its absence or failure means."""

from __future__ import annotations

LIMIT = 500 * 1024
"""Bytes of a robots.txt that are read (RFC 9309, section 2.5: at least these)."""


class Robots:
    """A robots.txt as it was understood."""

    sitemaps: tuple[str, ...]

    def allows(self, url: str, agent: str) -> bool:
        """Say whether `agent` (a product token) may fetch a normalised address."""
        raise NotImplementedError

    def crawl_delay(self, agent: str) -> float | None:
        """Give the Crawl-delay in seconds that is asked of `agent`."""
        raise NotImplementedError


def parse(body: bytes) -> Robots:
    """Read a robots.txt; whatever it holds, nothing is raised."""
    raise NotImplementedError


def decide(status: int | None, body: bytes) -> Robots:
    """Give the rules that follow from an answer; `status` is None where there was none."""
    raise NotImplementedError
