"""Passages that stand twice among kept documents: grams by partition, passages matched, spans cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus import dataset
from corpus.config import Substrings
from corpus.dedup import substrings
from corpus.dedup.clusters import REMOVAL
from corpus.dedup.removals import SUBSTRINGS
from corpus.dedup.store import document_numbers, pack
from corpus.dedup.substrings import COPIED, FINGERPRINT, SPAN, Segments, Texts
from pipelines import handover, options, sending, settling, shuffle
from pipelines.shuffle import Grouped, Keyed

FINGERPRINTS_A_PARTITION = 4_000_000
"""Grams that one step sorts, those of 600 MB of text in passages of 500 bytes: about 100 MB."""

PLACES_A_GROUP = 100_000
"""Grams whose passages one step compares: it holds about 650 bytes of text for each."""

_HELD = 128 << 20  # bytes that a step collects for others before it passes them on
_TEXTS = 4_096  # documents whose texts are held at a time
_GROUPS = 20  # bits of the number of a group in its partition

_RUN, _OWN, _NEEDED = b"n", b"o", b"d"
"""Kinds of what spans are cut from: the number of a run, passages to remove, and those kept for others."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What was cut from the documents of a run."""

    run: int
    documents: int  # that lost a span and stay
    spans: int
    bytes: int
    dropped: int  # documents of which too little was left


@dataclass(frozen=True, slots=True)
class Place:
    """What the steps need to know."""

    folder: str
    number: int  # of the pass whose decisions count; the next number has these and the spans
    settings: Substrings
    sources: tuple[str, ...]
    partitions: int
    is_sent: bool

    def columns(self) -> list[str]:
        """Return the columns that the order of preference is made from."""
        return ["id", "source", "bytes", "fetched"]


def remove(
    folder: str,
    number: int,
    settings: Substrings,
    text_bytes: int,
    runner: options.Runner,
    sources: Sequence[str] = (),
) -> list[Cut]:
    """Find the spans to remove from the documents that pass `number` kept; save decisions as of the next.

    Every passage of `settings.length` bytes keeps one place, that of the preferred document. `text_bytes` is
    about the size of all texts. A document is dropped where fewer than `settings.least_bytes` are left and
    none of them is kept for others. The result is the same on any number of workers.
    """
    grams = 2 * text_bytes // (settings.length - substrings.gram_of(settings.length) + 2)
    partitions = 1 + grams // FINGERPRINTS_A_PARTITION
    place = Place(folder, number, settings, tuple(sources), partitions, handover.is_sent(folder, runner))
    runs = handover.new_runs(folder)
    matched = shuffle.run(
        runner,
        folder,
        "dedupe-substrings",
        runs,
        [
            ("Grams", partial(_grams, place=place)),
            ("Ask for passages", partial(_ask, place=place)),
            ("Send passages", partial(_send, place=place)),
        ],
        ("Match", partial(_match, place=place)),
        "substrings/matched.json",
    )
    paths = [record["path"] for record in matched if record["rows"]]
    records = shuffle.run(
        runner,
        folder,
        "dedupe-spans",
        [*runs, *paths],
        [("By run", partial(_by_run, folder=folder))],
        ("Cut", partial(_cut, place=place)),
        "substrings/cut.json",
    )
    return [Cut(**record) for record in records]


def _grams(run: int, place: Place) -> Iterator[Keyed]:
    """Yield the fingerprints of a run's kept documents by partition."""
    gone = settling.gone(place.folder, place.number, run)
    held, size, piece = [np.empty(0, FINGERPRINT)], 0, 0
    paths = handover.parts_of(place.folder).texts
    for part in handover.runs_of(place.folder)[run]:
        for texts in _kept_texts(paths[part], part, gone):
            held.append(substrings.fingerprints(texts, place.settings.length))
            size += held[-1].nbytes
            if size > _HELD:
                yield from _by_partition(np.concatenate(held), place, f"{run:05d}-{piece:03d}")
                held, size, piece = [], 0, piece + 1
    if size:
        yield from _by_partition(np.concatenate(held), place, f"{run:05d}-{piece:03d}")


def _kept_texts(path: str, part: int, gone: NDArray[np.uint64]) -> Iterator[Texts]:
    folder, _, name = path.rpartition("/")
    first = 0
    for batch in dataset.batches(folder, name, ["text"]):
        docs = document_numbers(part, np.arange(first, first + batch.num_rows))
        stays = ~np.isin(docs, gone)
        yield Texts.of_column(docs[stays], batch.column("text").filter(pa.array(stays)))
        first += batch.num_rows


def _by_partition(found: NDArray[np.void], place: Place, name: str) -> Iterator[Keyed]:
    keys = found["hash"] % np.uint64(place.partitions)
    order = np.argsort(keys, kind="stable")
    cuts = np.searchsorted(keys[order], np.arange(place.partitions + 1, dtype=np.uint64))
    for key in range(place.partitions):
        rows = found[order[cuts[key] : cuts[key + 1]]]
        if rows.size:
            path = f"substrings/grams/{key:05d}-{name}.npy"
            yield key, handover.parcel(place.folder, path, rows.tobytes(), place.is_sent)


def _ask(grams: Grouped, place: Place) -> Iterator[Keyed]:
    """Ask for the passages of the grams of a partition that stand twice, by groups of whole hashes."""
    key, packed = grams
    blocks = handover.contents(place.folder, packed, place.is_sent)
    found = substrings.repeated(np.concatenate([np.frombuffer(block, FINGERPRINT) for block in blocks]))
    for number, group in enumerate(substrings.groups(found, PLACES_A_GROUP)):
        rows = np.sort(group, order=["document", "at"])
        name = (key << _GROUPS | number).to_bytes(8, "little")
        for run, inside in handover.by_run(place.folder, rows["document"]):
            yield run, name + rows[inside].tobytes()


def _send(asked: Grouped, place: Place) -> Iterator[Keyed]:
    """Read the texts of a run that were asked for, once, and yield to each group its passages."""
    run, blocks = asked
    wanted = [
        (int.from_bytes(block[:8], "little"), np.frombuffer(block, FINGERPRINT, offset=8)) for block in blocks
    ]
    docs = np.unique(np.concatenate([rows["document"] for _, rows in wanted]))
    if place.is_sent:
        with handover.own_parts(place.folder) as store:
            for key, rows in wanted:
                yield key, b"r" + pack(np.unique(rows["document"]), store, place.columns())
    held: dict[int, list[Segments]] = {}
    size = piece = 0
    for at in range(0, docs.size, _TEXTS):
        some = docs[at : at + _TEXTS]
        texts = Texts.of(some, handover.texts(place.folder, some))
        for key, rows in wanted:
            low, high = np.searchsorted(rows["document"], [some[0], some[-1] + np.uint64(1)])
            if low < high:
                cut = Segments.cut(rows[low:high], texts, place.settings.length)
                held.setdefault(key, []).append(cut)
                size += cut.text.nbytes
        if size > _HELD or at + _TEXTS >= docs.size:
            for key, segments in held.items():
                path = f"substrings/passages/{key:010x}-{run:05d}-{piece:03d}.npy"
                content = Segments.together(segments).pack()
                yield key, b"t" + handover.parcel(place.folder, path, content, place.is_sent)
            held, size, piece = {}, 0, piece + 1


def _match(passages: Grouped, place: Place) -> dict[str, Any]:
    """Save which bytes of a group's documents stand at a better place."""
    key, packed = passages
    blocks = list(packed)
    sent = (block[1:] for block in blocks if block[:1] == b"t")
    segments = Segments.unpacked(handover.contents(place.folder, sent, place.is_sent))
    docs, which = np.unique(segments.fingerprints["document"], return_inverse=True)
    if place.is_sent:
        with sending.received(block[1:] for block in blocks if block[:1] == b"r") as rows:
            ranks = rows.ranks(docs, place.sources)
    else:
        ranks = handover.store_of(place.folder).ranks(docs, place.sources)
    found = substrings.copied(segments, ranks[which], place.settings.length)
    path = f"substrings/matched/{key:010x}.npy"
    handover.save(place.folder, path, found)
    return {"path": path, "rows": found.size}


def _by_run(named: int | str, folder: str) -> Iterator[Keyed]:
    """Yield the rows of a file to the runs of the documents that lose them, and of those that keep them."""
    if isinstance(named, int):
        yield named, _RUN
        return
    rows = handover.load(folder, named)
    for kind, column in ((_OWN, "document"), (_NEEDED, "kept")):
        rows = rows[np.argsort(rows[column], kind="stable")]
        for run, inside in handover.by_run(folder, rows[column]):
            yield run, kind + rows[inside].tobytes()


def _cut(decided: Grouped, place: Place) -> dict[str, Any]:
    """Save the decisions about a run: those of the pass, spans, and documents of which too little is left."""
    run, packed = decided
    blocks = list(packed)
    own, needed = (
        np.frombuffer(b"".join(block[1:] for block in blocks if block[:1] == kind), COPIED)
        for kind in (_OWN, _NEEDED)
    )
    own, needed = own[np.argsort(own["document"])], needed[np.argsort(needed["kept"])]
    spans, dropped = [np.empty(0, SPAN)], [np.empty(0, REMOVAL)]
    docs = np.unique(own["document"])
    for doc, text in zip(docs, handover.texts(place.folder, docs), strict=True):
        low, high = np.searchsorted(own["document"], [doc, doc + np.uint64(1)])
        first, last = np.searchsorted(needed["kept"], [doc, doc + np.uint64(1)])
        settings, others = place.settings, needed[first:last]
        content = text.encode()
        found = substrings.spans(
            np.frombuffer(content, np.uint8), own[low:high], others, settings.fill, settings.length
        )
        left = len(substrings.without(content, found["start"].tolist(), found["end"].tolist()))
        if left < settings.least_bytes and not substrings.is_needed(found, others):
            survivor = _keeps_most(found)
            dropped.append(np.array([(doc, survivor, SUBSTRINGS, np.nan)], REMOVAL))
        elif found.size:
            spans.append(found)
    all_spans, all_dropped = np.concatenate(spans), np.concatenate(dropped)
    settling.save_cut(place.folder, place.number, run, all_spans, all_dropped)
    number = np.unique(all_spans["document"]).size
    removed = int((all_spans["end"].astype(np.int64) - all_spans["start"]).sum())
    return asdict(Cut(run, number, all_spans.size, removed, all_dropped.size))


def _keeps_most(found: NDArray[np.void]) -> np.uint64:
    kept, which = np.unique(found["kept"], return_inverse=True)
    most: np.uint64 = kept[np.argmax(np.bincount(which, found["end"].astype(np.int64) - found["start"]))]
    return most
