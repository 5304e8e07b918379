"""`extract` and `filter` on one core beside datatrove's pipeline of the same steps, on the same WARC.

    python benchmarks/clean.py ../shared/data/html-gold --peer-python /path/to/python-with-datatrove

Packs the pages of the folder's archives into one WARC and runs both sides in turn, each in a process of its
own that first does a warm-up pass (imports, compiled kernels, models), then the measured one. Without
--peer-python only ours is run.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

HERE = Path(__file__).parent

OURS = """
import json, sys, tempfile, time
from pathlib import Path
from corpus.config import parse
from corpus.teller import SILENT
from pipelines import extract, filter, stage
from pipelines.options import Runner
from pipelines.stage import Context
data = {"source": [{"name": "gold", "format": "warc", "paths": [sys.argv[1]]}],
        "filter": {"language": {"keep": ["*"], "min_score": 0.0, "min_scores": {}}}}
config = parse(data, "benchmark")
for _ in range(2):
    with tempfile.TemporaryDirectory() as folder:
        context = Context(config.model_copy(update={"output": folder}))
        started = time.perf_counter()
        extracted = stage.run(extract.plan(context), Runner(workers=1), SILENT)
        between = time.perf_counter()
        done = stage.run(filter.plan(context), Runner(workers=1), SILENT)
        ended = time.perf_counter()
        seen, kept = extracted.counts().seen, done.counts().kept
print(json.dumps({"pages": seen, "kept": kept, "seconds": ended - started,
                  "steps": {"extract": between - started, "filter": ended - between}}))
"""


def pack(folder: Path, target: Path) -> int:
    """Write every page of the folder's archives as a WARC response record; give their number."""
    pages = 0
    with target.open("wb") as sink:
        writer = WARCWriter(sink, gzip=True)
        for archive in sorted(folder.glob("*/pages.tar.gz")):
            with tarfile.open(archive) as tar:
                for member in tar:
                    file = tar.extractfile(member)
                    if file is None:
                        continue
                    head = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
                    url = f"https://{archive.parent.name}.example/{member.name}"
                    body = io.BytesIO(file.read())
                    writer.write_record(writer.create_warc_record(url, "response", body, http_headers=head))
                    pages += 1
    return pages


def once(python: str, script: list[str], warc: Path) -> dict[str, object]:
    """Run one side in its own process and read its line of JSON."""
    run = subprocess.run([python, *script, str(warc)], capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(f"{python} {script[0]} failed:\n{run.stderr[-3000:]}")
    result: dict[str, object] = json.loads(run.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the html-gold folder")
    parser.add_argument("--peer-python", help="a Python with datatrove[processing] and trafilatura")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        warc = Path(folder) / "gold.warc.gz"
        print(f"{pack(arguments.folder, warc)} pages, {warc.stat().st_size / 2**20:.1f} MiB of WARC")
        ours: list[float] = []
        peer: list[float] = []
        for _ in range(arguments.runs):
            mine = once(sys.executable, ["-c", OURS], warc)
            ours.append(float(mine["pages"]) / float(mine["seconds"]))  # type: ignore[arg-type]
            line = f"derlem {ours[-1]:7.1f} pages/s, kept {mine['kept']}"
            if arguments.peer_python:
                theirs = once(arguments.peer_python, [str(HERE / "peer_datatrove.py")], warc)
                peer.append(float(theirs["pages"]) / float(theirs["seconds"]))  # type: ignore[arg-type]
                line += f"   datatrove {peer[-1]:6.1f} pages/s, kept {theirs['kept']}"
            print(line, flush=True)
        steps: dict[str, float] = mine["steps"]  # type: ignore[assignment]
        after = sum(seconds for step, seconds in steps.items() if step not in ("charset", "html"))
        print("seconds by step:", {step: round(seconds, 3) for step, seconds in steps.items()})
        print(f"after extraction / extraction: {after / steps['html']:.2f}")
        print(f"median derlem {statistics.median(ours):.1f} pages/s")
        if peer:
            ratio = statistics.median(a / b for a, b in zip(ours, peer, strict=True))
            print(f"median datatrove {statistics.median(peer):.1f} pages/s; ratio {ratio:.1f}")


if __name__ == "__main__":
    main()
