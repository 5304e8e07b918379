"""Rules that drop a page for its URL: blocked hosts with their subdomains, blocked words.

No list is shipped; the user names what is blocked.
"""

from __future__ import annotations

from functools import cache, lru_cache
from urllib.parse import unquote, urlsplit

from corpus.config import Extract, Filter
from corpus.filters.drop import Drop
from corpus.text.view import words

_LONGEST_HOST = 2000  # with its scheme, letters of any script; names of DNS have 253 of ASCII


def check(url: str, settings: Extract | Filter) -> Drop | None:
    """Drop a URL of a blocked host (`url.blocked_host`) or with a blocked word (`url.blocked_word`).

    The value is the number of labels of the blocked host, or of blocked words found; the limit is 0. A word
    is found where it stands between characters that are neither letter nor digit, in any case,
    percent-decoded: `casino` is in `/online-casino/` and not in `/casinolar/`; several words in their order.
    """
    if not url or not (settings.blocked_hosts or settings.blocked_url_words):
        return None
    labels = host_of(url).split(".")
    hosts = _hosts(settings.blocked_hosts)
    most = max((host.count(".") + 1 for host in hosts), default=0)
    for first in range(max(0, len(labels) - most), len(labels)):
        if ".".join(labels[first:]) in hosts:
            return Drop("url.blocked_host", float(len(labels) - first), 0.0)
    read = _spaced(unquote(url)) if settings.blocked_url_words else ""
    hits = sum(_spaced(word) in read for word in settings.blocked_url_words)
    return Drop("url.blocked_word", float(hits), 0.0) if hits else None


def host_of(url: str) -> str:
    """Return the host in lower case and ASCII form; empty where the address has none."""
    try:
        # All of a longer one would be normalised, in time that grows with the square of its length.
        host = urlsplit((url if "//" in url else f"//{url}")[:_LONGEST_HOST]).hostname or ""
    except ValueError:
        return ""
    return _ascii(host)


def _ascii(host: str) -> str:
    host = host.strip().strip(".").lower()
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host


@cache
def _hosts(hosts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(_ascii(host) for host in hosts if host.strip())


@lru_cache(maxsize=4096)
def _spaced(text: str) -> str:
    """Return the words of `text`, a space around each, so that only whole words match."""
    return f" {' '.join(words(text))} "
