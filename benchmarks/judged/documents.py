"""Find the judged documents again in the shared data, and draw new ones: `documents.py DATA [STRATUM ...]`.

A document is named by its stratum and its id there; its hash is the first 16 hex digits of the SHA-256 of
its text as the filters see it, after extraction and repair.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import re
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import zstandard
from resiliparse.extract.html2text import extract_plain_text

from corpus.config import Source
from corpus.items import RawDocument
from corpus.sources import warc
from corpus.text.charset import decode
from corpus.text.html import extract
from corpus.text.repair import repair

SEED = "derlem judged 1"
Texts = Iterator[tuple[str, Callable[[], str]]]  # id, and its text when it is asked for


class Document(NamedTuple):
    stratum: str
    id: str
    text: str

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _order(stratum: str, id: str) -> str:
    return hashlib.sha256(f"{SEED}\0{stratum}\0{id}".encode()).hexdigest()


def is_for_choosing(stratum: str, id: str) -> bool:
    """Return whether a document is in the third on which limits are chosen, by the hash of its name."""
    return int(hashlib.sha256(f"{stratum}\0{id}".encode()).hexdigest(), 16) % 3 == 0


def _rows(path: Path) -> Iterator[dict[str, str]]:
    packed = path.read_bytes()
    if path.suffix == ".gz":
        lines = gzip.decompress(packed)
    else:
        lines = zstandard.ZstdDecompressor().stream_reader(packed).read()
    yield from map(json.loads, io.BytesIO(lines))


def _texts(data: Path, name: str) -> Texts:
    yield from ((row["id"], partial(str, row["text"])) for row in _rows(data / name))


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as tar:
        for member in tar:
            if member.isfile() and (file := tar.extractfile(member)):
                yield member.name, file.read()


def _pages(data: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    """Yield the pages of tar files."""
    for path in sorted((data / "html-gold").glob(pattern)):
        yield from (each for each in _members(path) if each[0].endswith((".html", ".htm")))


def _main_text(page: bytes, charset: str | None = None) -> str:
    return extract(decode(page, charset).text, timeout_s=60)


def _whole_text(page: bytes) -> str:
    return extract_plain_text(decode(page).text, main_content=False, alt_texts=False)


def _main_texts(data: Path, pattern: str) -> Texts:
    yield from ((name, partial(_main_text, page)) for name, page in _pages(data, pattern))


def _whole_pages(data: Path, pattern: str) -> Texts:
    """Yield all text of pages, with menus and notices: what an extractor that fails lets through."""
    for name, page in _pages(data, pattern):
        yield name, partial(_whole_text, page)


def _warc(data: Path, name: str) -> Texts:
    source = Source(name="judged", format="warc", paths=(name,))
    for item in warc.read(source, str(data / name)):
        if isinstance(item, RawDocument) and item.media == "html" and isinstance(item.content, bytes):
            yield item.url, partial(_main_text, item.content, item.charset)


def _tweets(data: Path) -> Texts:
    yield from _texts(data, "harm/offenseval-tr/tweets.jsonl.gz")


def _sentences(data: Path) -> Texts:
    """Yield runs of twelve sentences of one register, such as news or essays."""
    registers: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in _rows(data / "lid/ud-turkish-boun/sentences.jsonl.gz"):
        registers[row["sent_id"].split("_")[0]].append(row)
    for rows in registers.values():
        for at in range(0, len(rows) - 11, 12):
            run = rows[at : at + 12]
            yield run[0]["sent_id"], partial(" ".join, [row["text"] for row in run])


def _interface(data: Path) -> Texts:
    """Yield runs of twenty strings of a program's interface."""
    rows = [row for row in _rows(data / "lid/mediawiki-i18n/messages.jsonl.gz") if row["code"] == "tr"]
    for at in range(0, len(rows) - 19, 20):
        yield str(at), partial("\n".join, [row["text"] for row in rows[at : at + 20]])


def _news_sentences(data: Path) -> Texts:
    for name, payload in _members(data / "lid/lingua-testdata/language-testdata.tar.gz"):
        if name.endswith("sentences/tr.txt"):
            lines = payload.decode().splitlines()
            yield from ((str(at), partial(str, line)) for at, line in enumerate(lines))


def _docbook(data: Path) -> Texts:
    for path in sorted((data / "encoding/php-doc-tr-legacy/files").glob("*.xml")):
        yield path.name, partial(path.read_text, encoding="iso-8859-9")


def _feeds(data: Path) -> Texts:
    for name, payload in _members(data / "encoding/chardet-tests/files.tar.gz"):
        if "turkish" in name:
            yield name, partial(str, decode(payload, html=False).text)


def _pdf(data: Path) -> Texts:
    for path in sorted((data / "pdf-tr").glob("*.txt")):
        yield path.name, partial(path.read_text, encoding="utf-8")


def _damaged(data: Path, *, how: Callable[[str], str]) -> Texts:
    """Yield manuals damaged as careless programs damage text; cut, so that the damage is all of it."""
    rows = chain(_texts(data, "text-tr/d365-docs.jsonl.zst"), _texts(data, "text-tr/mevzuat.jsonl.zst"))
    yield from ((id, partial(_cut, text, how)) for id, text in rows)


def _cut(text: Callable[[], str], how: Callable[[str], str]) -> str:
    return how(text()[:6000])


def _lost_letters(text: str) -> str:
    return text.encode("latin-1", "replace").decode("latin-1")


def _misread(text: str) -> str:
    return text.encode().decode("latin-1")


def _lost_breaks(text: str) -> str:
    return re.sub(r"\s*\n\s*", "", text)


STRATA: dict[str, tuple[int, Callable[[Path], Texts]]] = {
    "law": (80, lambda data: _texts(data, "text-tr/mevzuat.jsonl.zst")),
    "law-dirty": (36, lambda data: _texts(data, "text-tr/mevzuat-dirty-sample.jsonl.zst")),
    "manual": (80, lambda data: _texts(data, "text-tr/d365-docs.jsonl.zst")),
    "manual-mixed": (64, lambda data: _texts(data, "text-tr/powerbi-docs.jsonl.zst")),
    "machine-translated": (110, lambda data: _texts(data, "text-tr/cpp-docs-mt.jsonl.zst")),
    "help": (80, lambda data: _texts(data, "text-tr/libreoffice-help.jsonl.zst")),
    "web-tr": (24, lambda data: _main_texts(data, "tr-libreoffice-help/pages.tar.gz")),
    "web-tr-whole": (16, lambda data: _whole_pages(data, "tr-libreoffice-help/pages.tar.gz")),
    "docbook": (10, _docbook),
    "feed": (4, _feeds),
    "pdf": (4, _pdf),
    "prose": (40, _sentences),
    "tweet": (24, _tweets),
    "sentence": (12, _news_sentences),
    "interface": (12, _interface),
    "lost-letters": (10, lambda data: _damaged(data, how=_lost_letters)),
    "misread": (8, lambda data: _damaged(data, how=_misread)),
    "lost-breaks": (10, lambda data: _damaged(data, how=_lost_breaks)),
    "web-en": (100, lambda data: _main_texts(data, "wcxb-dev/pages-[1-3].tar.xz")),
    "web-en-whole": (24, lambda data: _whole_pages(data, "wcxb-dev/pages-4.tar.xz")),
    "web-mixed": (24, lambda data: _main_texts(data, "trafilatura-eval/pages.tar.gz")),
    "web-2008": (30, lambda data: _warc(data, "warc/aut/example.warc.gz")),
    "web-wget": (8, lambda data: _warc(data, "warc/dolma/sample-0000.warc.gz")),
    "help-en": (12, lambda data: _texts(data, "text-multi/libreoffice-help-en.jsonl.zst")),
    "handbook": (8, lambda data: _texts(data, "text-multi/debian-handbook.jsonl.zst")),
}


def population(data: Path, stratum: str, ids: set[str] | None = None) -> Iterator[Document]:
    """Yield the documents of a stratum, or those with these ids, in the order in which they are drawn.

    The text is as the filters see it. Of documents with the same id the first one counts; a page without text
    is no document.
    """
    found: dict[str, Callable[[], str]] = {}
    for id, text in STRATA[stratum][1](data):
        if ids is None or id in ids:
            found.setdefault(id, text)
    for id in sorted(found, key=lambda id: _order(stratum, id)):
        repaired = repair(found[id]()).text.strip()
        if repaired:
            yield Document(stratum, id, repaired)


def draw(data: Path, stratum: str) -> list[Document]:
    """Return the stratum's share of the set, the first by a seeded hash of the ids."""
    return list(islice(population(data, stratum), STRATA[stratum][0]))


def find(data: Path, names: set[tuple[str, str]]) -> Iterator[Document]:
    """Yield the documents that have these strata and ids."""
    for stratum in STRATA:
        ids = {id for name, id in names if name == stratum}
        if ids:
            yield from population(data, stratum, ids)


def excerpt(document: Document) -> str:
    """Return what a reader judges: the length, the start and the end of a document."""
    text = re.sub(r"\n\s*\n+", "\n", document.text)
    shown = text if len(text) <= 950 else f"{text[:600]}\n [...]\n{text[-320:]}"
    lines = text.count("\n") + 1
    return f"{len(document.text)} characters, {len(text.split())} words, {lines} lines\n{shown}"


def main() -> None:
    """Print drawn documents as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("strata", nargs="*", default=list(STRATA))
    args = parser.parse_args()
    for stratum in args.strata:
        for document in draw(args.data, stratum):
            print(json.dumps(document._asdict() | {"hash": document.hash}, ensure_ascii=False))


if __name__ == "__main__":
    main()
