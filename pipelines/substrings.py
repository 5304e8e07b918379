"""Passages that stand twice among kept documents: grams by partition, and passages matched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus import dataset
from corpus.config import Substrings
from corpus.dedup import substrings
from corpus.dedup.store import PREFERENCE, pack
from corpus.dedup.substrings import FINGERPRINT, Segments, Texts
from corpus.schema import GRAMS
from pipelines import handover, options, sending, settling, shuffle, stored
from pipelines.shuffle import Grouped, Keyed

FINGERPRINTS_A_PARTITION = 4_000_000
"""Grams that one step sorts, those of 600 MB of text in passages of 500 bytes: about 100 MB."""

PLACES_A_GROUP = 100_000
"""Grams whose passages one step compares: it holds about 650 bytes of text for each."""

_TEXTS = 4_096  # documents whose texts are held at a time
_GROUPS = 20  # bits of the number of a group in its partition


@dataclass(frozen=True, slots=True)
class Place(stored.Place[Substrings]):
    """What the steps need to know."""

    @property
    def rows(self) -> stored.Rows:
        """The fingerprints of the documents."""
        return stored.Rows(self.folder, self.home, self.number, GRAMS, FINGERPRINT, ("text",))


def match(
    folder: str,
    home: str,
    number: int,
    settings: Substrings,
    text_bytes: int,
    runner: options.Runner,
    sources: Sequence[str] = (),
) -> tuple[list[str], list[dataset.File]]:
    """Find passages that stand twice in the documents that pass `number` kept.

    Return the files of COPIED, and those with the fingerprints of the documents, which are left in `home`.
    Every passage of `settings.length` bytes keeps one place, that of the preferred document. `text_bytes` is
    about the size of all texts. The result is the same on any number of workers. Of older corpora only what
    is kept for new documents counts.
    """
    grams = 2 * text_bytes // (settings.length - substrings.gram_of(settings.length) + 2)
    partitions = 1 + grams // FINGERPRINTS_A_PARTITION
    sent = handover.is_sent(folder, runner)
    place = Place(folder, number, settings, tuple(sources), partitions, sent, home)
    matched = shuffle.run(
        runner,
        folder,
        "dedupe-substrings",
        range(len(handover.runs_of(folder))),
        [
            ("Grams", partial(_grams, place=place)),
            ("Ask for passages", partial(_ask, place=place)),
            ("Send passages", partial(_send, place=place)),
        ],
        ("Match", partial(_match, place=place)),
        "substrings/matched.json",
    )
    return [record["path"] for record in matched if record["rows"]], place.rows.files()


def _grams(run: int, place: Place) -> Iterator[Keyed]:
    """Return the fingerprints of a run's kept documents by partition."""
    found = place.rows.of_run(run, partial(_of_texts, length=place.settings.length))
    return handover.parted(place.folder, "substrings/grams", run, found, place.partitions, place.is_sent)


def _of_texts(docs: NDArray[np.uint64], batch: pa.RecordBatch, length: int) -> NDArray[np.void]:
    return substrings.fingerprints(Texts.of_column(docs, batch.column("text")), length)


def _ask(grams: Grouped, place: Place) -> Iterator[Keyed]:
    """Ask for the passages of the grams of a partition that stand twice, by groups of whole hashes."""
    key, packed = grams
    blocks = handover.contents(place.folder, packed, place.is_sent)
    found = substrings.repeated(np.concatenate([np.frombuffer(block, FINGERPRINT) for block in blocks]))
    found = handover.with_new(found, place.folder)
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
                yield key, b"r" + pack(np.unique(rows["document"]), store, PREFERENCE)
    lost = settling.lost(place.folder, run)
    held: dict[int, list[Segments]] = {}
    size = piece = 0
    for at in range(0, docs.size, _TEXTS):
        some = docs[at : at + _TEXTS]
        texts = Texts.of(some, handover.texts(place.folder, some)).without(lost)
        for key, rows in wanted:
            low, high = np.searchsorted(rows["document"], [some[0], some[-1] + np.uint64(1)])
            if low < high:
                cut = Segments.cut(rows[low:high], texts, place.settings.length)
                held.setdefault(key, []).append(cut)
                size += cut.text.nbytes
        if size > handover.HELD or at + _TEXTS >= docs.size:
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
    first_new = handover.first_new(place.folder)
    if place.is_sent:
        with sending.received(block[1:] for block in blocks if block[:1] == b"r") as rows:
            ranks = rows.ranks(docs, place.sources, first_new)
    else:
        ranks = handover.store_of(place.folder).ranks(docs, place.sources, first_new)
    found = substrings.copied(segments, ranks[which], place.settings.length)
    found = found[found["document"] >= first_new]
    path = f"substrings/matched/{key:010x}.npy"
    handover.save(place.folder, path, found)
    return {"path": path, "rows": found.size}
