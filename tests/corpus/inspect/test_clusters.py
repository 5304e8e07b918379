"""The largest clusters come first, with the survivor beside its least similar copy."""

from __future__ import annotations

import json
from collections.abc import Callable

import pyarrow as pa
import pytest

from corpus import dataset, files, schema
from corpus.errors import DatasetError
from corpus.inspect.clusters import _Members, clusters

Build = Callable[..., str]


def test_clusters_are_ordered_by_size(build: Build) -> None:
    found = clusters(build())
    assert (found.clusters, found.removed, found.documents) == (2, 3, 8)
    assert [cluster.size for cluster in found.largest] == [3, 2]
    assert found.largest[0].kinds == {"exact": 1, "near": 1}
    assert [(each.low, each.high, each.clusters) for each in found.sizes] == [(2, 2, 1), (3, 4, 1)]
    assert [cluster.size for cluster in clusters(build(), largest=1).largest] == [3]


def test_the_survivor_stands_beside_the_least_similar_near_copy(build: Build) -> None:
    cluster = clusters(build()).largest[0]
    assert (int(cluster.survivor.id, 16), int(cluster.other.id, 16)) == (1, 6)
    assert (cluster.other.kind, cluster.other.jaccard) == ("near", 0.81)
    (piece,) = cluster.comparison.differing()
    assert (piece.left.strip(), piece.right.strip()) == ("Martılar simit", "Kediler balık")


def test_a_near_copy_is_shown_before_any_other_kind() -> None:
    members = _Members("f", 0, size=4)
    row = {"id": "a", "survivor": "s", "survivor_part": "f", "survivor_row": 0}
    kinds = [("url", 0.1), ("near", 0.9), ("near", 0.8)]
    removals = [
        {**row, "part": "f", "row": number, "kind": kind, "jaccard": jaccard}
        for number, (kind, jaccard) in enumerate(kinds, 1)
    ]
    for removal in removals:
        members.add(pa.RecordBatch.from_pylist([removal], schema.REMOVED.schema()))
    assert members.least_alike["row"] == 3
    assert members.kinds == {"near": 2, "url": 1}


def test_hosts_are_counted_over_all_members(build: Build) -> None:
    cluster = clusters(build()).largest[0]
    assert cluster.hosts == [("", 1), ("site0.example", 1), ("site1.example", 1)]
    assert cluster.members_looked_up == 3


def test_of_a_large_cluster_some_members_are_looked_up(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpus.inspect.clusters.MEMBERS", 2)
    cluster = clusters(build()).largest[0]
    assert (cluster.size, cluster.members_looked_up) == (3, 2)
    assert cluster.kinds == {"exact": 1, "near": 1}


def test_the_members_that_are_looked_up_lie_evenly_over_all_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpus.inspect.clusters.MEMBERS", 2)
    members = _Members("f", 0, size=7)  # every fourth removed one
    row = {"id": "a", "survivor": "s", "survivor_part": "f", "survivor_row": 0, "part": "f"}
    removals = [{**row, "row": number, "kind": "exact", "jaccard": 1.0} for number in range(1, 7)]
    for batch in (removals[:3], removals[3:]):
        members.add(pa.RecordBatch.from_pylist(batch, schema.REMOVED.schema()))
    assert members.places == [("f", 0), ("f", 1), ("f", 5)]


def test_clusters_are_json(build: Build) -> None:
    value = json.loads(json.dumps(clusters(build()).as_dict()))
    assert value["largest"][0]["differing"] == [{"survivor": " Martılar simit", "other": " Kediler balık"}]
    assert value["along_threshold"][1] == {"threshold": 0.8, "documents": 3}


def test_a_stage_that_is_missing_is_named(build: Build) -> None:
    with pytest.raises(DatasetError, match=r"no finished stage dedupe/.*show clusters"):
        clusters(build("extract", "filter"))


def test_a_dedupe_of_another_filter_is_noticed(build: Build) -> None:
    root = build()
    manifest = files.read_json(f"{root}/filter", dataset.MANIFEST)
    first, second = manifest["units"]
    first["fingerprint"], second["fingerprint"] = second["fingerprint"], first["fingerprint"]
    files.write_json(f"{root}/filter", dataset.MANIFEST, manifest)
    with pytest.raises(DatasetError, match="made from an"):
        clusters(root)


def test_a_cluster_that_lacks_members_is_noticed(build: Build) -> None:
    root = build()
    manifest = files.read_json(f"{root}/dedupe", dataset.MANIFEST)
    manifest["units"][0]["files"].pop(0)
    files.write_json(f"{root}/dedupe", dataset.MANIFEST, manifest)
    with pytest.raises(DatasetError, match="3 documents by its survivor, but 0 removals"):
        clusters(root)
