"""One spelling for each URL, so that the same page is known by the same address."""

from __future__ import annotations

import re

import xxhash
from w3lib.url import canonicalize_url

# Parameters that say how a reader came to a page or who it is, never which page it is. Of `sid` only what is
# long: a short one may be the number of a story.
_TRACKING = re.compile(
    r"(?i)(?<=[?&])(?:(?:utm_[a-z_]+|fbclid|gclid|dclid|yclid|msclkid|igshid|mc_[ce]id|_ga|phpsessid|jsessionid)"
    r"=[^&#]*|sid=[0-9a-z]{16,}(?=[&#]|$))&?"
)
_SCHEME = re.compile(r"(?i)^https?://(?:www\.)?")
_PORT = re.compile(r"^(https://[^/?#]*):(?:80|443)(?=[/?#]|$)")


def untracked(url: str) -> str:
    """Leave out the query parameters that only track; a query that is empty then goes too.

    `url` is an address without a fragment or a query with its question mark.
    """
    plain = _TRACKING.sub("", url)
    return plain if plain == url else plain.rstrip("?&")


def canonical(url: str) -> str:
    """Give the canonical form of an address: no fragment, no tracking, sorted query, https, no `www.`.

    A string that is no address comes back as it is: it still names its document.
    """
    try:
        plain = canonicalize_url(_TRACKING.sub("", url))
    except ValueError:
        return url
    return _PORT.sub(r"\1", _SCHEME.sub("https://", plain)).rstrip("?&/")


def url_hash(url: str) -> int:
    """Give the 64-bit hash of the canonical form; 0 where there is no URL."""
    return xxhash.xxh3_64_intdigest(canonical(url).encode()) if url else 0
