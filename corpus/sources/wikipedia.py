"""Dumps of Wikipedia: the articles of XML dumps, in wikitext, and of dumps in HTML (JSON lines, in tar)."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lxml import etree
from resiliparse.parse.html import HTMLTree

from corpus import files
from corpus.child import Child, ChildError
from corpus.items import Item, Items, RawDocument, Rejected, Skipped, Unreadable, Work
from corpus.sources.inputs import MIB, lines, moment
from corpus.sources.jsonl import encodable
from corpus.text.wikitext import FILES
from corpus.web.compression import DamageError, Window, contents, detect

if TYPE_CHECKING:
    from corpus.config import Source

_TIMEOUT_S = 30.0
_MEMORY = 4 << 30
_HEAD = 1024
_NAMED = ("6", "14", "-2")  # files, categories, media
_child = Child(
    "mwparserfromhell",
    "corpus.text.wikitext:answer",
    requests=100_000,
    warm=b'{"wikitext": "", "files": []}',
    memory=_MEMORY,
)
_REDIRECT = re.compile(r"\s*#[^\W\d_]+\s*:?\s*\[\[")
# What stands around the text of an article, by the classes of MediaWiki and of its templates.
_AROUND = (
    "sup.reference, .mw-ref, .mw-references-wrap, ol.references, .reflist, .navbox, .infobox, .sidebar, "
    ".ambox, .metadata, .noprint, .mw-editsection, .toc, .hatnote, .sistersitebox, style, link"
)


def read(source: Source, path: str) -> Items:
    """Yield the articles of a dump, whose form its first bytes show; `offset` is the page, from 0.

    Skipped kinds: "redirect", "namespace" (not an article), "model" (not wikitext). Rejected causes:
    "oversized", "null-text", "bad-json", "timeout", "crash" and "bad-wikitext" of mwparserfromhell; and once,
    where reading had to stop, "bad-xml", "bad-tar" or the cause from `compression.inflate`. A file that is
    not a dump is Unreadable. Raises OSError if the file system does, never for content.
    """
    limit = int(source.max_record_mb * MIB)
    with files.open_bytes(path) as file:
        window = Window(file)
        rest: Iterator[Item] = iter(())
        number = -1
        try:
            content = contents(window, detect(window, path))
            head = next(content, b"")
            content = chain([head], content)
            start = head[:_HEAD].lstrip(b"\xef\xbb\xbf \t\r\n")
            if head[257:262] == b"ustar":
                rest = _html_in_tar(content, limit)
            elif start.startswith(b"{"):
                rest = _html(content, limit, 0)
            elif b"<mediawiki" in start and b"<!DOCTYPE" not in start:
                rest = _Export(limit).pages(content)
            else:
                yield Unreadable("not-a-dump", "expected an XML export of MediaWiki, or JSON lines")
                return
            for item in rest:
                number = item.offset if not isinstance(item, Unreadable) else number
                yield item
        except (DamageError, etree.XMLSyntaxError, tarfile.TarError) as error:
            other = "bad-tar" if isinstance(error, tarfile.TarError) else "bad-xml"
            cause = error.cause if isinstance(error, DamageError) else other
            if number < 0:
                yield Unreadable(cause, str(error))
            else:
                yield Rejected(number + 1, cause, f"{error}; nothing after it was read")


class _Export:
    """An XML export of MediaWiki, read page by page; of a page with its history the last revision counts."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._files = list(FILES)
        self._base = ""
        self._number = -1

    def pages(self, content: Iterator[bytes]) -> Iterator[Item]:
        """Yield an item for each page; etree.XMLSyntaxError where the file is damaged."""
        parser = etree.XMLPullParser(
            ("end",),
            tag=("{*}siteinfo", "{*}revision", "{*}page"),
            huge_tree=True,  # a page may have more than 10 MB; there are no entities to grow (`read`)
            no_network=True,
            remove_comments=True,
            remove_pis=True,
        )
        held = 0  # bytes since the last element that was let go
        last: tuple[str, str, str] | None = None
        for piece in content:
            for at in range(0, len(piece), 1 << 16):
                part = piece[at : at + (1 << 16)]
                held += len(part)
                damage = None
                try:
                    parser.feed(part)
                except etree.XMLSyntaxError as error:  # what is whole before it comes first
                    damage = error
                for _, element in parser.read_events():
                    kind = etree.QName(element).localname
                    if kind == "siteinfo":
                        self._read_siteinfo(element)
                    elif kind == "revision":
                        last = _revision(element)
                    else:
                        self._number += 1
                        yield self._page(element, last)
                        last = None
                    element.clear()
                    while kind == "page" and element.getprevious() is not None:
                        del element.getparent()[0]
                    held = 0
                if damage is not None:
                    raise damage
                if held > self._limit + (1 << 20):
                    detail = f"more than {self._limit} bytes; nothing after it was read"
                    yield Rejected(self._number + 1, "oversized", detail)
                    return
        parser.close()

    def _read_siteinfo(self, element: etree._Element) -> None:
        self._base = (element.findtext("{*}base") or "").rpartition("/")[0]
        for each in element.iter("{*}namespace"):
            if each.get("key") in _NAMED and each.text:
                self._files.append(each.text.lower())

    def _page(self, element: etree._Element, last: tuple[str, str, str] | None) -> Item:
        title = encodable(element.findtext("{*}title") or "")
        if (element.findtext("{*}ns") or "0") != "0":
            return Skipped(self._number, "namespace")
        wikitext, timestamp, model = last or ("", "", "")
        if element.find("{*}redirect") is not None or _REDIRECT.match(wikitext):
            return Skipped(self._number, "redirect")
        if model not in ("", "wikitext"):
            return Skipped(self._number, "model")
        url = f"{self._base}/{quote(title.replace(' ', '_'), safe='/:@,;!*()~')}" if self._base else ""
        if not wikitext:
            return Rejected(self._number, "null-text", "the page has no text", url)
        if len(wikitext.encode()) > self._limit:
            return Rejected(self._number, "oversized", f"the limit is {self._limit} bytes", url)
        request = json.dumps({"wikitext": wikitext, "files": self._files}).encode()
        try:
            text = _child.ask(request, _TIMEOUT_S).decode()
        except ChildError as error:
            cause = "bad-wikitext" if error.cause == "error" else error.cause
            return Rejected(self._number, cause, str(error), url)
        return RawDocument(text, "text", url, self._number, moment(timestamp), work=Work(title))


def _revision(element: etree._Element) -> tuple[str, str, str]:
    """Return the text, time and content model of a revision."""
    text, timestamp, model = (
        element.findtext(f"{{*}}{name}") or "" for name in ("text", "timestamp", "model")
    )
    return text, timestamp, model


def _html_in_tar(content: Iterator[bytes], limit: int) -> Iterator[Item]:
    """Yield the articles of all files of a tar archive, one after the other."""
    number = 0
    with tarfile.open(fileobj=_Stream(content), mode="r|") as archive:
        for member in archive:
            part = archive.extractfile(member) if member.isfile() else None
            if part is None:
                continue
            for item in _html(iter(lambda part=part: part.read(MIB), b""), limit, number):  # type: ignore[misc]
                yield item
                number += 1


def _html(content: Iterator[bytes], limit: int, first: int) -> Iterator[Item]:
    """Yield the articles of JSON lines, as Wikimedia Enterprise writes them."""
    number = first
    for _, line in lines(content, limit):
        if line is not None and not line.strip():
            continue
        yield _article(line, limit, number)
        number += 1


def _article(line: bytes | None, limit: int, number: int) -> Item:
    if line is None:
        return Rejected(number, "oversized", f"the line has more than {limit} bytes")
    try:
        fields: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Rejected(number, "bad-json", str(error))
    if not isinstance(fields, dict):
        return Rejected(number, "bad-json", f"expected a JSON object, found {type(fields).__name__}")
    url = encodable(fields.get("url"))
    if _inner(fields, "namespace", "identifier") not in (0, None):
        return Skipped(number, "namespace")
    html = _inner(fields, "article_body", "html")
    if not isinstance(html, str) or not html:
        return Rejected(number, "null-text", "'article_body' has no 'html'", url)
    licences = fields.get("license")
    named = [
        encodable(each.get("url")) or encodable(each.get("name"))
        for each in (licences if isinstance(licences, list) else ())
        if isinstance(each, dict)
    ]
    work = Work(encodable(fields.get("name")), (), " ".join(filter(None, named)))
    fetched = moment(fields.get("date_modified"))
    return RawDocument(_without_around(encodable(html)), "html", url, number, fetched, work=work)


def _inner(fields: dict[str, Any], outer: str, name: str) -> Any:
    found = fields.get(outer)
    return found.get(name) if isinstance(found, dict) else None


def _without_around(html: str) -> str:
    tree = HTMLTree.parse(html)
    around = tree.document.query_selector_all(_AROUND) if tree.document is not None else ()
    for node in around:
        node.decompose()
    return str(tree)


class _Stream(io.RawIOBase):
    """Pieces of bytes as a file that is read once, from its start to its end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, fewer at the end only."""
        parts, wanted = [self._rest], size - len(self._rest)
        while size < 0 or wanted > 0:
            piece = next(self._pieces, b"")
            if not piece:
                break
            parts.append(piece)
            wanted -= len(piece)
        held = b"".join(parts)
        if size < 0:
            self._rest = b""
            return held
        self._rest = held[size:]
        return held[:size]
