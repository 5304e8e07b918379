"""Near copies by the dedupe stage itself, texts included: a template's pages, and real revisions.

    python -m benchmarks.proved [--pages 20000] [--workers 1] [--near-duplicates FOLDER]

The pages share a template and are no copies of each other: the shingles of each two have a Jaccard
similarity of 0.65, below the threshold of 0.75. One in a hundred has a true copy (0.9). FOLDER has
`docs.jsonl.gz` and `pairs.tsv` (true similarities of real revisions).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import resource
import tempfile
import time
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus import dataset
from corpus.config import parse
from corpus.counts import Counts
from corpus.dedup.signature import signature
from corpus.filtering import exact_hash
from corpus.inspect.audit import audit
from corpus.schema import DOCUMENTS, SIGNATURES, Kind
from corpus.teller import SILENT
from corpus.text.view import view
from pipelines import dedupe, stage
from pipelines.options import Runner
from pipelines.stage import Context

THRESHOLD = 0.75
_BATCH = 1_000


def write_filter(
    folder: Path, texts: Sequence[str], parts: int = 4, first: int = 0, older: int | None = None
) -> None:
    """Write a finished filter stage of the texts from number `first` on: documents and signatures.

    Those from number `older` on are of source b, the others of source a.
    """
    split = enumerate(np.array_split(np.arange(first, len(texts)), parts), first)
    save_filter(folder, (part(folder, texts, number, some, older) for number, some in split))


def save_filter(folder: Path, units: Iterable[dataset.Unit]) -> None:
    """Write the manifest of a filter stage."""
    manifest = dataset.Manifest(stage="filter", version=1, settings={}, units=tuple(units))
    dataset.save(str(folder / "filter"), manifest)


def part(
    folder: Path, texts: Sequence[str], number: int, some: NDArray[np.int64], older: int | None = None
) -> dataset.Unit:
    """Write the files of one part, which has some of the texts, and return its unit."""
    home, fingerprint, size = str(folder / "filter"), f"{number:016x}", 0
    paths = [f"{kind.name}-{fingerprint}.arrow" for kind in (DOCUMENTS, SIGNATURES)]
    with (
        dataset.create(home, paths[0], DOCUMENTS, fingerprint) as documents,
        dataset.create(home, paths[1], SIGNATURES, fingerprint, compression=None) as signatures,
    ):
        for at in range(0, len(some), _BATCH):
            numbers = some[at : at + _BATCH].tolist()
            made = [texts[n] for n in numbers]
            views = [view(text) for text in made]
            signed = [signature(seen.folded, seen.word_starts, seen.word_ends) for seen in views]
            rows: dict[str, Any] = {
                "id": [f"{n:032x}" for n in numbers],
                "source": ["a" if older is None or n < older else "b" for n in numbers],
                "bytes": pa.array([len(text.encode()) for text in made], pa.uint32()),
                "words": [seen.words for seen in views],
                "language": ["tur_Latn"] * len(made),
            }
            size += pc.sum(rows["bytes"]).as_py()
            documents.arrow.write(_batch(DOCUMENTS, rows | {"text": made, "url": [""] * len(made)}))
            rows |= {"exact": [exact_hash(text) for text in made], "url": [0] * len(made)}
            flat = pa.array(np.concatenate(signed))
            rows["signature"] = pa.FixedSizeListArray.from_arrays(
                flat, type=SIGNATURES.schema().field("signature").type
            )
            signatures.arrow.write(_batch(SIGNATURES, rows))
    counts = Counts(seen=len(some), kept=len(some))
    counts.note("text", "bytes", size)
    assert documents.file is not None
    assert signatures.file is not None
    return dataset.Unit(
        name=str(number),
        fingerprint=fingerprint,
        inputs=(),
        files=(documents.file, signatures.file),
        counts=counts,
    )


def _batch(kind: Kind, rows: dict[str, Any]) -> pa.RecordBatch:
    """Return rows of a kind; columns that are not given are empty."""
    size = len(rows["id"])
    columns = {
        name: rows.get(name, pa.nulls(size, kind.schema().field(name).type)) for name in kind.schema().names
    }
    return pa.RecordBatch.from_pydict(columns, schema=kind.schema())


def template(pages: int) -> list[str]:
    """Pages of 600 words, 473 of them the template's: J = 0.65; the last hundredth are copies at J = 0.9."""
    random = np.random.default_rng(3)
    words = np.array(["".join(letters) for letters in product("abcdefghijklmno", repeat=4)])
    shared = random.choice(words, 477)
    own = random.choice(words, (pages, 127))
    copies = pages // 100
    own[pages - copies :] = own[:copies]
    own[pages - copies :, :28] = random.choice(words, (copies, 28))
    return [" ".join([*shared, *rest]) for rest in own]


def run(texts: list[str], workers: int) -> tuple[dict[int, int], dict[str, object]]:
    """Return which texts are removed and for which ones, and the facts of the stage; print what it took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_filter(folder, texts)
        source = {"name": "a", "format": "jsonl", "paths": ["a"]}
        settings = {"threshold": THRESHOLD, "max_cluster_share": 1.0}
        config = parse({"output": name, "source": [source], "dedupe": settings}, "benchmark")
        start, before = time.perf_counter(), time.process_time()
        manifest = stage.run(dedupe.plan(Context(config, runner=Runner(workers=workers))), Runner(), SILENT)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"  {len(texts):,} texts: {time.perf_counter() - start:.1f} s, "
            f"processor {time.process_time() - before:.1f} s, peak {peak:,.0f} MB"
        )
        found = audit(name)
        print(f"  audit: {found.true} of {found.sampled} sampled removals have a true J >= {THRESHOLD}")
        removed = {
            int(row["id"], 16): int(row["survivor"], 16)
            for file in manifest.files("removed")
            for row in dataset.table(str(folder / "dedupe"), file.path, ["id", "survivor"]).to_pylist()
        }
        print(f"  pairs refuted {manifest.facts['pairs_refuted']:,}")
        print(f"  passes {manifest.facts['passes']}, not settled {manifest.facts['documents_not_settled']}")
        return removed, manifest.facts


def real_revisions(folder: Path, workers: int) -> None:
    """Print recall and precision on documents whose similarities are known."""
    with gzip.open(folder / "docs.jsonl.gz", "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    number = {record["id"]: i for i, record in enumerate(records)}
    with (folder / "pairs.tsv").open(encoding="utf-8") as file:
        truth = {
            frozenset((number[row["id_a"]], number[row["id_b"]])): float(row["jaccard_w5"])
            for row in csv.DictReader(file, delimiter="\t")
        }
    print("real revisions")
    removed, _ = run([record["text"] for record in records], workers)
    settled = {pair for pair in truth if pair & removed.keys()}
    for low in (0.7, 0.75, 0.8, 0.85, 0.9):
        pairs = [pair for pair, jaccard in truth.items() if jaccard >= low]
        hits = sum(pair in settled for pair in pairs)
        print(f"  pairs with J >= {low}: {hits} of {len(pairs)} have one removed ({hits / len(pairs):.3f})")
    witnessed = [truth.get(frozenset(pair), 0.0) for pair in removed.items()]
    good = sum(jaccard >= THRESHOLD for jaccard in witnessed)
    print(f"  removals whose survivor has true J >= {THRESHOLD}: {good} of {len(witnessed)}")


def main() -> None:
    """Print what the arguments ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pages", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--near-duplicates", type=Path)
    asked = parser.parse_args()
    if asked.near_duplicates:
        real_revisions(asked.near_duplicates, asked.workers)
    print("pages of one template")
    removed, _ = run(template(asked.pages), asked.workers)
    copies = set(range(asked.pages - asked.pages // 100, asked.pages))
    copied = set(range(asked.pages // 100))
    true = sum(removed.get(n, -1) in (n - min(copies), n + min(copies)) for n in copies | copied)
    print(f"  removed {len(removed):,}, {true:,} of them the {len(copies):,} true copies")


if __name__ == "__main__":
    main()
