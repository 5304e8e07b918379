"""What dedupe took from each source, and for the documents of which source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from corpus.dedup.store import SignatureStore
from corpus.errors import SourceLossError
from pipelines import handover

MANY = 1_000
"""Documents from which on a source's loss can stop the stage."""

_NOTABLE = 0.5  # share of a source whose loss is remarked on


@dataclass(frozen=True, slots=True)
class Loss:
    """The documents of a source, how many were removed, and the source that most of them were removed for."""

    source: str
    documents: int
    removed: int
    removed_for: dict[str, int]

    @property
    def to_others(self) -> int:
        """How many were removed for documents of other sources."""
        return self.removed - self.removed_for.get(self.source, 0)

    def __str__(self) -> str:
        most = max(self.removed_for, key=lambda name: (self.removed_for[name], name))
        return (
            f"source {self.source} lost {self.removed:,} of {self.documents:,} documents, "
            f"{self.removed_for[most]:,} of them to {most}"
        )


def save_sizes(folder: str, run: int, parts: Iterable[int], store: SignatureStore) -> None:
    """Write how many documents of each source a run has."""
    sizes: Counter[str] = Counter()
    for part in parts:
        for row in store.part(part)["source"].value_counts().to_pylist():
            sizes[row["values"]] += row["counts"]
    handover.write_list(folder, _path(run), [{"source": name, "documents": n} for name, n in sizes.items()])


def losses(folder: str, removed: Iterable[tuple[str, str, int]]) -> list[Loss]:
    """Return the loss of each source, from `save_sizes` and (source, source kept, documents) rows."""
    sizes: Counter[str] = Counter()
    for run in range(len(handover.runs_of(folder))):
        for row in handover.read_list(folder, _path(run)) or []:
            sizes[row["source"]] += row["documents"]
    taken: dict[str, Counter[str]] = {name: Counter() for name in sizes}
    for source, kept, number in removed:
        taken[source][kept] += number
    return [
        Loss(name, sizes[name], taken[name].total(), dict(sorted(taken[name].items())))
        for name in sorted(sizes)
    ]


def facts(found: Iterable[Loss]) -> list[dict[str, Any]]:
    """Return losses as plain values, for the report."""
    return [asdict(each) for each in found]


def remarks(found: Iterable[Loss]) -> Iterator[str]:
    """Yield a line for each source that lost most of its documents."""
    return (str(each) for each in found if each.removed > _NOTABLE * each.documents)


def check(found: Iterable[Loss], most: float) -> None:
    """Raise SourceLossError where a source of `MANY` documents lost a larger share than `most` to others."""
    for each in found:
        if each.documents >= MANY and each.to_others > most * each.documents:
            raise SourceLossError(
                f"{each}; dedupe.max_source_loss allows {most:.1%} to other sources. Look at some with "
                f"`derlem show DIR --dropped dedupe`; raise dedupe.threshold, or allow the share"
            )


def _path(run: int) -> str:
    return f"sources/{run:06d}.json"
