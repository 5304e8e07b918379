"""Sitemaps: XML, text, RSS and Atom, plain or gzipped, from sites that are not trusted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One page: its normalised address, lastmod as written ("" without one), and a language hint."""

    url: str
    lastmod: str
    hint: str


@dataclass(frozen=True, slots=True)
class Sitemap:
    """What a sitemap names: pages, and further sitemaps."""

    urls: list[Entry]
    children: list[str]


def parse(body: bytes, url: str) -> Sitemap:
    """Read a sitemap fetched from `url`; what cannot be read names nothing, nothing is raised."""
    raise NotImplementedError
