"""One pass over a page: its links, and the opt-outs in its meta elements."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from lxml import etree

from corpus.crawl.rules import optout
from corpus.text.charset import codec_of, decode
from corpus.web.http import charset_of
from corpus.web.url import normal_form

LINKS = 5_000
"""The most distinct links that are taken from one page."""

ELEMENTS = 100_000
"""The most elements of a page that are read: real pages have fewer, and a hostile one must not delay
others."""

Via = Literal["link", "canonical", "hreflang", "redirect", "sitemap"]

_PIECE = 1 << 16  # bytes parsed between two checks of the limits
# Possessive quantifiers: a hostile value of a megabyte must not cause backtracking at each of its characters.
_REFRESH = re.compile(
    r"\s*+[\d.]*+(?=[;,\s])\s*+[;,]?+\s*+(?:url\s*+=\s*+)?+(?:\"([^\"]*)|'([^']*)|([^\s\"'].*))", re.I | re.S
)
_WRITTEN = {"gbk": "gbk", "big5": "big5"}
_FIELD = re.compile(r"<([^<>]*+)>([^<]*+)")
_PARAMETER = re.compile(r"""[;\s](rel|hreflang)\s*=\s*(?:"([^"]*)"|([^\s;,"]+))""", re.I)


@dataclass(frozen=True, slots=True)
class Link:
    """A link: its URL in normal form, the kind of link, rel=nofollow, and the language declared for its
    target."""

    url: str
    via: Via
    nofollow: bool
    hint: str


@dataclass(frozen=True, slots=True)
class Page:
    """The links of a page and its opt-outs.

    Of several links to one URL the first is kept, with nofollow only if all of them have it. `directives` are
    the directives of meta elements, as returned by `optout.directives`; `tdm` is the tdm-reservation (None if
    there is none); `base` is the URL to which links are relative.
    """

    links: list[Link]
    directives: frozenset[str]
    tdm: bool | None
    base: str


def read(body: bytes, url: str, headers: Mapping[str, str], agent: str) -> Page:
    """Read the HTML that was fetched from `url`; raises nothing, whatever the bytes are.

    `headers` (lower-case names) declare the charset and further links; `agent` is the product token that meta
    elements may name. Of the values of rel only nofollow prevents that a link is followed: ugc and sponsored
    describe its author, and sites add nofollow where they mean it.
    """
    text = decode(body, charset_of(headers.get("content-type", "")))
    reader = _Reader(agent)
    reader.found += _in_field(headers.get("link", ""))
    reader.found += _refreshed(headers.get("refresh", ""))
    _feed(text.text.encode("utf-8", "replace"), reader)
    base = normal_form(reader.base, url) if reader.base else None
    links = _links(reader.found, url, base or url, query_codec(text.encoding))
    return Page(links, reader.directives(), reader.tdm, base or url)


def query_codec(encoding: str) -> str:
    """Return the Python codec in which browsers encode the queries of links on a page of an encoding (WHATWG
    name).

    This is the page's own encoding, but never UTF-16. Some encodings are decoded with a superset of what is
    written.
    """
    codec = _WRITTEN.get(encoding) or codec_of(encoding) or encoding
    try:
        return "utf-8" if encoding.startswith("utf-") else codecs.lookup(codec).name
    except LookupError:
        return "utf-8"


def refresh(headers: Mapping[str, str], url: str) -> tuple[Link, ...]:
    """Return the target of a response's Refresh field, whatever the body is."""
    return tuple(_links(_refreshed(headers.get("refresh", "")), url, url, "utf-8"))


_Found = tuple[str, Via, bool, str]


class _Reader:
    """Receives the elements of a page from lxml's parser; no tree is built, so depth costs nothing."""

    def __init__(self, agent: str) -> None:
        self.base = ""
        self.tdm: bool | None = None
        self.found: list[_Found] = []
        self.elements = 0
        self._agent = agent
        self._robots: list[str] = []
        self._readers: dict[str, Callable[[Mapping[str, str]], None]] = {
            "a": self._anchor,
            "area": self._anchor,
            "frame": self._frame,
            "link": self._link,
            "meta": self._meta,
            "base": self._base,
        }

    @property
    def is_full(self) -> bool:
        return self.elements > ELEMENTS or len(self.found) > 4 * LINKS

    def directives(self) -> frozenset[str]:
        return optout.directives(self._robots, "")

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self.elements += 1
        if reader := self._readers.get(tag):
            reader(attributes)

    def close(self) -> None:
        """Required by lxml of a parser's target."""

    def _anchor(self, attributes: Mapping[str, str]) -> None:
        if (href := attributes.get("href")) is not None:
            hint = attributes.get("hreflang") or attributes.get("lang") or ""
            self.found.append((href, "link", "nofollow" in _tokens(attributes), hint))

    def _frame(self, attributes: Mapping[str, str]) -> None:
        self.found.append((attributes.get("src", ""), "link", False, ""))

    def _link(self, attributes: Mapping[str, str]) -> None:
        self.found += _named(attributes.get("href", ""), _tokens(attributes), attributes.get("hreflang", ""))

    def _meta(self, attributes: Mapping[str, str]) -> None:
        name, content = attributes.get("name", "").strip().lower(), attributes.get("content", "")
        if name in ("robots", self._agent.lower()):
            self._robots.append(content)
        elif name == "tdm-reservation":
            self.tdm = optout.reservation(content) if self.tdm is None else self.tdm
        elif attributes.get("http-equiv", "").strip().lower() == "refresh":
            self.found += _refreshed(content)

    def _base(self, attributes: Mapping[str, str]) -> None:
        self.base = self.base or attributes.get("href", "")


def _feed(page: bytes, reader: _Reader) -> None:
    parser = etree.HTMLParser(target=reader, encoding="utf-8")
    try:
        for at in range(0, len(page), _PIECE):
            parser.feed(page[at : at + _PIECE])
            if reader.is_full:
                break
        parser.close()
    except etree.LxmlError:  # empty, or libxml2 gave up: what was found before is kept
        pass


def _tokens(attributes: Mapping[str, str]) -> list[str]:
    return attributes.get("rel", "").lower().split()


def _named(href: str, rel: list[str], language: str) -> list[_Found]:
    """Return the link of a <link> element or a Link field, if it leads to a page."""
    if "canonical" in rel:
        return [(href, "canonical", False, "")]
    if "alternate" in rel and language:
        return [(href, "hreflang", False, language)]
    if "next" in rel or "prev" in rel:
        return [(href, "link", "nofollow" in rel, language)]
    return []


def _refreshed(value: str) -> list[_Found]:
    """Return the target of a Refresh field or of a meta element with that name."""
    found = _REFRESH.match(value)
    return [(found[1] or found[2] or found[3] or "", "redirect", False, "")] if found else []


def _in_field(field: str) -> Iterator[_Found]:
    """Yield the links of Link header fields (RFC 8288)."""
    for target, written in _FIELD.findall(field):
        parameters = {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(written)}
        yield from _named(target, parameters.get("rel", "").lower().split(), parameters.get("hreflang", ""))


def _links(found: list[_Found], url: str, base: str, charset: str) -> list[Link]:
    """Return each URL once, in the order of the page, without the page's own."""
    links: dict[str, Link] = {}
    known: dict[str, str | None] = {}  # pages repeat links, mostly in menus
    for href, via, nofollow, hint in found:
        if href not in known:
            known[href] = normal_form(href, base, charset)
        target = known[href]
        if target is None or target == url:
            continue
        first = links.get(target)
        if first is None and len(links) < LINKS:
            links[target] = Link(target, via, nofollow, hint.strip())
        elif first is not None and first.nofollow and not nofollow:
            links[target] = Link(target, first.via, False, first.hint)
    return list(links.values())
