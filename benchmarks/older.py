"""A new corpus compared with a finished one of ten times its size: processor time beside that of a rebuild.

    python -m benchmarks.older DATA [--documents 60000] [--words 60] [--cut]

The documents are those of `benchmarks.copies`, of 60 words on average. Stage dedupe alone is measured, beside
the time that the signatures of all documents take; with --cut it looks for passages and paragraphs, too.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.copies import SETTINGS, Texts, words
from benchmarks.proved import write_filter
from corpus import dataset
from corpus.config import parse
from corpus.teller import SILENT
from pipelines import dedupe, stage
from pipelines.options import Runner
from pipelines.stage import Context


def build(folder: Path, cut: bool, *against: Path) -> tuple[float, dataset.Manifest]:
    """Run dedupe on a finished filter stage; return its processor seconds and its manifest."""
    source = [{"name": name, "format": "jsonl", "paths": ["a"]} for name in "ab"]
    settings = {"against": [str(path) for path in against], "max_cluster_share": 1.0}
    settings |= SETTINGS[-1] if cut else {}
    config = parse({"output": str(folder), "source": source, "dedupe": settings}, "benchmark")
    started = time.process_time()
    manifest = stage.run(dedupe.plan(Context(config)), Runner(), SILENT)
    return time.process_time() - started, manifest


def removed(folder: Path, manifest: dataset.Manifest) -> set[tuple[str, int]]:
    """Return the ids of the documents that dedupe removed, and ids and places of spans."""
    found = set()
    for kind, place in (("removed", "row"), ("spans", "start")):
        for file in manifest.files(kind):
            table = dataset.table(str(folder / "dedupe"), file.path, ["id", place])
            places = table[place].to_pylist() if kind == "spans" else [-1] * table.num_rows
            found |= set(zip(table["id"].to_pylist(), places, strict=True))
    return found


def stored(folder: Path, manifest: dataset.Manifest) -> float:
    """Return how many times the bytes of the documents' texts the stored grams and paragraphs have."""
    kinds = ("grams", "paragraphs")
    filtered = dataset.load(str(folder / "filter"))
    texts = sum(unit.counts.noted["text"]["bytes"] for unit in filtered.units)
    return sum(file.bytes for kind in kinds for file in manifest.files(kind)) / texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--documents", type=int, default=60_000)
    parser.add_argument("--words", type=int, default=60)
    parser.add_argument("--cut", action="store_true")
    options = parser.parse_args()
    known = list(words(options.data))
    sizes = (options.documents, options.documents * 11 // 10)
    older, both = (Texts(known, number, options.words) for number in sizes)
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / each for each in ("warm", "older", "newer", "both")]
        write_filter(folders[0], Texts(known, 2_000, options.words))
        write_filter(folders[1], older, parts=10)
        write_filter(folders[2], both, parts=1, first=len(older), older=len(older))
        made = time.process_time()
        write_filter(folders[3], both, parts=11, older=len(older))
        made = time.process_time() - made
        build(folders[0], options.cut)  # compiles, or loads what was compiled
        before, of_older = build(folders[1], options.cut)
        spent, of_newer = build(folders[2], options.cut, folders[1])
        rebuilt, of_both = build(folders[3], options.cut)
        parts = removed(folders[1], of_older) | removed(folders[2], of_newer)
        same = parts == removed(folders[3], of_both)
        print(f"grams and paragraphs stored: {stored(folders[1], of_older):.1%} of the texts' bytes")
    print(f"{len(older):,} documents, and {len(both) - len(older):,} new ones")
    print(f"  older alone {before:.2f} s, new against it {spent:.2f} s, rebuild of both {rebuilt:.2f} s")
    print(f"  new against older / rebuild: {spent / rebuilt:.1%} of dedupe alone")
    print(f"  {spent / (rebuilt + made):.1%} with the {made:.1f} s of making and signing the texts of both")
    print(
        f"  removed: {of_older.counts().dropped} and {of_newer.counts().dropped}; {of_both.counts().dropped}"
    )
    print(f"  the same documents and spans removed: {same}")


if __name__ == "__main__":
    main()
