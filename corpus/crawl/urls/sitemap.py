"""Sitemaps from untrusted sites: XML, text, RSS and Atom, plain or gzipped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from itertools import chain

from lxml import etree

from corpus.web.compression import DamageError, Window, contents, detect
from corpus.web.url import LONGEST, normal_form, site_of

URLS = 50_000
"""The most URLs in one sitemap (sitemaps.org)."""

BYTES = 50 << 20
"""The most bytes of one sitemap, decompressed (sitemaps.org)."""

# The elements of one page or one further sitemap, with their parent elements.
_PAGES = {("urlset", "url"), ("channel", "item"), ("RDF", "item"), ("feed", "entry")}
_CHILDREN = {("sitemapindex", "sitemap")}
_ENTRIES = _PAGES | _CHILDREN
_LOCATIONS = {"loc", "link"}
_DATES = {"lastmod", "pubDate", "updated", "date"}
_LANGUAGES = 500  # of one page
_BARE = re.compile(rb"&(?!(?:#\d{1,7}|#x[0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{0,30});)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One page: its URL in normal form, its date as written ("" if there is none), and a language hint."""

    url: str
    lastmod: str
    hint: str


@dataclass(frozen=True, slots=True)
class Sitemap:
    """The pages of a sitemap, and further sitemaps."""

    urls: list[Entry]
    children: list[str]


def parse(body: bytes, url: str, host: str = "") -> Sitemap:
    """Read a sitemap that was fetched from `url`; unreadable bytes yield no URLs, nothing is raised.

    Only URLs on the sitemap's own site count, and on the site of `host`, whose robots.txt named it
    (sitemaps.org, "cross submits"): otherwise one site could send a crawler to another. Each URL counts once,
    also the versions of a page in other languages (`xhtml:link`).
    """
    names = _Names(url, frozenset(map(site_of, filter(None, (url, host)))))
    pieces = _unpacked(body, url)
    first = next(pieces, b"")
    is_xml = first.lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n").startswith(b"<")
    (_read_xml if is_xml else _read_text)(chain([first], pieces), names)
    return Sitemap(list(names.pages.values()), list(names.children))


class _Names:
    """The URLs found so far, limited to the permitted sites."""

    def __init__(self, url: str, sites: frozenset[str]) -> None:
        self.pages: dict[str, Entry] = {}
        self.children: dict[str, None] = {}
        self._url = url
        self._sites = sites

    @property
    def is_full(self) -> bool:
        return len(self.pages) + len(self.children) >= URLS

    def add_page(self, written: str, lastmod: str, hint: str) -> None:
        url = self._permitted(written)
        if url is not None and url not in self.pages:
            self.pages[url] = Entry(url, lastmod, hint)

    def add_child(self, written: str) -> None:
        url = self._permitted(written)
        if url is not None:
            self.children[url] = None

    def _permitted(self, written: str) -> str | None:
        url = None if self.is_full or not written else normal_form(written, self._url)
        return url if url is not None and site_of(url) in self._sites else None


def _unpacked(body: bytes, url: str) -> Iterator[bytes]:
    """Yield the decompressed body, up to the limit and up to any damage."""
    window = Window(BytesIO(body))
    size = 0
    try:
        for piece in contents(window, detect(window, url.partition("?")[0])):
            yield piece
            size += len(piece)
            if size >= BYTES:
                return
    except DamageError:
        return


def _read_text(pieces: Iterator[bytes], names: _Names) -> None:
    """Read a list with one URL per line, in UTF-8."""
    rest = b""
    for piece in chain(pieces, [b"\n"]):
        *lines, rest = (rest + piece).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            text = line.decode("utf-8-sig", "replace").strip()
            if text.startswith(("http://", "https://")):
                names.add_page(text, "", "")
        if names.is_full or len(rest) > 4 * LONGEST:
            return


def _read_xml(pieces: Iterator[bytes], names: _Names) -> None:
    """Feed the parser: it opens no files and no URLs, and libxml2 stops the expansion of entities."""
    parser = etree.XMLParser(target=_Reader(names), recover=True, no_network=True, resolve_entities=False)
    try:
        for piece in _escaped(pieces):
            parser.feed(piece)
            if names.is_full:
                break
        parser.close()
    except etree.LxmlError:  # not XML: what was found before is kept
        pass


def _escaped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Escape ampersands that are not part of an XML reference, which are common in the queries of
    sitemaps."""
    rest = b""
    for piece in pieces:
        whole, mark, rest = (rest + piece).rpartition(b">")
        # UTF-16 stays unchanged: in it a zero byte is next to each ampersand
        yield whole + mark if b"\0" in whole[:64] else _BARE.sub(b"&amp;", whole) + mark
        if len(rest) > BYTES >> 4:
            return
    yield rest


class _Reader:
    """Receives the elements of a sitemap from lxml's parser: URL, date and languages of the open entry."""

    def __init__(self, names: _Names) -> None:
        self._names = names
        self._path: list[str] = []
        self._text: list[str] = []
        self._loc = self._date = ""
        self._languages: dict[str, str] = {}

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        name = tag.rpartition("}")[2]
        holder = self._path[-1] if self._path else ""
        self._path.append(name)
        self._text = []
        if (holder, name) in _ENTRIES:
            self._loc = self._date = ""
            self._languages = {}
        elif name == "link" and attributes.get("rel", "alternate") == "alternate" and "href" in attributes:
            if holder == "entry":
                self._loc = attributes["href"]
            elif holder == "url" and len(self._languages) < _LANGUAGES:
                self._languages[attributes["href"].strip()] = attributes.get("hreflang", "").strip()

    def data(self, text: str) -> None:
        if len(self._text) < LONGEST:  # entities come in many small pieces
            self._text.append(text)

    def end(self, tag: str) -> None:
        name = self._path.pop()
        if tuple(self._path[-2:]) in _ENTRIES:
            self._keep(name, "".join(self._text).strip()[: 4 * LONGEST])
        elif (*self._path[-1:], name) in _CHILDREN:
            self._names.add_child(self._loc)
        elif (*self._path[-1:], name) in _PAGES:
            self._names.add_page(self._loc, self._date, self._languages.get(self._loc, ""))
            for url, language in self._languages.items():
                self._names.add_page(url, "", language)

    def _keep(self, name: str, text: str) -> None:
        if name in _LOCATIONS and text:
            self._loc = text
        elif name in _DATES:
            self._date = text

    def close(self) -> None:
        """Required by lxml of a parser's target."""
