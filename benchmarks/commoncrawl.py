"""Fetch captures from a Common Crawl on loopback beside a tutorial's loop; see how little index is read.

    PYTHONPATH=.:tests python benchmarks/commoncrawl.py

The tutorial's loop asks for one range after the other over one kept connection and writes what comes; derlem
joins neighbours, asks four at a time, and looks at every record (gzip, WARC, URL, SHA-1). The pace is off.
The server is a small one in Python on the same machine: ratios without latency say little of a real one.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import cc_crawl
import cc_server
import requests

from corpus.commoncrawl import choose, plan
from corpus.commoncrawl.config import Access, CommonCrawl, Pieces, Selection
from corpus.commoncrawl.store import opened
from pipelines import commoncrawl


def listen(root: Path, latency_s: float, url: Any) -> None:
    """Serve for ever, from a process of its own."""
    with cc_server.serve(root) as server:
        server.latency_s = latency_s
        url.send(server.url)
        time.sleep(3600)


def naive(base: str, hits: list[Any], sink: Path) -> float:
    """Fetch captures as tutorials do; give the seconds."""
    started = time.monotonic()
    with requests.Session() as session, sink.open("wb") as file:
        for hit in hits:
            field = f"bytes={hit.offset}-{hit.offset + hit.length - 1}"
            answer = session.get(f"{base}/{hit.file}", headers={"Range": field}, timeout=60)
            answer.raise_for_status()
            file.write(answer.content)
    return time.monotonic() - started


def ours(config: CommonCrawl, home: Path, folder: Path) -> float:
    """Fetch the same as the stage does, unit by unit in this process; give the seconds."""
    stage, _ = commoncrawl.plan(config, str(home))
    started = time.monotonic()
    for unit in stage.units:
        outcome = commoncrawl.fetch_captures(config, unit, str(folder), lambda *_: None)
        assert not outcome.counts.rejected
    return time.monotonic() - started


def compare(root: Path, home: Path, limit: int, latency_s: float, runs: int) -> None:
    """Print captures a second of both, in turn, and their ratio."""
    ours_end, theirs_end = multiprocessing.Pipe()
    process = multiprocessing.Process(target=listen, args=(root, latency_s, theirs_end), daemon=True)
    process.start()
    base = ours_end.recv()
    access = Access(base=base, index_base=base, requests_per_s=1e6)
    selection = Selection(crawl=cc_crawl.CRAWL, languages=(), limit=limit)
    config = CommonCrawl(access=access, selection=selection, pieces=Pieces(gap_kb=64))
    apart = config.model_copy(update={"pieces": Pieces(gap_kb=0)})
    where = home / f"{limit}-{latency_s}"
    written, _ = plan.ensure(str(where / commoncrawl.PLANS), config)
    hits = written.hits(0, written.rows)
    seconds: dict[str, list[float]] = {"tutorial": [], "four at a time": [], "... and joined": []}
    for _ in range(runs):
        seconds["tutorial"].append(naive(base, hits, home / "naive"))
        seconds["four at a time"].append(ours(apart, where, where / "apart"))
        seconds["... and joined"].append(ours(config, where, where / "joined"))
    process.kill()
    first = statistics.median(seconds["tutorial"])
    for name, each in seconds.items():
        middle = statistics.median(each)
        rate = f"{len(hits) / middle:9,.0f}/s  ratio {first / middle:5.1f}"
        print(f"{len(hits):6,} captures, latency {1000 * latency_s:3.0f} ms, {name:15} {rate}", flush=True)


def prune(root: Path) -> None:
    """Print how much of an index of 240,000 rows is read for some selections."""
    draw, moment, rows = random.Random(1), datetime(2024, 5, 17), []
    for page in cc_crawl.pages(240_000):
        moment += timedelta(seconds=1)
        page.url += f"-{draw.randbytes(12).hex()}"
        row = cc_crawl.row(
            page, page.url.encode(), f"f{len(rows) % 90}", 30_000 * len(rows) % (1 << 30), 9, "1", moment
        )
        rows.append(row)
    rows.sort(key=lambda row: str(row["url_surtkey"]))
    cc_crawl.write_index(root, rows, indexes=12, group=5_000)
    whole = sum(path.stat().st_size for path in root.rglob("*.parquet"))
    print(f"an index of {len(rows):,} rows in 12 files of 4 row groups: {whole / 1e6:.1f} MB")
    chosen: dict[str, dict[str, Any]] = {
        "--host kitap.org.tr --limit 0": {"hosts": ("kitap.org.tr",), "limit": 0},
        "--tld tr --limit 0": {"tlds": ("tr",), "limit": 0},
        "--host none.example": {"hosts": ("none.example",)},
        "--language fin": {"languages": ("fin",)},
        "--limit 1000": {"limit": 1000},
        "--limit 1000, spread 4": {"limit": 1000, "spread": 4},
        "--limit 0": {"limit": 0},
    }
    for name, values in chosen.items():
        selection = Selection.model_validate({"crawl": cc_crawl.CRAWL, **values})
        with opened(Access(), str(root)) as store, ThreadPoolExecutor(4) as pool:
            taken = choose.take(choose.columnar(store, selection, pool), selection)
            share = store.tally.bytes / whole
            print(
                f"{name:30} {taken.num_rows:7,} captures, {store.tally.requests:4} requests, "
                f"{store.tally.bytes / 1e6:6.2f} MB, {share:6.1%} of the index"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=4000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        made, draw = cc_crawl.pages(arguments.pages), random.Random(1)
        for page in made:  # so that records are of about 5 KB
            page.text += draw.randbytes(4000).hex()
        cc_crawl.write(home / "crawl", made)
        lengths = [int(line["length"]) for line in json.loads((home / "crawl" / "cdx.json").read_text())]
        print(f"records of {statistics.mean(lengths):,.0f} bytes")
        for limit in (arguments.pages // 10, 0):
            for latency_s in (0.0, 0.02):
                compare(home / "crawl", home, limit, latency_s, arguments.runs)
        prune(home / "index")


if __name__ == "__main__":
    main()
