"""WET files: the plain text that Common Crawl extracted from its pages, one conversion record per page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corpus import files
from corpus.items import Item, Items, Piece, RawDocument, Rejected, Skipped
from corpus.sources.inputs import MIB, moment
from corpus.sources.warc import bad_url
from corpus.web.records import TYPES, read_records
from corpus.web.section import Record

if TYPE_CHECKING:
    from corpus.config import Source


def read(source: Source, path: str, piece: Piece | None = None) -> Items:
    """Yield the conversion records of a WET file as text documents; other records are Skipped by their type.

    The text is UTF-8 by definition; a block that is not stays bytes with the charset "utf-8", so that
    extraction decodes and counts it. Rejected causes: those of `records.read_records`, "bad-url" and
    "oversized". Raises OSError if the file system does, CutError as `records.read_records`, and nothing else
    for content.
    """
    limit = int(source.max_record_mb * MIB)
    with files.open_bytes(path) as file:
        for record in read_records(file, path, limit, piece):
            yield record if not isinstance(record, Record) else document(record)


def document(record: Record) -> Item:
    """Return the item of one record."""
    kind = record.headers.get("warc-type", "").lower()
    if kind != "conversion":
        return Skipped(record.offset, kind if kind in TYPES else "other")
    if len(record.block) < record.length:
        detail = f"{record.length} bytes; the limit is {len(record.block)}"
        return Rejected(record.offset, "oversized", detail, record.url)
    if rejected := bad_url(record):
        return rejected
    fetched = moment(record.headers.get("warc-date"))
    try:
        return RawDocument(record.block.decode(), "text", record.url, record.offset, fetched)
    except UnicodeDecodeError:
        return RawDocument(record.block, "text", record.url, record.offset, fetched, "utf-8")
