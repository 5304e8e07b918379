"""The columns of the index: which captures match a selection, and which columns a plan keeps."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from corpus.commoncrawl.config import Selection
from corpus.errors import ConfigError
from corpus.schema import HITS

# Names and types as in https://github.com/commoncrawl/cc-index-table (src/main/resources/schema).
SINCE = {"content_languages": "CC-MAIN-2018-39", "content_truncated": "CC-MAIN-2019-47"}
"""Columns that older crawls do not have."""

KEPT = {
    "url": "url",
    "warc_filename": "file",
    "warc_record_offset": "offset",
    "warc_record_length": "length",
    "content_digest": "digest",
    "content_languages": "languages",
    "content_mime_detected": "mime",
    "fetch_status": "status",
    "fetch_time": "fetched",
}
"""Columns of the index that a plan keeps, and their names there."""


def needed(selection: Selection) -> list[str]:
    """Return the columns that decide whether a capture matches."""
    names = ["fetch_status", "content_mime_detected"]
    names += ["content_languages"] * bool(selection.languages)
    names += ["content_truncated"] * (not selection.truncated)
    names += ["url_host_tld"] * bool(selection.tlds)
    names += ["url_host_name"] * bool(selection.domains or selection.hosts)
    return names


def require(names: Iterable[str], selection: Selection, where: str) -> None:
    """Raise ConfigError if an index lacks a column that the selection needs."""
    missing = [name for name in needed(selection) if name not in names]
    if not missing:
        return
    name = missing[0]
    since = f" (crawls have it since {SINCE[name]})" if name in SINCE else ""
    advice = {"content_languages": "use --language all", "content_truncated": "add --allow-truncated"}
    raise ConfigError(
        f"{where} has no column {name}{since}: {advice.get(name, 'is this the index of a crawl?')}"
    )


def fits(table: pa.Table, selection: Selection) -> pa.ChunkedArray | pa.Array:
    """Return for each row whether it matches the selection; the columns are those of `needed`."""
    masks = [
        pc.is_in(table["fetch_status"], pa.array(selection.statuses, table["fetch_status"].type)),
        pc.is_in(table["content_mime_detected"], pa.array(selection.mimes, pa.string())),
    ]
    if selection.languages:
        before = "(^|,)" if selection.secondary else "^"
        codes = "|".join(re.escape(code) for code in selection.languages)
        masks.append(pc.match_substring_regex(table["content_languages"], f"{before}({codes})(,|$)"))
    if not selection.truncated:
        masks.append(pc.equal(pc.coalesce(table["content_truncated"], ""), ""))
    if places := _places(table, selection):
        masks.append(_all_or_any(places, pc.or_kleene))
    return pc.fill_null(_all_or_any(masks, pc.and_kleene), False)


def _places(table: pa.Table, selection: Selection) -> list[pa.ChunkedArray]:
    masks = []
    if selection.tlds:
        masks.append(pc.is_in(table["url_host_tld"], pa.array(selection.tlds)))
    if selection.domains or selection.hosts:
        masks.append(pc.is_in(table["url_host_name"], pa.array((*selection.domains, *selection.hosts))))
    masks += [pc.ends_with(table["url_host_name"], f".{domain}") for domain in selection.domains]
    return masks


def _all_or_any(masks: list[pa.ChunkedArray], operation: object) -> pa.ChunkedArray:
    result = masks[0]
    for mask in masks[1:]:
        result = operation(result, mask)  # type: ignore[operator]
    return result


def hits(table: pa.Table) -> pa.Table:
    """Return the columns `KEPT` with a plan's names and types; columns that an old index lacks are empty."""
    schema = HITS.schema()
    arrays = []
    for name, kept in KEPT.items():
        field = schema.field(kept)
        if name not in table.column_names:
            arrays.append(pa.repeat("", table.num_rows).cast(field.type))
            continue
        column = table[name]
        if pa.types.is_timestamp(field.type):
            # Older indexes have INT96 nanoseconds, and none has a time zone: all are UTC.
            column = column.cast(pa.timestamp("ms"), safe=False).cast(field.type)
        arrays.append(
            pc.coalesce(column.cast(field.type), "") if field.type == pa.string() else column.cast(field.type)
        )
    return pa.table(arrays, schema=schema)
