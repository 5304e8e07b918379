"""A new corpus compared with a finished one of ten times its size: processor time beside that of a rebuild.

    python -m benchmarks.older DATA [--documents 60000]

The documents are those of `benchmarks.copies`, of 60 words on average. Stage dedupe alone is measured, beside
the time that the signatures of all documents take.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.copies import Texts, words
from benchmarks.proved import write_filter
from corpus import dataset
from corpus.config import parse
from corpus.teller import SILENT
from pipelines import dedupe, stage
from pipelines.options import Runner
from pipelines.stage import Context


def build(folder: Path, *against: Path) -> tuple[float, dataset.Manifest]:
    """Run dedupe on a finished filter stage; return its processor seconds and its manifest."""
    source = [{"name": name, "format": "jsonl", "paths": ["a"]} for name in "ab"]
    settings = {"against": [str(path) for path in against], "max_cluster_share": 1.0}
    config = parse({"output": str(folder), "source": source, "dedupe": settings}, "benchmark")
    started = time.process_time()
    manifest = stage.run(dedupe.plan(Context(config)), Runner(), SILENT)
    return time.process_time() - started, manifest


def removed(folder: Path, manifest: dataset.Manifest) -> set[str]:
    """Return the ids of the documents that dedupe removed."""
    tables = (dataset.table(str(folder / "dedupe"), file.path, ["id"]) for file in manifest.files("removed"))
    return {id for table in tables for id in table["id"].to_pylist()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--documents", type=int, default=60_000)
    options = parser.parse_args()
    known = list(words(options.data))
    older, both = (Texts(known, number, 60) for number in (options.documents, options.documents * 11 // 10))
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / each for each in ("warm", "older", "newer", "both")]
        write_filter(folders[0], Texts(known, 2_000, 60))
        write_filter(folders[1], older, parts=10)
        write_filter(folders[2], both, parts=1, first=len(older), older=len(older))
        made = time.process_time()
        write_filter(folders[3], both, parts=11, older=len(older))
        made = time.process_time() - made
        build(folders[0])  # compiles, or loads what was compiled
        before, of_older = build(folders[1])
        spent, of_newer = build(folders[2], folders[1])
        rebuilt, of_both = build(folders[3])
        parts = removed(folders[1], of_older) | removed(folders[2], of_newer)
        same = parts == removed(folders[3], of_both)
    print(f"{len(older):,} documents, and {len(both) - len(older):,} new ones")
    print(f"  older alone {before:.2f} s, new against it {spent:.2f} s, rebuild of both {rebuilt:.2f} s")
    print(f"  new against older / rebuild: {spent / rebuilt:.1%} of dedupe alone")
    print(f"  {spent / (rebuilt + made):.1%} with the {made:.1f} s of making and signing the texts of both")
    print(
        f"  removed: {of_older.counts().dropped} and {of_newer.counts().dropped}; {of_both.counts().dropped}"
    )
    print(f"  the same documents removed: {same}")


if __name__ == "__main__":
    main()
