"""The Beam transforms give what the functions of corpus.dedup give, on any number of workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpus import files
from corpus.dedup.bands import EXACT, GRID, NEAR, URL
from corpus.dedup.store import SignatureStore
from corpus.schema import PERMUTATIONS, SIGNATURES
from pipelines import linking
from pipelines.options import Runner

THRESHOLD = 0.75


def write_parts(folder: Path, rows: list[dict], cuts: list[int]) -> list[str]:
    """Write rows as signature files, cut at the given places."""
    schema = SIGNATURES.schema()
    folder.mkdir()
    paths = []
    for number, (first, last) in enumerate(zip([0, *cuts], [*cuts, len(rows)], strict=True)):
        part = rows[first:last]
        columns = [pa.array([row[name] for row in part], schema.field(name).type) for name in schema.names]
        paths.append(str(folder / f"{number}.arrow"))
        with pa.ipc.new_file(paths[-1], schema) as writer:
            writer.write_table(pa.table(columns, schema=schema))
    return paths


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    """300 documents: 40 groups of three near copies, 20 exact pairs, 10 URL pairs, the rest alone."""
    random = np.random.default_rng(5)
    made = []
    for i in range(300):
        signature = random.integers(0, 1 << 32, PERMUTATIONS, dtype=np.uint32)
        row = {
            "id": f"doc{i:03d}",
            "exact": random.bytes(16),
            "url": int(random.integers(1, 1 << 63)) * 2,
            "source": i % 2,
        }
        row |= {"bytes": 100 + i % 7, "words": 50, "fetched": None, "language": "tur_Latn"}
        made.append(row | {"signature": signature})
    for i in range(40):
        for copy in (1, 2):
            signature = made[i]["signature"].copy()
            changed = random.permutation(PERMUTATIONS)[:11]
            signature[changed] = random.integers(0, 1 << 32, 11, dtype=np.uint32)
            made[i + 40 * copy]["signature"] = signature
    for i in range(120, 140):
        made[i + 20] |= {"exact": made[i]["exact"], "signature": made[i]["signature"]}
    for i in range(160, 170):
        made[i + 10]["url"] = made[i]["url"]
    return made


def removed_ids(paths: list[str], folder: Path, resolved: list[linking.Resolved]) -> set[tuple]:
    store = SignatureStore(paths)
    found = set()
    for clusters in linking.load_clusters(str(folder), resolved):
        ids = [
            store.columns(clusters.removals[name], ["id"])["id"].to_pylist()
            for name in ("document", "survivor", "witness")
        ]
        kinds, jaccard = clusters.removals["kind"].tolist(), clusters.removals["jaccard"].tolist()
        found |= set(zip(*ids, kinds, jaccard, strict=True))
    return found


@pytest.fixture(scope="module")
def expected(rows: list[dict], tmp_path_factory: pytest.TempPathFactory) -> set[tuple]:
    folder = tmp_path_factory.mktemp("expected")
    paths = write_parts(folder / "parts", rows, [])
    found = linking.find_edges(paths, str(folder), THRESHOLD, True, Runner())
    return removed_ids(paths, folder, linking.resolve_in_memory(paths, str(folder), found, THRESHOLD))


def test_planted_copies_are_removed_and_told_apart(expected: set[tuple]) -> None:
    kinds = [row[3] for row in expected]
    assert (kinds.count(EXACT), kinds.count(URL)) == (20, 10)
    # Two of three near copies, but for the few whose bands all differ.
    assert 74 <= kinds.count(NEAR) <= 80
    assert len(expected) == len(kinds)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_result_does_not_depend_on_the_order_of_documents_and_parts(
    rows: list[dict], expected: set[tuple], tmp_path: Path, seed: int
) -> None:
    shuffled = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]
    paths = write_parts(tmp_path / "parts", shuffled, [40, 200])
    found = linking.find_edges(paths, str(tmp_path), THRESHOLD, True, Runner())
    resolved = linking.resolve_in_memory(paths, str(tmp_path), found, THRESHOLD)
    assert removed_ids(paths, tmp_path, resolved) == expected


def test_more_partitions_change_nothing(
    rows: list[dict], expected: set[tuple], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "ROWS_A_PARTITION", 100)
    paths = write_parts(tmp_path / "parts", rows, [150])
    found = linking.find_edges(paths, str(tmp_path), THRESHOLD, True, Runner())
    assert {linked.band for linked in found} == set(range(16))
    assert len(found) == 48
    resolved = linking.resolve_in_memory(paths, str(tmp_path), found, THRESHOLD)
    assert removed_ids(paths, tmp_path, resolved) == expected


def test_rounds_over_partitions_give_the_result_of_one_process(
    rows: list[dict], expected: set[tuple], tmp_path: Path
) -> None:
    paths = write_parts(tmp_path / "parts", rows, [150])
    found = linking.find_edges(paths, str(tmp_path), THRESHOLD, True, Runner())
    resolved = linking.resolve_in_rounds(paths, str(tmp_path), found, THRESHOLD, 3, Runner())
    assert len(resolved) == 3
    assert removed_ids(paths, tmp_path, resolved) == expected
    assert max(size for part in resolved for _, size in part.largest) == 3
    assert [threshold for threshold, _ in resolved[0].largest] == list(GRID)


def test_edges_below_the_threshold_are_seen_in_memory_and_play_no_part_in_rounds(
    rows: list[dict], tmp_path: Path
) -> None:
    other = rows[291]["signature"]
    alike = np.concatenate([rows[290]["signature"][:76], other[76:]])
    paths = write_parts(tmp_path / "parts", [rows[290], rows[291] | {"signature": alike}], [])
    found = linking.find_edges(paths, str(tmp_path), THRESHOLD, True, Runner())
    in_memory = linking.resolve_in_memory(paths, str(tmp_path), found, THRESHOLD)
    in_rounds = linking.resolve_in_rounds(paths, str(tmp_path), found, THRESHOLD, 2, Runner())
    assert sum(part.removed for part in [*in_memory, *in_rounds]) == 0
    assert max(size for part in in_memory for _, size in part.largest) == 2
    assert max((size for part in in_rounds for _, size in part.largest), default=0) == 0


def test_rounds_that_do_not_end_fail(
    rows: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "MAX_ROUNDS", 1)
    paths = write_parts(tmp_path / "parts", rows, [])
    found = linking.find_edges(paths, str(tmp_path), THRESHOLD, True, Runner())
    with pytest.raises(linking.LinkingError, match=r"after 1 rounds [0-9]+ edges still move"):
        linking.resolve_in_rounds(paths, str(tmp_path), found, THRESHOLD, 2, Runner())


def test_urls_can_be_left_out(rows: list[dict], tmp_path: Path) -> None:
    paths = write_parts(tmp_path / "parts", rows, [])
    found = linking.find_edges(paths, str(tmp_path), THRESHOLD, False, Runner())
    resolved = linking.resolve_in_memory(paths, str(tmp_path), found, THRESHOLD)
    assert URL not in {row[3] for row in removed_ids(paths, tmp_path, resolved)}


@pytest.mark.parametrize("in_rounds", [False, True])
def test_a_corpus_without_documents_or_copies_has_no_clusters(
    rows: list[dict], tmp_path: Path, in_rounds: bool
) -> None:
    paths = write_parts(tmp_path / "parts", rows[290:], [0, 5])
    found = linking.find_edges(paths, str(tmp_path), THRESHOLD, True, Runner())
    assert sum(linked.edges for linked in found) == 0
    if in_rounds:
        resolved = linking.resolve_in_rounds(paths, str(tmp_path), found, THRESHOLD, 2, Runner())
    else:
        resolved = linking.resolve_in_memory(paths, str(tmp_path), found, THRESHOLD)
    assert sum(part.removed for part in resolved) == 0


def test_one_and_two_workers_write_the_same_bytes(rows: list[dict], tmp_path: Path) -> None:
    paths = write_parts(tmp_path / "parts", rows, [100])
    sums = []
    for run, workers in enumerate((1, 2)):
        folder = str(tmp_path / f"run{run}")
        found = linking.find_edges(paths, folder, THRESHOLD, True, Runner(workers=workers))
        resolved = linking.resolve_in_memory(paths, folder, found, THRESHOLD)
        names = [
            "edges.json",
            *(linked.path for linked in found),
            resolved[0].removals,
            resolved[0].survivors,
        ]
        sums.append([(name, files.sha256(files.join(folder, name))) for name in names])
    assert sums[0] == sums[1]
