"""Archives with one damaged record among good ones, made from a seed, and what reading them must give."""

from __future__ import annotations

import gzip
import random
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path

import brotli
import zstandard
from archives import FRAMES, arc_head, arc_record, record, response

from corpus.config import Source
from corpus.items import RawDocument, Rejected
from corpus.sources import read
from corpus.web.framing import Arc, Warc

FORMATS = ("warc", "warc.gz", "warc.zst", "warc.lz4", "arc", "arc.gz")
"""The archives that are damaged in turn: records as they are, and compressed one by one."""

GOOD = 4  # records of a file that stay as they are
_MOST_SECONDS = 5.0
_WORDS = ("liman", "deniz", "balıkçı", "iskele", "fener", "poyraz", "rıhtım", "<b>ağ</b>", "&ccedil;ay")
_HOSTILE = (
    b"WARC/1.0\r\n",
    b"\r\n\r\n",
    b"\n\r\n",
    b"Content-Length: 99999999999\r\n",
    b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: gzip\r\n",
    b"\x1f\x8b\x08",
    b"\x28\xb5\x2f\xfd",
    b"\x04\x22\x4d\x18",
    b"\x50\x2a\x4d\x18\xff\xff\xff\x7f",
    b"\0" * 40,
    b"\n" * 300,
    b"<" * 200,
    b"http://a.example/ 1.1.1.1 20200101000000 text/html 5\n",
)


@dataclass(frozen=True, slots=True)
class Damaged:
    """A file with a damaged record: its bytes, where records start, and the pages of the good by address."""

    seed: int
    format: str
    data: bytes
    good: dict[str, bytes]
    starts: tuple[int, ...]
    hit: int

    def swallows(self) -> bool:
        """Return whether the damaged record's length leads, by chance, to the start of a later record.

        Without members such a record is as right as any; nothing could tell that it holds others.
        """
        if self.format not in ("warc", "arc"):
            return False
        framing = Arc() if self.format == "arc" else Warc()
        raw = self.data[self.starts[self.hit] :].lstrip(b"\r\n")
        end, after = framing.header_end(raw)
        length = framing.fields(raw[: max(end, 0)]).get("content-length", "")
        if not length.isdecimal():
            return False
        rest = raw[after + int(length) :]
        at = len(self.data) - len(rest.lstrip(b"\r\n"))
        return at in self.starts[self.hit + 2 :]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with how a damaged file was read."""

    seed: int
    format: str
    what: str


@cache
def _pages() -> tuple[tuple[bytes, bytes, str], ...]:
    """Return pages as (body as sent, body, header lines): of many lengths, and in every coding."""
    chance = random.Random(1)
    made = []
    for number in range(60):
        text = " ".join(chance.choices(_WORDS, k=chance.choice((5, 60, 400, 3000))))
        body = f"<!doctype html><html><body><p>{number} {text}".encode()
        codings: dict[str, Callable[[bytes], bytes]] = {
            "": bytes,
            "gzip": gzip.compress,
            "deflate": zlib.compress,
            "br": lambda data: brotli.compress(data, quality=3),
            "zstd": zstandard.compress,
        }
        coding = chance.choice(list(codings))
        sent = codings[coding](body)
        more = f"Content-Encoding: {coding}\r\n" if coding else ""
        if chance.random() < 0.2:
            half = len(sent) // 2
            parts = (sent[:half], sent[half:])
            sent = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"
            more += "Transfer-Encoding: chunked\r\n"
        made.append((sent, body, more))
    return tuple(made)


@cache
def _member(page: int, place: int, format: str) -> tuple[bytes, bytes]:
    """Return the record of a page at one place of a file, as it is and compressed."""
    sent, _, more = _pages()[page]
    url = f"http://{place}.example/{page}"
    block = response(sent, mime="text/html; charset=utf-8", more=more)
    raw = arc_record(block, url) if format.startswith("arc") else record(block, WARC_Target_URI=url)
    return raw, _compress(raw, format)


def _compress(raw: bytes, format: str) -> bytes:
    return FRAMES["warc" + format[format.index("arc") + 3 :]]([raw])


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Return bytes with one to four changes: flipped, cut out, doubled, overwritten, or with more put in."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        at = int(len(out) * chance.random() ** 2)  # headers are where most goes wrong
        size = chance.choice((1, 2, 4, 16, 200))
        how = chance.randrange(7)
        if how == 0:
            out[at : at + 1] = bytes([chance.randrange(256)])
        elif how == 1 and out:
            out[min(at, len(out) - 1)] ^= 1 << chance.randrange(8)
        elif how == 2:
            del out[at : at + size]
        elif how == 3:
            out[at:at] = out[at : at + size]
        elif how == 4:
            out[at:at] = chance.randbytes(size)
        elif how == 5:
            hostile = chance.choice(_HOSTILE)
            out[at : at + chance.choice((0, len(hostile)))] = hostile
        else:
            del out[at:]
    return bytes(out)


def damaged(seed: int) -> Damaged:
    """Return the damaged file of a seed."""
    chance = random.Random(seed)
    format = FORMATS[seed % len(FORMATS)]
    hit = chance.randrange(GOOD + 1)
    parts, good = [], {}
    if format.startswith("arc"):
        parts.append(_compress(arc_head(), format))
    for place in range(GOOD + 1):
        page = chance.randrange(len(_pages()))
        raw, member = _member(page, place, format)
        if place != hit:
            good[f"http://{place}.example/{page}"] = _pages()[page][1]
        elif chance.random() < 0.5:
            member = mutate(member, chance)
        else:
            member = _compress(mutate(raw, chance), format)
        parts.append(member)
    starts = tuple(accumulate(map(len, parts), initial=0))
    return Damaged(seed, format, b"".join(parts), good, starts, hit + len(parts) - GOOD - 1)


def findings(file: Damaged, folder: Path, limit_mb: float = 1.0) -> list[Finding]:
    """Read a damaged file and return what went wrong: an exception, a lost or changed page, a slow record."""
    path = folder / f"f.{file.format}"
    path.write_bytes(file.data)
    source = Source(name="fuzz", format="warc", paths=("x",), max_record_mb=limit_mb)
    found: dict[str, list[bytes | str]] = {}
    run_together: list[str] = []
    wrong: list[Finding] = []
    before = time.process_time()
    try:
        for item in read(source, str(path)):
            now = time.process_time()
            if now - before > _MOST_SECONDS:
                wrong.append(Finding(file.seed, file.format, f"{now - before:.1f} s for a record"))
            before = now
            if isinstance(item, RawDocument):
                found.setdefault(item.url, []).append(item.content)
            elif isinstance(item, Rejected) and item.cause == "bad-url" and file.format == "arc":
                run_together.append(item.detail)
    except Exception as error:  # whatever it is, it is what is looked for
        wrong.append(Finding(file.seed, file.format, f"raised {error!r}"))
    for url, body in file.good.items() if not file.swallows() else ():
        # An ARC record is known by its line alone. Behind one that lost its end the address is two in one,
        # and its page is rejected where the first is damaged.
        names = [name for name in found if name == url or (file.format == "arc" and name.endswith(url))]
        told = any(f"{url}'" in detail for detail in run_together)
        if not told and not any(body in found[name] for name in names):
            wrong.append(Finding(file.seed, file.format, f"lost {url}"))
    return wrong
