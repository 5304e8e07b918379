"""A visit to a server in one round: its rules first, then what is due, one request at a time with pauses."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from corpus.crawl import page, politeness, sitemap, urls
from corpus.crawl.config import Crawl
from corpus.crawl.fetch import Answer, Failure, Wanted
from corpus.crawl.host import Host
from corpus.crawl.links import Link
from corpus.crawl.page import Verdict
from corpus.crawl.robots import LIMIT
from corpus.crawl.scope import Boundary

Row = dict[str, Any]

_ROBOTS_HOPS = 5  # RFC 9309, section 2.3.1.2
_SITEMAP_FILES = 50
_TDM_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """The links of an answer: rows [OUTLINKS], and how many each rule left out."""

    rows: list[Row]
    refused: dict[str, int]


class RoundOverError(Exception):
    """The server may not be asked before the round ends."""


class Tools(Protocol):
    """What a visit needs of its unit."""

    settings: Crawl
    boundary: Boundary
    deadline: datetime
    chance: random.Random

    async def get(self, url: str, headers: dict[str, str], wanted: Wanted | None) -> Answer | Failure:
        """Send one request."""

    def note(self, row: Row, verdict: Verdict, result: Answer | Failure | None, found: Found) -> None:
        """Journal what became of an address, and archive the answer where it is to be kept."""

    def remember(self, host: Host) -> None:
        """Journal what is known of a host."""


class Visit:
    """One server by its name: origins that differ in scheme or port share its pauses."""

    def __init__(self, hosts: dict[str, Host], rows: Iterable[Row], tools: Tools) -> None:
        """Take hosts by origin and the rows [FRONTIER] that are due, best first."""
        self._hosts = hosts
        self._queue = deque(rows)
        self._tools = tools
        self._settings = tools.settings
        self._ready = max(host.not_before for host in hosts.values())
        self._failures = 0  # in a row

    async def run(self) -> None:
        """Fetch what is due until it is done, the round ends, or the server answers no more."""
        try:
            for host in self._hosts.values():
                await self._prepare(host)
            while self._queue and not self._is_down:
                row = self._queue.popleft()
                await self._page(self._hosts[row["host"]], row)
        except RoundOverError:
            pass  # what is left stays in the frontier
        if self._is_down:
            for row in self._queue:  # counts as a try of each; another round may find the server well
                unknown = self._hosts[row["host"]].robots is None
                self._again(row, "robots.unreachable" if unknown else "host.down", "", None)
        for host in self._hosts.values():
            host.not_before = self._ready
            self._tools.remember(host)

    @property
    def _is_down(self) -> bool:
        return self._failures > self._settings.politeness.retries

    async def _ask(
        self, host: Host, url: str, headers: dict[str, str] | None = None, wanted: Wanted | None = None
    ) -> Answer | Failure:
        """Send one request when the server may be asked again; RoundOverError if that is after the round."""
        now = datetime.now(UTC)
        if max(self._ready, now) > self._tools.deadline:
            raise RoundOverError
        if self._ready > now:
            await asyncio.sleep((self._ready - now).total_seconds())
        result = await self._tools.get(url, headers or {}, wanted)
        if isinstance(result, Answer) and result.status not in page.PASSING:
            self._failures = 0
            self._rest(host, result.seconds)
        elif isinstance(result, Answer) or result.passing:
            self._failures += 1
            field = result.headers.get("retry-after", "") if isinstance(result, Answer) else ""
            told = politeness.retry_after(field, datetime.now(UTC))
            settings, chance = self._settings.politeness, self._tools.chance
            self._rest(host, result.seconds, politeness.backoff(settings, self._failures, told, chance))
        elif result.kind != "network.refused":  # of which no server knows
            self._rest(host, result.seconds)
        return result

    def _rest(self, host: Host, seconds: float, at_least: float = 0.0) -> None:
        """Leave the server alone after a request that took so long."""
        asked = host.robots.crawl_delay(self._settings.agent.name) if host.robots is not None else None
        host.delay_s = politeness.pause(self._settings.politeness, seconds, asked)
        self._ready = datetime.now(UTC) + timedelta(seconds=max(host.delay_s, at_least))

    # ------------------------------------------------------------ rules

    async def _prepare(self, host: Host) -> None:
        """Learn an origin's robots.txt, TDM reservation and sitemaps, as far as they are not known."""
        if host.robots is None:
            await self._robots(host)
        if host.robots is None:
            return
        if host.tdm is None:
            await self._tdm(host)
        self._tools.remember(host)
        if self._settings.scope.sitemaps and not host.sitemaps:
            await self._sitemaps(host)
            host.sitemaps = True
            self._tools.remember(host)

    async def _robots(self, host: Host) -> None:
        """Fetch robots.txt by RFC 9309, section 2.3; it stays unknown where the server does not answer."""
        while not self._is_down:
            result = await self._redirected(host, f"{host.name}/robots.txt")
            if isinstance(result, Failure):
                if not result.passing:
                    self._drop_origin(host, result)
                    return
            elif result.status not in page.PASSING:
                # more redirects than allowed mean that there is none
                status = 404 if result.status in page.REDIRECTS else result.status
                body = result.content[:LIMIT] if 200 <= status < 300 else b""
                host.learn(status, body, datetime.now(UTC))
                self._rest(host, result.seconds)
                return

    async def _redirected(self, host: Host, url: str) -> Answer | Failure:
        result = await self._asked(host, url, "robots")
        for _ in range(_ROBOTS_HOPS):
            if isinstance(result, Failure) or result.status not in page.REDIRECTS:
                break
            target = urls.normalise(result.headers.get("location", ""), result.url)
            if target is None:
                break
            result = await self._asked(host, target, "robots")
        return result

    async def _asked(self, host: Host, url: str, kind: str) -> Answer | Failure:
        """Ask for what is no page, and note that."""
        result = await self._ask(host, url)
        self._note(_blank(host, url), Verdict("asked", kind), result)
        return result

    def _drop_origin(self, host: Host, failure: Failure) -> None:
        """Settle all that is due of an origin that cannot be spoken to."""
        for row in [row for row in self._queue if row["host"] == host.name]:
            self._queue.remove(row)
            self._note(row, Verdict("failed", failure.kind, failure.detail), failure)

    async def _tdm(self, host: Host) -> None:
        result = await self._asked(host, f"{host.name}/.well-known/tdmrep.json", "tdm")
        body = result.content[:_TDM_LIMIT] if isinstance(result, Answer) and result.status == 200 else b""
        host.learn_tdm(body.decode("utf-8", "replace"))

    async def _sitemaps(self, host: Host) -> None:
        """Read the sitemaps that robots.txt names, and the usual one; note the addresses that they name."""
        assert host.robots is not None
        waiting = deque(dict.fromkeys((*host.robots.sitemaps, f"{host.name}/sitemap.xml")))
        met = set(waiting)
        left = self._settings.limits.sitemap_urls
        for _ in range(_SITEMAP_FILES):
            if not waiting or left <= 0:
                return
            url = waiting.popleft()
            if self._refusal(host, url) is not None:
                continue
            result = await self._ask(host, url)
            links: list[Link] = []
            if isinstance(result, Answer) and result.status == 200:
                found = sitemap.parse(result.content, url, host.name)
                links = [Link(one.url, "sitemap", False, one.hint) for one in found.urls[:left]]
                left -= len(links)
                fresh = [child for child in found.children if child not in met]
                met.update(fresh)
                waiting.extend(fresh)
            self._note(_blank(host, url), Verdict("asked", "sitemap", links=tuple(links)), result)

    # ------------------------------------------------------------ pages

    async def _page(self, host: Host, row: Row) -> None:
        """Settle one address that is due."""
        refusal = self._refusal(host, row["url"])
        if refusal is not None:
            self._note(row, Verdict("dropped", refusal), None)
            return
        known = {"If-None-Match": row["etag"], "If-Modified-Since": row["modified"]}
        conditions = {name: value for name, value in known.items() if value}
        try:
            result = await self._ask(host, row["url"], conditions, page.is_wanted)
        except RoundOverError:
            self._queue.appendleft(row)
            raise
        if isinstance(result, Failure) and not result.passing:
            self._note(row, Verdict("failed", result.kind, result.detail), result)
        elif isinstance(result, Failure):
            self._again(row, result.kind, result.detail, result)
        elif result.status in page.PASSING:
            self._again(row, "status", str(result.status), result)
        else:
            host.pages += result.status in (200, 304)
            self._note(row, self._verdict(result, row), result)

    def _verdict(self, answer: Answer, row: Row) -> Verdict:
        try:
            return page.judge(answer, row, self._settings)
        except Exception as error:  # one page must not end the crawl of all others; what happened is noted
            return Verdict("failed", "internal", f"{type(error).__name__}: {error}")

    def _refusal(self, host: Host, url: str) -> str | None:
        """Give the rule by which a site keeps an address to itself."""
        if host.robots is None or not host.robots.allows(url, self._settings.agent.name):
            return "robots.disallow"
        path = url[len(host.name) :] or "/"
        if "tdm" in self._settings.politeness.honour and host.tdm is not None and host.tdm.reserved(path):
            return "optout.tdm"
        return None

    def _again(self, row: Row, cause: str, detail: str, result: Answer | Failure | None) -> None:
        """Count a try of an address that may succeed later; put it last in the queue, or give it up."""
        row = {**row, "tries": row["tries"] + 1}
        last = row["tries"] > self._settings.politeness.retries
        self._note(row, Verdict("failed" if last else "retry", cause, detail), result)
        if not last and not self._is_down:
            self._queue.append(row)

    def _note(self, row: Row, verdict: Verdict, result: Answer | Failure | None) -> None:
        self._tools.note(row, verdict, result, self._outlinks(row, verdict.links))

    def _outlinks(self, row: Row, links: Iterable[Link]) -> Found:
        """Sort links into those that belong to the crawl and those that a rule leaves out."""
        rows: list[Row] = []
        refused: Counter[str] = Counter()
        settings = self._settings
        for link in links:
            if link.nofollow and "nofollow" in settings.politeness.honour:
                refused["optout.nofollow"] += 1
                continue
            depth = row["depth"] + (link.via in ("link", "sitemap"))
            refusal = self._tools.boundary.refusal(link.url, depth)
            if refusal is not None:
                refused[refusal] += 1
                continue
            rows.append(
                {
                    "key": urls.key(link.url),
                    "url": link.url,
                    "host": urls.host_of(link.url),
                    "depth": depth,
                    "priority": urls.priority(link.url, link.hint, settings.scope.language),
                    "referrer": row["url"],
                    "via": link.via,
                    "hops": row["hops"] + 1 if link.via == "redirect" else 0,
                }
            )
        return Found(rows, dict(refused))


def _blank(host: Host, url: str) -> Row:
    """Give a row for an address that the frontier does not hold."""
    return {
        "key": urls.key(url),
        "url": url,
        "host": host.name,
        "depth": 0,
        "tries": 0,
        "hops": 0,
        "referrer": "",
    }
