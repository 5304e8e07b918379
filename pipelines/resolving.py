"""Clusters of copies from links: in one process, or whole clusters to a partition where they are too many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from corpus.dedup.bands import EDGE, merge_edges, verified
from corpus.dedup.clusters import Clusters, check_survivors_stay, largest_component
from corpus.dedup.clusters import resolve as resolve_edges
from corpus.dedup.components import split
from corpus.dedup.store import PREFERENCE, Rows
from pipelines import handover, options, sending, shuffle
from pipelines.rounds import label, rows_of
from pipelines.shuffle import Grouped, Keyed

_EDGES, _LABELS = "e", "l"
"""Kinds of files that clusters are resolved from."""


@dataclass(frozen=True, slots=True)
class Linked:
    """The result of one partition of one band, and the file of its edges."""

    path: str  # .npy of EDGE below the folder
    band: int
    edges: int
    verified: int  # edges that make copies
    buckets: int
    largest_bucket: int
    unlinked: int


class Edges(Protocol):
    """A file of edges, and what it holds."""

    @property
    def path(self) -> str:
        """.npy of EDGE below the folder."""

    @property
    def edges(self) -> int:
        """How many there are."""

    @property
    def verified(self) -> int:
        """How many make copies."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """The clusters of one partition, and their files."""

    removals: str  # .npy of REMOVAL below the folder
    survivors: str  # .npy of SURVIVOR below the folder
    passed_over: str  # .npy of uint64 below the folder
    removed: int
    clusters: int
    largest: tuple[tuple[float, int], ...]  # (threshold, documents of the largest component)


@dataclass(frozen=True, slots=True)
class Rule:
    """What decides between copies, and where the decisions of a pass are written."""

    folder: str
    number: int  # of the pass
    threshold: float
    sources: tuple[str, ...]

    def columns(self, key: int) -> Sequence[str]:
        """Return the columns that the order of preference is made from."""
        return PREFERENCE

    def path(self, key: int, kind: str) -> str:
        """Return the file of one kind of a partition."""
        return f"pass-{self.number:02d}/clusters/{key:06d}-{kind}.npy"


def resolve(
    folder: str,
    found: Sequence[Edges],
    threshold: float,
    partitions: int,
    runner: options.Runner,
    sources: Sequence[str] = (),
    number: int = 1,
) -> list[Resolved]:
    """Resolve the clusters of all edges in one process, or in rounds with whole clusters to a partition.

    In rounds (`partitions` above 0) edges below the threshold are skipped from the start, so the size of the
    largest component is known from `threshold` upwards only. `number` is that of the pass. Raises
    LinkingError when `rounds.MAX_ROUNDS` leave edges that still move.
    """
    rule = Rule(folder, number, threshold, tuple(sources))
    source = [(linked.path, _EDGES) for linked in found]
    steps: list[shuffle.Step] = [("Edges", partial(_edges, folder=folder))]
    if partitions:
        paths = [linked.path for linked in found]
        labels = label(folder, paths, threshold, partitions, runner, number)
        source += [(path, _LABELS) for path in labels]
        steps = [
            ("By node", partial(_by_node, folder=folder, threshold=threshold, partitions=partitions)),
            ("Whole clusters", partial(_edges_by_label, partitions=partitions)),
        ]
    last = partial(_resolve, rule=rule)
    if handover.is_sent(folder, runner):
        steps.append(("Ask for ranks", partial(_ask, rule=rule)))
        steps.append(("Send ranks", partial(sending.send, folder=folder, columns=rule.columns)))
        last = partial(_resolve_sent, rule=rule)
    resolved = shuffle.run(
        runner,
        folder,
        f"dedupe-clusters-{number:02d}",
        source,
        steps,
        ("Resolve", last),
        f"pass-{number:02d}/clusters.json",
    )
    return [_resolved(record) for record in resolved]


def load_edges(folder: str, found: Iterable[Edges]) -> NDArray[Any]:
    """Read all edges (EDGE), each pair once, including those below the threshold."""
    return merge_edges(handover.load(folder, linked.path) for linked in found)


def load_clusters(folder: str, resolved: Iterable[Resolved]) -> Iterator[Clusters]:
    """Read the clusters of each partition back."""
    for part in resolved:
        yield Clusters(
            *(handover.load(folder, path) for path in (part.removals, part.survivors, part.passed_over))
        )


def _edges(file: tuple[str, str], folder: str) -> Iterator[Keyed]:
    yield 0, handover.load(folder, file[0]).tobytes()


def _by_node(file: tuple[str, str], folder: str, threshold: float, partitions: int) -> Iterator[Keyed]:
    """Yield the rows of a file, of edges or of labels, by their first document; a letter says which."""
    path, kind = file
    rows = handover.load(folder, path)
    if kind == _LABELS:
        for number, some in split(rows, partitions):
            yield number, kind.encode() + some.tobytes()
        return
    edges = verified(rows, threshold)
    for number, block in split_edges(edges["a"], edges, partitions):
        yield number, kind.encode() + block


def _edges_by_label(nodes: Grouped, partitions: int) -> Iterator[Keyed]:
    blocks: dict[str, list[bytes]] = {_EDGES: [], _LABELS: [b""]}
    for block in nodes[1]:
        blocks[chr(block[0])].append(block[1:])
    edges = merge_edges(np.frombuffer(block, EDGE) for block in blocks[_EDGES])
    stars = rows_of(blocks[_LABELS])
    stars = stars[np.argsort(stars[:, 0])]
    # A document without a row is the centre of its star: its own label.
    labels = edges["a"].copy()
    at = np.minimum(np.searchsorted(stars[:, 0], labels), max(len(stars) - 1, 0))
    if len(stars):
        labels = np.where(stars[at, 0] == labels, stars[at, 1], labels)
    yield from split_edges(labels, edges, partitions)


def split_edges(keys: NDArray[np.uint64], edges: NDArray[Any], partitions: int) -> Iterator[Keyed]:
    """Yield (partition, edges as bytes) by a hash of a document of each edge."""
    numbered = np.stack([keys, np.arange(keys.size, dtype=np.uint64)], axis=1)
    for number, rows in split(numbered, partitions):
        yield number, edges[rows[:, 1].astype(np.int64)].tobytes()


def _merged(packed: Iterable[bytes]) -> NDArray[Any]:
    return merge_edges(np.frombuffer(block, EDGE) for block in packed)


def _ask(component: Grouped, rule: Rule) -> Iterator[Keyed]:
    """Keep the edges of a partition, and ask for what the order of preference needs of their documents."""
    key, packed = component
    edges = _merged(packed)
    handover.save(rule.folder, rule.path(key, "edges"), edges)
    yield from sending.ask(rule.folder, key, np.unique(np.concatenate([edges["a"], edges["b"]])))


def _resolve(component: Grouped, rule: Rule) -> dict[str, Any]:
    key, packed = component
    return _save_clusters(rule, key, _merged(packed), handover.store_of(rule.folder))


def _resolve_sent(ranks: Grouped, rule: Rule) -> dict[str, Any]:
    key, packed = ranks
    with sending.received(packed) as rows:
        return _save_clusters(rule, key, handover.load(rule.folder, rule.path(key, "edges")), rows)


def _resolved(record: dict[str, Any]) -> Resolved:
    largest = tuple((float(threshold), int(size)) for threshold, size in record["largest"])
    return Resolved(**{**record, "largest": largest})


def _save_clusters(rule: Rule, key: int, edges: NDArray[Any], rows: Rows) -> dict[str, Any]:
    first_new = handover.first_new(rule.folder)
    ranks = partial(rows.ranks, sources=rule.sources, first_new=first_new)
    clusters = resolve_edges(edges, rule.threshold, ranks)
    check_survivors_stay(clusters)
    paths = [rule.path(key, kind) for kind in ("removals", "survivors", "passed-over")]
    for path, found in zip(paths, (clusters.removals, clusters.survivors, clusters.passed_over), strict=True):
        handover.save(rule.folder, path, found)
    removed, kept = clusters.removals.size, clusters.survivors.size
    return asdict(Resolved(paths[0], paths[1], paths[2], removed, kept, tuple(largest_component(edges))))
