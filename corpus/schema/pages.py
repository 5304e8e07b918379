"""The files of a crawl and of Common Crawl's index."""

from __future__ import annotations

import pyarrow as pa

from corpus.schema.kind import INSTANT, Column, Kind

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
        Column("fetched", INSTANT, "when that earlier fetch was, if there was one"),
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
        Column("started", INSTANT, "when the request was sent, if one was"),
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
        Column("robots_fetched", INSTANT, "when it was asked for"),
        Column("tdm", pa.string(), "/.well-known/tdmrep.json, [] where there is none; empty where not known"),
        Column("delay_s", pa.float32(), "pause between requests that was kept at the end"),
        Column("not_before", INSTANT, "when the origin may be asked again"),
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
        Column("fetched", INSTANT, "when Common Crawl fetched it"),
    ),
)
