"""What an answer is: a page to keep, a page that its site withholds, a redirect, or a failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from corpus.crawl import optout
from corpus.crawl.config import Crawl
from corpus.crawl.fetch import Answer
from corpus.crawl.links import Link, read
from corpus.crawl.urls import normalise
from corpus.sources.http import is_html, media_of

REDIRECTS = frozenset({301, 302, 303, 307, 308})
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 522, 524})
"""Statuses after which the same request may succeed later."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of an address: an outcome of `corpus.schema.FETCHES`, and why; the links to follow."""

    outcome: str
    cause: str = ""
    detail: str = ""
    links: tuple[Link, ...] = ()
    optouts: tuple[str, ...] = ()
    location: str = ""


def is_wanted(status: int, fields: Mapping[str, str]) -> bool:
    """Say whether a body is worth its bytes: not that of an image or a film, whatever its length."""
    return status != 200 or media_of(fields.get("content-type", "")) != "other"


def judge(answer: Answer, asked: dict[str, Any], settings: Crawl) -> Verdict:
    """Judge the answer to a row of the frontier."""
    if answer.status == 304:
        return Verdict("unchanged")
    if answer.status in REDIRECTS:
        return _redirect(answer, asked["hops"], settings.limits.redirects)
    if answer.status != 200:
        return Verdict("failed", "status", str(answer.status))
    return _page(answer, asked, settings)


def _redirect(answer: Answer, hops: int, limit: int) -> Verdict:
    location = answer.headers.get("location", "")
    target = normalise(location, answer.url)
    if target is None:
        return Verdict("failed", "redirect.target", location[:200])
    if hops >= limit:
        return Verdict("dropped", "redirect.many", f"{hops + 1} in a row", location=target)
    return Verdict("redirect", links=(Link(target, "redirect", False, ""),), location=target)


def _page(answer: Answer, asked: dict[str, Any], settings: Crawl) -> Verdict:
    media = media_of(answer.headers.get("content-type", ""))
    if media == "other" or (media == "unknown" and not is_html(answer.content)):
        return Verdict("dropped", "media", answer.headers.get("content-type", "none")[:200])
    agent = settings.agent.name
    header = optout.directives(_values(answer, b"x-robots-tag"), agent)
    reserved = {"header": optout.reservation(answer.headers.get("tdm-reservation", ""))}
    meta: frozenset[str] = frozenset()
    links: tuple[Link, ...] = ()
    if media != "text":
        page = read(answer.content, answer.url, answer.headers, agent)
        links, meta, reserved["meta"] = tuple(page.links), page.directives, page.tdm
    where = optout.found(header, meta, reserved)
    optouts = tuple(f"{name} ({place})" for name, place in sorted(where.items()))
    honoured = [name for name in sorted(where) if name in settings.politeness.honour]
    if "nofollow" in honoured:
        links = ()
    against = [name for name in honoured if name != "nofollow"]
    if against:
        return Verdict("dropped", f"optout.{against[0]}", ", ".join(optouts), links, optouts)
    same = bool(asked["digest"]) and answer.digest == asked["digest"]
    return Verdict("unchanged" if same else "kept", links=links, optouts=optouts)


def _values(answer: Answer, name: bytes) -> list[str]:
    return [value.decode("latin-1") for field, value in answer.raw_headers if field.lower() == name]
