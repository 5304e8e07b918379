"""Dedupe of a million synthetic signatures: time, memory, recall against the S-curve, order, one survivor.

    python -m benchmarks.dedupe [--documents 1000000] [--workers 2] [--near-duplicates FOLDER]

Signatures are made directly: a copy of Jaccard similarity J shares each of its 112 places with its original
with probability J, which is what MinHash gives. Planted are pairs at J = 0.6 to 0.9, clusters of 2 to 60
around one original, exact copies, repeated URLs (half with J = 0.85, half with other texts) and a
hard group of pages made from one template (J = 0.65 with each other: similar, and not copies). With
--near-duplicates, a folder with `docs.jsonl.gz` and
`pairs.tsv` (true similarities of real revisions), recall and precision on it are printed as well.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from corpus.dedup.bands import EXACT, NEAR, URL
from corpus.dedup.clusters import Clusters, largest_component, size_histogram
from corpus.dedup.components import component_labels
from corpus.dedup.signature import s_curve, signature
from corpus.dedup.store import ROW_BITS, SignatureStore
from corpus.schema import PERMUTATIONS, SIGNATURES
from corpus.text.view import view
from pipelines import linking, resolving
from pipelines.handover import Parts
from pipelines.options import Runner

PARTS = 8
THRESHOLD = 0.75
SIMILARITIES = (0.6, 0.7, 0.8, 0.9)
Columns = dict[str, NDArray[Any]]


def copies(
    random: np.random.Generator, originals: NDArray[np.uint32], similarity: float
) -> NDArray[np.uint32]:
    """Signatures that share each place with their originals with the given probability."""
    fresh = random.integers(0, 1 << 32, originals.shape, dtype=np.uint32)
    return np.where(random.random(originals.shape, dtype=np.float32) < similarity, originals, fresh)


def planted(documents: int) -> tuple[Columns, dict[float, NDArray[np.int64]], slice]:
    """Columns of all documents, the planted pairs' rows ([n, 2]) by similarity, the template's rows."""
    random = np.random.default_rng(7)
    signatures = random.integers(0, 1 << 32, (documents, PERMUTATIONS), dtype=np.uint32)
    unit = documents // 100
    pairs, at = {}, 0
    for similarity in SIMILARITIES:
        rows = np.arange(at, at + 2 * unit).reshape(2, unit)
        signatures[rows[1]] = copies(random, signatures[rows[0]], similarity)
        pairs[similarity] = rows.T
        at += 2 * unit
    end = at + 20 * unit
    while at < end:  # one cluster after the other: an original and its copies
        size = min(int(random.integers(2, 61)), end - at)
        originals = np.broadcast_to(signatures[at], (size - 1, PERMUTATIONS))
        signatures[at + 1 : at + size] = copies(random, originals, float(random.uniform(0.8, 1.0)))
        at += size
    template = slice(at, at + 2 * unit)
    originals = np.broadcast_to(signatures[at], (2 * unit, PERMUTATIONS))
    signatures[template] = copies(random, originals, 0.65**0.5)
    at += 2 * unit
    numbers = np.arange(documents)
    exact, url = numbers.copy(), numbers.copy()
    exact[at + 3 * unit : at + 6 * unit] = exact[at : at + 3 * unit]
    signatures[at + 3 * unit : at + 6 * unit] = signatures[at : at + 3 * unit]
    url[at + 7 * unit : at + 8 * unit] = url[at + 6 * unit : at + 7 * unit]
    version = slice(at + 7 * unit, at + 7 * unit + unit // 2)
    signatures[version] = copies(random, signatures[at + 6 * unit : at + 6 * unit + unit // 2], 0.85)
    lengths = random.integers(500, 5000, documents)
    lengths[at + 3 * unit : at + 6 * unit] = lengths[at : at + 3 * unit]
    mixed = (url.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    columns = {"number": numbers, "exact": exact, "url": mixed, "bytes": lengths, "signature": signatures}
    return columns, pairs, template


def write(folder: Path, columns: Columns, order: NDArray[np.int64], parts: int = PARTS) -> list[str]:
    """Write the documents in an order, as the signature files of several parts."""
    folder.mkdir()
    schema = SIGNATURES.schema()
    paths = []
    for part, rows in enumerate(np.array_split(order, parts)):
        number, size = columns["number"][rows], len(rows)
        exact = np.zeros((size, 2), dtype=np.uint64)
        exact[:, 0] = columns["exact"][rows].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        values = {
            "id": pa.array(np.char.mod("%032x", number).tolist()),
            "exact": pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(16), size, [None, pa.py_buffer(exact.tobytes())]
            ),
            "url": columns["url"][rows],
            "source": pa.array([f"source-{n % 3}" for n in number]),
            "bytes": columns["bytes"][rows].astype(np.uint32),
            "words": (columns["bytes"][rows] // 8).astype(np.uint32),
            "fetched": pa.nulls(size, schema.field("fetched").type),
            "language": pa.array(["tur_Latn"] * size),
            "signature": pa.FixedSizeListArray.from_arrays(
                columns["signature"][rows].ravel(), type=schema.field("signature").type
            ),
        }
        paths.append(str(folder / f"{part}.arrow"))
        with pa.ipc.new_file(paths[-1], schema) as writer:
            writer.write_table(pa.table(values, schema=schema), max_chunksize=1 << 14)
    return paths


class PeakMemory(threading.Thread):
    """Largest memory of this process and its children together, mapped files not counted."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_mb, self._over = 0.0, threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.5):
            self.peak_mb = max(self.peak_mb, sum(map(anonymous_mb, family())))

    def stop(self) -> float:
        self._over.set()
        self.join()
        return self.peak_mb


def family() -> list[int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue  # it ended meanwhile
    family = [int(Path("/proc/self").readlink().name)]
    for member in family:
        family += [pid for pid, parent in parents.items() if parent == member]
    return family


def anonymous_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(float(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem"))) / 1024


def dedupe(
    paths: list[str], folder: Path, threshold: float, workers: int
) -> tuple[Clusters, linking.Copies, dict[str, float]]:
    memory = PeakMemory()
    memory.start()
    start = time.perf_counter()
    found = linking.find_copies(
        parts_of(paths), str(folder), threshold, True, 50_000_000, Runner(workers=workers)
    )
    spent = {"seconds": time.perf_counter() - start, "peak_mb": memory.stop()}
    return next(resolving.load_clusters(str(folder), found.resolved)), found, spent


def removed_ids(paths: list[str], clusters: Clusters) -> list[NDArray[np.str_]]:
    """Ids of removed documents and their survivors, in the order of the removed documents' ids."""
    store = SignatureStore(paths)
    names = ("document", "survivor")
    ids = [store.columns(clusters.removals[name], ["id"])["id"].to_pylist() for name in names]
    order = np.argsort(ids[0])
    return [np.array(column)[order] for column in ids]


def measure(documents: int, workers: int) -> None:
    columns, pairs, template = planted(documents)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        in_order = write(folder / "parts", columns, np.arange(documents))
        clusters, found, spent = dedupe(in_order, folder / "a", THRESHOLD, workers)
        print(f"{documents:,} documents, {workers} workers, threshold {THRESHOLD}: {spent['seconds']:.1f} s")
        print(f"  passes {found.passes}, kept documents not settled {found.open:,}")
        print(f"  peak memory {spent['peak_mb']:,.0f} MB (all processes; mapped files not counted)")
        kinds = np.bincount(clusters.removals["kind"], minlength=3)
        print(f"  removed: {kinds[EXACT]:,} exact, {kinds[URL]:,} URL, {kinds[NEAR]:,} near")
        print(f"  clusters by size: {size_histogram(clusters.survivors)}")
        largest, unlinked = max(f.largest_bucket for f in found.linked), sum(f.unlinked for f in found.linked)
        print(f"  largest bucket {largest:,}, unlinked {unlinked:,}")
        gone = np.isin(clusters.removals["survivor"], clusters.removals["document"])
        print(f"  removed for a document that is not kept: {np.count_nonzero(gone)}")
        report_template(in_order, folder / "a", found.linked, clusters, template)
        mixed = write(folder / "shuffled", columns, np.random.default_rng(1).permutation(documents))
        again, _, _ = dedupe(mixed, folder / "b", THRESHOLD, workers)
        same = all(
            np.array_equal(a, b)
            for a, b in zip(removed_ids(in_order, clusters), removed_ids(mixed, again), strict=True)
        )
        print(f"  same removals and survivors for shuffled inputs: {same}")
        linked = linking.find_edges(
            parts_of(in_order), str(folder / "c"), 0.3, False, Runner(workers=workers)
        )
        report_recall(in_order, str(folder / "c"), linked, pairs)


def report_template(
    paths: list[str], folder: Path, found: list[resolving.Linked], clusters: Clusters, template: slice
) -> None:
    numbers = rows_of(paths, clusters.removals["document"])
    inside = (numbers >= template.start) & (numbers < template.stop)
    size = template.stop - template.start
    print(f"  template group of {size:,}: {np.count_nonzero(inside) / size:.1%} removed")
    edges = resolving.load_edges(str(folder), found)
    print(f"  largest component by threshold: {largest_component(edges)}")


def report_recall(
    paths: list[str], folder: str, found: list[resolving.Linked], pairs: dict[float, NDArray[np.int64]]
) -> None:
    """Share of the planted pairs that end in one component when verification lets nearly all through."""
    edges = resolving.load_edges(str(folder), found)
    docs, labels = component_labels(np.stack([edges["b"], edges["a"]], axis=1))
    label = np.full(rows_of(paths, None).size, -1, dtype=np.int64)
    label[rows_of(paths, docs)] = labels.astype(np.int64)
    for similarity, rows in pairs.items():
        recall = np.mean((label[rows[:, 0]] == label[rows[:, 1]]) & (label[rows[:, 0]] >= 0))
        print(f"  recall at J = {similarity}: {recall:.3f}, S-curve {s_curve(similarity):.3f}")


def parts_of(paths: list[str]) -> Parts:
    store = SignatureStore(paths)
    return Parts(tuple(paths), tuple(store.part(number).num_rows for number in range(len(paths))))


def rows_of(paths: list[str], docs: NDArray[np.uint64] | None) -> NDArray[np.int64]:
    """Rows, counted over all parts in order, of documents (of every document for None)."""
    store = SignatureStore(paths)
    first = np.cumsum([0, *(store.part(part).num_rows for part in range(len(paths)))])
    if docs is None:
        return np.arange(first[-1])
    parts = (docs >> np.uint64(ROW_BITS)).astype(np.int64)
    return first[parts] + (docs & np.uint64((1 << ROW_BITS) - 1)).astype(np.int64)


def real_pairs(folder: Path) -> None:
    """Recall and precision on documents with known similarities, pair by pair and as clusters."""
    with gzip.open(folder / "docs.jsonl.gz", "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    number = {record["id"]: i for i, record in enumerate(records)}
    with (folder / "pairs.tsv").open(encoding="utf-8") as file:
        truth = {
            frozenset((number[row["id_a"]], number[row["id_b"]])): float(row["jaccard_w5"])
            for row in csv.DictReader(file, delimiter="\t")
        }
    views = [view(record["text"]) for record in records]
    hashes = [int(xxhash.xxh3_64_intdigest(record["text"].encode())) >> 1 for record in records]
    columns = {
        "number": np.arange(len(records)),
        "exact": np.array(hashes, dtype=np.int64),
        "url": np.zeros(len(records), dtype=np.uint64),
        "bytes": np.array([len(record["text"].encode()) for record in records]),
        "signature": np.stack([signature(v.folded, v.word_starts, v.word_ends) for v in views]),
    }
    with tempfile.TemporaryDirectory() as name:
        paths = write(Path(name) / "parts", columns, np.arange(len(records)))
        clusters, _, _ = dedupe(paths, Path(name) / "out", THRESHOLD, 1)
        removals = clusters.removals
        ends = [rows_of(paths, removals[name]).tolist() for name in ("document", "survivor")]
    survivor = dict(zip(ends[0], ends[1], strict=True))
    settled = {pair for pair in truth if pair & survivor.keys()}
    print(f"real revisions, {len(records)} documents, threshold {THRESHOLD}")
    for low in (0.7, 0.75, 0.8, 0.85, 0.9):
        pairs = [pair for pair, jaccard in truth.items() if jaccard >= low]
        hits = sum(pair in settled for pair in pairs)
        print(f"  pairs with J >= {low}: {hits} of {len(pairs)} have one removed ({hits / len(pairs):.3f})")
    witnessed = [truth.get(frozenset(pair), 0.0) for pair in zip(ends[0], ends[1], strict=True)]
    for low in (0.7, 0.75):
        good = sum(jaccard >= low for jaccard in witnessed)
        print(f"  removals whose survivor has true J >= {low}: {good} of {len(witnessed)}")
    print(f"  smallest true J of a removal and its survivor: {min(witnessed):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--near-duplicates", type=Path)
    arguments = parser.parse_args()
    if arguments.near_duplicates:
        real_pairs(arguments.near_duplicates)
    measure(arguments.documents, arguments.workers)


if __name__ == "__main__":
    main()
