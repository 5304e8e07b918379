"""Spans cut from kept documents, and documents of which too little is left: the last decisions of dedupe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus.config import Dedupe
from corpus.dedup import spans
from corpus.dedup.clusters import REMOVAL
from corpus.dedup.removals import KINDS, PARAGRAPHS, SUBSTRINGS
from corpus.dedup.spans import COPIED, SPAN
from pipelines import handover, options, settling, shuffle
from pipelines.shuffle import Grouped, Keyed

_RUN, _OWN, _NEEDED = b"n", b"o", b"d"
"""Kinds of what spans are cut from: the number of a run, its COPIED, and those kept for others."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What was cut of one kind from documents that stay: spans, their bytes, and the documents."""

    kind: str
    spans: int
    bytes: int
    documents: int


@dataclass(frozen=True, slots=True)
class Place:
    """What the steps need to know."""

    folder: str
    number: int  # of the pass whose decisions count; the next number has these and the spans
    least_bytes: dict[int, int]  # by kind
    fill: float


def cut(
    folder: str, number: int, settings: Dedupe, matched: Sequence[str], runner: options.Runner
) -> list[Cut]:
    """Cut what stands elsewhere (files of COPIED) from the documents that pass `number` kept.

    Decisions are saved as of the next pass. A document is dropped where fewer bytes are left than the kind
    that removed most of it asks for, and none of them is kept for others. Gaps are filled between passages
    alone: of paragraphs each counts.
    """
    least = {SUBSTRINGS: settings.substrings.least_bytes, PARAGRAPHS: settings.paragraphs.least_bytes}
    fill = settings.substrings.fill if settings.substrings.length else 1.0
    records = shuffle.run(
        runner,
        folder,
        "dedupe-spans",
        [*handover.new_runs(folder), *matched],
        [("By run", partial(_by_run, folder=folder))],
        ("Cut", partial(_cut, place=Place(folder, number, least, fill))),
        "spans/cut.json",
    )
    found = [Cut(**row) for record in records for row in record["cut"]]
    return [
        Cut(kind, *(sum(getattr(each, name) for each in found if each.kind == kind) for name in _NUMBERS))
        for kind in (KINDS[SUBSTRINGS], KINDS[PARAGRAPHS])
    ]


_NUMBERS = ("spans", "bytes", "documents")


def _by_run(named: int | str, folder: str) -> Iterator[Keyed]:
    """Yield the rows of a file to the runs of the documents that lose them, and of those that keep them."""
    if isinstance(named, int):
        yield named, _RUN
        return
    rows = handover.load(folder, named)
    for kind, column in ((_OWN, "document"), (_NEEDED, "kept")):
        rows = rows[rows[column] >= handover.first_new(folder)]  # nothing is cut from older documents
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
    found, dropped = [np.empty(0, SPAN)], [np.empty(0, REMOVAL)]
    docs = np.unique(own["document"])
    for doc, text in zip(docs, handover.texts(place.folder, docs), strict=True):
        low, high = np.searchsorted(own["document"], [doc, doc + np.uint64(1)])
        first, last = np.searchsorted(needed["kept"], [doc, doc + np.uint64(1)])
        content, others = text.encode(), needed[first:last]
        mine = spans.spans(np.frombuffer(content, np.uint8), own[low:high], others, place.fill)
        if not mine.size:
            continue
        kind = spans.most(mine, "kind")
        left = len(spans.without(content, mine["start"].tolist(), mine["end"].tolist()))
        if left < place.least_bytes[kind] and not spans.is_needed(mine, others):
            survivor = spans.most(mine[mine["kind"] == kind], "kept")
            dropped.append(np.array([(doc, survivor, kind, np.nan)], REMOVAL))
        else:
            found.append(mine)
    all_spans = np.concatenate(found)
    settling.save_cut(place.folder, place.number, run, all_spans, np.concatenate(dropped))
    return {"run": run, "cut": [asdict(_counted(all_spans, kind)) for kind in (SUBSTRINGS, PARAGRAPHS)]}


def _counted(found: NDArray[np.void], kind: int) -> Cut:
    rows = found[found["kind"] == kind]
    removed = int((rows["end"].astype(np.int64) - rows["start"]).sum())
    return Cut(KINDS[kind], rows.size, removed, np.unique(rows["document"]).size)
