"""The Beam transforms give what the functions of corpus.dedup give, on any number of workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest

from corpus import files
from corpus.dedup.bands import EXACT, GRID, NEAR, URL, band_hashes
from corpus.dedup.store import SignatureStore
from corpus.errors import LinkingError
from corpus.schema import PERMUTATIONS, SIGNATURES
from pipelines import handover, linking, resolving, rounds, settling, shuffle
from pipelines.handover import Parts
from pipelines.options import Runner
from pipelines.shuffle import Grouped, Keyed

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
            "source": ("a", "b")[i % 2],
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
        made[i + 10]["signature"] = np.concatenate(
            [made[i]["signature"][:90], made[i + 10]["signature"][90:]]
        )
    return made


def parts_of(paths: list[str]) -> Parts:
    store = SignatureStore(paths)
    rows = tuple(store.part(number).num_rows for number in range(len(paths)))
    return Parts(tuple(paths), rows, tuple(f"{number:016x}" for number in range(len(paths))))


def removed_ids(paths: list[str], folder: Path, resolved: list[resolving.Resolved]) -> set[tuple]:
    store = SignatureStore(paths)
    found = set()
    for clusters in resolving.load_clusters(str(folder), resolved):
        ids = [
            store.columns(clusters.removals[name], ["id"])["id"].to_pylist()
            for name in ("document", "survivor")
        ]
        kinds, jaccard = clusters.removals["kind"].tolist(), clusters.removals["jaccard"].tolist()
        found |= set(zip(*ids, kinds, jaccard, strict=True))
    return found


@pytest.fixture(scope="module")
def expected(rows: list[dict], tmp_path_factory: pytest.TempPathFactory) -> set[tuple]:
    folder = tmp_path_factory.mktemp("expected")
    paths = write_parts(folder / "parts", rows, [])
    found = linking.find_edges(parts_of(paths), str(folder), THRESHOLD, True, Runner())
    return removed_ids(paths, folder, resolving.resolve(str(folder), found, THRESHOLD, 0, Runner()))


def test_planted_copies_are_removed_and_told_apart(expected: set[tuple]) -> None:
    kinds = [row[2] for row in expected]
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
    found = linking.find_edges(parts_of(paths), str(tmp_path), THRESHOLD, True, Runner())
    resolved = resolving.resolve(str(tmp_path), found, THRESHOLD, 0, Runner())
    assert removed_ids(paths, tmp_path, resolved) == expected


def test_more_partitions_change_nothing(
    rows: list[dict], expected: set[tuple], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "ROWS_A_PARTITION", 100)
    paths = write_parts(tmp_path / "parts", rows, [150])
    found = linking.find_edges(parts_of(paths), str(tmp_path), THRESHOLD, True, Runner())
    assert {linked.band for linked in found} == set(range(16))
    assert len(found) == 48
    resolved = resolving.resolve(str(tmp_path), found, THRESHOLD, 0, Runner())
    assert removed_ids(paths, tmp_path, resolved) == expected


def test_rounds_over_partitions_give_the_result_of_one_process(
    rows: list[dict], expected: set[tuple], tmp_path: Path
) -> None:
    paths = write_parts(tmp_path / "parts", rows, [150])
    found = linking.find_edges(parts_of(paths), str(tmp_path), THRESHOLD, True, Runner())
    resolved = resolving.resolve(str(tmp_path), found, THRESHOLD, 3, Runner())
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
    found = linking.find_edges(parts_of(paths), str(tmp_path), THRESHOLD, True, Runner())
    in_memory = resolving.resolve(str(tmp_path), found, THRESHOLD, 0, Runner())
    in_rounds = resolving.resolve(str(tmp_path), found, THRESHOLD, 2, Runner(), number=2)
    assert sum(part.removed for part in [*in_memory, *in_rounds]) == 0
    assert max(size for part in in_memory for _, size in part.largest) == 2
    assert max((size for part in in_rounds for _, size in part.largest), default=0) == 0


def test_rounds_that_do_not_end_fail(
    rows: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "MAX_ROUNDS", 1)
    paths = write_parts(tmp_path / "parts", rows, [])
    found = linking.find_edges(parts_of(paths), str(tmp_path), THRESHOLD, True, Runner())
    with pytest.raises(LinkingError, match=r"after 1 rounds [0-9]+ edges still move"):
        resolving.resolve(str(tmp_path), found, THRESHOLD, 2, Runner())


def test_urls_can_be_left_out(rows: list[dict], tmp_path: Path) -> None:
    paths = write_parts(tmp_path / "parts", rows, [])
    found = linking.find_edges(parts_of(paths), str(tmp_path), THRESHOLD, False, Runner())
    resolved = resolving.resolve(str(tmp_path), found, THRESHOLD, 0, Runner())
    assert URL not in {row[2] for row in removed_ids(paths, tmp_path, resolved)}


@pytest.mark.parametrize("in_rounds", [False, True])
def test_a_corpus_without_documents_or_copies_has_no_clusters(
    rows: list[dict], tmp_path: Path, in_rounds: bool
) -> None:
    paths = write_parts(tmp_path / "parts", rows[290:], [0, 5])
    found = linking.find_edges(parts_of(paths), str(tmp_path), THRESHOLD, True, Runner())
    assert sum(linked.edges for linked in found) == 0
    if in_rounds:
        resolved = resolving.resolve(str(tmp_path), found, THRESHOLD, 2, Runner())
    else:
        resolved = resolving.resolve(str(tmp_path), found, THRESHOLD, 0, Runner())
    assert sum(part.removed for part in resolved) == 0


def test_one_and_two_workers_write_the_same_bytes(rows: list[dict], tmp_path: Path) -> None:
    paths = write_parts(tmp_path / "parts", rows, [100])
    sums = []
    for run, workers in enumerate((1, 2)):
        folder = str(tmp_path / f"run{run}")
        found = linking.find_edges(parts_of(paths), folder, THRESHOLD, True, Runner(workers=workers))
        resolved = resolving.resolve(folder, found, THRESHOLD, 0, Runner())
        names = [
            "pass-01/edges.json",
            *(linked.path for linked in found),
            resolved[0].removals,
            resolved[0].survivors,
        ]
        sums.append([(name, files.sha256(files.join(folder, name))) for name in names])
    assert sums[0] == sums[1]


def chained(seed: int) -> list[dict]:
    """Documents in chains and crowds: each is a changed copy of an earlier one, some share an address."""
    random = np.random.default_rng(seed)
    made: list[dict] = []
    for i in range(160):
        signature = random.integers(0, 1 << 32, PERMUTATIONS, dtype=np.uint32)
        if i % 8:
            changed = random.permutation(PERMUTATIONS)[: random.integers(0, 60)]
            other = made[random.integers(i - i % 8 if i % 3 else 0, i)]["signature"].copy()
            other[changed] = signature[changed]
            signature = other
        row = {
            "id": f"doc{i:03d}",
            "exact": random.bytes(16),
            "url": int(random.integers(0, 20)),
            "source": "a",
        }
        row |= {"bytes": int(random.integers(100, 9000)), "words": 50, "fetched": None}
        made.append(row | {"language": "tur_Latn", "signature": signature})
        if i % 20 == 19:
            made[-1] |= {name: made[-2][name] for name in ("exact", "signature", "bytes")}
    return made


def compared(rows: list[dict], urls: bool = True) -> dict[tuple[str, str], set[int]]:
    """All pairs that are copies, by their kinds: looked for by comparing everything with everything."""
    signatures = np.stack([row["signature"] for row in rows])
    hashes = band_hashes(signatures)
    pairs: dict[tuple[str, str], set[int]] = {}
    for i, left in enumerate(rows):
        measures = np.mean(signatures == signatures[i], axis=1)
        in_a_band = (hashes == hashes[i]).any(axis=1)
        for j, right in enumerate(rows[:i]):
            alike = measures[j]
            tests = {
                EXACT: left["exact"] == right["exact"],
                URL: urls and left["url"] == right["url"] != 0 and alike >= THRESHOLD,
                NEAR: alike >= THRESHOLD and bool(in_a_band[j]),
            }
            kinds = {kind for kind, holds in tests.items() if holds}
            if kinds:
                pairs[left["id"], right["id"]] = pairs[right["id"], left["id"]] = kinds
    return pairs


@pytest.mark.parametrize(("seed", "in_memory"), [(1, True), (2, True), (3, True), (4, False)])
def test_what_goes_is_a_copy_of_what_stays_and_what_stays_has_no_copies(
    tmp_path: Path, seed: int, in_memory: bool
) -> None:
    rows = chained(seed)
    pairs = compared(rows)
    results = []
    for run, order in enumerate([np.arange(len(rows)), np.random.default_rng(seed).permutation(len(rows))]):
        folder = tmp_path / f"{run}"
        folder.mkdir()
        paths = write_parts(folder / "parts", [rows[i] for i in order], [40, 41 + 50 * run])
        limit = 10**6 if in_memory else 0
        copies = linking.find_copies(parts_of(paths), str(folder), THRESHOLD, True, limit, Runner())
        assert copies.open == 0
        results.append(removed_ids(paths, folder, copies.resolved))
    assert results[0] == results[1]
    removed = {row[0] for row in results[0]}
    assert len(removed) > 40
    for document, survivor, kind, _ in results[0]:
        assert survivor not in removed
        assert kind == min(pairs[document, survivor])
    assert [pair for pair in pairs if not removed & set(pair)] == []


def crowd(members: int) -> list[dict]:
    """A document, its copy, and copies of that which are copies of each other, not of the document.

    They share the last band only with the copy and with each other, and none with the document.
    """
    random = np.random.default_rng(9)
    draw = lambda: random.integers(0, 1 << 32, PERMUTATIONS, dtype=np.uint32)  # noqa: E731
    best, second = draw(), draw()
    second[:88] = best[:88]
    signatures = [best, second]
    for i in range(members):
        signature = second.copy()
        changed = np.arange(13) * 8 + (i + np.arange(13)) % 8  # one place of each other band
        signature[changed] = draw()[changed]
        signatures.append(signature)
    row = {"url": 0, "source": "a", "words": 50, "fetched": None, "language": "tur_Latn"}
    return [
        row | {"id": f"{i:03d}", "exact": random.bytes(16), "bytes": 9000 - i, "signature": signature}
        for i, signature in enumerate(signatures)
    ]


def test_copies_of_a_removed_leader_are_compared_with_each_other(tmp_path: Path) -> None:
    paths = write_parts(tmp_path / "parts", crowd(50), [20])
    copies = linking.find_copies(parts_of(paths), str(tmp_path), THRESHOLD, True, 10**6, Runner())
    found = removed_ids(paths, tmp_path, copies.resolved)
    assert {(document, survivor) for document, survivor, _, _ in found} == {
        ("001", "000"),
        *((f"{i:03d}", "002") for i in range(3, 52)),
    }
    assert (copies.passes, copies.open) == (3, 0)


def test_where_the_passes_do_not_suffice_copies_stay_and_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "MAX_PASSES", 1)
    paths = write_parts(tmp_path / "parts", crowd(50), [20])
    copies = linking.find_copies(parts_of(paths), str(tmp_path), THRESHOLD, True, 10**6, Runner())
    assert {row[:2] for row in removed_ids(paths, tmp_path, copies.resolved)} == {("001", "000")}
    assert copies.open == 50


def test_equal_documents_at_one_address_are_one_cluster_with_few_links(tmp_path: Path) -> None:
    (row, *_) = crowd(0)
    number = 2_000
    rows = [row | {"id": f"{i:05d}", "url": 7} for i in range(number)]
    paths = write_parts(tmp_path / "parts", rows, [500, 501])
    copies = linking.find_copies(parts_of(paths), str(tmp_path), THRESHOLD, True, 10**6, Runner())
    assert {linked.edges for linked in copies.linked} == {number - 1}
    (clusters,) = resolving.load_clusters(str(tmp_path), copies.resolved)
    assert clusters.survivors.tolist() == [(0, number)]
    assert set(clusters.removals["kind"].tolist()) == {EXACT}
    assert copies.passes == 1


def test_what_is_shuffled_is_256_bytes_a_document(
    rows: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen bands, a hash and a number each: 256 MB a million, packed into few blocks."""
    blocks: list[int] = []
    grouped = shuffle._grouped

    def counted(found: Iterable[Keyed]) -> Iterator[Grouped]:
        return grouped((key, block) for key, block in found if not blocks.append(len(block)))

    monkeypatch.setattr(shuffle, "_grouped", counted)
    monkeypatch.setattr(linking, "ROWS_A_PARTITION", 150)
    monkeypatch.setattr(handover, "ROWS_A_RUN", 10)
    paths = write_parts(tmp_path / "parts", rows, [40, 200])
    linking.find_edges(parts_of(paths), str(tmp_path), THRESHOLD, True, Runner())
    assert 0.9 * 256 * len(rows) < sum(blocks) <= 256 * len(rows)
    assert len(blocks) <= 2 * 16 * len(paths)


def own_only(part: Callable[..., pa.Table]) -> Callable[..., pa.Table]:
    """Return what opens a part of a store as `part` does, if that holds its files for one run only."""

    def opened(store: SignatureStore, number: int) -> pa.Table:
        found = part(store, number)
        assert store._own is None, "a file was fetched for as long as the process lives"
        return found

    return opened


@pytest.mark.parametrize("in_memory", [True, False])
def test_rows_that_are_sent_give_what_mapped_files_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: bool
) -> None:
    """The removal list of workers that map no file, to the byte; each has its own parts on disk only."""
    monkeypatch.setattr(linking, "ROWS_A_PARTITION", 100)
    monkeypatch.setattr(linking, "FEW", 0)
    monkeypatch.setattr(handover, "ROWS_A_RUN", 30)
    rows, limit = [*chained(3), *crowd(30)], 10**6 if in_memory else 0
    paths = write_parts(tmp_path / "parts", rows, [20, 40, 41, 100])
    parts = parts_of(paths)
    lists, facts = [], []
    for name in ("mapped", "sent"):
        if name == "sent":
            monkeypatch.setattr(handover, "transported", lambda parts, runner: replace(parts, sent=True))
            monkeypatch.setattr(handover, "is_sent", lambda folder, runner: True)
            monkeypatch.setattr(SignatureStore, "part", own_only(SignatureStore.part))
            memory = fsspec.filesystem("memory")
            memory.put(paths, [f"/{name}/{number}.arrow" for number in range(len(paths))])
            parts = replace(parts, paths=tuple(f"memory://{name}/{n}.arrow" for n in range(len(paths))))
        scratch, home = str(tmp_path / name / "scratch"), str(tmp_path / name)
        copies = linking.find_copies(parts, scratch, THRESHOLD, True, limit, Runner(), ("a",))
        listed = settling.write_list(scratch, copies.settled, home, "f", Runner())
        lists.append([file["sha256"] for run in listed for file in run.files])
        facts.append((listed, copies.passes, copies.open, [(r.removed, r.largest) for r in copies.resolved]))
    assert len(lists[0]) == 2 * len(parts.runs()) == 6
    assert lists[0] == lists[1]
    assert facts[0] == facts[1]


@pytest.mark.parametrize("documents", [0, 1, 40])
def test_small_parts_are_read_in_runs_and_large_ones_alone(documents: int) -> None:
    assert Parts((), ()).runs() == [range(0)]
    runs = Parts((), (documents,) * 100_000).runs()
    assert [part for run in runs for part in run] == list(range(100_000))
    assert len(runs) <= handover.RUNS
    assert Parts((), (200_000,) * 3).runs() == [range(n, n + 1) for n in range(3)]
