"""The files of what hosts repeat on their pages."""

from __future__ import annotations

import pyarrow as pa

from corpus.schema.kind import Column, Kind

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
