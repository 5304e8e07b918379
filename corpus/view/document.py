"""One text with everything that is stored about it: what each rule measured, what was changed, its copies."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from corpus import dataset, files, furniture, made, privacy
from corpus.errors import DatasetError, NotThereError
from corpus.filters import InForce, c4, rule_names
from corpus.inspect import rows
from corpus.inspect.differ import compare
from corpus.inspect.filters import Filters, of_build
from corpus.inspect.texts import Place, Texts
from corpus.items import Piece, RawDocument
from corpus.library import RuleValue, rule_values
from corpus.sources import warc
from corpus.sources.inputs import MIB
from corpus.text import charset
from corpus.text.view import view
from corpus.web.records import read_records
from corpus.web.section import HEADER_LIMIT, Record

PAGE_MIB = 8  # of a crawled page that is shown
COPIES = 20  # of a cluster that are listed
REDACTED, FURNITURE = "personal data", "furniture"
"""Causes of a span, beside the names of rules."""


@dataclass(frozen=True, slots=True)
class Span:
    """A passage of a text; `cause` says what removed it or put it there, empty where nothing was done."""

    text: str
    cause: str = ""
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    """Another text of the same cluster: its number, what it is to this one, and where they differ."""

    n: int
    relation: str
    jaccard: float | None
    url: str
    differing: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Document:
    """A text of a build.

    `row` has the columns of `corpus.schema.EXTRACTED`, or of DROPPED where a stage before filter dropped it;
    `rule`, `value`, `limit` and `reason` say what took it out (empty where it is kept); `spans` is the text
    with what filter removed and replaced and what dedupe cut out.
    """

    n: int
    row: dict[str, Any]
    rule: str
    value: float | None
    limit: float | None
    reason: str
    values: list[RuleValue]
    spans: list[Span]
    copies: list[Copy]
    cluster: int


def read(texts: Texts, number: int) -> Document:
    """Return a text with all that the build stored about it; NotThereError where there is no such number."""
    try:
        place = texts.place(number)
    except IndexError:
        raise NotThereError(f"there is no text {number}; the last is {texts.count - 1}") from None
    (row,) = rows.read([rows.Place(place.home.stage.folder, place.home.file, place.row)])
    if place.home.unit is None:
        spans = [Span(row["text"])]
        return Document(number, row, row["rule"], row["value"], row["limit"], row["reason"], [], spans, [], 1)
    made = filters_of(texts)
    preset = made.in_force.preset(row["language"])
    measured = _row(texts, place, "measured", place.row)
    stored = [measured.get(name) for name in rule_names(preset)]  # of an earlier version, some are absent
    values = list(rule_values([float("nan") if value is None else value for value in stored], preset))
    if measured["rule"]:
        dropped = _row(texts, place, "dropped", _position(texts, place, measured["rule"]))
        fate = dropped["value"], dropped["limit"], dropped["reason"]
        row["id"] = dropped["id"]
        spans = _spans(row, dropped["text"], made.in_force, _repeated(texts, place, row["url"]))
        return Document(number, row, measured["rule"], *fate, values, spans, [], 1)
    position = _position(texts, place, "")
    kept = _row(texts, place, "documents", position)
    rule, jaccard, copies, size = _copies(texts, place, position, kept["text"])
    spans = _spans(row, kept["text"], made.in_force, _repeated(texts, place, row["url"]))
    spans = list(_cut(spans, _passages(texts, place, position)))
    return Document(number, row | {"id": kept["id"]}, rule, jaccard, None, "", values, spans, copies, size)


@lru_cache(maxsize=2)
def filters_of(texts: Texts) -> Filters:
    """Return the filters that a build was made with; to read them from its manifest takes some time."""
    return of_build(texts.filter, texts.build.root)


def _row(texts: Texts, place: Place, kind: str, number: int) -> dict[str, Any]:
    file = place.home.of_unit(kind)
    if file is None:
        raise DatasetError(f"{texts.filter.folder}: a unit has no file of kind {kind}: run the build again")
    (row,) = rows.read([rows.Place(texts.filter.folder, file, number)])
    return row


def _position(texts: Texts, place: Place, rule: str) -> int:
    """Return the row of a text among those of its unit that were kept, or that were dropped."""
    file = place.home.of_unit("measured")
    assert file is not None
    fates = dataset.table(texts.filter.folder, file.path, ["rule"])["rule"].slice(0, place.row)
    kept = int(pc.sum(pc.equal(fates, "")).as_py() or 0)
    return place.row - kept if rule else kept


def _repeated(texts: Texts, place: Place, url: str) -> Collection[int]:
    """Return the lines of furniture of a page's host, by their hashes."""
    stage = texts.build.get("furniture")
    if stage is None:
        return ()
    units = {file.path: unit.fingerprint for unit in place.home.stage.manifest.units for file in unit.files}
    path, _ = furniture.of_units(stage.manifest).get(units[place.home.file.path], ("", ""))
    return furniture.read(stage.folder, path).get(furniture.host_of(url), ()) if path else ()


def _spans(row: Mapping[str, Any], after: str, in_force: InForce, repeated: Collection[int]) -> list[Span]:
    """Return a text as it now is, with the passages that filter took out or replaced between the others."""
    before = row["text"]
    if before == after:
        return [Span(after)]
    limits = in_force.preset(row["language"]).of(c4.FAMILY)
    seen = view(before)
    removed = c4.find_lines(seen, limits).removed
    by_line = {int(line): rule for rule, lines in removed.items() for line in lines}
    spans: list[Span] = []
    at = 0
    for piece in compare(before, after).pieces:
        if piece.same:
            spans.append(Span(piece.right))
        else:
            line = int(np.searchsorted(seen.line_starts, at + _blank(piece.left), side="right")) - 1
            replaced = any(f"<|{kind}|>" in piece.right for kind in privacy.KINDS)
            first = furniture.hashed(furniture.normal(piece.left.strip().partition("\n")[0]))
            cause = FURNITURE if first in repeated else by_line.get(line, "filter")
            cause = REDACTED if replaced else cause
            spans += [Span(piece.left, cause)] if piece.left.strip() else []
            spans += [Span(piece.right, cause, is_new=True)] if piece.right.strip() else []
        at += len(piece.left)
    return spans


def _passages(texts: Texts, place: Place, position: int) -> list[tuple[int, int, str]]:
    """Return start, end (bytes of a kept text) and rule of the passages that dedupe cut out, in order."""
    dedupe = texts.build.get("dedupe")
    if dedupe is None or place.home.unit is None:
        return []
    part = place.home.unit.fingerprint
    found = [
        row
        for file in dedupe.manifest.files("spans")
        for batch in dataset.batches(dedupe.folder, file.path)
        for row in batch.filter(
            pc.and_(pc.equal(batch["part"], part), pc.equal(batch["row"], position))
        ).to_pylist()
    ]
    return sorted((row["start"], row["end"], f"dedupe.{row['kind']}") for row in found)


def _cut(spans: Iterable[Span], passages: Sequence[tuple[int, int, str]]) -> Iterator[Span]:
    """Yield spans, those of the kept text divided where passages were cut out of it."""
    at = 0  # bytes of the kept text before a span
    for span in spans:
        if span.cause and not span.is_new:
            yield span
            continue
        text = span.text.encode()
        first, at = at, at + len(text)
        done = 0
        for start, end, rule in passages:
            low, high = max(start - first, done), min(end - first, len(text))
            if low < high:
                if done < low:
                    yield replace(span, text=text[done:low].decode())
                yield Span(text[low:high].decode(), rule)
                done = high
        if done < len(text):
            yield replace(span, text=text[done:].decode())


def _blank(text: str) -> int:
    return len(text) - len(text.lstrip())


def _copies(
    texts: Texts, place: Place, position: int, text: str
) -> tuple[str, float | None, list[Copy], int]:
    """Return what dedupe did with a text: rule, similarity, others of its cluster, and the cluster's size."""
    dedupe = texts.build.get("dedupe")
    assert place.home.unit is not None
    if dedupe is None:
        return "", None, [], 1
    me = place.home.unit.fingerprint, position
    removed = [
        row
        for file in dedupe.manifest.files("removed")
        for batch in dataset.batches(dedupe.folder, file.path)
        for row in _of_cluster(batch, me)
    ]
    own = [row for row in removed if (row["part"], row["row"]) == me]
    parts = {each.unit.fingerprint for each in texts.files if each.unit is not None}
    if own and own[0]["survivor_part"] not in parts:  # but in an older corpus
        return f"dedupe.{own[0]['kind']}", own[0]["jaccard"], [], 2
    if own:
        survivor = own[0]["survivor_part"], own[0]["survivor_row"]
        other = _copy(texts, *survivor, f"kept instead ({own[0]['kind']} copy)", own[0]["jaccard"], text)
        return f"dedupe.{own[0]['kind']}", own[0]["jaccard"], [other], 2
    copies = [
        _copy(texts, row["part"], row["row"], f"removed as {row['kind']} copy", row["jaccard"], text)
        for row in removed[:COPIES]
    ]
    return "", None, copies, len(removed) + 1


def _of_cluster(batch: Any, me: tuple[str, int]) -> list[dict[str, Any]]:
    """Return the rows of removed documents that are this one, or were removed for it."""
    is_me = pc.and_(pc.equal(batch["part"], me[0]), pc.equal(batch["row"], me[1]))
    for_me = pc.and_(pc.equal(batch["survivor_part"], me[0]), pc.equal(batch["survivor_row"], me[1]))
    found: list[dict[str, Any]] = batch.filter(pc.or_(is_me, for_me)).to_pylist()
    return found


def _copy(texts: Texts, part: str, position: int, relation: str, jaccard: float, text: str) -> Copy:
    home = next(each for each in texts.files if each.unit is not None and each.unit.fingerprint == part)
    file, measured = home.of_unit("documents"), home.of_unit("measured")
    assert file is not None
    assert measured is not None
    (row,) = rows.read([rows.Place(texts.filter.folder, file, position)], ["url", "text"])
    rules = np.array(dataset.table(texts.filter.folder, measured.path, ["rule"])["rule"].to_pylist())
    number = home.first + int(np.flatnonzero(rules == "")[position])
    differing = [(piece.left, piece.right) for piece in compare(text, row["text"]).differing()]
    return Copy(number, relation, jaccard, row["url"], differing[:COPIES])


def crawled(texts: Texts, number: int) -> str:
    """Return the page that a text was extracted from, as it was crawled, decoded.

    Raises NotThereError where its source has no pages, or the archive is not where it was.
    """
    place = texts.place(number)
    names = ["file", "offset", "url"]
    (row,) = rows.read([rows.Place(place.home.stage.folder, place.home.file, place.row)], names)
    limit = PAGE_MIB * int(MIB)
    archive = _archive(texts, row["file"])
    try:
        size = files.size("", archive) or 0
        with files.open_bytes(archive) as file:
            piece = Piece(row["offset"], size, 0, size) if row["offset"] else None
            record = next(read_records(file, row["file"], limit + HEADER_LIMIT, piece))
    except (OSError, StopIteration) as error:
        raise NotThereError(f"{row['file']}: no page can be read at byte {row['offset']} ({error})") from None
    item = warc.document(record, limit) if isinstance(record, Record) else None
    if not isinstance(item, RawDocument) or item.url != row["url"]:
        raise NotThereError(
            f"{row['file']}: there is no page of {row['url'] or 'this text'} at byte {row['offset']}"
        )
    content = item.content
    return content if isinstance(content, str) else charset.decode(content, item.charset, html=True).text


def _archive(texts: Texts, name: str) -> str:
    """Return where an input file is; a relative name starts at the folder of the configuration."""
    root = texts.build.root
    known = made.read(root)
    url = files.located(name, known.base([name]) if known else Path(root).parent)
    if files.size("", url) is None:
        looked = f", nor from {known.bases[-1]}" if known and len(known.bases) > 1 else ""
        raise NotThereError(f"{name}: there is no {url}{looked}")
    return url
