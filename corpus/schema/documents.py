"""The files of documents: texts, what was measured of them, signatures, shards, and what was dropped."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from corpus.schema.kind import INSTANT, Column, Kind

PERMUTATIONS = 112  # MinHash values of a signature, as FineWeb2: 14 bands of 8 rows

_ORIGIN = (
    Column("url", pa.string(), "where the document was found; empty where the source has none"),
    Column("fetched", INSTANT, "when it was fetched, if the source says so"),
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

REGISTER = (
    Column("register", pa.string(), "of a text in Turkish: law, manual, post, or other; else null"),
    Column("register_score", pa.float32(), "probability of its most probable register; else null"),
)
"""What filter finds of every text beside its rules."""

KEPT = {
    "quality": "the value of this model of quality",
    "contamination": "the largest share of a text of this evaluation set that the document holds; from 0.8 "
    "it is found",
    "harm": "the share of the words that are on this list of harm; of a list of hosts 1 for a host on it",
}
"""Rules whose values documents and shards keep, by the first part of their names."""

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
    is_open=True,  # further columns: `measured_with`
)
"""Row for row the texts of an extracted file."""


def measured_with(rules: Iterable[str]) -> Kind:
    """Return the kind of what is measured of texts by these rules: a column for each, null for no value."""
    values = (Column(name, pa.float64(), "what was measured for this rule") for name in rules)
    return MEASURED.with_columns((*REGISTER, *values))


DOCUMENTS = Kind("documents", 5, _DOCUMENT, is_open=True)  # further columns: `documents_with`


def documents_with(rules: Iterable[str]) -> Kind:
    """Return the kind of a part whose texts are measured by these rules: with the values that are kept."""
    meanings = ((name, KEPT.get(name.partition(".")[0])) for name in rules)
    values = (Column(name, pa.float32(), meaning) for name, meaning in meanings if meaning)
    return DOCUMENTS.with_columns((*REGISTER, *values))


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
        Column("fetched", INSTANT, "when it was fetched, if the source says so"),
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

OF_SHARD = (
    Column("copies", pa.uint32(), "how many documents this one stands for, itself included"),
    Column("spans_removed", pa.uint32(), "passages and paragraphs taken out since other documents keep them"),
)
"""What shard adds to a document."""

SHARD = Kind("shard", 6, (*_DOCUMENT, *OF_SHARD), is_open=True)  # further columns: `shard_with`


def shard_with(part: pa.Schema) -> Kind:
    """Return the kind of shards of a part with this schema: with the further columns that the part has."""
    fields = list(part)[len(DOCUMENTS.columns) :]
    return SHARD.with_columns(
        Column(field.name, field.type, field.metadata[b"meaning"].decode()) for field in fields
    )
