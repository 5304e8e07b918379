"""Peak memory of `extract` over a WARC, repeated until it is large, against one pass over the sample.

    python benchmarks/memory.py SAMPLE.warc.gz [--gigabytes 1]

Each pass is a process of its own that extracts one file and prints its peak.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PASS = """
import json, sys, tempfile
from corpus.config import parse
from pipelines import extract, records
from pipelines.stage import Context
data = {"source": [{"name": "sample", "format": "warc", "paths": [sys.argv[1]]}],
        "extract": {"unit_mb": 1 << 19}}
with tempfile.TemporaryDirectory() as folder:
    config = parse({**data, "output": folder}, "benchmark")
    unit = extract.plan(Context(config)).units[0]
    done = extract.extract_unit(config.extract, unit, folder, lambda *_: None)
print(json.dumps({"records": done.counts.seen, "kept": done.counts.kept, "peak_mb": records.peak_mb()}))
"""


def peak(warc: Path) -> dict[str, float]:
    run = subprocess.run([sys.executable, "-c", PASS, str(warc)], capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sample", type=Path)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "large.warc.gz"
        size = arguments.sample.stat().st_size
        with large.open("wb") as sink:
            for _ in range(max(1, round(arguments.gigabytes * 2**30 / size))):
                with arguments.sample.open("rb") as part:
                    shutil.copyfileobj(part, sink)
        for name, warc in (("once", arguments.sample), (f"{large.stat().st_size / 2**30:.2f} GiB", large)):
            found = peak(warc)
            print(f"{name}: {found['records']} documents, peak {found['peak_mb']:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
