"""A small Common Crawl for tests: archives and both indexes in their real layout."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
from base64 import b32encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha1
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

CRAWL = "CC-MAIN-2024-22"
_TEXT, _INT = pa.string(), pa.int32()

# Names, types and order of https://github.com/commoncrawl/cc-index-table, cc-index-schema-flat.json, of 2024;
# crawl and subset are in the path, as Spark's partitions are.
INDEX = pa.schema(
    [
        pa.field("url_surtkey", _TEXT, nullable=False),
        pa.field("url", _TEXT, nullable=False),
        pa.field("url_host_name", _TEXT, nullable=False),
        pa.field("url_host_tld", _TEXT),
        pa.field("url_host_2nd_last_part", _TEXT),
        pa.field("url_host_3rd_last_part", _TEXT),
        pa.field("url_host_4th_last_part", _TEXT),
        pa.field("url_host_5th_last_part", _TEXT),
        pa.field("url_host_registry_suffix", _TEXT),
        pa.field("url_host_registered_domain", _TEXT),
        pa.field("url_host_private_suffix", _TEXT),
        pa.field("url_host_private_domain", _TEXT),
        pa.field("url_host_name_reversed", _TEXT),
        pa.field("url_protocol", _TEXT, nullable=False),
        pa.field("url_port", _INT),
        pa.field("url_path", _TEXT, nullable=False),
        pa.field("url_query", _TEXT),
        pa.field("fetch_time", pa.timestamp("ms"), nullable=False),
        pa.field("fetch_status", pa.int16(), nullable=False),
        pa.field("fetch_redirect", _TEXT),
        pa.field("content_digest", _TEXT),
        pa.field("content_mime_type", _TEXT),
        pa.field("content_mime_detected", _TEXT),
        pa.field("content_charset", _TEXT),
        pa.field("content_languages", _TEXT),
        pa.field("content_truncated", _TEXT),
        pa.field("warc_filename", _TEXT, nullable=False),
        pa.field("warc_record_offset", _INT, nullable=False),
        pa.field("warc_record_length", _INT, nullable=False),
        pa.field("warc_segment", _TEXT, nullable=False),
    ]
)


@dataclass
class Page:
    """A page as it was crawled."""

    url: str
    languages: str | None = "tur"
    text: str = ""
    status: int = 200
    mime: str = "text/html"
    truncated: str | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


def surt(url: str) -> str:
    """Write a URL's key as the index sorts by."""
    parts = urlsplit(url)
    host = re.sub(r"^www\d*\.", "", parts.hostname or "")
    labels = [host] if host[-1:].isdigit() else host.split(".")
    port = f":{parts.port}" if parts.port else ""
    return (
        f"{','.join(reversed(labels))}{port}){parts.path.lower()}{'?' + parts.query if parts.query else ''}"
    )


def pages(number: int, seed: int = 1) -> list[Page]:
    """Make pages of a few hosts below .tr, .com and .org, a third of them Turkish, of differing lengths."""
    draw = random.Random(seed)
    hosts = [
        "www.haber.com.tr",
        "blog.haber.com.tr",
        "kitap.org.tr",
        "example.com",
        "a.example.org",
        "spor.com",
    ]
    words = ["bir", "bu", "ve", "için", "ile", "gün", "kitap", "yazı", "haber", "şehir", "ağaç", "ışık"]
    made = []
    for count in range(number):
        host = hosts[count % len(hosts)]
        turkish = host.endswith(".tr") or count % 5 == 0
        text = " ".join(draw.choices(words, k=draw.randint(20, 400)))
        languages = (
            draw.choice(["tur", "tur,eng"]) if turkish else draw.choice(["eng", "eng,tur", "deu", None])
        )
        made.append(Page(f"https://{host}/sayfa/{count:05d}", languages, text))
    return made


def html(page: Page) -> bytes:
    """Write a page's body."""
    name = page.url.rpartition("/")[2]
    return f"<html><head><title>{name}</title></head><body><p>{page.text}</p></body></html>".encode()


def write(root: Path, made: list[Page], warcs: int = 4, indexes: int = 3, group: int = 50) -> None:
    """Write a crawl of these pages: `warcs` archives, `indexes` index files in row groups of `group` rows."""
    order = made[:]
    random.Random(0).shuffle(order)
    rows = [row for number in range(warcs) for row in _write_warc(root, number, order[number::warcs])]
    rows.sort(key=lambda row: str(row["url_surtkey"]))
    write_index(root, rows, indexes, group)
    write_list(root, "warc", [str(p.relative_to(root)) for p in sorted(root.glob("crawl-data/**/warc/*.gz"))])


def write_list(root: Path, name: str, lines: list[str]) -> None:
    """Write one of a crawl's lists of paths."""
    path = root / "crawl-data" / CRAWL / f"{name}.paths.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))


def write_index(
    root: Path, rows: list[dict[str, Any]], indexes: int, group: int, schema: pa.Schema = INDEX
) -> None:
    """Write the columnar index of sorted rows, and what the server's CDX API answers from."""
    folder = f"cc-index/table/cc-main/warc/crawl={CRAWL}/subset=warc"
    (root / folder).mkdir(parents=True, exist_ok=True)
    names, step = [], -(-len(rows) // indexes)
    for number in range(indexes):
        name = f"{folder}/part-{number:05d}-4dd72944-e9c0-41a1-9026-dfd2d0615bf2.c000.gz.parquet"
        table = pa.Table.from_pylist(rows[number * step : (number + 1) * step], schema)
        pq.write_table(table, root / name, row_group_size=group, compression="gzip", store_schema=False)
        names.append(name)
    other = folder.replace("subset=warc", "subset=robotstxt")
    write_list(root, "cc-index-table", [f"{other}/part-00000-x.c000.gz.parquet", *names])
    (root / "collinfo.json").write_text(
        json.dumps([{"id": CRAWL, "name": "May 2024 Index"}, {"id": "CC-MAIN-2024-18", "name": "April"}])
    )
    (root / "cdx.json").write_text(json.dumps([_cdx(row) for row in rows]))


def _write_warc(root: Path, number: int, made: list[Page]) -> Iterator[dict[str, Any]]:
    """Write one archive as Common Crawl does: request, response and metadata, a gzip member each."""
    segment = f"17159713{number % 2:05d}.67"
    name = f"CC-MAIN-20240517233122-20240518023122-{number:05d}.warc.gz"
    path = f"crawl-data/{CRAWL}/segments/{segment}/warc/{name}"
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    moment = datetime(2024, 5, 17, 23, 31, 22)
    with (root / path).open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        writer.write_record(writer.create_warcinfo_record(name, {"isPartOf": CRAWL}))
        for page in made:
            moment += timedelta(seconds=7)
            date = {"WARC-Date": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}
            ask = StatusAndHeaders(
                f"GET {urlsplit(page.url).path} HTTP/1.1", [("Host", page.host)], is_http_request=True
            )
            writer.write_record(
                writer.create_warc_record(page.url, "request", http_headers=ask, warc_headers_dict=date)
            )
            offset, body = file.tell(), html(page)
            head = StatusAndHeaders(
                f"{page.status} OK", [("Content-Type", f"{page.mime}; charset=utf-8")], protocol="HTTP/1.1"
            )
            more = {"WARC-Truncated": page.truncated} if page.truncated else {}
            writer.write_record(
                writer.create_warc_record(
                    page.url,
                    "response",
                    payload=io.BytesIO(body),
                    length=len(body),
                    http_headers=head,
                    warc_headers_dict={**date, **more},
                )
            )
            length = file.tell() - offset
            note = io.BytesIO(b"fetchTimeMs: 12\r\n")
            writer.write_record(writer.create_warc_record(page.url, "metadata", payload=note, length=17))
            yield row(page, body, path, offset, length, segment, moment)


def row(
    page: Page, body: bytes, path: str, offset: int, length: int, segment: str, moment: datetime
) -> dict[str, Any]:
    """Return the index's row of a capture."""
    parts = urlsplit(page.url)
    labels = [*reversed(page.host.split(".")), None, None, None, None, None]
    suffix = ".".join(page.host.split(".")[-2:]) if labels[1] in ("com", "org") else labels[0]
    domain = ".".join(page.host.split(".")[-(suffix or "").count(".") - 2 :])
    return {
        "url_surtkey": surt(page.url),
        "url": page.url,
        "url_host_name": page.host,
        "url_host_tld": labels[0],
        "url_host_2nd_last_part": labels[1],
        "url_host_3rd_last_part": labels[2],
        "url_host_4th_last_part": labels[3],
        "url_host_5th_last_part": labels[4],
        "url_host_registry_suffix": suffix,
        "url_host_registered_domain": domain,
        "url_host_private_suffix": suffix,
        "url_host_private_domain": domain,
        "url_host_name_reversed": ".".join(reversed(page.host.split("."))),
        "url_protocol": parts.scheme,
        "url_port": parts.port,
        "url_path": parts.path,
        "url_query": parts.query or None,
        "fetch_time": moment,
        "fetch_status": page.status,
        "fetch_redirect": None,
        "content_digest": b32encode(sha1(body).digest()).decode(),
        "content_mime_type": page.mime,
        "content_mime_detected": page.mime,
        "content_charset": "UTF-8",
        "content_languages": page.languages,
        "content_truncated": page.truncated,
        "warc_filename": path,
        "warc_record_offset": offset,
        "warc_record_length": length,
        "warc_segment": segment,
    }


def _cdx(row: dict[str, Any]) -> dict[str, str]:
    """Write a row as the CDX API gives it: all values are strings, what is not known is not there."""
    line = {
        "urlkey": row["url_surtkey"],
        "timestamp": row["fetch_time"].strftime("%Y%m%d%H%M%S"),
        "url": row["url"],
        "mime": row["content_mime_type"],
        "mime-detected": row["content_mime_detected"],
        "status": str(row["fetch_status"]),
        "digest": row["content_digest"],
        "length": str(row["warc_record_length"]),
        "offset": str(row["warc_record_offset"]),
        "filename": row["warc_filename"],
        "languages": row["content_languages"],
        "encoding": row["content_charset"],
        "truncated": row["content_truncated"],
    }
    return {name: value for name, value in line.items() if value is not None}
