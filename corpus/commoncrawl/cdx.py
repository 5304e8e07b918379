"""The CDX API of Common Crawl (pywb's CDX server): pages of JSON lines, requested one after the other."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import pyarrow as pa

from corpus.commoncrawl import columns
from corpus.commoncrawl.config import Selection
from corpus.commoncrawl.store import MissingError, Store
from corpus.errors import ConfigError, ServerError

_ROW = pa.schema(
    [
        ("url", pa.string()),
        ("url_host_name", pa.string()),
        ("url_host_tld", pa.string()),
        ("warc_filename", pa.string()),
        ("warc_record_offset", pa.int64()),
        ("warc_record_length", pa.int64()),
        ("content_digest", pa.string()),
        ("content_languages", pa.string()),
        ("content_mime_detected", pa.string()),
        ("content_truncated", pa.string()),
        ("fetch_status", pa.int32()),
        ("fetch_time", pa.timestamp("ms")),
    ]
)
"""A line of the API with the names of the columnar index."""


def newest(store: Store) -> str:
    """Return the name of the newest crawl: the first in collinfo.json."""
    where = f"{store.base}/collinfo.json"
    try:
        listed = json.loads(store.whole("collinfo.json"))
        return str(listed[0]["id"])
    except MissingError:
        raise ConfigError(f"{where}: not found: name a crawl with --crawl") from None
    except (ValueError, LookupError, TypeError) as error:
        raise ServerError(f"{where}: expected a list of crawls: {error!r}") from None


def places(selection: Selection) -> list[tuple[str, str]]:
    """Return the (url, matchType) of every query that a selection needs."""
    below = [(name, "domain") for name in (*selection.tlds, *selection.domains)]
    return below + [(name, "host") for name in selection.hosts]


def pages(store: Store, crawl: str, place: tuple[str, str], selection: Selection) -> int:
    """Return the number of pages of a place; 0 if the crawl has no capture of it."""
    query = _query(crawl, place, selection, {"showNumPages": "true"})
    lines = _ask(store, query)
    try:
        return int(lines[0]["pages"]) if lines else 0
    except (LookupError, ValueError, TypeError):
        raise ServerError(f"{store.base}/{query}: expected the number of pages, found {lines[0]!r}") from None


def hits(store: Store, crawl: str, place: tuple[str, str], page: int, selection: Selection) -> pa.Table:
    """Return the captures of one page that match the selection, as rows of a plan in the index's order."""
    lines = _ask(store, _query(crawl, place, selection, {"page": str(page)}))
    rows = [row for row in map(_row, lines) if row is not None]
    table = pa.Table.from_pylist(rows, _ROW)
    return columns.hits(table.filter(columns.fits(table, selection)))


def _row(line: dict[str, Any]) -> dict[str, Any] | None:
    """Read a line; None for redirects, failures and robots.txt files, which are in other archives."""
    try:
        if "/warc/" not in line["filename"]:
            return None
        host = urlsplit(line["url"]).hostname or ""
        return {
            "url": line["url"],
            "url_host_name": host,
            "url_host_tld": host.rpartition(".")[2],
            "warc_filename": line["filename"],
            "warc_record_offset": int(line["offset"]),
            "warc_record_length": int(line["length"]),
            "content_digest": line.get("digest"),
            "content_languages": line.get("languages"),
            "content_mime_detected": line.get("mime-detected"),
            "content_truncated": line.get("truncated"),
            "fetch_status": int(line["status"]),
            "fetch_time": datetime.strptime(line["timestamp"], "%Y%m%d%H%M%S"),
        }
    except (LookupError, ValueError, TypeError):  # such as a status of "-"
        return None


def _query(crawl: str, place: tuple[str, str], selection: Selection, more: dict[str, str]) -> str:
    """Return the path of a query; the server's filters do not replace those of the selection."""
    url, match = place
    query = [("url", url), ("matchType", match), ("output", "json"), *more.items()]
    if len(selection.statuses) == 1:
        query.append(("filter", f"=status:{selection.statuses[0]}"))
    if len(selection.mimes) == 1:
        query.append(("filter", f"=mime-detected:{selection.mimes[0]}"))
    if selection.languages:
        codes = "|".join(selection.languages)
        query.append(("filter", f"~languages:{'(.*,)?' if selection.secondary else ''}({codes})(,|$)"))
    return f"{crawl}-index?{urlencode(query)}"


def _ask(store: Store, query: str) -> list[dict[str, Any]]:
    """Return the lines of a response; none if the server has no captures."""
    try:
        body = store.whole(query)
    except MissingError as error:
        if "no captures found" in error.detail.lower():
            return []
        raise ConfigError(f"{store.base}/{query}: not found: is there a crawl of this name?") from None
    try:
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
    except ValueError as error:
        raise ServerError(f"{store.base}/{query}: expected JSON lines: {error}: {body[:100]!r}") from None
    return [line for line in lines if "message" not in line]
