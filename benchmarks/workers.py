"""One worker beside two: the same build of uneven files, in turn, with wall and processor time of each.

    python -m benchmarks.workers DATA/text-tr --mb 300

Writes four plain files of JSON lines, the largest with half of the text, from the compressed ones of a
folder, and builds them up to the stage `filter`. Then the time until two workers have started.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import zstandard

from pipelines import pool

SHARES = (0.5, 0.25, 0.15, 0.1)
START = "import pipelines.extract, pipelines.stage"


def write(texts: Path, folder: Path, megabytes: int) -> Path:
    """Write the inputs and their configuration; a document that comes again has another first word."""
    lines: list[bytes] = []
    for path in sorted(texts.glob("*.jsonl.zst")):
        with path.open("rb") as file:
            lines += zstandard.ZstdDecompressor().stream_reader(file).read().splitlines()
    number = 0
    for index, share in enumerate(SHARES):
        left = int(share * megabytes * (1 << 20))
        with (folder / f"{index}.jsonl").open("wb") as file:
            while left > 0:
                line = lines[number % len(lines)].replace(b'"text": "', b'"text": "%d ' % number, 1)
                number += 1
                left -= file.write(line + b"\n")
    config = folder / "corpus.toml"
    config.write_text('[[source]]\nname = "s"\nformat = "jsonl"\npaths = ["*.jsonl"]\n')
    return config


def build(config: Path, workers: int) -> tuple[float, float]:
    """Return the wall and the processor time of a build."""
    output = config.parent / f"corpus-{workers}-{time.monotonic_ns()}"
    words = [
        "build",
        str(config),
        "--set",
        f"output={output}",
        "--workers",
        str(workers),
        "--until",
        "filter",
    ]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, "-m", "derlem", *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - started, spent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="the folder text-tr of the sample data")
    parser.add_argument("--mb", type=int, default=300)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = write(given.data, Path(folder), given.mb)
        times = {workers: [] for workers in (1, 2)}
        for _ in range(given.runs):
            for workers, found in times.items():
                found.append(build(config, workers))
                print(
                    f"{workers} workers: {found[-1][0]:.1f} s, {found[-1][1]:.1f} s of processors", flush=True
                )
        walls = {workers: statistics.median(wall for wall, _ in found) for workers, found in times.items()}
        print(f"two workers: {walls[1] / walls[2]:.2f} times one's rate")
        started = time.monotonic()
        pool.run(exec, [START, START], 2, Path(folder))
        print(f"two workers started, with their imports, in {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main()
