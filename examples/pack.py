"""Packs the sample site with its planted defects into one WARC: `python examples/pack.py OUT.warc.gz`.

The same bytes come out each time: order and dates are fixed, identifiers are hashes. What is planted, and
what must become of it, stands in `defects.toml`; a page that no row there names is served as it should be.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import html
import re
import tomllib
import unicodedata
import uuid
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template
from typing import Any

import brotli

HERE = Path(__file__).parent
HOST = "https://kitaplik.example"
NOTICE = "Bu sayfada bir yanlış gördüyseniz lütfen danışma masasına haber verin, en kısa sürede düzeltelim."
"""A line inside the article of most pages, which only its repetition tells from text."""
FIRST_FETCH = datetime(2024, 5, 6, 9, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Row:
    """One record of the crawl: what is served, how it is sent and stored, and what must become of it."""

    name: str
    what: str = ""
    # What is served.
    page: str = ""  # the fragment: a path under site/, without .html
    path: str = ""  # of the URL; where empty, the page's own
    frame: str = "template"  # the file around the fragment; "" serves the fragment as it is
    sidebar: int = 0  # how far the sidebar's list of links is moved on
    change: tuple[str, ...] = ()  # names in CHANGES, applied to the fragment's text
    # How it is sent.
    charset: str = "utf-8"  # of the bytes
    header: str = "utf-8"  # the charset that the HTTP header claims; "" for none
    meta: str = "utf-8"  # the charset that the page claims; "" for none
    wire: tuple[str, ...] = ()  # names in WIRE, applied to the body
    status: str = "200 OK"
    type: str = "text/html"
    length_error: int = 0  # added to the HTTP Content-Length
    # How it is stored.
    record: str = "response"
    damage: str = ""  # a name in DAMAGE
    # What must become of it; the README says what each fate and `by` mean.
    fate: str = "kept"
    by: str = ""
    survivor: str = ""
    whole: bool = False  # kept with every paragraph of the fragment, letter by letter
    language: str = ""
    encoding: str = ""
    redactions: int = 0
    holds: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The address at which the record was found."""
        if self.path.startswith("http"):
            return self.path
        return HOST + (self.path or f"/{self.page}.html")


@dataclass(frozen=True, slots=True)
class Packed:
    """A row with the time of its fetch and the bytes that stand for it in the WARC: one gzip member."""

    row: Row
    fetched: datetime
    member: bytes


# ---------------------------------------------------------------- the fragment's text


def paragraphs(fragment: str) -> list[str]:
    """Return the text of each heading and paragraph of a fragment."""
    found = re.findall(r"<(h[1-6]|p|li)>(.*?)</\1>", fragment, re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]+>", "", inner)).strip() for _, inner in found]


def title(fragment: str) -> str:
    """Return the text of a fragment's first block, "" where there is none."""
    return next(iter(paragraphs(fragment)), "")


def _every_word(text: str, number: int, change: Callable[[str], str]) -> str:
    """Change each `number`-th word of a text."""
    words = re.split(r"(\s+)", text)
    for at in range(2 * number - 2, len(words), 2 * number):
        words[at] = change(words[at])
    return "".join(words)


def _as_windows_1252(data: bytes) -> str:
    """Decode as browsers do: the five bytes that windows-1252 leaves open become control characters."""
    return data.decode("cp1252", "surrogateescape").translate(
        {0xDC00 + byte: byte for byte in range(0x80, 0xA0)}
    )


_SPACING = {"ş": "s¸", "Ş": "S¸", "ç": "c¸", "Ç": "C¸", "ğ": "g˘", "ö": "o¨", "Ö": "O¨", "ü": "u¨", "Ü": "U¨"}


def _with_invisible(text: str) -> str:
    text = _every_word(text, 3, lambda word: word[:3] + "\u00ad" + word[3:] if len(word) > 6 else word)
    return "\ufeff" + _every_word(text, 7, lambda word: word + "\u200b")


CHANGES: dict[str, Callable[[str], str]] = {
    "windows-1254 read as windows-1252": lambda text: text.encode("cp1254").decode("cp1252"),
    "UTF-8 read as windows-1252": lambda text: _as_windows_1252(text.encode()),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "i with a second dot": lambda text: re.sub(r"\bi", "i\u0307", text),
    "spacing diacritics": lambda text: re.sub("[şŞçÇğöÖüÜ]", lambda found: _SPACING[found[0]], text),
    "invisible characters": _with_invisible,
    "capitals": lambda text: text.replace("i", "İ").upper(),
    "each 40th word left out": lambda text: _every_word(text, 40, lambda word: ""),
}


def changed(fragment: str, name: str) -> str:
    """Apply a change to the text between the tags."""
    return re.sub(r"(?<=>)[^<>\n]+(?=<)", lambda found: CHANGES[name](found[0]), fragment)


def _half(fragment: str) -> str:
    blocks = fragment.strip().split("\n")
    return "\n".join(blocks[: len(blocks) // 2]) + "\n" + read("defects/letter")


def _with_long_word(fragment: str) -> str:
    blocks = [hashlib.sha512(bytes([number])).digest() for number in range(60)]
    return f"{fragment}<p>{base64.b64encode(b''.join(blocks)).decode().rstrip('=')}</p>\n"


SHAPES: dict[str, Callable[[str], str]] = {
    "forty times": lambda fragment: fragment + fragment.partition("\n")[2] * 39,
    "without heading": lambda fragment: fragment.partition("\n")[2],
    "with an update": lambda fragment: fragment + read("defects/update"),
    "first half and a letter": _half,
    "with a long word": _with_long_word,
    "6 MiB": lambda fragment: fragment * (6 * 2**20 // len(fragment.encode()) + 1),
}


def read(page: str) -> str:
    """Read a fragment: a few blocks of HTML, one a line."""
    return (HERE / "site" / f"{page}.html").read_text(encoding="utf-8")


def rendered(row: Row, date: datetime, links: list[tuple[str, str]]) -> str:
    """Return the whole page of a row; `links` are address and title of every page of the site."""
    fragment = read(row.page) if row.page else ""
    for name in row.change:
        fragment = SHAPES[name](fragment) if name in SHAPES else changed(fragment, name)
    if not row.frame:
        return fragment
    language = row.page.partition("/")[0]
    at = sum(map(ord, row.page)) + row.sidebar
    near = [links[(at + step * 7) % len(links)] for step in range(6)]
    frame = (HERE / "site" / f"{row.frame}.html").read_text(encoding="utf-8")
    return Template(frame).substitute(
        body=fragment.strip(),
        notice="" if row.path or row.change else f"<p>{NOTICE}</p>",
        title=title(fragment),
        meta=f'<meta charset="{row.meta}">' if row.meta else "",
        lang=language if len(language) == 2 else "tr",
        path=row.page,
        date=f"{date:%d.%m.%Y}",
        sidebar="\n".join(f'<li><a href="{url}">{name}</a></li>' for url, name in near),
    )


def _deflated(data: bytes, wbits: int) -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return stream.compress(data) + stream.flush()


def gzipped(data: bytes) -> bytes:
    """Compress to one gzip member without name and time."""
    return _deflated(data, 31)


def _chunked(data: bytes, size: int = 4000) -> bytes:
    pieces = [data[at : at + size] for at in range(0, len(data), size)] + [b""]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


WIRE: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("Content-Encoding: gzip", gzipped),
    "br": ("Content-Encoding: br", brotli.compress),
    "deflate": ("Content-Encoding: deflate", lambda data: _deflated(data, 15)),
    "raw deflate": ("Content-Encoding: deflate", lambda data: _deflated(data, -15)),
    "chunked": ("Transfer-Encoding: chunked", _chunked),
    "gzip of 40 MiB": ("Content-Encoding: gzip", lambda data: gzipped(data + b" " * 40 * 2**20)),
}


def body(row: Row, date: datetime, links: list[tuple[str, str]]) -> bytes:
    """Return the body of a row's response before compression for the wire."""
    if row.type == "image/png":
        return base64.b64decode(
            "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
        )
    bom = "\ufeff" if row.charset in ("utf-16-le", "utf-8-sig") else ""
    text = bom + rendered(row, date, links)
    return text.encode(row.charset.removesuffix("-sig"), "xmlcharrefreplace")


def http(row: Row, content: bytes) -> bytes:
    """Return a row's HTTP response: status line, headers, body."""
    lines = [f"HTTP/1.1 {row.status}", f"Content-Type: {row.type}{row.header and f'; charset={row.header}'}"]
    for name in row.wire:
        header, apply = WIRE[name]
        lines.append(header)
        content = apply(content)
    if row.status.startswith("301"):
        lines.append(f"Location: {HOST}/tr/ebru-sanati.html")
    if "chunked" not in row.wire:
        lines.append(f"Content-Length: {len(content) + row.length_error}")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + content


def _digest(data: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(data).digest()).decode("ascii")


def warc(row: Row, fetched: datetime, block: bytes) -> bytes:
    """Return a row's WARC record, not compressed."""
    instant = f"{fetched:%Y-%m-%dT%H:%M:%SZ}"
    media = {
        "response": "application/http; msgtype=response",
        "revisit": "application/http; msgtype=response",
    }
    media |= {"request": "application/http; msgtype=request", "resource": row.type}
    payload = (
        block.partition(b"\r\n\r\n")[2] if media.get(row.record, "").startswith("application/http") else block
    )
    headers = {
        "WARC-Type": row.record,
        "WARC-Record-ID": f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{row.name} {row.url} {instant}')}>",
        "WARC-Date": instant,
        "WARC-Target-URI": row.url,
        "Content-Type": media.get(row.record, "application/warc-fields"),
        "WARC-Block-Digest": _digest(block),
        "WARC-Payload-Digest": _digest(payload),
        "Content-Length": str(len(block) + {"longer": 700, "shorter": -700}.get(row.damage, 0)),
    }
    if row.record == "revisit":
        headers["WARC-Profile"] = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
        del headers["WARC-Payload-Digest"]
    if row.record == "warcinfo":
        del headers["WARC-Target-URI"]
    lines = ["WARC/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + block + b"\r\n\r\n"


def _corrupted(member: bytes) -> bytes:
    middle = len(member) // 2
    return (
        member[:middle] + bytes(byte ^ 0xFF for byte in member[middle : middle + 40]) + member[middle + 40 :]
    )


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "corrupt": _corrupted,
    "cut": lambda member: member[: len(member) // 2],
}  # "longer" and "shorter" make the record's Content-Length wrong, see `warc`


# ---------------------------------------------------------------- the crawl


def defects() -> list[Row]:
    """Read the table of planted defects; TypeError names a key that no row can have."""
    with (HERE / "defects.toml").open("rb") as file:
        rows: list[dict[str, Any]] = tomllib.load(file)["defect"]
    fields: list[dict[str, Any]] = [
        {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
        for row in rows
    ]
    return [Row(**row) for row in fields]


def pages() -> list[str]:
    """Name every page of the site, defect material apart."""
    found = (path.relative_to(HERE / "site").with_suffix("") for path in (HERE / "site").glob("??/*.html"))
    return sorted(page.as_posix() for page in found)


def crawl() -> list[Row]:
    """Return every record in order: the site's pages, then what is found besides them.

    A row of the table without a path of its own stands where its page would; the others follow in order.
    """
    table = defects()
    served = {row.page: row for row in table if row.page and not row.path}
    return [
        *(served.pop(page, Row(name=page, page=page, whole=True)) for page in pages()),
        *(row for row in table if row.path or row.page in served or not row.page),
    ]


def packed() -> Iterator[Packed]:
    """Yield every record of the crawl as bytes, each fetched seven seconds after the one before."""
    links = [(f"/{page}.html", title(read(page))) for page in pages()]
    info = Row(name="warcinfo", path="/", record="warcinfo")
    yield Packed(info, FIRST_FETCH, gzipped(warc(info, FIRST_FETCH, b"software: examples/pack.py\r\n")))
    for number, row in enumerate(crawl(), start=1):
        fetched = FIRST_FETCH + timedelta(seconds=7 * number)
        member = gzipped(warc(row, fetched, _block(row, fetched, links)))
        yield Packed(row, fetched, DAMAGE[row.damage](member) if row.damage in DAMAGE else member)


def _block(row: Row, fetched: datetime, links: list[tuple[str, str]]) -> bytes:
    if row.record == "request":
        return f"GET {row.path} HTTP/1.1\r\nHost: {HOST.partition('//')[2]}\r\n\r\n".encode()
    if row.record == "metadata":
        return b"fetchTimeMs: 212\r\ncharset-detected: windows-1254\r\n"
    if row.record == "revisit":
        return b"HTTP/1.1 304 Not Modified\r\n\r\n"
    content = body(row, fetched, links)
    return content if row.record == "resource" else http(row, content)


def write_warc(path: Path) -> None:
    """Write the crawl as one WARC file, gzip by record."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(item.member for item in packed()))


def write_site(folder: Path) -> None:
    """Write the site's pages as files for a local web server, without the defects."""
    links = [(f"/{page}.html", title(read(page))) for page in pages()]
    for page in pages():
        target = folder / f"{page}.html"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body(Row(name=page, page=page), FIRST_FETCH, links))


def tables() -> str:
    """Return two Markdown tables, as the README shows them: the site by language, and the planted defects."""
    lines = ["| language | pages | words |", "|---|---|---|"]
    total_pages = total_words = 0
    for language in sorted({page.partition("/")[0] for page in pages()}):
        own = [page for page in pages() if page.startswith(f"{language}/")]
        words = sum(len(" ".join(paragraphs(read(page))).split()) for page in own)
        lines.append(f"| {language} | {len(own)} | {words:,} |")
        total_pages, total_words = total_pages + len(own), total_words + words
    lines += [f"| all | {total_pages} | {total_words:,} |", ""]
    lines += ["| defect | where | what is planted | what becomes of it |", "|---|---|---|---|"]
    for row in defects():
        where = row.url.removeprefix(HOST)
        lines.append(f"| {row.name} | {where} | {row.what} | {outcome(row)} |")
    return "\n".join(lines) + "\n"


def outcome(row: Row) -> str:
    """Return in words what must become of a row's record."""
    match row.fate:
        case "kept":
            return "kept, every letter right" if row.whole else "kept"
        case "removed":
            return f"removed as {row.by} copy of {row.survivor}"
        case fate:
            return f"{fate}: `{row.by}`"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("out", type=Path, nargs="?", help="the WARC file to write, OUT.warc.gz")
    what.add_argument("--site", type=Path, metavar="FOLDER", help="write the site's pages as files instead")
    what.add_argument("--tables", action="store_true", help="print the README's tables instead")
    options = parser.parse_args()
    if options.tables:
        print(tables(), end="")
    elif options.site:
        write_site(options.site)
    else:
        write_warc(options.out)


if __name__ == "__main__":
    main()
