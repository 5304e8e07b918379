"""A visit to a server in one round: its rules first, then what is due, one request at a time with pauses."""

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
from corpus.crawl.addresses import sitemap
from corpus.crawl.addresses.priority import priority
from corpus.crawl.addresses.scope import Boundary
from corpus.crawl.config import Crawl
from corpus.crawl.fetching.fetch import Answer, Failure, Wanted
from corpus.crawl.links import Link
from corpus.crawl.page import Verdict
from corpus.crawl.rows import FrontierRow, Outlink
from corpus.crawl.rules import politeness
from corpus.crawl.rules.origin import Origin
from corpus.crawl.rules.politeness import Pace
from corpus.crawl.rules.robots import LIMIT
from corpus.errors import Signal
from corpus.web.retry import retry_after
from corpus.web.url import key, normal_form, origin_of

_HOPS = 5  # RFC 9309, section 2.3.1.2
_TDM_LIMIT = 1 << 20
_BUSY = frozenset((429, 503))  # a server that says so has had enough for the time being


@dataclass(frozen=True, slots=True)
class Found:
    """The links of an answer: rows [OUTLINKS], and how many each rule left out."""

    rows: list[Outlink]
    refused: dict[str, int]


class RoundOverError(Signal):
    """The server may not be asked before the round ends."""


class Tools(Protocol):
    """What a visit needs of its unit."""

    settings: Crawl
    boundary: Boundary
    deadline: datetime
    chance: random.Random

    def pace(self, url: str) -> Pace:
        """Give the pace of an address's server, which all visits share."""

    async def get(self, url: str, headers: dict[str, str], wanted: Wanted | None) -> Answer | Failure:
        """Send one request."""

    def note(self, row: FrontierRow, verdict: Verdict, result: Answer | Failure | None, found: Found) -> None:
        """Journal what became of an address, and archive the answer where it is to be kept."""

    def remember(self, origin: Origin) -> None:
        """Journal what is known of an origin."""

    def leads_back(self, url: str, target: str) -> bool:
        """Return whether the redirects that are known lead from `target` to `url`."""


class Visit:
    """One server by its name: origins that differ in scheme or port share its pauses, but fail apart."""

    def __init__(self, origins: dict[str, Origin], rows: Iterable[FrontierRow], tools: Tools) -> None:
        """Take origins by origin and the rows [FRONTIER] that are due, best first by origin."""
        self._hosts = origins
        self._queues: dict[str, deque[FrontierRow]] = {name: deque() for name in origins}
        for row in rows:
            self._queues[row.origin].append(row)
        self._tools = tools
        self._settings = tools.settings
        self._pace = tools.pace(next(iter(origins)))
        self._silent: Counter[str] = Counter()  # requests without an answer, in a row, by origin
        self._busy: Counter[str] = Counter()  # answers that ask for fewer requests, likewise
        self._unreachable: set[str] = set()  # origins whose robots.txt was asked for often enough
        self._sitemap_tries: Counter[str] = Counter()
        self._tried: set[int] = set()

    async def run(self) -> None:
        """Fetch what is due until it is done, the round ends, or the server answers no more."""
        self._learn_pace()
        at_work = deque(self._hosts.values())
        with suppress(RoundOverError):  # then what is left stays in the frontier
            while at_work:  # in turn, so that no origin waits for all of another
                origin = at_work.popleft()
                if await self._step(origin):
                    at_work.append(origin)
        for origin in self._hosts.values():
            is_unreachable = origin.name in self._unreachable
            if is_unreachable or self._is_down(
                origin
            ):  # a try of each; another round may find the server well
                cause = "robots.unreachable" if is_unreachable else "origin.down"
                for row in self._queues[origin.name]:
                    if row.key not in self._tried:
                        self._again(row.tried_again(), cause, "", None)
            origin.not_before = self._pace.ready
            self._tools.remember(origin)

    async def _step(self, origin: Origin) -> bool:
        """Fetch one page of an origin, and one of its sitemaps; say whether there is more to do."""
        queue = self._queues[origin.name]
        await self._prepare(origin)
        if origin.robots is None or origin.tdm is None:
            return False
        # the last page waits for the sitemaps: with nothing due, the origin would have no next round for them
        if len(queue) > 1 or (queue and not origin.has_sitemaps):
            await self._page(origin, queue)
        if origin.has_sitemaps and not self._is_left(origin):
            await self._sitemap(origin)
        return bool(queue or origin.has_sitemaps) and not self._is_left(origin)

    def _is_down(self, origin: Origin) -> bool:
        """Return whether an origin has not answered for as long as a page would be asked for."""
        return self._silent[origin.name] > self._settings.politeness.retries

    def _is_left(self, origin: Origin) -> bool:
        """Return whether an origin is to be left alone for this round: its rules are not to be had, or it is
        down, or busy all the time.

        An origin that answers is never down: what is not asked for because it is busy counts no try.
        """
        is_busy = self._busy[origin.name] > self._settings.politeness.retries
        return is_busy or self._is_down(origin) or origin.name in self._unreachable

    async def _ask(
        self, origin: Origin, url: str, headers: dict[str, str] | None = None, wanted: Wanted | None = None
    ) -> Answer | Failure:
        """Send one request when the server may be asked again; RoundOverError if that is after the round."""
        settings, pace = self._settings.politeness, self._tools.pace(url)
        async with pace.turn:
            now = datetime.now(UTC)
            if max(pace.ready, now) > self._tools.deadline:
                raise RoundOverError
            if pace.ready > now:
                await asyncio.sleep((pace.ready - now).total_seconds())
            result = await self._tools.get(url, headers or {}, wanted)
            if isinstance(result, Answer) and result.status not in page.PASSING:
                self._silent[origin.name] = self._busy[origin.name] = 0
                pace.rest(settings, result.seconds)
            elif isinstance(result, Answer) or result.passing:
                field = result.headers.get("retry-after", "") if isinstance(result, Answer) else ""
                told = retry_after(field, datetime.now(UTC))
                failures = self._count_failure(origin, result)
                wait = politeness.backoff(settings, failures, told, self._tools.chance)
                pace.rest(settings, result.seconds, wait)
            elif result.kind != "network.refused":  # of which no server knows
                pace.rest(settings, result.seconds)
        origin.delay_s = self._pace.delay_s
        return result

    def _count_failure(self, origin: Origin, result: Answer | Failure) -> int:
        """Count a request that may succeed later; return how many in a row the pause after it is for."""
        if isinstance(result, Failure) and not result.answered:
            self._silent[origin.name] += 1
            return self._silent[origin.name] + self._busy[origin.name]
        self._silent[origin.name] = 0
        if isinstance(result, Answer) and result.status in _BUSY:
            self._busy[origin.name] += 1
            return self._busy[origin.name]
        return 1  # a fault of what was asked for, not of the server

    # ------------------------------------------------------------ rules

    async def _prepare(self, origin: Origin) -> None:
        """Learn an origin's robots.txt and TDM reservation, as far as they are not known or are too old."""
        origin.expire(self._settings.politeness, datetime.now(UTC))
        if origin.robots is None:
            await self._robots(origin)
        if origin.robots is not None and origin.tdm is None:
            await self._tdm(origin)

    def _learn_pace(self) -> None:
        agent = self._settings.agent.name
        asked = [origin.robots.crawl_delay(agent) or 0.0 for origin in self._hosts.values() if origin.robots]
        self._pace.asked = max(asked, default=0.0)

    async def _robots(self, origin: Origin) -> None:
        """Fetch robots.txt by RFC 9309, section 2.3; it stays unknown where the server does not answer."""
        cut = ""
        for _ in range(self._settings.politeness.retries + 1):
            result = await self._redirected(origin, f"{origin.name}/robots.txt", "robots")
            if isinstance(result, Failure):
                if not result.passing:
                    self._drop_origin(origin, result)
                    return
            elif _breaks_off(result) and result.digest != cut:
                cut = result.digest  # rules may be missing; what comes the same again is all there is
            elif result.status not in page.PASSING:
                # more redirects than allowed mean that there is none
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
        """Ask for what is no page, wherever it leads, and note each request."""
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
        self._note(_asked_once(origin, url), Verdict("asked", kind), result)
        return result

    def _drop_origin(self, origin: Origin, failure: Failure) -> None:
        """Settle all that is due of an origin that cannot be spoken to."""
        queue = self._queues[origin.name]
        while queue:
            self._note(queue.popleft(), Verdict("failed", failure.kind, failure.detail), None)

    async def _tdm(self, origin: Origin) -> None:
        """Fetch tdmrep.json; it stays unknown where the server is silent, so that no wish is missed."""
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
            elif _breaks_off(result) and result.digest != cut:
                cut = result.digest
            elif result.status not in page.PASSING:
                body = result.content[:_TDM_LIMIT] if result.status == 200 else b""
                break
        else:  # it answers, but never with this file
            self._busy[origin.name] = 0
        origin.learn_tdm(body.decode("utf-8", "replace"))
        self._tools.remember(origin)

    async def _sitemap(self, origin: Origin) -> None:
        """Read the next sitemap of an origin; note the addresses that it names."""
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
            row = replace(_asked_once(origin, url), tries=self._sitemap_tries[url])
            self._note(row, Verdict("asked", "sitemap", links=tuple(links)), result)
            may_pass = result.passing if isinstance(result, Failure) else result.status in page.PASSING
            if may_pass and self._sitemap_tries[url] <= self._settings.politeness.retries:
                return  # it stays the next to be read, as a page would be asked for again
        origin.sitemaps_read += 1
        self._tools.remember(origin)

    # ------------------------------------------------------------ pages

    async def _page(self, origin: Origin, queue: deque[FrontierRow]) -> None:
        """Settle the address that is due first; RoundOverError leaves it there."""
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
                ring = verdict.location[:200]
                return replace(verdict, outcome="failed", cause="redirect.loop", detail=ring, links=())
            return verdict
        except Exception as error:  # one page must not end the crawl of all others; what happened is noted
            return Verdict("failed", "internal", f"{type(error).__name__}: {error}")

    def _refusal(self, origin: Origin, url: str) -> str | None:
        """Return the rule by which a site keeps an address to itself."""
        if origin.robots is None or not origin.robots.allows(url, self._settings.agent.name):
            return "robots.disallow"
        if "tdm" in self._settings.politeness.honour and origin.reserved(url):
            return "optout.tdm"
        return None

    def _again(self, row: FrontierRow, cause: str, detail: str, result: Answer | Failure | None) -> None:
        """Put an address that may succeed later last in the queue, or give it up after so many tries."""
        self._tried.add(row.key)
        last = row.tries > self._settings.politeness.retries
        self._note(row, Verdict("failed" if last else "retry", cause, detail), result)
        if not last and not self._is_left(self._hosts[row.origin]):
            self._queues[row.origin].append(row)

    def _note(self, row: FrontierRow, verdict: Verdict, result: Answer | Failure | None) -> None:
        self._tools.note(row, verdict, result, self._outlinks(row, verdict.links))

    def _outlinks(self, row: FrontierRow, links: Iterable[Link]) -> Found:
        """Sort links into those that belong to the crawl and those that a rule leaves out."""
        rows: list[Outlink] = []
        refused: Counter[str] = Counter()
        settings = self._settings
        for link in links:
            if link.nofollow and "nofollow" in settings.politeness.honour:
                refused["optout.nofollow"] += 1
                continue
            if link.via == "redirect" and row.hops >= settings.limits.redirects:
                refused["redirect.many"] += 1  # a page that leads on by itself, as Refresh does, counts too
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


def _asked_once(origin: Origin, url: str) -> FrontierRow:
    """Return a row for a URL that the frontier does not hold, and that is asked for."""
    return FrontierRow(key(url), url, origin.name, tries=1)


def _breaks_off(answer: Answer) -> bool:
    """Return whether a file that should be whole ended before its end, so that another try may bring more."""
    return answer.status == 200 and answer.truncated not in ("", "length")
