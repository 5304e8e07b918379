"""The outcome of a response: a page to keep, a page under an opt-out, a redirect, or a failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from corpus.crawl.config import Crawl
from corpus.crawl.fetching.fetch import Answer
from corpus.crawl.links import Link, read, refresh
from corpus.crawl.rows import FrontierRow
from corpus.crawl.rules import optout
from corpus.web.http import media_of, page_media
from corpus.web.url import normal_form

REDIRECTS = frozenset({301, 302, 303, 307, 308})
PASSING = frozenset({408, 425, 429, *range(500, 600)})
"""Statuses after which the same request may succeed later."""

CUT_SHORT = "cut short: "
"""In the detail of a truncated page, before the reason by WARC-Truncated's names."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a URL (of `corpus.schema.FETCHES`), its cause, and the links to follow."""

    outcome: str
    cause: str = ""
    detail: str = ""
    links: tuple[Link, ...] = ()
    optouts: tuple[str, ...] = ()
    location: str = ""


def is_wanted(status: int, fields: Mapping[str, str]) -> bool:
    """Return whether a body should be downloaded: not that of an image or a video, whatever its length."""
    return status != 200 or media_of(fields.get("content-type", "")) != "other"


def judge(answer: Answer, asked: FrontierRow, settings: Crawl, reserved: bool = False) -> Verdict:
    """Return the verdict on the response to a frontier row; `reserved` is whether tdmrep.json reserves the
    URL."""
    if answer.status == 304:
        return _honoured(Verdict("unchanged"), answer, settings, reserved)
    if answer.status in REDIRECTS:
        redirect = _redirect(answer, asked.hops, settings.limits.redirects)
        return _honoured(redirect, answer, settings, reserved)
    if answer.status != 200:
        return Verdict("failed", "status", str(answer.status))
    media = page_media(answer.headers.get("content-type", ""), answer.content)
    if media is None:
        found = answer.headers.get("content-type", "none")[:200]
        return Verdict("dropped", "media", found, links=refresh(answer.headers, answer.url))
    same = bool(asked.digest) and answer.digest == asked.digest
    outcome = "unchanged" if same else "kept"
    detail = f"{CUT_SHORT}{answer.truncated}" if answer.truncated else ""
    if media == "text":
        text = Verdict(outcome, detail=detail, links=refresh(answer.headers, answer.url))
        return _honoured(text, answer, settings, reserved)
    page = read(answer.content, answer.url, answer.headers, settings.agent.name)
    verdict = Verdict(outcome, detail=detail, links=tuple(page.links))
    return _honoured(verdict, answer, settings, reserved, page.directives, page.tdm)


def _redirect(answer: Answer, hops: int, limit: int) -> Verdict:
    location = answer.headers.get("location", "")
    target = normal_form(location, answer.url)
    if target is None:
        return Verdict("failed", "redirect.target", location[:200])
    if hops >= limit:
        return Verdict("dropped", "redirect.many", f"{hops + 1} in a row", location=target)
    return Verdict("redirect", links=(Link(target, "redirect", False, ""),), location=target)


def _honoured(
    verdict: Verdict,
    answer: Answer,
    settings: Crawl,
    reserved: bool,
    meta: frozenset[str] = frozenset(),
    tdm: bool | None = None,
) -> Verdict:
    """Return the verdict after opt-outs in header, meta elements or files: a page that has one is not stored.

    Its links are followed all the same, except under nofollow.
    """
    if verdict.outcome not in ("kept", "unchanged", "redirect"):
        return verdict
    header = optout.directives(answer.values("x-robots-tag"), settings.agent.name)
    said = optout.reservations(answer.values("tdm-reservation"))
    where = optout.found(header, meta, {"file": reserved or None, "header": said, "meta": tdm})
    optouts = tuple(f"{name} ({place})" for name, place in sorted(where.items()))
    honoured = [name for name in sorted(where) if name in settings.politeness.honour]
    if "nofollow" in honoured and verdict.outcome != "redirect":
        verdict = replace(verdict, links=())
    against = [name for name in honoured if name != "nofollow"]
    if against:
        verdict = replace(verdict, outcome="dropped", cause=f"optout.{against[0]}", detail=", ".join(optouts))
    return replace(verdict, optouts=optouts)
