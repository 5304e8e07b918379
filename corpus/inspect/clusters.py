"""The largest clusters of copies: sizes, kinds, hosts, and the differences of two members."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, Field

from corpus import dataset
from corpus.errors import DatasetError
from corpus.inspect import rows
from corpus.inspect.build import Stage, open_build
from corpus.inspect.differ import Comparison, compare
from corpus.inspect.documents import part_file
from corpus.inspect.overview import hosts_of
from corpus.inspect.rows import Place
from corpus.schema import COPIES

MEMBERS = 2_000  # members of a cluster whose host is looked up


@dataclass(frozen=True, slots=True)
class Member:
    """A document of a cluster; a removed one has its kind and its similarity to the survivor.

    For the survivor `kind` is "" and `jaccard` is None.
    """

    id: str
    url: str
    language: str
    bytes: int
    words: int
    kind: str
    jaccard: float | None
    text: str

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster: its survivor and the member that is least similar to it.

    `kinds` counts the removed members by kind; `hosts` counts hosts over `members_looked_up` members, evenly
    taken where the cluster is larger.
    """

    size: int
    kinds: dict[str, int]
    hosts: list[tuple[str, int]]
    members_looked_up: int
    survivor: Member
    other: Member
    comparison: Comparison

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON; of the comparison the differing passages."""
        return {
            "size": self.size,
            "kinds": self.kinds,
            "hosts": [list(pair) for pair in self.hosts],
            "members_looked_up": self.members_looked_up,
            "survivor": self.survivor.as_dict(),
            "other": self.other.as_dict(),
            "differing": [
                {"survivor": piece.left, "other": piece.right} for piece in self.comparison.differing()
            ],
            "comparison_cut": self.comparison.cut,
        }


class SizeClass(BaseModel):
    """How many clusters have from `low` to `high` documents."""

    low: int = Field(validation_alias="from")
    high: int = Field(validation_alias="to")
    clusters: int


class AtThreshold(BaseModel):
    """The documents of the largest component at another threshold."""

    threshold: float
    documents: int


class _Facts(BaseModel):
    """The part of the dedupe stage's facts that is shown here."""

    clusters: int = 0
    cluster_sizes: list[SizeClass] = []
    largest_component: list[AtThreshold] = []


@dataclass(frozen=True, slots=True)
class Clusters:
    """What dedupe found: clusters of two or more documents, how large they are, and the largest ones."""

    documents: int
    removed: int
    clusters: int
    sizes: list[SizeClass]
    along_threshold: list[AtThreshold]
    largest: list[Cluster]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        return {
            "documents": self.documents,
            "removed": self.removed,
            "clusters": self.clusters,
            "sizes": [each.model_dump() for each in self.sizes],
            "along_threshold": [each.model_dump() for each in self.along_threshold],
            "largest": [cluster.as_dict() for cluster in self.largest],
        }


def clusters(root: str, largest: int = 5) -> Clusters:
    """Return the largest clusters of a build, with the texts of two members of each and where they differ.

    Raises DatasetError where dedupe or its parts are missing or do not belong together.
    Memory grows neither with the corpus nor with the size of a cluster.
    """
    build = open_build(root)
    dedupe = build.need("dedupe", "show clusters")
    home = build.need_last("documents", "show the texts of clusters")
    facts = _Facts.model_validate(dedupe.manifest.facts)
    counts = dedupe.manifest.counts()
    return Clusters(
        documents=counts.seen,
        removed=sum(counts.dropped.values()),
        clusters=facts.clusters,
        sizes=facts.cluster_sizes,
        along_threshold=facts.largest_component,
        largest=[_cluster(home, members) for members in _gather(dedupe, _largest(dedupe, largest))],
    )


class _Members:
    """The members of one cluster as they come by: kinds of the removed, places of some, the least alike."""

    def __init__(self, part: str, row: int, size: int) -> None:
        self.size = size
        self.kinds: Counter[str] = Counter()
        self.places = [(part, row)]
        self.least_alike: dict[str, Any] = {}
        self.removed = 0
        self._least = np.inf
        self._step = -(-size // MEMBERS)

    def add(self, removals: pa.RecordBatch) -> None:
        """Take in some of the cluster's removals."""
        for pair in pc.value_counts(removals.column("kind")).to_pylist():
            self.kinds[pair["values"]] += pair["counts"]
        some = removals.take(pa.array(np.arange(-self.removed % self._step, removals.num_rows, self._step)))
        self.places += zip(some.column("part").to_pylist(), some.column("row").to_pylist(), strict=True)
        self.removed += removals.num_rows
        # Near copies show more of a cluster than exact ones, which therefore come last.
        jaccard = pc.fill_null(removals.column("jaccard"), 1.0).to_numpy(zero_copy_only=False)
        far = pc.not_equal(removals.column("kind"), "near").to_numpy(zero_copy_only=False)
        score = jaccard + 2.0 * far
        at = int(np.argmin(score))
        if score[at] < self._least:
            self._least = float(score[at])
            self.least_alike = removals.slice(at, 1).to_pylist()[0]


def _largest(dedupe: Stage, number: int) -> list[_Members]:
    """Return the largest clusters, still without their removed members."""
    best: list[tuple[int, str, int]] = []
    for file in dedupe.manifest.files("survivors"):
        for batch in dataset.batches(dedupe.folder, file.path, ["copies", "part", "row"]):
            copies = batch.column("copies").to_numpy(zero_copy_only=False)
            top = np.argsort(-copies.astype(np.int64), kind="stable")[:number]
            rows = batch.take(pa.array(top)).to_pylist()
            best += [(-row["copies"], row["part"], row["row"]) for row in rows if row["copies"] > 1]
        best = sorted(best)[:number]
    return [_Members(part, row, -size) for size, part, row in best]


def _gather(dedupe: Stage, found: list[_Members]) -> list[_Members]:
    """Let each cluster take in its removals; DatasetError where they are not as many as its size says."""
    places = [members.places[0] for members in found]
    parts = sorted({part for part, _ in places})
    by_key = {parts.index(part) << 32 | row: each for (part, row), each in zip(places, found, strict=True)}
    wanted = np.array(list(by_key), dtype=np.int64)
    for file in dedupe.manifest.files("removed") if found else []:
        for batch in dataset.batches(dedupe.folder, file.path):
            batch = batch.filter(pc.is_in(batch.column("kind"), value_set=pa.array(COPIES, pa.string())))
            number = pc.index_in(batch.column("survivor_part"), value_set=pa.array(parts, pa.string()))
            part = pc.fill_null(number, -1).to_numpy(zero_copy_only=False).astype(np.int64)
            keys = part << 32 | batch.column("survivor_row").to_numpy().astype(np.int64)
            for key in np.unique(keys[np.isin(keys, wanted)]):
                by_key[int(key)].add(batch.filter(pa.array(keys == key)))
    for members in found:
        if members.removed + 1 != members.size:
            raise DatasetError(
                f"{dedupe.folder}: the cluster of part, row {members.places[0]} has "
                f"{members.size:,} documents by its survivor, but {members.removed:,} removals; "
                f"run `derlem verify` on the folder"
            )
    return found


def _cluster(home: Stage, members: _Members) -> Cluster:
    far = members.least_alike
    files = home.manifest.by_unit("documents")
    part, row = members.places[0]
    places = [
        Place(home.folder, part_file(home.name, files, part), row),
        Place(home.folder, part_file(home.name, files, far["part"]), far["row"]),
    ]
    survivor, other = rows.read(places)
    for document, expected in ((survivor, far["survivor"]), (other, far["id"])):
        if document["id"] != expected:
            raise DatasetError(
                f"dedupe/ speaks of {expected} where {home.name}/ has {document['id']}: dedupe was made from "
                f"an earlier state; run the build again"
            )
    return Cluster(
        size=members.size,
        kinds=dict(sorted(members.kinds.items(), key=lambda item: (-item[1], item[0]))),
        hosts=_hosts(home, members.places),
        members_looked_up=len(members.places),
        survivor=_member(survivor, "", None),
        other=_member(other, far["kind"], far["jaccard"]),
        comparison=compare(survivor["text"], other["text"]),
    )


def _member(values: dict[str, Any], kind: str, jaccard: float | None) -> Member:
    names = ("id", "url", "language", "bytes", "words", "text")
    rounded = None if jaccard is None else round(jaccard, 4)
    return Member(kind=kind, jaccard=rounded, **{name: values[name] for name in names})


def _hosts(home: Stage, places: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Count the hosts of documents, the most frequent first."""
    files = home.manifest.by_unit("documents")
    by_part: dict[str, list[int]] = {}
    for part, row in places:
        by_part.setdefault(part, []).append(row)
    counts: Counter[str] = Counter()
    for part, inside in by_part.items():
        urls = rows.take(home.folder, part_file(home.name, files, part).path, inside, ["url"]).column("url")
        counts.update(hosts_of(urls).to_pylist())
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
