"""Addresses: one normal form for each, whose host it is, what looks like a trap, and what comes first."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from urllib.parse import quote_from_bytes

import can_ada
import xxhash
from publicsuffixlist import PublicSuffixList

from corpus.language import web_tag
from corpus.url import untracked

LONGEST = 2048
"""Characters of the longest address that is followed: sitemaps.org's limit, about what servers take."""

DEEPEST = 20
"""Segments of the deepest path that is followed, as Heritrix's TooManyPathSegmentsDecideRule has it."""

PARAMETERS = 8
"""Query parameters of the busiest address that is followed."""

_REPEATS = 3  # a run of segments this often in a row; Heritrix's PathologicalPathDecideRule: more than twice
_ANYWHERE = 4  # one segment this often anywhere: /css/js/css/img/css/js/css

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

_SESSION = re.compile(
    r"[?&;](?:[a-z_]*sess(?:ion)?(?:_?id)?|aspsessionid[a-z]*|phpsessid|cfid|cftoken|oscsid|zenid|x?sid|s)"
    r"=(?=[^&]*\d)[0-9a-z_-]{16,}|/\((?:[asf]\([0-9a-z]+\))+\)/",
    re.IGNORECASE,
)
# A calendar has a page for every day that ever was or will be: its own segment, then a date.
_CALENDAR = re.compile(
    r"/(?:[a-z]+[-_])?(?:calendar|takvimi?|kalender|ajanda)(?:\.\w+)?(?=[/?])"
    r".*?(?:\d{4}[-/.]?\d\d?|[?&](?:year|month|week|day|date|yil|ay|hafta|gun|tarih)=)",
    re.IGNORECASE,
)

# Country domains that are not called as the language is.
_NATIONAL = """
    kk=kz ky=kg tk=tm tt=ru en=uk sv=se da=dk cs=cz el=gr uk=ua ja=jp ko=kr zh=cn fa=ir he=il hi=in et=ee
    sl=si sq=al ka=ge hy=am be=by
"""
_COUNTRY = dict(pair.split("=") for pair in _NATIONAL.split())
# ş ğ ı Ş Ğ İ, which only Turkish and its neighbours write.
_LETTERS = {"tr": re.compile(r"%C5%9[EF]|%C4%9[EF]|%C4%B[01]")}
_MARK = re.compile(
    r"//([a-z]{2})\.[^/.]+\.|//[^/]+/([a-z]{2})(?:[-_][A-Za-z]{2})?(?=[/?]|$)"
    r"|[?&](?:lang|language|hl|locale|lng|dil)=([a-z]{2})(?![a-z])"
)
# Two letters that mean a language when they are not the one looked for: tv, go or id may mean anything.
_OTHERS = "en de fr es ru ar fa nl pl pt zh ja ko uk az ku el bg ro hu cs sv fi da he tr"
_KNOWN = frozenset(_OTHERS.split())


def normalise(url: str, base: str = "", charset: str = "utf-8") -> str | None:
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


def host_of(url: str) -> str:
    """Return the origin of a normalised address, `scheme://host[:port]`: the unit of politeness."""
    end = url.find("/", 8)
    return url if end < 0 else url[:end]


def domain_of(host: str) -> str:
    """Return the registered domain of a host, an origin or a normalised address: kitaplik.com.tr.

    By the Public Suffix List, its private part too, so that the owners below github.io stay apart. An IP
    address, a single name and a public suffix are their own domain.
    """
    start = host.find("://") + 3 if "://" in host else 0
    end = host.find("/", start)
    return _registered(host[start:] if end < 0 else host[start:end])


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


def trap(url: str) -> str | None:
    """Return why a normalised address looks like one of endlessly many; None where it does not.

    The reasons: trap.long, trap.deep, trap.repeating, trap.parameters, trap.session, trap.calendar.
    """
    if len(url) > LONGEST:
        return "trap.long"
    path, _, query = url.partition("?")
    segments = path.split("/")[3:]
    if len(segments) > DEEPEST:
        return "trap.deep"
    if len(segments) - len(set(segments)) >= _REPEATS - 1 and _repeating(segments):
        return "trap.repeating"
    if query.count("&") >= PARAMETERS:
        return "trap.parameters"
    if _SESSION.search(url):
        return "trap.session"
    if _CALENDAR.search(url):
        return "trap.calendar"
    return None


def _repeating(segments: list[str]) -> bool:
    if max(segments.count(segment) for segment in set(segments)) >= _ANYWHERE:
        return True
    longest = len(segments) // _REPEATS
    return any(
        segments[at : at + run] * _REPEATS == segments[at : at + _REPEATS * run]
        for run in range(1, longest + 1)
        for at in range(len(segments) - _REPEATS * run + 1)
    )


def priority(url: str, hint: str, language: str) -> float:
    """Return how early a normalised address should be fetched, higher first, from about -6 to 4.

    Pages that seem to be in `language` (ISO 639-3; "" for none) come first: by `hint`, the language tag that
    a link gives of its target; by a mark in the address (/tr/, tr.example.org, ?lang=tr); by the country's
    domain; by letters that only this language has. Then what is near the root and has no query.
    """
    path, _, query = url.partition("?")
    score = -0.1 * min(path.count("/") - 3, DEEPEST) - (0.5 if query else 0.0)
    if not language:
        return score
    tag = web_tag(language)
    stated = hint.partition("-")[0].partition("_")[0].lower()
    if stated and stated != "x":  # x-default names no language
        score += 2.0 if stated in (tag, language) else -2.0
    if mark := _MARK.search(url):
        found = mark[1] or mark[2] or mark[3]
        score += 1.0 if found == tag else -1.0 if found in _KNOWN else 0.0
    if host_of(url).partition("://")[2].partition(":")[0].endswith("." + _COUNTRY.get(tag, tag)):
        score += 0.5
    if (letters := _LETTERS.get(tag)) and letters.search(url):
        score += 0.5
    return score
