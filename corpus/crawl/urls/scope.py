"""Which URLs belong to a crawl."""

from __future__ import annotations

import re
from collections.abc import Sequence

from corpus.crawl.config import Scope
from corpus.crawl.urls.traps import trap
from corpus.forgotten import SKIPPED, Forgotten
from corpus.web.url import origin_of, site_of

# Files that are not pages by their names; a request for one would cost a pause, and its body is dropped.
_NOT_A_PAGE = re.compile(
    r"\.(?:jpe?g|png|gif|webp|avif|svg|ico|bmp|tiff?|psd|mp[34g]|m4[av]|avi|mov|mkv|flv|wm[av]|wav|og[gv]|webm|aac"
    r"|flac|swf|zip|rar|7z|t?gz|bz2|xz|tar|iso|dmg|exe|msi|apk|deb|rpm|jar|bin|torrent|css|m?js|map|woff2?|ttf"
    r"|otf|eot|pdf|docx?|xlsx?|pptx?|od[stp]|rtf|epub|mobi|djvu|dwg)\Z",
    re.IGNORECASE,
)


class Boundary:
    """The boundary of a crawl, defined by its normalized seeds; can be pickled."""

    def __init__(self, seeds: Sequence[str], settings: Scope, gone: Forgotten | None = None) -> None:
        self._gone = gone or Forgotten()
        self._within = settings.within
        self._depth = settings.depth
        self._hosts = frozenset(map(_name, seeds))
        self._domains = frozenset(map(site_of, seeds))
        self._endings = tuple(f".{tld.lower().strip('.')}" for tld in settings.tlds)
        self._allow = [re.compile(pattern) for pattern in settings.allow]
        self._deny = [re.compile(pattern) for pattern in settings.deny]

    def refusal(self, url: str, depth: int) -> str | None:
        """Return why a normalized URL, `depth` links from a seed, is outside the boundary; None if it is
        inside.

        scope.depth, scope.host, scope.domain, scope.tld, scope.deny and scope.allow name the setting,
        scope.media means that the file name is not that of a page, trap.* is the result of `traps.trap`,
        forgotten means that `derlem forget` named it.
        """
        if self.is_forgotten(url):
            return SKIPPED
        if depth > self._depth:
            return "scope.depth"
        if not self._is_near(url):
            return f"scope.{self._within}"
        if any(pattern.search(url) for pattern in self._deny):
            return "scope.deny"
        if self._allow and not any(pattern.search(url) for pattern in self._allow):
            return "scope.allow"
        if _NOT_A_PAGE.search(url.partition("?")[0]):
            return "scope.media"
        return trap(url)

    def is_forgotten(self, url: str) -> bool:
        """Return whether a page must not be fetched any more."""
        return bool(self._gone) and self._gone.has_url(url)

    def _is_near(self, url: str) -> bool:
        if self._within == "host":
            return _name(url) in self._hosts
        if self._within == "domain":
            return site_of(url) in self._domains
        if self._within == "tld":
            return _name(url).partition(":")[0].endswith(self._endings)
        return True


def _name(url: str) -> str:
    """Return host and port without the scheme and "www.": most sites redirect from one to the other."""
    return origin_of(url).partition("://")[2].removeprefix("www.")
