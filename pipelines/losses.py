"""What dedupe took from each source, and for the documents of which source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus.dedup.store import Rows, SignatureStore
from corpus.errors import SourceLossError
from pipelines import handover

MANY = 1_000
"""Documents from which on a source's loss can stop the stage."""

_NOTABLE = 0.5  # share of a source whose loss is remarked on


@dataclass(frozen=True, slots=True)
class Taken:
    """What was removed of documents of one source for those of another: documents, and bytes of text.

    The bytes are those of the documents, and of what was cut from documents that stay.
    """

    source: str
    kept: str
    documents: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Loss:
    """The documents of a source and their bytes, and how many were removed for each source."""

    source: str
    documents: int
    removed: int
    removed_for: dict[str, int]
    bytes: int
    bytes_removed: int
    bytes_removed_for: dict[str, int]

    @property
    def share(self) -> float:
        """The share of its documents or, where that is more, of its text that it lost."""
        return max(_share(self.removed, self.documents), _share(self.bytes_removed, self.bytes))

    @property
    def share_to_others(self) -> float:
        """The share that it lost to other sources."""
        documents, text = (found.get(self.source, 0) for found in (self.removed_for, self.bytes_removed_for))
        return max(
            _share(self.removed - documents, self.documents), _share(self.bytes_removed - text, self.bytes)
        )

    def __str__(self) -> str:
        most = max(self.bytes_removed_for, key=lambda name: (self.bytes_removed_for[name], name))
        return (
            f"source {self.source} lost {self.removed:,} of {self.documents:,} documents and "
            f"{_share(self.bytes_removed, self.bytes):.1%} of its text, most of it to {most}"
        )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def save_sizes(folder: str, run: int, parts: Iterable[int], store: SignatureStore) -> None:
    """Write how many documents of each source a run has, and their bytes."""
    sizes: Counter[str] = Counter()
    texts: Counter[str] = Counter()
    for part in parts:
        table = store.part(part).select(["source", "bytes"])
        for row in table.group_by("source").aggregate([("bytes", "count"), ("bytes", "sum")]).to_pylist():
            sizes[row["source"]] += row["bytes_count"]
            texts[row["source"]] += row["bytes_sum"]
    rows = [{"source": name, "documents": n, "bytes": texts[name]} for name, n in sizes.items()]
    handover.write_list(folder, _path(run), rows)


def taken(rows: Rows, gone: NDArray[np.void], spans: NDArray[np.void]) -> list[Taken]:
    """Return what removals (REMOVAL) and spans (SPAN) take, by the sources of the documents."""
    documents: Counter[tuple[str, str]] = Counter()
    texts: Counter[tuple[str, str]] = Counter()
    own = rows.columns(gone["document"], ["bytes"])["bytes"].to_pylist()
    for pair, size in zip(_pairs(rows, gone["document"], gone["survivor"]), own, strict=True):
        documents[pair] += 1
        texts[pair] += size
    cut = (spans["end"].astype(np.int64) - spans["start"]).tolist()
    for pair, size in zip(_pairs(rows, spans["document"], spans["kept"]), cut, strict=True):
        texts[pair] += size
    return [Taken(*pair, documents[pair], number) for pair, number in sorted(texts.items())]


def _pairs(rows: Rows, *ends: NDArray[np.uint64]) -> Iterator[tuple[str, str]]:
    return zip(*(rows.columns(docs, ["source"])["source"].to_pylist() for docs in ends), strict=True)


def losses(folder: str, taken: Iterable[Taken]) -> list[Loss]:
    """Return the loss of each source, from `save_sizes` and what was taken."""
    sizes: Counter[str] = Counter()
    texts: Counter[str] = Counter()
    for run in range(len(handover.runs_of(folder))):
        for row in handover.read_list(folder, _path(run)) or []:
            sizes[row["source"]] += row["documents"]
            texts[row["source"]] += row["bytes"]
    of_documents: dict[str, Counter[str]] = {name: Counter() for name in sizes}
    of_texts: dict[str, Counter[str]] = {name: Counter() for name in sizes}
    for each in taken:
        of_documents[each.source][each.kept] += each.documents
        of_texts[each.source][each.kept] += each.bytes
    return [
        Loss(
            name,
            sizes[name],
            of_documents[name].total(),
            dict(sorted((+of_documents[name]).items())),
            texts[name],
            of_texts[name].total(),
            dict(sorted(of_texts[name].items())),
        )
        for name in sorted(sizes)
    ]


def facts(found: Iterable[Loss]) -> list[dict[str, Any]]:
    """Return losses as plain values, for the report."""
    return [asdict(each) for each in found]


def remarks(found: Iterable[Loss]) -> Iterator[str]:
    """Yield a line for each source that lost most of its documents, or of its text."""
    return (str(each) for each in found if each.share > _NOTABLE)


def check(found: Iterable[Loss], most: float) -> None:
    """Raise SourceLossError where a source of `MANY` documents lost a larger share than `most` to others."""
    for each in found:
        if each.documents >= MANY and each.share_to_others > most:
            raise SourceLossError(
                f"{each}; dedupe.max_source_loss allows {most:.1%} to other sources. Look at some with "
                f"`derlem show DIR --dropped dedupe`, and `--spans`; change [dedupe], or allow the share"
            )


def _path(run: int) -> str:
    return f"sources/{run:06d}.json"
