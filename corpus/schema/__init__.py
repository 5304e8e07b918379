"""The Arrow schema of every file that derlem writes, each column described once.

A file carries its kind, its schema version and its unit's fingerprint in the schema metadata (keys
`derlem.kind`, `derlem.version`, `derlem.fingerprint`), so that a file found alone still says what it is.
"""

from __future__ import annotations

from corpus.schema.documents import (
    DOCUMENTS,
    DROPPED,
    EXTRACTED,
    MEASURED,
    PERMUTATIONS,
    REJECTED,
    SHARD,
    SIGNATURES,
    documents_with,
    measured_with,
    shard_with,
)
from corpus.schema.furniture import FURNITURE, HOSTS, LINES
from corpus.schema.kind import Column, Kind
from corpus.schema.pages import FETCHES, FRONTIER, HITS, ORIGINS, OUTLINKS
from corpus.schema.removals import COPIES, CUT, GRAMS, PARAGRAPHS, REMOVAL_INDEX, REMOVED, SPANS, SURVIVORS
from corpus.schema.tokens import TOKENS16, TOKENS32, token_dtype

KINDS = {
    kind.name: kind
    for kind in (
        *(EXTRACTED, LINES, HOSTS, FURNITURE, MEASURED, DOCUMENTS, SIGNATURES, DROPPED, REJECTED),
        *(REMOVED, SURVIVORS, SPANS, GRAMS, PARAGRAPHS, REMOVAL_INDEX),
        *(SHARD, TOKENS16, TOKENS32),
        *(FRONTIER, FETCHES, OUTLINKS, ORIGINS),
        HITS,
    )
}

__all__ = [
    "COPIES",
    "CUT",
    "DOCUMENTS",
    "DROPPED",
    "EXTRACTED",
    "FETCHES",
    "FRONTIER",
    "FURNITURE",
    "GRAMS",
    "HITS",
    "HOSTS",
    "KINDS",
    "LINES",
    "MEASURED",
    "ORIGINS",
    "OUTLINKS",
    "PARAGRAPHS",
    "PERMUTATIONS",
    "REJECTED",
    "REMOVAL_INDEX",
    "REMOVED",
    "SHARD",
    "SIGNATURES",
    "SPANS",
    "SURVIVORS",
    "TOKENS16",
    "TOKENS32",
    "Column",
    "Kind",
    "documents_with",
    "measured_with",
    "shard_with",
    "token_dtype",
]
