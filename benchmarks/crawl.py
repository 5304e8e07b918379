"""Pages a second of a crawl without delays beside Scrapy's, on one site of this machine, and a long frontier.

    python benchmarks/crawl.py --peer-python /path/to/python-with-scrapy
    python benchmarks/crawl.py --frontier 1000000

The site has `HOSTS` hosts, which are addresses of the loopback network, with `PAGES` pages of 15 KB each and
a robots.txt; a page names eight others of its host. The server is a process of its own.
Ours stores WARC files, Scrapy nothing. --frontier makes the plan of a round of so many addresses instead, and
prints the peak memory of that process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOSTS, PAGES, LINKS = 40, 150, 8
PORT = 8462
WORDS = ("göl", "yağmur", "çiçek", "şehir", "ırmak", "öğretmen", "ağaç", "üzüm", "ışık", "güneş", "kitap")


def site(host: int) -> dict[bytes, bytes]:
    """Return the answers of a host by path."""
    chance = random.Random(host)
    found = {b"/robots.txt": b"User-agent: *\nDisallow: /gizli\n"}
    for page in range(PAGES):
        near = [(page * LINKS + n + 1) % PAGES for n in range(LINKS)]
        links = "".join(f'<li><a href="/{to or ""}">{chance.choice(WORDS)}</a></li>' for to in near)
        text = "".join(f"<p>{' '.join(chance.choices(WORDS, k=60))}.</p>" for _ in range(33))
        html = f"<!doctype html><html lang=tr><title>{page}</title><ul>{links}</ul>{text}"
        found[f"/{page or ''}".encode()] = html.encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    kinds = {path: b"text/plain" if path == b"/robots.txt" else b"text/html; charset=utf-8" for path in found}
    return {path: head % (kinds[path], len(content)) + content for path, content in found.items()}


def address(host: int) -> str:
    """Return the loopback address of a host."""
    return f"127.0.1.{host + 1}"


async def serve() -> None:
    """Serve all hosts, each on its address, until the process is ended."""
    missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

    class Server(asyncio.Protocol):
        def __init__(self, answers: dict[bytes, bytes]) -> None:
            self.answers, self.rest = answers, b""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            *requests, self.rest = (self.rest + data).split(b"\r\n\r\n")
            for request in requests:
                self.transport.write(self.answers.get(request.split(b" ", 2)[1], missing))

    loop = asyncio.get_running_loop()
    for host in range(HOSTS):
        answers = site(host)
        await loop.create_server(lambda answers=answers: Server(answers), address(host), PORT)
    print("ready", flush=True)
    await asyncio.Event().wait()


OURS = """
import io, json, sys, time
from rich.console import Console
from corpus.crawl.config import load
from pipelines import crawl
from pipelines.options import Runner
folder, workers, seeds = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
settings = load(None, ("agent.contact=benchmark@example.org", "politeness.delay_s=0", "politeness.factor=0",
                       'network.allow=["127.0.0.0/8"]', "scope.sitemaps=false"))
started = time.perf_counter()
ended = crawl.run(folder, settings, seeds, Runner(workers=workers), Console(file=io.StringIO()))
print(json.dumps({"pages": ended.pages, "seconds": time.perf_counter() - started, "rounds": ended.rounds}))
"""


def measure(command: list[str]) -> dict[str, float]:
    """Run one side in a process of its own; give what it prints last."""
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(peer: str | None, runs: int) -> None:
    """Run both sides in turn and print medians."""
    seeds = [f"http://{address(host)}:{PORT}/" for host in range(HOSTS)]
    server = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE)
    assert server.stdout is not None
    server.stdout.readline()
    rates: dict[str, list[float]] = {}
    try:
        for _ in range(runs):
            for workers in (1, 2):
                with tempfile.TemporaryDirectory() as folder:
                    found = measure([sys.executable, "-c", OURS, folder, str(workers), *seeds])
                rates.setdefault(f"derlem, workers={workers}", []).append(found["pages"] / found["seconds"])
                print(f"derlem {workers}: {found}", file=sys.stderr)
            if peer:
                found = measure([peer, str(Path(__file__).parent / "peer_scrapy.py"), *seeds])
                rates.setdefault("scrapy", []).append(found["pages"] / found["seconds"])
                print(f"scrapy: {found}", file=sys.stderr)
    finally:
        server.kill()
        server.wait()
    for name, values in rates.items():
        print(f"{name}: {statistics.median(values):.0f} pages/s, median of {len(values)}")


def plan(addresses: int) -> None:
    """Make the plan of a round of so many addresses, and read what is due as a unit does."""
    import pyarrow as pa

    from corpus.crawl.config import Crawl
    from corpus.crawl.urls import frontier
    from corpus.schema import FETCHES, FRONTIER, OUTLINKS
    from corpus.web.url import key, origin_of

    rows = 50_000
    tables = []
    for start in range(0, addresses, rows):
        urls = [
            f"https://www.site{n % 20_000}.com.tr/haber/{n}/bir-baslik-{n * 7919}"
            for n in range(start, min(start + rows, addresses))
        ]
        tables.append(
            pa.table(
                {
                    "key": pa.array([key(url) for url in urls], pa.uint64()),
                    "url": urls,
                    "host": [origin_of(url) for url in urls],
                    "depth": pa.array([2] * len(urls), pa.uint16()),
                    "priority": pa.array([n % 7 for n in range(len(urls))], pa.float32()),
                    "referrer": ["https://www.example.com.tr/"] * len(urls),
                    "via": ["link"] * len(urls),
                    "hops": pa.array([0] * len(urls), pa.uint8()),
                },
                schema=OUTLINKS.schema(),
            )
        )
    found = pa.concat_tables(tables)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.perf_counter()
    import numpy as np

    empty = FRONTIER.schema().empty_table()
    known = frontier.following(empty, FETCHES.schema().empty_table(), found, np.zeros(0, np.uint64))
    limits = Crawl().limits
    chosen = frontier.mark_due(known, {}, limits, limits.pages)
    dealt = frontier.by_bucket(chosen, 8)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{len(chosen):,} addresses, {sum(map(len, dealt)):,} dealt: {seconds:.1f} s, "
        f"peak {peak:,.0f} MB ({before:,.0f} MB with the links alone)"
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer-python", help="a Python that has Scrapy")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--frontier", type=int, metavar="ADDRESSES")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if chosen.serve:
        asyncio.run(serve())
    elif chosen.frontier:
        plan(chosen.frontier)
    else:
        compare(chosen.peer_python, chosen.runs)


if __name__ == "__main__":
    main()
