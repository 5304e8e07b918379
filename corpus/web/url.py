"""URLs: the normal form under which a page is fetched, and the canonical form by which copies are found."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from urllib.parse import quote_from_bytes, urlsplit

import can_ada
import xxhash
from publicsuffixlist import PublicSuffixList

LONGEST = 2048
"""Characters of the longest URL that is followed: the limit of sitemaps.org, and about that of servers."""

_PARTS = re.compile(
    r"(https?://)(?:[^/?#]*@)?"
    r"((?:[^/?#:.@\[\]]+\.)*[^/?#:.@\[\]]+|\[[0-9a-f:.]+\])\.?(:\d+)?"
    r"(/[^?#]*)(\?[^#]+)?\??(?:#.*)?",
    re.DOTALL,
)
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# All escapes except those in normal form: capital digits, of a character that must be escaped.
_ESCAPE = re.compile(r"%(?![0189A-F][0-9A-F]|2[0-9A-CF]|3[A-F]|40|5[B-E]|60|7[B-DF])([0-9A-Fa-f]{2})?")
_PATH_SESSION = re.compile(r";jsessionid=[^/;]*", re.IGNORECASE)
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
# Parameters that identify the reader or the way to the page, never the page. `sid` only with a long value: a
# short one may be the number of a story.
_TRACKING = re.compile(
    r"(?i)(?<=[?&])(?:(?:utm_[a-z_]+|fbclid|gclid|dclid|yclid|msclkid|igshid|mc_[ce]id|_ga|phpsessid|jsessionid)"
    r"=[^&#]*|sid=[0-9a-z]{16,}(?=[&#]|$))&?"
)
_SCHEME = re.compile(r"(?i)^https?://(?:www\.)?")
# An authority with a dot inside: `http://N/A` and `http://localhost` do not name a page.
_PUBLIC = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#]*[^/?#.]\.[^/?#.]")
_GARBLED = re.compile("[\x00-\x1f\x7f-\x9f\ufffd]")
_OF_PAGES = frozenset(("http", "https", "ftp", "ftps", "sftp", "file", "gopher", "gemini", "news", "nntp"))
_PORT = re.compile(r"^(https://[^/?#]*):(?:80|443)(?=[/?#]|$)")


def untracked(url: str) -> str:
    """Return a URL without tracking parameters, and without a query that becomes empty.

    `url` is a URL without a fragment, or a query with its question mark.
    """
    plain = _TRACKING.sub("", url)
    return plain if plain == url else plain.rstrip("?&")


def normal_form(url: str, base: str = "", charset: str = "utf-8") -> str | None:
    """Return the form under which a URL is known and fetched; None if it is not an http(s) URL.

    Parsed as browsers do (WHATWG URL): relative to `base`, dot segments resolved, IDNA host, default port
    removed, all ASCII. Fragment, credentials, tracking parameters and known session ids are removed; escapes
    are normalized by RFC 3986, section 6.2.2. The query keeps its order, on which some servers depend.
    `charset` is the codec of the page: browsers encode the queries of its links in it, and old servers expect
    that.

    Fragments never make another URL, not even #! and #/: servers do not see them, and without scripts the
    page is the same.
    """
    if len(url) > 4 * LONGEST:
        return None
    try:
        if charset != "utf-8" and not url.isascii():
            url = _query_encoded(url, charset)
        href = (_parsed(base) + url if base else can_ada.parse(url)).href
    except (ValueError, TypeError):  # TypeError: half a surrogate pair, which UTF-8 cannot encode
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


def fault(url: str) -> str:
    """Return why a page cannot be of this address, which an archive gives; "" if it can.

    A damaged header may still have its colon and its length. An escape without two digits is right: the
    links of many servers have them, and browsers send them as they are.
    """
    if found := _GARBLED.search(url):
        code = ord(found[0])
        return "bytes that are not UTF-8" if code == 0xFFFD else f"the control character U+{code:04X}"
    scheme = url.partition(":")[0].lower()
    if scheme not in _OF_PAGES:
        return f"no scheme of pages, such as https, but {scheme[:40]!r}"
    try:
        can_ada.parse(url)
    except ValueError:
        return "no valid host and port"
    return ""


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
    """Return an escape in normal form (RFC 3986, section 6.2.2): capital digits, and none if not needed.

    The match's first group holds the digits; a character without them, such as a bare percent sign, gets
    some.
    """
    if found[1] is None:
        return f"%{ord(found[0]):02X}"
    plain = chr(int(found[1], 16))
    return plain if plain in _UNRESERVED else found[0].upper()


def origin_of(url: str) -> str:
    """Return the origin of a normalized URL: `scheme://host[:port]`."""
    end = url.find("/", 8)
    return url if end < 0 else url[:end]


def host_of(origin: str) -> str:
    """Return the host of an origin or a URL: the name without scheme and port."""
    return urlsplit(origin).hostname or ""


def site_of(url: str) -> str:
    """Return the site of a host, an origin or a URL, which is its registered domain: kitaplik.com.tr.

    The Public Suffix List decides, with its private part, so that the owners below github.io stay separate.
    An IP address, a name without dots and a public suffix are sites of their own.
    """
    start = url.find("://") + 3 if "://" in url else 0
    end = url.find("/", start)
    return _registered(url[start:] if end < 0 else url[start:end])


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
    """Return the 64-bit hash (xxh3) of a normalized URL, by which a crawl identifies it."""
    return xxhash.xxh3_64_intdigest(url.encode())


def canonical(url: str) -> str:
    """Return a URL's canonical form: its normal form with https, sorted query, no `www.`, no final slash.

    A fragment that starts with `!` or `/` names a page of an application and is kept; any other names a place
    in a page and is removed. A string without a normal form is returned unchanged.
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
    """Return the 64-bit hash of the canonical form; 0 if it cannot be a page's URL, such as `N/A`."""
    form = canonical(url)
    return xxhash.xxh3_64_intdigest(form.encode()) if _PUBLIC.match(form) else 0
