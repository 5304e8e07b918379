"""Paragraphs that many kept documents have: hashes by partition, and the places that keep each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus import dataset
from corpus.config import Paragraphs
from corpus.dedup import paragraphs
from corpus.dedup.paragraphs import GRID, PARAGRAPH
from corpus.dedup.store import PREFERENCE, Rows
from corpus.schema import PARAGRAPHS
from pipelines import handover, options, sending, settling, shuffle, stored
from pipelines.shuffle import Grouped, Keyed

PARAGRAPHS_A_PARTITION = 4_000_000
"""Paragraphs that one step sorts: about 130 MB, and twice as much at work."""


@dataclass(frozen=True, slots=True)
class Place(stored.Place[Paragraphs]):
    """What the steps need to know."""

    @property
    def rows(self) -> stored.Rows:
        """The paragraphs of the documents."""
        return stored.Rows(self.folder, self.home, self.number, PARAGRAPHS, PARAGRAPH, ("text", "url"))

    @property
    def by_host(self) -> bool:
        """Whether hosts are counted."""
        return self.settings.count == "hosts"

    def columns(self, key: int) -> Sequence[str]:
        """Return the columns that the order of preference is made from."""
        return PREFERENCE


def match(
    folder: str,
    home: str,
    number: int,
    settings: Paragraphs,
    text_bytes: int,
    runner: options.Runner,
    sources: Sequence[str] = (),
) -> tuple[list[str], list[dataset.File], dict[int, int]]:
    """Find the paragraphs with too many places among the documents that pass `number` kept.

    Return the files of COPIED, those with the paragraphs of the documents, which are left in `home`, and the
    bytes, about, that each number of places in `GRID` would cut (of older corpora, too). `text_bytes` is
    about the size of all texts. The result is the same on any number of workers.
    """
    partitions = 1 + text_bytes // (settings.length + 1) // PARAGRAPHS_A_PARTITION
    sent = handover.is_sent(folder, runner)
    place = Place(folder, number, settings, tuple(sources), partitions, sent, home)
    counted = shuffle.run(
        runner,
        folder,
        "dedupe-paragraphs",
        range(len(handover.runs_of(folder))),
        [("Paragraphs", partial(_paragraphs, place=place))],
        ("Count", partial(_count, place=place)),
        "paragraphs/counted.json",
    )
    cut = {limit: sum(record["cut"][str(limit)] for record in counted) for limit in GRID}
    steps: list[shuffle.Step] = [("Partitions", shuffle.itself)]
    last = partial(_match, place=place)
    if place.is_sent:
        steps = [
            ("Ask for rows", partial(_ask, place=place)),
            ("Send rows", partial(sending.send, folder=folder, columns=place.columns)),
        ]
        last = partial(_match_sent, place=place)
    matched = shuffle.run(
        runner,
        folder,
        "dedupe-places",
        sorted(record["key"] for record in counted if record["rows"]),
        steps,
        ("Match", last),
        "paragraphs/matched.json",
    )
    return [record["path"] for record in matched if record["rows"]], place.rows.files(), cut


def _paragraphs(run: int, place: Place) -> Iterator[Keyed]:
    """Return the paragraphs of a run's kept documents by partition."""
    lost = settling.lost(place.folder, run)
    found = place.rows.of_run(run, partial(_of_texts, length=place.settings.length))
    # An older corpus may have stored shorter ones.
    long = (rows[rows["end"] - rows["start"] >= place.settings.length] for rows in found)
    stay = (_not_lost(rows, lost) for rows in long)
    return handover.parted(place.folder, "paragraphs/found", run, stay, place.partitions, place.is_sent)


def _of_texts(docs: NDArray[np.uint64], batch: pa.RecordBatch, length: int) -> NDArray[np.void]:
    texts, urls = (batch.column(name).to_pylist() for name in ("text", "url"))
    return paragraphs.paragraphs(docs, texts, urls, length)


def _not_lost(found: NDArray[np.void], lost: NDArray[np.void]) -> NDArray[np.void]:
    """Return the paragraphs of which no byte is LOST."""
    if not lost.size:
        return found
    documents, number = np.unique(lost["document"], return_inverse=True)
    # Places in all documents, one after another: a document has fewer than 2**32 bytes.
    first = number.astype(np.int64) << 32
    order = np.argsort(first + lost["start"])
    starts, ends = (first + lost["start"])[order], np.maximum.accumulate((first + lost["end"])[order])
    place = np.minimum(np.searchsorted(documents, found["document"]), documents.size - 1)
    before = place.astype(np.int64) << 32
    at = np.searchsorted(starts, before + found["end"]) - 1  # the last that starts before the paragraph ends
    is_lost: NDArray[np.bool_] = (at >= 0) & (ends[at] > before + found["start"])
    is_lost &= documents[place] == found["document"]
    return found[~is_lost]


def _count(found: Grouped, place: Place) -> dict[str, Any]:
    """Save those of a partition's paragraphs that have too many places."""
    key, packed = found
    blocks = handover.contents(place.folder, packed, place.is_sent)
    rows = np.concatenate([np.frombuffer(block, PARAGRAPH) for block in blocks])
    common, cut = paragraphs.common(rows, place.settings.most, place.by_host)
    common = handover.with_new(common, place.folder)
    handover.save(place.folder, _common(key), common)
    return {"key": key, "rows": common.size, "cut": {str(limit): number for limit, number in cut.items()}}


def _common(key: int) -> str:
    return f"paragraphs/common/{key:05d}.npy"


def _ask(key: int, place: Place) -> Iterator[Keyed]:
    docs = np.unique(handover.load(place.folder, _common(key))["document"])
    yield from sending.ask(place.folder, key, docs)


def _match_sent(partition: Grouped, place: Place) -> dict[str, Any]:
    key, packed = partition
    with sending.received(packed) as rows:
        return _save(key, rows, place)


def _match(partition: Grouped, place: Place) -> dict[str, Any]:
    return _save(partition[0], handover.store_of(place.folder), place)


def _save(key: int, rows: Rows, place: Place) -> dict[str, Any]:
    """Save which bytes of documents are paragraphs that better places keep."""
    common = handover.load(place.folder, _common(key))
    docs, which = np.unique(common["document"], return_inverse=True)
    first_new = handover.first_new(place.folder)
    ranks = rows.ranks(docs, place.sources, first_new)
    found = paragraphs.copied(common, ranks[which], place.settings.most, place.by_host)
    found = found[found["document"] >= first_new]
    path = f"paragraphs/matched/{key:05d}.npy"
    handover.save(place.folder, path, found)
    return {"path": path, "rows": found.size}
