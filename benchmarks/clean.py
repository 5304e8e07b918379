"""`extract` and `filter` on one core beside datatrove's pipeline of the same steps, on the same WARC.

    python benchmarks/clean.py ../shared/data/html-gold --peer-python /path/to/python-with-datatrove

Packs the pages of the folder's archives into one WARC and runs both sides in turn, each in a process of its
own that first does a warm-up pass (imports, compiled kernels, models), then the measured one. The rates are
pages of the WARC a second of processor time for `extract`, and texts that it let through for `filter`.
Without --peer-python only ours is run.
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
        started = time.process_time()
        extracted = stage.run(extract.plan(context), Runner(workers=1), SILENT)
        between = time.process_time()
        done = stage.run(filter.plan(context), Runner(workers=1), SILENT)
        ended = time.process_time()
        texts = extracted.counts()
print(json.dumps({"pages": texts.seen, "texts": texts.kept, "kept": done.counts().kept,
                  "extract": between - started, "filter": ended - between}))
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


def once(python: str, script: list[str], warc: Path) -> dict[str, float]:
    """Run one side in its own process and read its line of JSON."""
    run = subprocess.run([python, *script, str(warc)], capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(f"{python} {script[0]} failed:\n{run.stderr[-3000:]}")
    result: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the html-gold folder")
    parser.add_argument("--peer-python", help="a Python with datatrove[processing] and trafilatura")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        warc = Path(folder) / "gold.warc.gz"
        pages = pack(arguments.folder, warc)
        print(f"{pages} pages, {warc.stat().st_size / 2**20:.1f} MiB of WARC")
        runs: dict[str, list[dict[str, float]]] = {"derlem": [], "datatrove": []}
        for _ in range(arguments.runs):
            runs["derlem"].append(once(sys.executable, ["-c", OURS], warc))
            if arguments.peer_python:
                script = [str(HERE / "peer_datatrove.py")]
                runs["datatrove"].append(once(arguments.peer_python, script, warc))
            print({side: found[-1] for side, found in runs.items() if found}, flush=True)
    for name, given, steps in (
        ("extract", "pages", ("extract",)),
        ("filter", "texts", ("filter",)),
        ("both", "pages", ("extract", "filter")),
    ):
        rates = {
            side: [
                (pages if given == "pages" else each["texts"]) / sum(each[step] for step in steps)
                for each in found
            ]
            for side, found in runs.items()
            if found
        }
        line = ", ".join(f"{side} {statistics.median(found):.1f} {given}/s" for side, found in rates.items())
        if arguments.peer_python:
            pairs = zip(rates["derlem"], rates["datatrove"], strict=True)
            line += f"; ratio {statistics.median(ours / theirs for ours, theirs in pairs):.1f}"
        print(f"{name}: {line}")


if __name__ == "__main__":
    main()
