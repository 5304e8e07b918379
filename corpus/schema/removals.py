"""The files of what dedupe removes: copies, their survivors, spans of text."""

from __future__ import annotations

import pyarrow as pa

from corpus.schema.kind import Column, Kind

COPIES, CUT = ("exact", "url", "near"), ("substrings", "paragraphs")
"""Kinds of removal: of copies of whole documents, and of text that stands elsewhere."""

REMOVED = Kind(
    "removed",
    3,
    (
        Column("part", pa.string(), "fingerprint of the part, in which the name of its file ends"),
        Column("row", pa.uint32(), "row of the document in its part"),
        Column("id", pa.string(), "id of the removed document"),
        Column(
            "kind", pa.string(), "exact, url, near; substrings or paragraphs where too little text was left"
        ),
        Column(
            "survivor",
            pa.string(),
            "id of the kept document that it is a copy of, or that keeps most of what was removed",
        ),
        Column("survivor_part", pa.string(), "fingerprint of the survivor's part"),
        Column("survivor_row", pa.uint32(), "the survivor's row"),
        Column(
            "jaccard",
            pa.float32(),
            "similarity to the survivor: Jaccard of the texts' shingles; null for substrings and paragraphs",
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
    3,
    (
        Column("part", pa.string(), "fingerprint of the part, in which the name of its file ends"),
        Column("row", pa.uint32(), "row of the document in its part"),
        Column("id", pa.string(), "id of a kept document from which a passage was removed"),
        Column("start", pa.uint32(), "where the passage starts: byte of the text in UTF-8"),
        Column("end", pa.uint32(), "where it ends"),
        Column("kept", pa.string(), "id of the document that keeps the passage, or most of it"),
        Column("kept_part", pa.string(), "fingerprint of that document's part"),
        Column("kind", pa.string(), "substrings or paragraphs: which of them removed most of it"),
    ),
)


def _place(kind: str) -> tuple[Column, ...]:
    return (
        Column(f"{kind}_path", pa.string(), f"file of kind {kind} that has the part's rows"),
        Column(f"{kind}_batch", pa.uint32(), "record batch in which they start"),
        Column(f"{kind}_row", pa.uint32(), "row of that batch in which they start"),
        Column(f"{kind}_rows", pa.uint32(), "how many there are"),
    )


GRAMS = Kind(
    "grams",
    1,
    (
        Column("row", pa.uint32(), "row in its part of a document that is no copy"),
        Column("hash", pa.uint64(), "hash of a gram of its text, 2/5 as long as dedupe.substrings.length"),
        Column("at", pa.uint32(), "byte at which the gram starts"),
        Column(
            "before", pa.uint16(), "bytes before it at which the first passage starts that it was taken of"
        ),
        Column("after", pa.uint16(), "bytes before it at which the last one starts"),
    ),
)

PARAGRAPHS = Kind(
    "paragraphs",
    1,
    (
        Column("row", pa.uint32(), "row in its part of a document that is no copy"),
        Column("hash", pa.uint64(), "XXH3-64 of a paragraph without case, digits and spaces that repeat"),
        Column("host", pa.uint64(), "XXH3-64 of the document's host; 0 where it has none"),
        Column("start", pa.uint32(), "where the paragraph starts: byte of the text in UTF-8"),
        Column("end", pa.uint32(), "where it ends"),
    ),
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
