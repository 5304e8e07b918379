"""What a site's robots.txt allows (RFC 9309), and what follows if there is none or it cannot be fetched."""

from __future__ import annotations

import codecs
import re

from corpus.web.url import escape, normal_form

LIMIT = 500 * 1024
"""Bytes of a robots.txt that are read (RFC 9309, section 2.5: at least this many)."""

_EVERYONE = "*"
_BLANK = " \t"  # not octet A0, which may be part of a letter
_BLANKS = re.compile(r"[ \t]+")
_LINE_END = re.compile(r"[\r\n]+")
# Section 2.2.1; text after a token, such as a version, is ignored.
_TOKEN = re.compile(r"\*(?=[ \t]|$)|[A-Za-z_-]+")
# Numbers as Java and Python read them, in which most parsers of robots.txt are written; also a decimal comma.
_NUMBER = re.compile(r"\+?(\d{1,9}(?:[.,]\d{0,9})?|[.,]\d{1,9})((?:[eE][+-]?\d{1,2}(?!\d))?)", re.ASCII)
_ORIGIN = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//[^/?;#]*")
# Fields by their spellings, with the misspellings that Google's parser accepts.
_FIELDS = {
    **dict.fromkeys(("user-agent", "useragent", "user agent"), "agent"),
    **dict.fromkeys(("disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw"), "disallow"),
    "allow": "allow",
    **dict.fromkeys(("crawl-delay", "crawldelay", "crawl delay"), "delay"),
    **dict.fromkeys(("sitemap", "sitemaps", "site-map"), "sitemap"),
}

_ODD = re.compile(r"%([0-9A-Fa-f]{2})?|[^!-~]|[\"<>\\^`{|}]")
# In a pattern the start of an escape before a star or the end is kept: /*% matches every escape.
_ODD_IN_PATTERN = re.compile(r"%(?:([0-9A-Fa-f]{2})|(?![0-9A-Fa-f]?(?:\*|\Z)))|[^!-~]|[\"<>\\^`{|}]")
_HALF = re.compile(r"%[a-f](?=\*|\Z)")
_RESERVED = re.compile(r"[:/@!'(),\[\]]")  # of RFC 3986, without those that separate the parts of a query


class Pattern:
    """A path pattern in octets, with `*` for any octets and `$` for the end (section 2.2.3).

    `length` is its length in encoded octets: longer rules are more specific. A match takes time linear in the
    path, whatever the pattern.
    """

    __slots__ = ("_forms", "_is_anchored", "length")

    def __init__(self, written: str) -> None:
        self._is_anchored = written.endswith("$")
        path = written.removesuffix("$").replace("$", "%24")
        if self._is_anchored:  # a percent sign at the end of the path, not the start of an escape
            path = re.sub(r"%([0-9A-Fa-f]?)\Z", r"%25\1", path)
        forms = _forms(_HALF.sub(lambda half: half[0].upper(), path), _ODD_IN_PATTERN)
        self.length = len(forms[0]) + self._is_anchored
        self._forms = tuple(form.split("*") for form in forms)

    def matches(self, path: UrlPath) -> bool:
        """Return whether the pattern matches the start of a path with its query."""
        for form in path.forms:
            for pieces in self._forms:
                if form.startswith(pieces[0]) and self._fits(pieces, form):
                    return True
        return False

    def _fits(self, pieces: list[str], path: str) -> bool:
        """Return whether the pieces follow each other in a path that starts with the first."""
        first, *rest = pieces
        at = len(first)
        if not rest:
            return at == len(path) or not self._is_anchored
        last = rest.pop() if self._is_anchored else ""
        for piece in rest:  # the first match is the best: the most remains for the next pieces
            at = path.find(piece, at)
            if at < 0:
                return False
            at += len(piece)
        return len(path) - len(last) >= at and path.endswith(last)


class UrlPath:
    """A path with its query, in the form that patterns compare."""

    __slots__ = ("forms",)

    def __init__(self, path: str) -> None:
        self.forms = _forms(octets(path).replace("*", "%2A").replace("$", "%24"))


def octets(text: str) -> str:
    """Return a text as octets, one character each, as patterns expect it."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("latin-1")


def _forms(path: str, odd: re.Pattern[str] = _ODD) -> tuple[str, ...]:
    """Return a path or pattern, in octets, in the one or two encodings of section 2.2.2.

    Escapes of unreserved characters are decoded, characters that are invalid in URLs are escaped. The second
    encoding also escapes the reserved characters of a query: the section's own example does, but few sites
    do.
    """
    plain = odd.sub(escape, path)
    before, mark, query = plain.partition("?")
    if not query or not _RESERVED.search(query):
        return (plain,)
    return plain, before + mark + _RESERVED.sub(lambda found: f"%{ord(found[0]):02X}", query)


class _Group:
    """The rules for one product token, and its Crawl-delay in seconds."""

    __slots__ = ("_rules", "delay", "written")

    def __init__(self) -> None:
        self.written: list[tuple[str, bool]] = []  # a pattern, and whether it allows
        self.delay: float | None = None
        self._rules: list[tuple[Pattern, bool]] | None = None

    @property
    def rules(self) -> list[tuple[Pattern, bool]]:
        """The rules, best first; made on first use, because most files have groups for many other
        crawlers."""
        if self._rules is None:
            rules = [(Pattern(written), allow) for written, allow in dict.fromkeys(self.written)]
            # the longest match counts; of two equally long ones, the one that allows
            self._rules = sorted(rules, key=lambda rule: (-rule[0].length, not rule[1]))
        return self._rules


class Robots:
    """A parsed robots.txt: groups by product token in lower case, "*" for all other crawlers."""

    __slots__ = ("_groups", "sitemaps")

    def __init__(self, groups: dict[str, _Group], sitemaps: tuple[str, ...] = ()) -> None:
        self._groups = groups
        self.sitemaps = sitemaps

    def allows(self, url: str, agent: str) -> bool:
        """Return whether `agent` (a product token) may fetch a URL."""
        path = _ORIGIN.sub("", url, count=1).partition("#")[0]
        if path == "/robots.txt":  # section 2.2.2: implicitly allowed
            return True
        ready = UrlPath(path if path.startswith("/") else f"/{path}")
        return next((allow for pattern, allow in self._group(agent).rules if pattern.matches(ready)), True)

    def crawl_delay(self, agent: str) -> float | None:
        """Return the Crawl-delay in seconds for `agent`, the longest if there are several."""
        return self._group(agent).delay

    def _group(self, agent: str) -> _Group:
        return self._groups.get(agent.lower()) or self._groups.get(_EVERYONE) or _Group()


def parse(body: bytes, base: str = "") -> Robots:
    """Read the first `LIMIT` bytes of a robots.txt; raises nothing, whatever they are.

    URLs of sitemaps may be relative to `base`, the URL of the site.
    """
    groups: dict[str, _Group] = {}
    sitemaps: dict[str, None] = {}
    named: list[_Group] = []
    has_rules = False
    for line in _LINE_END.split(_text(body[:LIMIT])):
        name, value = _field(line)
        if name == "agent":
            if has_rules:
                named, has_rules = [], False
            if token := _token(value):
                named.append(groups.setdefault(token, _Group()))
        elif name in ("allow", "disallow"):
            has_rules = True
            for pattern in _patterns(value, name == "allow"):
                for group in named:
                    group.written.append((pattern, name == "allow"))
        elif name == "delay" and (number := _NUMBER.match(value)):
            for group in named:
                group.delay = max(group.delay or 0.0, float(number[1].replace(",", ".") + number[2]))
        elif name == "sitemap" and value:
            url = normal_form(value.encode("latin-1").decode("utf-8", "replace"), base)
            if url is not None:
                sitemaps[url] = None
    return Robots(groups, tuple(sitemaps))


def _patterns(value: str, allow: bool) -> list[str]:
    """Return the patterns of a rule: none if its path is empty, which disallows nothing."""
    if not value:
        return []
    folder, slash, name = value.rpartition("/")
    if allow and slash and name.startswith("index.htm"):  # as Google: the folder itself is allowed, too
        return [value, f"{folder}/$"]
    return [value]


def _text(body: bytes) -> str:
    """Return the file's octets as characters, without a byte order mark, whether whole or cut short."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return body.decode("utf-16", "replace").encode("utf-8", "replace").decode("latin-1")
    for size in (3, 2, 1):
        if body.startswith(codecs.BOM_UTF8[:size]):
            return body[size:].decode("latin-1")
    return body.decode("latin-1")


def _field(line: str) -> tuple[str, str]:
    """Return the field of a line, by our name, and its value; ("", "") if it is not a known field."""
    line = line.partition("#")[0].strip(_BLANK)
    name, colon, value = line.partition(":")
    if not colon:  # as Google: "disallow /a" is a rule, a sentence is not
        words = _BLANKS.split(line)
        if len(words) != 2:
            return "", ""
        name, value = words
    return _FIELDS.get(name.strip(_BLANK).lower(), ""), value.strip(_BLANK)


def _token(value: str) -> str:
    """Return the product token of a user-agent line, "" if there is none."""
    found = _TOKEN.match(value)
    return found[0].lower() if found else ""


def decide(status: int | None, body: bytes, base: str = "") -> Robots:
    """Return the rules that follow from the response to a request for the robots.txt of `base` (section
    2.3.1).

    2xx: the rules in the body. 4xx, and more than five redirects: there are no rules, all is allowed. 5xx,
    and None for no response: the rules are unknown, so nothing is allowed. The same for 429: it is a 4xx by
    number, but a server that has had too many requests has not asked for more.
    """
    if status is not None and 200 <= status < 300:
        return parse(body, base)
    if status is not None and 300 <= status < 500 and status != 429:
        return Robots({})
    return parse(b"User-agent: *\nDisallow: /")
