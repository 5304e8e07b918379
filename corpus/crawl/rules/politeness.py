"""The pause before the next request to a host: after a response, after a failure, and by Crawl-delay."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

from corpus.crawl.config import Politeness


def pause(settings: Politeness, seconds: float, crawl_delay: float) -> float:
    """Return the pause after a response that took `seconds`: a multiple of its duration, as in Heritrix.

    A `Crawl-delay` in robots.txt lengthens the pause, up to the configured limit; it never shortens it.
    """
    usual = max(settings.delay_s, min(settings.factor * seconds, settings.max_delay_s))
    return max(usual, min(crawl_delay, settings.max_crawl_delay_s))


def backoff(settings: Politeness, failures: int, retry_after: float | None, chance: random.Random) -> float:
    """Return the pause after `failures` consecutive failures: doubled, jittered, at least Retry-After."""
    doubled: float = settings.backoff_s * 2 ** min(failures - 1, 30)
    jittered = min(doubled, settings.max_backoff_s) * chance.uniform(0.5, 1.0)
    return max(jittered, min(retry_after or 0.0, settings.max_backoff_s))


class Pace:
    """The pace of one host: only the holder of `turn` may send a request, and not before `ready`.

    `asked` is the longest Crawl-delay of its origins, `delay_s` the current pause.
    """

    def __init__(self, ready: datetime) -> None:
        self.ready = ready
        self.turn = asyncio.Lock()
        self.asked = 0.0
        self.delay_s = 0.0

    def rest(self, settings: Politeness, seconds: float, at_least: float = 0.0) -> None:
        """Start a pause after a request that took `seconds`."""
        self.delay_s = pause(settings, seconds, self.asked)
        now = datetime.now(UTC)
        self.ready = max(self.ready, now + timedelta(seconds=max(self.delay_s, at_least)))
