"""URLs: the normal form under which a page is fetched, and the canonical form by which copies are found."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from urllib.parse import quote_from_bytes, urlsplit

import can_ada
import xxhash
from publicsuffixlist import PublicSuffixList

LONGEST = 2048
"""Characters of the longest address that is followed: sitemaps.org's limit, about what servers take."""

_PARTS = re.compile(
    r"(https?://)(?:[^/?#]*@)?"
    r"((?:[^/?#:.@\[\]]+\.)*[^/?#:.@\[\]]+|\[[0-9a-f:.]+\])\.?(:\d+)?"
    r"(/[^?#]*)(\?[^#]+)?\??(?:#.*)?",
    re.DOTALL,
)
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# Escapes but for those that are right as they are: capital digits, of what has to be escaped.
_ESCAPE = re.compile(r"%(?![0189A-F][0-9A-F]|2[0-9A-CF]|3[A-F]|40|5[B-E]|60|7[B-DF])([0-9A-Fa-f]{2})?")
_PATH_SESSION = re.compile(r";jsessionid=[^/;]*", re.IGNORECASE)
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
# Parameters that say how a reader came to a page or who it is, never which page it is. Of `sid` only what is
# long: a short one may be the number of a story.
_TRACKING = re.compile(
    r"(?i)(?<=[?&])(?:(?:utm_[a-z_]+|fbclid|gclid|dclid|yclid|msclkid|igshid|mc_[ce]id|_ga|phpsessid|jsessionid)"
    r"=[^&#]*|sid=[0-9a-z]{16,}(?=[&#]|$))&?"
)
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


def normal_form(url: str, base: str = "", charset: str = "utf-8") -> str | None:
    """Return the form under which an address is known and fetched; None for what is no http(s) address.

    Parsed as browsers do (WHATWG URL): relative to `base`, dot segments resolved, IDNA host, default port
    left out, all ASCII. Then without fragment, credentials, tracking parameters and session ids of the known
    kinds; escapes as RFC 3986, section 6.2.2, has them. The query keeps its order, which some servers mind.
    `charset` is the codec of the page: browsers encode the query of its links in it, old servers expect so.

    No fragment makes another address, neither #! nor #/: no server sees it, and without a browser's scripts
    what is behind it is the same page, which is fetched once.
    """
    if len(url) > 4 * LONGEST:
        return None
    try:
        if charset != "utf-8" and not url.isascii():
            url = _query_encoded(url, charset)
        href = (_parsed(base) + url if base else can_ada.parse(url)).href
    except (ValueError, TypeError):  # TypeError: half a surrogate pair, which no UTF-8 holds
        return None
    parts = _PARTS.fullmatch(href)
    if parts is None:
        return None
    scheme, host, port, path, query = parts.groups("")
    if ";" in path:
        path = _PATH_SESSION.sub("", path)
    if query:
        query = untracked(query)
    tail = path + query
    if "%" in tail:
        tail = _ESCAPE.sub(escape, tail)
    return f"{scheme}{host}{port}{tail}"


@lru_cache(maxsize=256)
def _parsed(url: str) -> can_ada.URL:
    return can_ada.parse(url)


def _query_encoded(url: str, charset: str) -> str:
    before, mark, query = url.partition("?")
    return before + mark + _BEYOND_ASCII.sub(lambda run: _encoded(run[0], charset), query)


def _encoded(text: str, charset: str) -> str:
    try:
        return quote_from_bytes(text.encode(charset, "xmlcharrefreplace"))
    except LookupError:
        return text


def escape(found: re.Match[str]) -> str:
    """Write one escape the one way: capital digits, and none for what needs none (RFC 3986, section 6.2.2).

    The match's first group are the digits; a character without them, such as a bare percent sign, gets some.
    """
    if found[1] is None:
        return f"%{ord(found[0]):02X}"
    plain = chr(int(found[1], 16))
    return plain if plain in _UNRESERVED else found[0].upper()


def origin_of(url: str) -> str:
    """Return the origin of a normalised address, `scheme://host[:port]`: the unit of politeness."""
    end = url.find("/", 8)
    return url if end < 0 else url[:end]


def host_of(origin: str) -> str:
    """Return the host of an origin or a URL: its server's name, without scheme and port."""
    return urlsplit(origin).hostname or ""


def site_of(address: str) -> str:
    """Return the site of a host, an origin or a URL, its registered domain: kitaplik.com.tr.

    By the Public Suffix List, its private part too, so that the owners below github.io stay apart. An IP
    address, a single name and a public suffix are sites of their own.
    """
    start = address.find("://") + 3 if "://" in address else 0
    end = address.find("/", start)
    return _registered(address[start:] if end < 0 else address[start:end])


@lru_cache(maxsize=65536)
def _registered(host: str) -> str:
    if host.startswith("["):
        return host[: host.find("]") + 1]
    name = host.partition(":")[0]
    if name.replace(".", "").isdigit():
        return name
    return _suffixes().privatesuffix(name) or name


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def key(url: str) -> int:
    """Return the 64-bit hash (xxh3) that stands for a normalised address."""
    return xxhash.xxh3_64_intdigest(url.encode())


def canonical(url: str) -> str:
    """Return the canonical form of a URL: its normal form with https, sorted query, no `www.`, no last slash.

    A fragment that begins with `!` or `/` names a page of an application and stays; any other names a place
    in a page and goes. A string without a normal form comes back as it is.
    """
    form = normal_form(url)
    if form is None:
        return url
    page, _, query = form.partition("?")
    page = _PORT.sub(r"\1", _SCHEME.sub("https://", page))
    if query:
        page += "?" + "&".join(sorted(filter(None, query.replace("%20", "+").split("&"))))
    fragment = untracked(can_ada.parse(url).hash[1:]).rstrip("?&/") if "#" in url else ""
    page = page.rstrip("?&/")
    return f"{page}#{fragment}" if fragment[:1] in ("!", "/") and len(fragment) > 1 else page


def url_hash(url: str) -> int:
    """Return the 64-bit hash of the canonical form; 0 for what is no address of a page, such as `N/A`."""
    address = canonical(url)
    return xxhash.xxh3_64_intdigest(address.encode()) if _ADDRESS.match(address) else 0
