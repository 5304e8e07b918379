"""The Arrow schema of every file that derlem writes, each column described once.

A file carries its kind, its schema version and its unit's fingerprint in the schema metadata (keys
`derlem.kind`, `derlem.version`, `derlem.fingerprint`), so that a file found alone still says what it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

PERMUTATIONS = 112  # MinHash values of a signature, as FineWeb2: 14 bands of 8 rows


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its Arrow type and what it means."""

    name: str
    type: pa.DataType
    meaning: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of file: its columns in order, and the version that changes when they do."""

    name: str
    version: int
    columns: tuple[Column, ...]
    is_open: bool = False  # whether a file may have further columns after these

    def with_columns(self, columns: Iterable[Column]) -> Kind:
        """Return the kind of a file of an open kind that has further columns."""
        return replace(self, columns=(*self.columns, *columns))

    def describes(self, schema: pa.Schema) -> bool:
        """Return whether a file with this schema is of the kind."""
        own = self.schema()
        if self.is_open and len(schema) >= len(own):
            schema = pa.schema([schema.field(number) for number in range(len(own))])
        return bool(schema.equals(own))

    def schema(self, fingerprint: str = "") -> pa.Schema:
        """Return the Arrow schema, stamped with kind, version and the fingerprint of the writing unit."""
        fields = [pa.field(c.name, c.type, metadata={"meaning": c.meaning}) for c in self.columns]
        stamp = {
            "derlem.kind": self.name,
            "derlem.version": str(self.version),
            "derlem.fingerprint": fingerprint,
        }
        return pa.schema(fields, metadata=stamp)


_INSTANT = pa.timestamp("ms", tz="UTC")

_ORIGIN = (
    Column("url", pa.string(), "where the document was found; empty where the source has none"),
    Column("fetched", _INSTANT, "when it was fetched, if the source says so"),
    Column("source", pa.string(), "name of the source in the configuration"),
    Column("file", pa.string(), "the input file"),
    Column("offset", pa.uint64(), "where the record starts in that file: byte offset or row number"),
)

_DOCUMENT = (
    Column("id", pa.string(), "128-bit hash of source URL and text, 32 hexadecimal digits"),
    Column("text", pa.string(), "the cleaned text; lines are separated by a newline"),
    *_ORIGIN,
    Column("encoding", pa.string(), "the character encoding that the page was read with"),
    Column("language", pa.string(), "ISO 639-3 code and script, e.g. tur_Latn"),
    Column("language_score", pa.float32(), "how sure the identification is, 0 to 1"),
    Column("bytes", pa.uint32(), "UTF-8 bytes of the text"),
    Column("words", pa.uint32(), "words of the text"),
    Column("redactions", pa.uint32(), "pieces of personal data replaced by placeholders"),
    Column(
        "truncated",
        pa.string(),
        "why the page is not whole: length, time, disconnect or unspecified, as WARC-Truncated has it; body "
        "where it ends before its announced length or its encoding does; empty where it is whole",
    ),
    Column("title", pa.string(), "the work's title, where its file says it; else null"),
    Column("authors", pa.list_(pa.string()), "the work's authors, where its file says them; else null"),
    Column("licence", pa.string(), "licence or notice of rights, where the file says it; else null"),
    Column(
        "languages",
        pa.string(),
        "of a text found in several languages: each one's share of its letters, as `tur_Latn 0.62, eng_Latn "
        "0.38`; else null",
    ),
    Column(
        "page_kind",
        pa.string(),
        "of HTML: article, forum, product, listing, documentation, service or collection; else null",
    ),
    Column("page_kind_score", pa.float32(), "how sure the kind of the page is, 0 to 1; else null"),
)

# The score is exact, since limits are compared with it.
_OF_FILTER = ("id", "words", "redactions", "language_score")

EXTRACTED = Kind(
    "extracted",
    4,
    (
        *(column for column in _DOCUMENT if column.name not in _OF_FILTER),
        Column("language_score", pa.float64(), "how sure the identification is, 0 to 1"),
    ),
)

LINES = Kind(
    "lines",
    1,
    (
        Column("host", pa.uint64(), "XXH3-64 of the host"),
        Column("line", pa.uint64(), "XXH3-64 of the line in normal form"),
        Column("pages", pa.uint32(), "pages of the host in this unit on which the line stands"),
        Column("edge", pa.uint32(), "those with the line at their start or end"),
        Column("row", pa.uint32(), "row of the first of them in the extracted file"),
    ),
)
"""What a unit's hosts repeat, counted; of texts without a host there is nothing."""

HOSTS = Kind(
    "hosts",
    1,
    (
        Column("host", pa.string(), "name of the server"),
        Column("pages", pa.uint32(), "its pages in this unit"),
    ),
)

FURNITURE = Kind(
    "furniture",
    1,
    (
        Column("host", pa.string(), "name of the server"),
        Column("line", pa.string(), "a line that it repeats, as on one of its pages"),
        Column("hash", pa.uint64(), "XXH3-64 of the line in normal form"),
        Column("pages", pa.uint32(), "pages of the host on which the line stands"),
        Column("of_pages", pa.uint32(), "pages of the host"),
        Column("hosts", pa.uint32(), "hosts of the corpus on which the line stands"),
    ),
)

MEASURED = Kind(
    "measured",
    1,
    (
        Column("source", pa.string(), "name of the source in the configuration"),
        Column("language", pa.string(), "ISO 639-3 code and script, e.g. tur_Latn"),
        Column("language_score", pa.float64(), "how sure the identification is, 0 to 1"),
        Column("words", pa.uint32(), "words that the document has, or would have if it were kept"),
        Column("rule", pa.string(), "the rule that dropped it; empty where it was kept"),
    ),
    is_open=True,  # a column for each rule, by its name: the value that was measured, null for none
)
"""Row for row the texts of an extracted file; the columns after these are the rules' values."""

DOCUMENTS = Kind("documents", 5, _DOCUMENT, is_open=True)
"""The columns after these are the values of models of quality, by the names of their rules."""

SIGNATURES = Kind(
    "signatures",
    2,
    (
        Column("id", pa.string(), "id of the document in the same row of the part"),
        Column("exact", pa.binary(16), "128-bit hash of the text"),
        Column("url", pa.uint64(), "64-bit hash of the canonical URL; 0 where there is none"),
        Column("source", pa.string(), "name of the source in the configuration"),
        Column("bytes", pa.uint32(), "UTF-8 bytes of the text"),
        Column("words", pa.uint32(), "words of the text"),
        Column("fetched", _INSTANT, "when it was fetched, if the source says so"),
        Column("language", pa.string(), "ISO 639-3 code and script"),
        Column(
            "signature",
            pa.list_(pa.field("item", pa.uint32(), nullable=False), PERMUTATIONS),
            "MinHash: datasketch affine32, seed 1, xxh32 of 5-word shingles; all ones where there is no word",
        ),
    ),
)

DROPPED = Kind(
    "dropped",
    6,
    (
        Column("rule", pa.string(), "the rule that dropped the document, e.g. gopher.min_words"),
        Column("value", pa.float64(), "what was measured; null where no number decided"),
        Column("limit", pa.float64(), "the limit that it broke; null where no number decided"),
        Column("reason", pa.string(), "the reason that a plugin returned; else empty"),
        *_DOCUMENT,
    ),
)

REJECTED = Kind(
    "rejected",
    1,
    (
        Column("cause", pa.string(), "a short stable name of what was wrong, e.g. truncated"),
        Column("detail", pa.string(), "what was found"),
        *_ORIGIN,
    ),
)

REMOVED = Kind(
    "removed",
    3,
    (
        Column("part", pa.string(), "fingerprint of the part, in which the name of its file ends"),
        Column("row", pa.uint32(), "row of the document in its part"),
        Column("id", pa.string(), "id of the removed document"),
        Column("kind", pa.string(), "exact, url, near, or substrings where too little text was left"),
        Column(
            "survivor",
            pa.string(),
            "id of the kept document that it is a copy of; for substrings, that keeps most of its text",
        ),
        Column("survivor_part", pa.string(), "fingerprint of the survivor's part"),
        Column("survivor_row", pa.uint32(), "the survivor's row"),
        Column(
            "jaccard",
            pa.float32(),
            "similarity to the survivor: Jaccard of the shingles of the two texts; null for substrings",
        ),
    ),
)

SURVIVORS = Kind(
    "survivors",
    2,
    (
        Column("part", pa.string(), "fingerprint of the part, in which the name of its file ends"),
        Column("row", pa.uint32(), "row of the document in its part"),
        Column("id", pa.string(), "id of a kept document that others were removed for"),
        Column("copies", pa.uint32(), "documents that it stands for, itself included"),
    ),
)

SPANS = Kind(
    "spans",
    1,
    (
        Column("part", pa.string(), "fingerprint of the part, in which the name of its file ends"),
        Column("row", pa.uint32(), "row of the document in its part"),
        Column("id", pa.string(), "id of a kept document from which a passage was removed"),
        Column("start", pa.uint32(), "where the passage starts: byte of the text in UTF-8"),
        Column("end", pa.uint32(), "where it ends"),
        Column("kept", pa.string(), "id of the document that keeps the passage, or most of it"),
    ),
)


def _place(kind: str) -> tuple[Column, ...]:
    return (
        Column(f"{kind}_path", pa.string(), f"file of kind {kind} that has the part's rows"),
        Column(f"{kind}_batch", pa.uint32(), "record batch in which they start"),
        Column(f"{kind}_row", pa.uint32(), "row of that batch in which they start"),
        Column(f"{kind}_rows", pa.uint32(), "how many there are"),
    )


REMOVAL_INDEX = Kind(
    "removal_index",
    2,
    (
        Column("part", pa.string(), "fingerprint of the part"),
        Column(
            "digest",
            pa.string(),
            "XXH3-128 of the rows removed, those kept for others, their copies, and spans",
        ),
        *_place("removed"),
        *_place("survivors"),
        *_place("spans"),
    ),
)

SHARD = Kind(
    "shard",
    5,
    (
        *_DOCUMENT,
        Column("copies", pa.uint32(), "how many documents this one stands for, itself included"),
    ),
    is_open=True,  # the same columns after these as DOCUMENTS has
)


def _tokens(name: str, token: pa.DataType) -> Kind:
    return Kind(
        name,
        1,
        (
            Column(
                "tokens",
                pa.list_(pa.field("item", token, nullable=False)),
                "ids of the text: BOS where the configuration asks for it, the text's, and EOS",
            ),
            Column("bytes", pa.uint32(), "UTF-8 bytes of the text, to count bits by whatever the tokenizer"),
            Column("id", pa.string(), "id of the document"),
            Column("language", pa.string(), "ISO 639-3 code and script, e.g. tur_Latn"),
            Column("source", pa.string(), "name of the source in the configuration"),
            Column("copies", pa.uint32(), "how many documents this one stands for, itself included"),
        ),
    )


TOKENS16 = _tokens("tokens16", pa.uint16())  # a vocabulary, padding included, of at most 65,536
TOKENS32 = _tokens("tokens32", pa.uint32())


def token_dtype(kind: Kind) -> np.dtype[Any]:
    """Return the NumPy type of the ids in token shards of this kind."""
    # Not by Arrow's to_pandas_dtype, which takes most of a second to import pandas.
    return np.dtype(f"u{kind.schema().field('tokens').type.value_type.bit_width // 8}")


_KEY = Column("key", pa.uint64(), "XXH3-64 of the URL, by which the crawl knows it")

FRONTIER = Kind(
    "frontier",
    2,
    (
        _KEY,
        Column("url", pa.string(), "normalised address, yet to be fetched"),
        Column("origin", pa.string(), "scheme, host and port, the unit of politeness: https://example.org"),
        Column("depth", pa.uint16(), "links from a seed"),
        Column("priority", pa.float32(), "higher comes first within an origin"),
        Column("referrer", pa.string(), "the page that named it; empty for seeds"),
        Column("via", pa.string(), "seed, link, canonical, hreflang, sitemap, redirect or recrawl"),
        Column("hops", pa.uint8(), "redirects in a row that led here"),
        Column("due", pa.bool_(), "whether it is to be fetched in this round; others wait"),
        Column("tries", pa.uint8(), "how often it was asked for"),
        Column("etag", pa.string(), "ETag of an earlier fetch, for If-None-Match"),
        Column("modified", pa.string(), "Last-Modified of an earlier fetch, for If-Modified-Since"),
        Column("digest", pa.string(), "WARC-Payload-Digest of an earlier fetch"),
        Column("fetched", _INSTANT, "when that earlier fetch was, if there was one"),
    ),
)

FETCHES = Kind(
    "fetches",
    2,
    (
        _KEY,
        Column("url", pa.string(), "what was, or was not to be, fetched"),
        Column("origin", pa.string(), "scheme, host and port"),
        Column(
            "outcome", pa.string(), "kept, unchanged, redirect, dropped, failed, retry, or asked (robots.txt)"
        ),
        Column("cause", pa.string(), "the rule that dropped it or the kind of failure, e.g. robots.disallow"),
        Column("detail", pa.string(), "what was found"),
        Column("status", pa.uint16(), "HTTP status; 0 where there was no answer"),
        Column("media", pa.string(), "media type as the server names it"),
        Column("started", _INSTANT, "when the request was sent, if one was"),
        Column("seconds", pa.float32(), "until the answer was whole"),
        Column("address", pa.string(), "IP address that answered"),
        Column("bytes", pa.uint64(), "bytes of the body as sent"),
        Column("digest", pa.string(), "WARC-Payload-Digest of the body"),
        Column("etag", pa.string(), "the answer's ETag"),
        Column("modified", pa.string(), "the answer's Last-Modified"),
        Column("location", pa.string(), "where a redirect leads"),
        Column("optouts", pa.string(), "opt-outs found, honoured or not: noai (header), tdm (meta)"),
        Column("depth", pa.uint16(), "links from a seed"),
        Column("tries", pa.uint8(), "how often it was asked for, this time included"),
        Column("referrer", pa.string(), "the page that named it"),
        Column("file", pa.string(), "WARC file that holds the answer"),
        Column("offset", pa.uint64(), "where its record starts in that file"),
    ),
)

OUTLINKS = Kind(
    "outlinks",
    2,
    (
        _KEY,
        Column("url", pa.string(), "normalised address that a page names, within the crawl's scope"),
        Column("origin", pa.string(), "scheme, host and port"),
        Column("depth", pa.uint16(), "links from a seed"),
        Column("priority", pa.float32(), "higher comes first within an origin"),
        Column("referrer", pa.string(), "the page that names it"),
        Column("via", pa.string(), "link, canonical, hreflang, sitemap or redirect"),
        Column("hops", pa.uint8(), "redirects in a row that led here"),
    ),
)

ORIGINS = Kind(
    "origins",
    2,
    (
        Column("origin", pa.string(), "scheme, host and port"),
        Column("robots_status", pa.int16(), "HTTP status of robots.txt; 0 where it could not be reached"),
        Column("robots", pa.binary(), "robots.txt, at most its first 500 KiB; empty where none counts"),
        Column("robots_fetched", _INSTANT, "when it was asked for"),
        Column("tdm", pa.string(), "/.well-known/tdmrep.json, [] where there is none; empty where not known"),
        Column("delay_s", pa.float32(), "pause between requests that was kept at the end"),
        Column("not_before", _INSTANT, "when the origin may be asked again"),
        Column("pages", pa.uint32(), "pages fetched from it in this crawl so far"),
        Column("sitemaps", pa.list_(pa.string()), "its sitemaps, as far as they are known"),
        Column("sitemaps_read", pa.uint16(), "how many of them, from the first on, are done with"),
        Column("sitemap_urls", pa.uint32(), "addresses that they gave"),
    ),
)

HITS = Kind(
    "hits",
    1,
    (
        Column("url", pa.string(), "address of the capture"),
        Column("file", pa.string(), "WARC file that holds it, as a path below Common Crawl's base"),
        Column("offset", pa.uint64(), "where its record starts in that file"),
        Column("length", pa.uint64(), "bytes of its record, a gzip member of its own"),
        Column("digest", pa.string(), "SHA-1 of the body, base 32; empty where the index has none"),
        Column("languages", pa.string(), "ISO 639-3 codes, the first one first, with commas; may be empty"),
        Column("mime", pa.string(), "media type as Common Crawl detected it"),
        Column("status", pa.uint16(), "HTTP status"),
        Column("fetched", _INSTANT, "when Common Crawl fetched it"),
    ),
)

KINDS = {
    kind.name: kind
    for kind in (
        *(
            EXTRACTED,
            LINES,
            HOSTS,
            FURNITURE,
            MEASURED,
            DOCUMENTS,
            SIGNATURES,
            DROPPED,
            REJECTED,
            REMOVED,
            SURVIVORS,
            SPANS,
            REMOVAL_INDEX,
        ),
        *(SHARD, TOKENS16, TOKENS32),
        *(FRONTIER, FETCHES, OUTLINKS, ORIGINS),
        HITS,
    )
}
