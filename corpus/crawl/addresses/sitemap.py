"""Sitemaps: XML, text, RSS and Atom, plain or gzipped, from sites that are not trusted."""

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
"""Addresses that one sitemap may name (sitemaps.org)."""

BYTES = 50 << 20
"""Bytes that it may have, unpacked (sitemaps.org)."""

# The elements that stand for one page or one further sitemap, by the element that holds them.
_PAGES = {("urlset", "url"), ("channel", "item"), ("RDF", "item"), ("feed", "entry")}
_CHILDREN = {("sitemapindex", "sitemap")}
_ENTRIES = _PAGES | _CHILDREN
_ADDRESSES = {"loc", "link"}
_DATES = {"lastmod", "pubDate", "updated", "date"}
_LANGUAGES = 500  # of one page
_BARE = re.compile(rb"&(?!(?:#\d{1,7}|#x[0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{0,30});)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One page: its normalised address, its date as written ("" without one), and a language hint."""

    url: str
    lastmod: str
    hint: str


@dataclass(frozen=True, slots=True)
class Sitemap:
    """What a sitemap names: pages, and further sitemaps."""

    urls: list[Entry]
    children: list[str]


def parse(body: bytes, url: str, host: str = "") -> Sitemap:
    """Read a sitemap that was fetched from `url`; what cannot be read names nothing, nothing is raised.

    Only addresses of the sitemap's registered domain count, and of that of `host`, whose robots.txt named it
    (sitemaps.org, "cross submits"): else one site could send a crawler to another. Each counts once, the
    versions of a page in other languages (`xhtml:link`) too.
    """
    names = _Names(url, frozenset(map(site_of, filter(None, (url, host)))))
    pieces = _unpacked(body, url)
    first = next(pieces, b"")
    is_xml = first.lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n").startswith(b"<")
    (_read_xml if is_xml else _read_text)(chain([first], pieces), names)
    return Sitemap(list(names.pages.values()), list(names.children))


class _Names:
    """The addresses found so far, of those that may be named here."""

    def __init__(self, url: str, domains: frozenset[str]) -> None:
        self.pages: dict[str, Entry] = {}
        self.children: dict[str, None] = {}
        self._url = url
        self._domains = domains

    @property
    def is_full(self) -> bool:
        return len(self.pages) + len(self.children) >= URLS

    def add_page(self, written: str, lastmod: str, hint: str) -> None:
        address = self._address(written)
        if address is not None and address not in self.pages:
            self.pages[address] = Entry(address, lastmod, hint)

    def add_child(self, written: str) -> None:
        address = self._address(written)
        if address is not None:
            self.children[address] = None

    def _address(self, written: str) -> str | None:
        address = None if self.is_full or not written else normal_form(written, self._url)
        return address if address is not None and site_of(address) in self._domains else None


def _unpacked(body: bytes, url: str) -> Iterator[bytes]:
    """Yield the body unpacked, up to the limit and up to any damage."""
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
    """Read a list of one address a line, in UTF-8."""
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
    """Feed the parser: it opens no file and no address, and libxml2 ends entities that multiply."""
    parser = etree.XMLParser(target=_Reader(names), recover=True, no_network=True, resolve_entities=False)
    try:
        for piece in _mended(pieces):
            parser.feed(piece)
            if names.is_full:
                break
        parser.close()
    except etree.LxmlError:  # no XML at all: what was found before counts
        pass


def _mended(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Escape ampersands that are none of XML's, which many sitemaps have in their queries."""
    rest = b""
    for piece in pieces:
        whole, mark, rest = (rest + piece).rpartition(b">")
        # UTF-16 is left alone: its ampersands stand beside a zero
        yield whole + mark if b"\0" in whole[:64] else _BARE.sub(b"&amp;", whole) + mark
        if len(rest) > BYTES >> 4:
            return
    yield rest


class _Reader:
    """What lxml's parser tells of a sitemap: the address, date and languages of the entry that is open."""

    def __init__(self, names: _Names) -> None:
        self._names = names
        self._path: list[str] = []
        self._text: list[str] = []
        self._address = self._date = ""
        self._languages: dict[str, str] = {}

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        name = tag.rpartition("}")[2]
        holder = self._path[-1] if self._path else ""
        self._path.append(name)
        self._text = []
        if (holder, name) in _ENTRIES:
            self._address = self._date = ""
            self._languages = {}
        elif name == "link" and attributes.get("rel", "alternate") == "alternate" and "href" in attributes:
            if holder == "entry":
                self._address = attributes["href"]
            elif holder == "url" and len(self._languages) < _LANGUAGES:
                self._languages[attributes["href"].strip()] = attributes.get("hreflang", "").strip()

    def data(self, text: str) -> None:
        if len(self._text) < LONGEST:  # entities come in small pieces, and very many of them
            self._text.append(text)

    def end(self, tag: str) -> None:
        name = self._path.pop()
        if tuple(self._path[-2:]) in _ENTRIES:
            self._keep(name, "".join(self._text).strip()[: 4 * LONGEST])
        elif (*self._path[-1:], name) in _CHILDREN:
            self._names.add_child(self._address)
        elif (*self._path[-1:], name) in _PAGES:
            self._names.add_page(self._address, self._date, self._languages.get(self._address, ""))
            for address, language in self._languages.items():
                self._names.add_page(address, "", language)

    def _keep(self, name: str, text: str) -> None:
        if name in _ADDRESSES and text:
            self._address = text
        elif name in _DATES:
            self._date = text

    def close(self) -> None:
        """What lxml asks of a parser's target."""
