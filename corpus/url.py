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
# No host has so long a name; normalising it would take time that grows with the square of its length.
_NO_HOST = re.compile(r"[^/?#]*//[^/?#]{1000}")
_SCHEME = re.compile(r"(?i)^https?://(?:www\.)?")
# An authority with a dot inside: `http://N/A` and `http://localhost` name no page.
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#]*[^/?#.]\.[^/?#.]")
_PORT = re.compile(r"^(https://[^/?#]*):(?:80|443)(?=[/?#]|$)")


def untracked(url: str) -> str:
    """Leave out the query parameters that only track; a query that is empty then goes too.

    `url` is an address without a fragment or a query with its question mark.
    """
    plain = _TRACKING.sub("", url)
    return plain if plain == url else plain.rstrip("?&")


def canonical(url: str) -> str:
    """Return the canonical form of an address: no tracking, sorted query, https, no `www.`, no last slash.

    A fragment that begins with `!` or `/` names a page of an application and stays; any other names a place
    in a page and goes. A string that is no address comes back as it is.
    """
    if _NO_HOST.match(url):
        return url
    try:
        plain = canonicalize_url(_TRACKING.sub("", url), keep_fragments=True)
    except ValueError:
        return url
    page, _, fragment = plain.partition("#")
    page = _PORT.sub(r"\1", _SCHEME.sub("https://", page)).rstrip("?&/")
    fragment = fragment.rstrip("?&/")
    return f"{page}#{fragment}" if fragment[:1] in ("!", "/") and len(fragment) > 1 else page


def url_hash(url: str) -> int:
    """Return the 64-bit hash of the canonical form; 0 for what is no address of a page, such as `N/A`."""
    address = canonical(url)
    return xxhash.xxh3_64_intdigest(address.encode()) if _ADDRESS.match(address) else 0
