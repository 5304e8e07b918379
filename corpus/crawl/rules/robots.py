"""What a site's robots.txt allows (RFC 9309), and what its absence or failure means."""

from __future__ import annotations

import codecs
import re

from corpus.web.url import escape, normal_form

LIMIT = 500 * 1024
"""Bytes of a robots.txt that are read (RFC 9309, section 2.5: at least these)."""

_EVERYONE = "*"
_BLANK = " \t"  # an octet A0 may be half a letter
_BLANKS = re.compile(r"[ \t]+")
_LINE_END = re.compile(r"[\r\n]+")
# Section 2.2.1; what follows a token, such as a version, does not count.
_TOKEN = re.compile(r"\*(?=[ \t]|$)|[A-Za-z_-]+")
# As Java's and Python's parsers read numbers, which those of robots.txt mostly use; also a decimal comma.
_NUMBER = re.compile(r"\+?(\d{1,9}(?:[.,]\d{0,9})?|[.,]\d{1,9})((?:[eE][+-]?\d{1,2}(?!\d))?)", re.ASCII)
_ORIGIN = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//[^/?;#]*")
# Fields by their spellings, with the slips that Google's parser bears too.
_FIELDS = {
    **dict.fromkeys(("user-agent", "useragent", "user agent"), "agent"),
    **dict.fromkeys(("disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw"), "disallow"),
    "allow": "allow",
    **dict.fromkeys(("crawl-delay", "crawldelay", "crawl delay"), "delay"),
    **dict.fromkeys(("sitemap", "sitemaps", "site-map"), "sitemap"),
}

_ODD = re.compile(r"%([0-9A-Fa-f]{2})?|[^!-~]|[\"<>\\^`{|}]")
# In a pattern the beginning of an escape before a star or the end stays: /*% is meant for every escape.
_ODD_IN_PATTERN = re.compile(r"%(?:([0-9A-Fa-f]{2})|(?![0-9A-Fa-f]?(?:\*|\Z)))|[^!-~]|[\"<>\\^`{|}]")
_HALF = re.compile(r"%[a-f](?=\*|\Z)")
_RESERVED = re.compile(r"[:/@!'(),\[\]]")  # of RFC 3986, without those that give a query its parts


class Pattern:
    """A path pattern in octets, with `*` for any of them and `$` for the end (section 2.2.3).

    `length` is its length in octets once it is encoded: the measure of how specific a rule is. A match takes
    time linear in the path, whatever the pattern.
    """

    __slots__ = ("_forms", "_is_anchored", "length")

    def __init__(self, written: str) -> None:
        self._is_anchored = written.endswith("$")
        path = written.removesuffix("$").replace("$", "%24")
        if self._is_anchored:  # a path that ends with a percent sign, not one that goes on with an escape
            path = re.sub(r"%([0-9A-Fa-f]?)\Z", r"%25\1", path)
        forms = _forms(_HALF.sub(lambda half: half[0].upper(), path), _ODD_IN_PATTERN)
        self.length = len(forms[0]) + self._is_anchored
        self._forms = tuple(form.split("*") for form in forms)

    def matches(self, path: UrlPath) -> bool:
        """Return whether a path with its query begins as the pattern says."""
        for form in path.forms:
            for pieces in self._forms:
                if form.startswith(pieces[0]) and self._fits(pieces, form):
                    return True
        return False

    def _fits(self, pieces: list[str], path: str) -> bool:
        """Return whether the pieces follow each other in a path that begins with the first."""
        first, *rest = pieces
        at = len(first)
        if not rest:
            return at == len(path) or not self._is_anchored
        last = rest.pop() if self._is_anchored else ""
        for piece in rest:  # the first place is the best: it leaves most to the pieces that follow
            at = path.find(piece, at)
            if at < 0:
                return False
            at += len(piece)
        return len(path) - len(last) >= at and path.endswith(last)


class UrlPath:
    """A path with its query, ready to be compared with patterns."""

    __slots__ = ("forms",)

    def __init__(self, path: str) -> None:
        self.forms = _forms(octets(path).replace("*", "%2A").replace("$", "%24"))


def octets(text: str) -> str:
    """Return a text as octets, a character each, as patterns take it."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("latin-1")


def _forms(path: str, odd: re.Pattern[str] = _ODD) -> tuple[str, ...]:
    """Encode a path or pattern as section 2.2.2 asks, characters being octets, in one or two ways.

    Escapes of unreserved characters are undone, what is no URL character is escaped. The second way escapes
    the reserved characters of a query too: the section's own example has them so, but few sites do.
    """
    plain = odd.sub(escape, path)
    before, mark, query = plain.partition("?")
    if not query or not _RESERVED.search(query):
        return (plain,)
    return plain, before + mark + _RESERVED.sub(lambda found: f"%{ord(found[0]):02X}", query)


class _Group:
    """The rules for one product token, and the pause in seconds that is asked of it."""

    __slots__ = ("_rules", "delay", "written")

    def __init__(self) -> None:
        self.written: list[tuple[str, bool]] = []  # a pattern, and whether it allows
        self.delay: float | None = None
        self._rules: list[tuple[Pattern, bool]] | None = None

    @property
    def rules(self) -> list[tuple[Pattern, bool]]:
        """Give the rules, made when first asked for (most files have groups for many others): best first."""
        if self._rules is None:
            rules = [(Pattern(written), allow) for written, allow in dict.fromkeys(self.written)]
            # the longest match counts, and of two that are as long, the one that allows
            self._rules = sorted(rules, key=lambda rule: (-rule[0].length, not rule[1]))
        return self._rules


class Robots:
    """A robots.txt as it was understood: groups by product token in lower case, "*" for everyone else's."""

    __slots__ = ("_groups", "sitemaps")

    def __init__(self, groups: dict[str, _Group], sitemaps: tuple[str, ...] = ()) -> None:
        self._groups = groups
        self.sitemaps = sitemaps

    def allows(self, url: str, agent: str) -> bool:
        """Return whether `agent` (a product token) may fetch an address."""
        path = _ORIGIN.sub("", url, count=1).partition("#")[0]
        if path == "/robots.txt":  # section 2.2.2: implicitly allowed
            return True
        ready = UrlPath(path if path.startswith("/") else f"/{path}")
        return next((allow for pattern, allow in self._group(agent).rules if pattern.matches(ready)), True)

    def crawl_delay(self, agent: str) -> float | None:
        """Return the Crawl-delay in seconds that is asked of `agent`, the longest where there are several."""
        return self._group(agent).delay

    def _group(self, agent: str) -> _Group:
        return self._groups.get(agent.lower()) or self._groups.get(_EVERYONE) or _Group()


def parse(body: bytes, base: str = "") -> Robots:
    """Read the first `LIMIT` bytes of a robots.txt; whatever they hold, nothing is raised.

    Addresses of sitemaps may be relative to `base`, the address of the site.
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
            address = normal_form(value.encode("latin-1").decode("utf-8", "replace"), base)
            if address is not None:
                sitemaps[address] = None
    return Robots(groups, tuple(sitemaps))


def _patterns(value: str, allow: bool) -> list[str]:
    """Return the patterns that a rule stands for: none where it names no path, which disallows nothing."""
    if not value:
        return []
    folder, slash, name = value.rpartition("/")
    if allow and slash and name.startswith("index.htm"):  # as Google: the folder itself is allowed too
        return [value, f"{folder}/$"]
    return [value]


def _text(body: bytes) -> str:
    """Return the file's octets as characters, without the mark that it may begin with, whole or cut short."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return body.decode("utf-16", "replace").encode("utf-8", "replace").decode("latin-1")
    for size in (3, 2, 1):
        if body.startswith(codecs.BOM_UTF8[:size]):
            return body[size:].decode("latin-1")
    return body.decode("latin-1")


def _field(line: str) -> tuple[str, str]:
    """Split a line into the field that it is, by our name, and its value; ("", "") for what is neither."""
    line = line.partition("#")[0].strip(_BLANK)
    name, colon, value = line.partition(":")
    if not colon:  # as Google: "disallow /a" is meant so, a sentence is not
        words = _BLANKS.split(line)
        if len(words) != 2:
            return "", ""
        name, value = words
    return _FIELDS.get(name.strip(_BLANK).lower(), ""), value.strip(_BLANK)


def _token(value: str) -> str:
    """Return the product token that a user-agent line names, "" where it names none."""
    found = _TOKEN.match(value)
    return found[0].lower() if found else ""


def decide(status: int | None, body: bytes, base: str = "") -> Robots:
    """Return the rules that follow from the answer to a request for the robots.txt of `base` (section 2.3.1).

    2xx: what it says. 4xx, and 3xx that lead on for more than five hops: there is none, all is allowed. 5xx,
    and None for no answer at all: the site cannot be asked, so nothing is allowed. 429 counts with these: it
    is a 4xx by number, but a server that has had too many requests has not said that it wants more.
    """
    if status is not None and 200 <= status < 300:
        return parse(body, base)
    if status is not None and 300 <= status < 500 and status != 429:
        return Robots({})
    return parse(b"User-agent: *\nDisallow: /")
