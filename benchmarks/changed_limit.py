"""What a build costs whose filters got another limit, beside the whole build and one with nothing to do.

    python -m benchmarks.changed_limit DATA/html-gold --copies 1 4 --runs 3

Packs the pages of the folder's archives into one WARC, in as many copies under names of their own as is said,
and builds to shards by one worker: processor time of the command and its children.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.clean import pack

BUILD = [sys.executable, "-m", "derlem", "build", "corpus.toml", "--workers", "1"]
CONFIG = """[[source]]
name = "gold"
format = "warc"
paths = ["*.warc.gz"]
"""
LIMIT = "filter.limits.tur_Latn.gopher.min_words={}"


def spent(folder: Path, *words: str) -> float:
    """Run a build; return its processor time in seconds."""
    before = os.times()
    subprocess.run(
        [*BUILD, *words],
        cwd=folder,
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    print("| pages | whole | nothing to do | changed limit | share |\n|---|---|---|---|---|")
    for copies in given.copies:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            pages = copies * pack(given.folder, folder / "0.warc.gz")
            for copy in range(1, copies):
                shutil.copy(folder / "0.warc.gz", folder / f"{copy}.warc.gz")
            (folder / "corpus.toml").write_text(CONFIG)
            rows = []
            for run in range(given.runs):
                shutil.rmtree(folder / "corpus", ignore_errors=True)
                whole, nothing = spent(folder), spent(folder)
                rows.append((whole, nothing, spent(folder, "--set", LIMIT.format(60 + run))))
        whole, nothing, changed = (statistics.median(column) for column in zip(*rows, strict=True))
        print(
            f"| {pages:,} | {whole:.1f} s | {nothing:.1f} s | {changed:.1f} s | {changed / whole:.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
