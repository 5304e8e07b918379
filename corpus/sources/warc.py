"""WARC files: the pages of response and resource records, with decoded bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corpus import files
from corpus.items import Item, Items, Piece, RawDocument, Rejected, Skipped
from corpus.sources.inputs import MIB, moment
from corpus.web.http import (
    BodyError,
    Response,
    charset_of,
    media_of,
    page_media,
    parse_response,
    read_body,
    redirect_of,
)
from corpus.web.records import TYPES, read_records
from corpus.web.section import HEADER_LIMIT, Record
from corpus.web.url import fault

if TYPE_CHECKING:
    from corpus.config import Source


def read(source: Source, path: str, piece: Piece | None = None) -> Items:
    """Yield the items of a WARC or ARC file, plain or compressed (by record or whole), in order.

    Skipped kinds: a record's type if it is not a response or resource ("other" for types outside the
    standard), "dns", "status" for a response other than 200, "redirect" for one with an immediate Refresh
    field to another URL, "media" for bodies that are neither HTML nor text. Rejected causes: those of
    `records.read_records`, "bad-http-header", "bad-url", and those of `http.read_body`. A body that the
    crawler cut (WARC-Truncated) or that ends too early is kept as far as it goes and marked: Common Crawl
    cuts every long page. Raises OSError if the file system does, CutError as `records.read_records`, and
    nothing else for content.
    """
    limit = int(source.max_record_mb * MIB)
    with files.open_bytes(path) as file:
        for record in read_records(file, path, limit + HEADER_LIMIT, piece):
            yield record if not isinstance(record, Record) else document(record, limit)


def document(record: Record, limit: int) -> Item:
    """Return the item of one record, with a content of at most `limit` bytes."""
    kind = record.headers.get("warc-type", "").lower()
    mime = record.headers.get("content-type", "").lower()
    if not kind:
        return Rejected(record.offset, "bad-header", "the record has no WARC-Type", record.url)
    if kind not in ("response", "resource"):
        return Skipped(record.offset, kind if kind in TYPES else "other")
    scheme = record.url.partition(":")[0].lower()
    if mime.startswith("text/dns") or scheme == "dns":
        return Skipped(record.offset, "dns")
    if scheme in ("metadata", "urn"):  # logs and page lists of wget and browser crawlers
        return Skipped(record.offset, "metadata")
    if kind == "resource" or (mime and not mime.startswith("application/http")):
        return _page(record, Response(200, {"content-type": mime}, record.block), limit)
    response = parse_response(record.block)
    if response is None:
        found = record.block[:40]
        return Rejected(
            record.offset, "bad-http-header", f"expected an HTTP status, found {found!r}", record.url
        )
    if response.status != 200:
        return Skipped(record.offset, "status")
    if redirect_of(response.headers, record.url):
        return Skipped(record.offset, "redirect")
    return _page(record, response, limit)


def _page(record: Record, response: Response, limit: int) -> Item:
    content_type = response.headers.get("content-type", "")
    identified = record.headers.get("warc-identified-payload-type", "")
    if media_of(content_type) == "other" and media_of(identified) != "html":
        return Skipped(record.offset, "media")
    if len(record.block) < record.length:
        return Rejected(
            record.offset, "oversized", f"{record.length} bytes; the limit is {limit}", record.url
        )
    try:
        body = read_body(response, limit)
    except BodyError as error:
        return Rejected(record.offset, error.cause, str(error), record.url)
    media = page_media(content_type, body.content, identified)
    if media is None:
        return Skipped(record.offset, "media")
    if rejected := bad_url(record):
        return rejected
    fetched = moment(record.headers.get("warc-date"))
    truncated = record.headers.get("warc-truncated", "").lower() or ("body" if body.is_cut else "")
    charset = charset_of(content_type)
    return RawDocument(body.content, media, record.url, record.offset, fetched, charset, truncated)


def bad_url(record: Record) -> Rejected | None:
    """Return the rejection of a page whose address is damaged; None if it is not, or if it has none."""
    why = fault(record.url) if record.url else ""
    if not why:
        return None
    found = record.url if len(record.url) <= 200 else f"{record.url[:200]}…"
    return Rejected(record.offset, "bad-url", f"expected a page's address, found {found!r}: {why}")
