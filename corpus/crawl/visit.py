"""A visit to a host in one round: its rules first, then its due URLs, one request at a time with pauses."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from corpus.crawl import page
from corpus.crawl.config import Crawl
from corpus.crawl.fetching.fetch import Answer, Failure, Wanted
from corpus.crawl.links import Link
from corpus.crawl.page import Verdict
from corpus.crawl.rows import FrontierRow, Outlink
from corpus.crawl.rules import politeness
from corpus.crawl.rules.origin import Origin
from corpus.crawl.rules.politeness import Pace
from corpus.crawl.rules.robots import LIMIT
from corpus.crawl.urls import sitemap
from corpus.crawl.urls.priority import priority
from corpus.crawl.urls.scope import Boundary
from corpus.errors import Signal
from corpus.forgotten import SKIPPED
from corpus.web.retry import retry_after
from corpus.web.url import key, normal_form, origin_of

_HOPS = 5  # RFC 9309, section 2.3.1.2
_TDM_LIMIT = 1 << 20
_BUSY = frozenset((429, 503))  # the server asks for fewer requests


@dataclass(frozen=True, slots=True)
class Found:
    """The links of an answer: rows [OUTLINKS], and how many each rule refused."""

    rows: list[Outlink]
    refused: dict[str, int]


class RoundOverError(Signal):
    """The host may not be sent another request before the round ends."""


class Tools(Protocol):
    """What a visit needs of its unit."""

    settings: Crawl
    boundary: Boundary
    deadline: datetime
    chance: random.Random

    def pace(self, url: str) -> Pace:
        """Return the pace of a URL's host, which all visits share."""

    async def get(self, url: str, headers: dict[str, str], wanted: Wanted | None) -> Answer | Failure:
        """Send one request."""

    def note(self, row: FrontierRow, verdict: Verdict, result: Answer | Failure | None, found: Found) -> None:
        """Journal the outcome of a URL, and archive the answer if it is to be kept."""

    def remember(self, origin: Origin) -> None:
        """Journal the state of an origin."""

    def leads_back(self, url: str, target: str) -> bool:
        """Return whether the known redirects lead from `target` to `url`."""


class Visit:
    """A visit to one host: its origins (schemes and ports) share its pauses, but fail separately."""

    def __init__(self, origins: dict[str, Origin], rows: Iterable[FrontierRow], tools: Tools) -> None:
        """Take the state of origins by name, and the due rows [FRONTIER], best first by origin."""
        self._origins = origins
        self._queues: dict[str, deque[FrontierRow]] = {name: deque() for name in origins}
        for row in rows:
            self._queues[row.origin].append(row)
        self._tools = tools
        self._settings = tools.settings
        self._pace = tools.pace(next(iter(origins)))
        self._unanswered: Counter[str] = Counter()  # consecutive requests without a response, by origin
        self._busy: Counter[str] = Counter()  # consecutive responses that ask for fewer requests, by origin
        self._unreachable: set[str] = set()  # origins whose robots.txt could not be fetched after all tries
        self._sitemap_tries: Counter[str] = Counter()
        self._tried: set[int] = set()

    async def run(self) -> None:
        """Fetch the due URLs until they are settled, the round ends, or the host stops responding."""
        self._learn_pace()
        active = deque(self._origins.values())
        with suppress(RoundOverError):  # then the remaining URLs stay in the frontier
            while active:  # in turn, so that no origin waits for the end of another
                origin = active.popleft()
                if await self._step(origin):
                    active.append(origin)
        for origin in self._origins.values():
            is_unreachable = origin.name in self._unreachable
            if is_unreachable or self._is_down(origin):  # one try of each URL; a later round may succeed
                cause = "robots.unreachable" if is_unreachable else "origin.down"
                for row in self._queues[origin.name]:
                    if row.key not in self._tried:
                        self._again(row.tried_again(), cause, "", None)
            origin.not_before = self._pace.ready
            self._tools.remember(origin)

    async def _step(self, origin: Origin) -> bool:
        """Fetch one page of an origin, and one of its sitemaps; return whether there is more to do."""
        queue = self._queues[origin.name]
        await self._prepare(origin)
        if origin.robots is None or origin.tdm is None:
            return False
        # the last page waits for the sitemaps: without due URLs the origin would have no next round for them
        if len(queue) > 1 or (queue and not origin.has_sitemaps):
            await self._page(origin, queue)
        if origin.has_sitemaps and not self._is_skipped(origin):
            await self._sitemap(origin)
        return bool(queue or origin.has_sitemaps) and not self._is_skipped(origin)

    def _is_down(self, origin: Origin) -> bool:
        """Return whether an origin has not responded to the number of tries that a page gets."""
        return self._unanswered[origin.name] > self._settings.politeness.retries

    def _is_skipped(self, origin: Origin) -> bool:
        """Return whether an origin is skipped for the rest of the round: no rules, down, or still busy.

        An origin that responds is never down: URLs that are not requested because it is busy do not count a
        try.
        """
        is_busy = self._busy[origin.name] > self._settings.politeness.retries
        return is_busy or self._is_down(origin) or origin.name in self._unreachable

    async def _ask(
        self, origin: Origin, url: str, headers: dict[str, str] | None = None, wanted: Wanted | None = None
    ) -> Answer | Failure:
        """Send one request as soon as the pause is over; raise RoundOverError if that is after the round."""
        settings, pace = self._settings.politeness, self._tools.pace(url)
        async with pace.turn:
            now = datetime.now(UTC)
            if max(pace.ready, now) > self._tools.deadline:
                raise RoundOverError
            if pace.ready > now:
                await asyncio.sleep((pace.ready - now).total_seconds())
            result = await self._tools.get(url, headers or {}, wanted)
            if isinstance(result, Answer) and result.status not in page.PASSING:
                self._unanswered[origin.name] = self._busy[origin.name] = 0
                pace.rest(settings, result.seconds)
            elif isinstance(result, Answer) or result.passing:
                field = result.headers.get("retry-after", "") if isinstance(result, Answer) else ""
                told = retry_after(field, datetime.now(UTC))
                failures = self._count_failure(origin, result)
                wait = politeness.backoff(settings, failures, told, self._tools.chance)
                pace.rest(settings, result.seconds, wait)
            elif result.kind != "network.refused":  # no request was sent
                pace.rest(settings, result.seconds)
        origin.delay_s = self._pace.delay_s
        return result

    def _count_failure(self, origin: Origin, result: Answer | Failure) -> int:
        """Count a request that may succeed later; return the number of consecutive failures."""
        if isinstance(result, Failure) and not result.answered:
            self._unanswered[origin.name] += 1
            return self._unanswered[origin.name] + self._busy[origin.name]
        self._unanswered[origin.name] = 0
        if isinstance(result, Answer) and result.status in _BUSY:
            self._busy[origin.name] += 1
            return self._busy[origin.name]
        return 1  # an error of this URL, not of the server

    # ------------------------------------------------------------ rules

    async def _prepare(self, origin: Origin) -> None:
        """Fetch an origin's robots.txt and TDM reservation, if they are unknown or too old."""
        origin.expire(self._settings.politeness, datetime.now(UTC))
        if origin.robots is None:
            await self._robots(origin)
        if origin.robots is not None and origin.tdm is None:
            await self._tdm(origin)

    def _learn_pace(self) -> None:
        agent = self._settings.agent.name
        asked = [
            origin.robots.crawl_delay(agent) or 0.0 for origin in self._origins.values() if origin.robots
        ]
        self._pace.asked = max(asked, default=0.0)

    async def _robots(self, origin: Origin) -> None:
        """Fetch robots.txt by RFC 9309, section 2.3; it stays unknown if the server does not respond."""
        cut = ""
        for _ in range(self._settings.politeness.retries + 1):
            result = await self._redirected(origin, f"{origin.name}/robots.txt", "robots")
            if isinstance(result, Failure):
                if not result.passing:
                    self._drop_origin(origin, result)
                    return
            elif _ended_early(result) and result.digest != cut:
                cut = result.digest  # rules may be missing; if the next try is equal, it is the whole file
            elif result.status not in page.PASSING:
                # too many redirects mean that there is no robots.txt
                status = 404 if result.status in page.REDIRECTS else result.status
                body = result.content[:LIMIT] if 200 <= status < 300 else b""
                origin.learn(status, body, datetime.now(UTC))
                self._learn_pace()
                self._pace.rest(self._settings.politeness, result.seconds)
                if self._settings.scope.sitemaps:
                    named = origin.robots.sitemaps if origin.robots is not None else ()
                    origin.find_sitemaps((*named, f"{origin.name}/sitemap.xml"))
                self._tools.remember(origin)
                return
        self._unreachable.add(origin.name)

    async def _redirected(self, origin: Origin, url: str, kind: str) -> Answer | Failure:
        """Request a file that is not a page, follow its redirects, and note each request."""
        result = await self._asked(origin, url, kind)
        for _ in range(_HOPS):
            if isinstance(result, Failure) or result.status not in page.REDIRECTS:
                break
            target = normal_form(result.headers.get("location", ""), result.url)
            if target is None:
                break
            result = await self._asked(origin, target, kind)
        return result

    async def _asked(self, origin: Origin, url: str, kind: str) -> Answer | Failure:
        result = await self._ask(origin, url)
        self._note(_extra_row(origin, url), Verdict("asked", kind), result)
        return result

    def _drop_origin(self, origin: Origin, failure: Failure) -> None:
        """Settle all due URLs of an origin that cannot be connected to."""
        queue = self._queues[origin.name]
        while queue:
            self._note(queue.popleft(), Verdict("failed", failure.kind, failure.detail), None)

    async def _tdm(self, origin: Origin) -> None:
        """Fetch tdmrep.json; it stays unknown if the server does not respond: it may have a reservation."""
        url, body, cut = f"{origin.name}/.well-known/tdmrep.json", b"", ""
        for _ in range(self._settings.politeness.retries + 1):
            if self._refusal(origin, url) is not None:
                break
            result = await self._redirected(origin, url, "tdm")
            if isinstance(result, Failure):
                if not result.passing:
                    break
                if self._is_down(origin):
                    return
            elif _ended_early(result) and result.digest != cut:
                cut = result.digest
            elif result.status not in page.PASSING:
                body = result.content[:_TDM_LIMIT] if result.status == 200 else b""
                break
        else:  # the server responds, but never with this file
            self._busy[origin.name] = 0
        origin.learn_tdm(body.decode("utf-8", "replace"))
        self._tools.remember(origin)

    async def _sitemap(self, origin: Origin) -> None:
        """Read the next sitemap of an origin; note the URLs in it."""
        url = origin.sitemaps[origin.sitemaps_read]
        left = self._settings.limits.sitemap_urls - origin.sitemap_urls
        if left > 0 and self._refusal(origin, url) is None:
            result = await self._ask(origin, url)
            links: list[Link] = []
            if isinstance(result, Answer) and result.status == 200:
                found = sitemap.parse(result.content, url)
                links = [Link(one.url, "sitemap", False, one.hint) for one in found.urls[:left]]
                origin.sitemap_urls += len(links)
                origin.find_sitemaps(found.children)
            elif isinstance(result, Answer) and result.status in page.REDIRECTS:
                target = normal_form(result.headers.get("location", ""), result.url)
                origin.find_sitemaps([target] if target is not None else [])
            self._sitemap_tries[url] += 1
            row = replace(_extra_row(origin, url), tries=self._sitemap_tries[url])
            self._note(row, Verdict("asked", "sitemap", links=tuple(links)), result)
            may_pass = result.passing if isinstance(result, Failure) else result.status in page.PASSING
            if may_pass and self._sitemap_tries[url] <= self._settings.politeness.retries:
                return  # it stays the next to be read, as a page would be requested again
        origin.sitemaps_read += 1
        self._tools.remember(origin)

    # ------------------------------------------------------------ pages

    async def _page(self, origin: Origin, queue: deque[FrontierRow]) -> None:
        """Settle the first due URL; RoundOverError leaves it in the queue."""
        row = queue[0]
        refusal = self._refusal(origin, row.url)
        if refusal is not None:
            self._note(queue.popleft(), Verdict("dropped", refusal), None)
            return
        known = {"If-None-Match": row.etag, "If-Modified-Since": row.modified}
        conditions = {name: value for name, value in known.items() if value}
        result = await self._ask(origin, row.url, conditions, page.is_wanted)
        row = queue.popleft().tried_again()
        if isinstance(result, Failure) and not result.passing:
            self._note(row, Verdict("failed", result.kind, result.detail), result)
        elif isinstance(result, Failure):
            self._again(row, result.kind, result.detail, result)
        elif result.status in page.PASSING:
            self._again(row, "status", str(result.status), result)
        else:
            origin.pages += result.status in (200, 304)
            self._note(row, self._verdict(result, row, origin), result)

    def _verdict(self, answer: Answer, row: FrontierRow, origin: Origin) -> Verdict:
        try:
            verdict = page.judge(answer, row, self._settings, origin.reserved(row.url))
            if verdict.outcome == "redirect" and self._tools.leads_back(row.url, verdict.location):
                target = verdict.location[:200]
                return replace(verdict, outcome="failed", cause="redirect.loop", detail=target, links=())
            return verdict
        except Exception as error:  # one page must not end the crawl of all others; the error is stored
            return Verdict("failed", "internal", f"{type(error).__name__}: {error}")

    def _refusal(self, origin: Origin, url: str) -> str | None:
        """Return the rule by which a site, or who asked to be forgotten, disallows a URL, or None."""
        if self._tools.boundary.is_forgotten(url):
            return SKIPPED
        if origin.robots is None or not origin.robots.allows(url, self._settings.agent.name):
            return "robots.disallow"
        if "tdm" in self._settings.politeness.honour and origin.reserved(url):
            return "optout.tdm"
        return None

    def _again(self, row: FrontierRow, cause: str, detail: str, result: Answer | Failure | None) -> None:
        """Put a URL that may succeed later at the end of the queue, or give it up after its last try."""
        self._tried.add(row.key)
        last = row.tries > self._settings.politeness.retries
        self._note(row, Verdict("failed" if last else "retry", cause, detail), result)
        if not last and not self._is_skipped(self._origins[row.origin]):
            self._queues[row.origin].append(row)

    def _note(self, row: FrontierRow, verdict: Verdict, result: Answer | Failure | None) -> None:
        self._tools.note(row, verdict, result, self._outlinks(row, verdict.links))

    def _outlinks(self, row: FrontierRow, links: Iterable[Link]) -> Found:
        """Split links into those that belong to the crawl and those that a rule refuses."""
        rows: list[Outlink] = []
        refused: Counter[str] = Counter()
        settings = self._settings
        for link in links:
            if link.nofollow and "nofollow" in settings.politeness.honour:
                refused["optout.nofollow"] += 1
                continue
            if link.via == "redirect" and row.hops >= settings.limits.redirects:
                refused["redirect.many"] += 1  # a Refresh of a page counts as a redirect, too
                continue
            depth = row.depth + (link.via in ("link", "sitemap"))
            refusal = self._tools.boundary.refusal(link.url, depth)
            if refusal is not None:
                refused[refusal] += 1
                continue
            rows.append(
                Outlink(
                    key=key(link.url),
                    url=link.url,
                    origin=origin_of(link.url),
                    depth=depth,
                    priority=priority(link.url, link.hint, settings.scope.language),
                    referrer=row.url,
                    via=link.via,
                    hops=row.hops + 1 if link.via == "redirect" else 0,
                )
            )
        return Found(rows, dict(refused))


def _extra_row(origin: Origin, url: str) -> FrontierRow:
    """Return a row for a requested URL that is not in the frontier."""
    return FrontierRow(key(url), url, origin.name, tries=1)


def _ended_early(answer: Answer) -> bool:
    """Return whether a file ended too early, so that another try may return more of it."""
    return answer.status == 200 and answer.truncated not in ("", "length")
