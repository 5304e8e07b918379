"""EPUB books: one document a book, its chapters in the order of the spine."""

from __future__ import annotations

import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lxml import etree

from corpus import files
from corpus.errors import Signal
from corpus.items import Item, Items, RawDocument, Rejected, Unreadable, Work
from corpus.sources.inputs import MIB
from corpus.sources.jsonl import encodable
from corpus.text import charset

if TYPE_CHECKING:
    from corpus.config import Source

_PAGES = frozenset({"application/xhtml+xml", "text/html", "application/x-dtbook+xml"})
_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
_DC = "{http://purl.org/dc/elements/1.1/}"


class _BookError(Signal):
    """A book cannot be read: a short stable cause, and what was found."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause


def read(source: Source, path: str) -> Items:
    """Yield the text of a book, with the title, authors and rights that it states.

    Rejected causes: "bad-epub" (a part is missing or damaged), "encrypted", "no-text", and "oversized" where
    its pages unpack to more than `max_record_mb`; no more than that is unpacked. A file that is not an EPUB
    is Unreadable. Raises OSError if the file system does.
    """
    limit = int(source.max_record_mb * MIB)
    with files.open_bytes(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                yield _Book(archive, limit).document()
        except zipfile.BadZipFile as error:
            yield Unreadable("not-epub", str(error))
        except _BookError as error:
            yield Rejected(0, error.cause, str(error))


class _Book:
    """A book of which at most `limit` bytes are unpacked."""

    def __init__(self, archive: zipfile.ZipFile, limit: int) -> None:
        self._archive, self._limit, self._left = archive, limit, limit

    def document(self) -> Item:
        """Return the book as one document, a block of its pages a line."""
        package = self._package()
        text = "\n".join(line for name in self._spine(*package) for line in _lines(self._read(name)))
        if not text:
            return Rejected(0, "no-text", "no page of its spine has text")
        return RawDocument(encodable(text), "text", "", 0, work=_work(package[1]))

    def _package(self) -> tuple[str, etree._Element]:
        """Return the name and the content of the file that lists the book's parts."""
        container = _xml(self._read("META-INF/container.xml"), "META-INF/container.xml")
        name = next(
            (found for each in container.iter("{*}rootfile") if (found := each.get("full-path"))), None
        )
        if name is None:
            raise _BookError("bad-epub", "META-INF/container.xml names no rootfile")
        return name, _xml(self._read(name), name)

    def _spine(self, name: str, package: etree._Element) -> Iterator[str]:
        """Yield the pages in reading order, without the table of contents and what is only linked to."""
        folder = posixpath.dirname(name)
        locked = self._locked()
        parts = {each.get("id"): each for each in package.iterfind("{*}manifest/{*}item")}
        for each in package.iterfind("{*}spine/{*}itemref"):
            part = parts.get(each.get("idref"))
            if part is None or each.get("linear") == "no" or "nav" in (part.get("properties") or "").split():
                continue
            page = posixpath.normpath(posixpath.join(folder, unquote(part.get("href") or "")))
            if page in locked:
                raise _BookError("encrypted", f"{page} is encrypted")
            if part.get("media-type") in _PAGES:
                yield page

    def _locked(self) -> set[str]:
        """Return the parts that are encrypted; fonts made unusable for other programs do not count."""
        name = "META-INF/encryption.xml"
        if name not in self._archive.namelist():
            return set()
        found = set()
        for each in _xml(self._read(name), name).iter("{*}EncryptedData"):
            method, part = each.find("{*}EncryptionMethod"), each.find(".//{*}CipherReference")
            if part is not None and (method is None or method.get("Algorithm") not in _FONTS):
                found.add(unquote(part.get("URI") or ""))
        return found

    def _read(self, name: str) -> bytes:
        try:
            with self._archive.open(name) as part:
                content = part.read(self._left + 1)
        except KeyError:
            raise _BookError("bad-epub", f"{name} is missing") from None
        except RuntimeError as error:  # of zipfile, for a part with a password
            raise _BookError("encrypted", str(error)) from None
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise _BookError("bad-epub", f"{name} is damaged: {error}") from None
        self._left -= len(content)
        if self._left < 0:
            raise _BookError("oversized", f"its parts unpack to more than {self._limit} bytes")
        return content


def _xml(content: bytes, name: str) -> etree._Element:
    parser = etree.XMLParser(no_network=True, recover=True)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise _BookError("bad-epub", f"{name} is not XML: {error}") from None
    if root is None:
        raise _BookError("bad-epub", f"{name} is not XML")
    return root


def _lines(page: bytes) -> list[str]:
    """Return the blocks of a page; all of a book is main text."""
    from resiliparse.extract.html2text import extract_plain_text

    text = extract_plain_text(charset.decode(page, None, html=True).text, alt_texts=False)
    return [line for each in text.split("\n") if (line := each.strip())]


def _work(package: etree._Element) -> Work:
    """Return what the book states of itself; contributors whose role is not author are omitted."""
    metadata = package.find("{*}metadata")
    if metadata is None:
        return Work()
    roles = {
        each.get("refines"): each.text
        for each in metadata.iterfind("{*}meta")
        if each.get("property") == "role"
    }
    authors = []
    for each in metadata.iter(f"{_DC}creator"):
        role = each.get("{http://www.idpf.org/2007/opf}role") or roles.get(f"#{each.get('id')}") or "aut"
        if role == "aut" and (name := _text(each)):
            authors.append(name)
    title, rights = (next(map(_text, metadata.iter(f"{_DC}{name}")), "") for name in ("title", "rights"))
    return Work(title, tuple(authors), rights)


def _text(element: etree._Element) -> str:
    return encodable(" ".join("".join(element.itertext()).split()))
