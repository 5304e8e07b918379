"""How long a stage of many finished units takes to find that nothing is to do, and how much memory.

    python benchmarks/nothing_to_do.py FOLDER [--units 100000] [--files 4]

Makes the files and records of the units in FOLDER, (files + 1) × units small files. Then runs the
stage three times in new processes: without the index of records, with it, and with one new unit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from corpus import dataset, files
from corpus.counts import Counts
from corpus.teller import SILENT
from pipelines import progress, stage
from pipelines.options import Runner

KINDS = ("documents", "signatures", "dropped", "rejected")
LANGUAGES = ("tur_Latn", "aze_Latn", "eng_Latn", "kaz_Cyrl", "uzb_Latn")


def made(unit: stage.Planned, folder: str, beat: progress.Beat) -> stage.Outcome:
    """Return what a unit made: the content of its files is their names."""
    written = []
    for kind in KINDS[: unit.task]:
        path = f"{kind}/{kind}-{unit.fingerprint}.arrow"
        target = Path(folder, path)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.encode())
        digest = hashlib.sha256(path.encode()).hexdigest()
        written.append(dataset.File(kind=kind, path=path, rows=900, bytes=len(path), sha256=digest))
    counts = Counts(seen=1_000, kept=900, dropped={f"gopher.rule_{n}": 20 for n in range(5)})
    for language in LANGUAGES:
        counts.note("languages", language, 180)
    counts.note("text", "bytes", 3_000_000)
    counts.note("text", "words", 400_000)
    return stage.Outcome(written, counts, {"html": 1.0, "language": 0.5})


def plan(folder: Path, units: int, made_each: int) -> stage.Stage:
    """Return a stage of units that are not done yet, or are."""
    planned = []
    for number in range(units):
        name = f"crawl/CC-MAIN-2024/segments/warc/CC-MAIN-{number:06d}.warc.gz"
        given = dataset.Input(name=name, checksum=f"etag:{number:032x}")
        planned.append(stage.plan_unit("toy", 1, {}, name, (given,), made_each, 1_000))
    return stage.Stage("toy", 1, str(folder), {}, tuple(planned), made)


def prepare(planned: stage.Stage, folder: Path) -> None:
    """Write the files and records of all units, without waiting for the disk."""
    (folder / "units").mkdir(parents=True, exist_ok=True)
    for unit in planned.units:
        outcome = made(unit, str(folder), lambda *_: None)
        record = {
            "unit": dataset.Unit(
                name=unit.name,
                fingerprint=unit.fingerprint,
                inputs=unit.inputs,
                files=tuple(outcome.files),
                counts=outcome.counts,
            ).model_dump(mode="json"),
            "facts": {},
            "seconds": outcome.seconds,
            "wall_s": 2.0,
            "peak_mb": 300.0,
            "stamps": {file.path: files.stamp(str(folder / file.path)) for file in outcome.files},
        }
        text = json.dumps(record, indent=1, sort_keys=True)
        (folder / "units" / f"{unit.fingerprint}.json").write_text(text)


def measure(folder: Path, units: int, made_each: int) -> None:
    """Run the stage once and print seconds and memory."""
    planned = plan(folder, units, made_each)
    began, processor = time.perf_counter(), time.process_time()
    stage.run(planned, Runner(), SILENT)
    wall, processor = time.perf_counter() - began, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| {units:,} | {wall:.1f} | {processor:.1f} | {peak:,.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--units", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=len(KINDS), choices=range(1, len(KINDS) + 1))
    parser.add_argument("--measure", action="store_true", help="the folder is prepared: run the stage once")
    given = parser.parse_args()
    if given.measure:
        measure(given.folder, given.units, given.files)
        return
    prepare(plan(given.folder, given.units, given.files), given.folder)
    print("| units | seconds | of processor time | MB |\n|---|---|---|---|", flush=True)
    for units in (given.units, given.units, given.units + 1):
        own = [sys.executable, __file__, str(given.folder), f"--units={units}", f"--files={given.files}"]
        subprocess.run([*own, "--measure"], check=True)


if __name__ == "__main__":
    main()
