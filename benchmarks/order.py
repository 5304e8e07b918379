"""The order of 10¹² tokens: indices and windows a second, memory, first batch, resume. No tokens are read.

The streams are made up: twelve of falling size, 10¹² tokens in batches of 2²¹, under a curriculum of three
phases. Beside the computed permutation stands the one that loaders usually store: numpy's, for 10⁷ indices
(for all 488 million it takes 3.9 GB). "First batch" is a new process: importing, making the order from the
counts, the first step's windows and segments.

    taskset -c 0 python -m benchmarks.order
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable

import numpy as np

TOKENS, BATCH, LENGTH, ROWS, REPEATS = 10**12, 1 << 21, 2048, 512, 7
INDICES = 10_000_000
FRESH = """
import json, time
started = time.perf_counter()
import numpy
numpy_ready = time.perf_counter()
import trainer.order
imported = time.perf_counter()
from benchmarks.order import streams, phases, LENGTH
given = streams(), phases()
counted = time.perf_counter()
order = trainer.order.Order(*given, seed=1, chunk=4 * LENGTH)
made = time.perf_counter()
order.segments(order.windows({step}))
first = time.perf_counter()
order.segments(order.windows({step} + 1))
print(json.dumps([numpy_ready - started, imported - numpy_ready, made - counted, first - made,
                  time.perf_counter() - first]))
"""


def streams() -> list:  # type: ignore[type-arg]
    """Twelve streams, each 0.6 of the one before."""
    from trainer.order import Stream

    shares = 0.6 ** np.arange(12)
    batches = np.maximum(np.rint(shares / shares.sum() * TOKENS / BATCH), 1).astype(np.int64)
    return [Stream(f"stream-{i}", np.full(count, BATCH)) for i, count in enumerate(batches)]


def phases() -> list:  # type: ignore[type-arg]
    """Even weights, then the small streams more, then long windows."""
    from trainer.order import Phase

    flat = {f"stream-{i}": 1.0 for i in range(12)}
    rising = {f"stream-{i}": 1.0 + i for i in range(12)}
    return [
        Phase(TOKENS // 2, flat, LENGTH, ROWS),
        Phase(TOKENS // 4, rising, LENGTH, ROWS),
        Phase(TOKENS // 4, rising, 4 * LENGTH, ROWS // 4),
    ]


def seconds(call: Callable[[], object]) -> float:
    """Return the median time of a call, after one that warms up."""
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def permuted(documents: int) -> None:
    """Print what an epoch with its own order of this many documents costs, beside one of windows."""
    from trainer.order import Order, Phase, Stream

    lengths = np.random.default_rng(0).integers(50, 950, documents)
    batches = np.add.reduceat(lengths, np.arange(0, documents, 4096))
    for name, known in (("windows", None), ("documents", lengths)):
        order = Order([Stream("text", batches, known)], [Phase(1, {"text": 1.0}, LENGTH, ROWS)], 1)
        start = time.process_time()
        order.segments(order.windows(0))
        first = time.process_time() - start
        steps = iter(range(1, 100))
        one = seconds(lambda order=order, steps=steps: order.segments(order.windows(next(steps))))
        shown = f"first step of an epoch {first * 1e3:.1f} ms, others {one * 1e3:.2f} ms"
        print(f"{documents:,} documents, {name} permuted: {shown}")


def fresh(step: int) -> list[float]:
    """Return the medians over new processes of the times that FRESH prints."""
    runs = []
    for _ in range(REPEATS):
        run = subprocess.run(
            [sys.executable, "-c", FRESH.format(step=step)], capture_output=True, text=True, check=True
        )
        runs.append(json.loads(run.stdout))
    return [statistics.median(times) for times in zip(*runs, strict=True)]


def main() -> None:
    from trainer.order import Order
    from trainer.permutation import permute, unpermute

    n = TOKENS // LENGTH
    index = np.random.default_rng(0).integers(0, n, INDICES)
    run = np.arange(INDICES)
    small = np.arange(ROWS)
    computed = INDICES / seconds(lambda: permute(run, n, 1))
    stored = INDICES / seconds(lambda: np.random.default_rng(1).permutation(INDICES))
    print(f"permutation of {n:,}: {computed / 1e6:.0f} M indices/s in a row, ", end="")
    print(f"{INDICES / seconds(lambda: permute(index, n, 1)) / 1e6:.0f} M/s scattered, ", end="")
    print(f"{INDICES / seconds(lambda: unpermute(run, n, 1)) / 1e6:.0f} M/s back")
    print(f"numpy storing one of {INDICES:,}: {stored / 1e6:.0f} M/s; ours is {computed / stored:.1f} x")
    print(f"{ROWS} indices at a time: {seconds(lambda: permute(small, n, 1)) * 1e6:.0f} µs")

    given = streams()
    tracemalloc.start()
    order = Order(given, phases(), seed=1)
    measured, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    batches = sum(stream.tokens.size for stream in given)
    print(f"{batches:,} batches: {(batches + 1) * 8 / 1e6:.1f} MB computed (8 bytes each), ", end="")
    print(f"{measured / 1e6:.1f} MB measured, {peak / 1e6:.1f} MB at the peak (limit 64)")

    steps = iter(np.random.default_rng(2).integers(0, 900_000, 10_000).tolist())
    anywhere = seconds(lambda: order.segments(order.windows(next(steps))))
    many = seconds(lambda: order.samples(0, 10**8, 1_000_000))
    cut = order.samples(0, 10**8, 1_000_000)
    joined = seconds(lambda: order.segments(cut))
    print(f"a step of {ROWS} windows anywhere: {anywhere * 1e3:.2f} ms; a million windows in a row: ", end="")
    print(f"{1 / many:.1f} M windows/s, their segments {1 / joined:.1f} M/s: ", end="")
    print(f"{LENGTH / (many + joined) / 1e3:.1f} G tokens/s of order")

    permuted(1_000_000)
    permuted(10_000_000)
    for name, step in (("first batch", 0), ("resume at step 800,000", 800_000)):
        numpy_s, ours, made, first, next_one = fresh(step)
        print(
            f"{name}, new process: order {made * 1e3:.1f} ms + windows and segments {first * 1e3:.1f} ms ",
            end="",
        )
        print(f"(the next {next_one * 1e3:.2f} ms); import numpy {numpy_s * 1e3:.0f} ms, ours ", end="")
        print(f"{ours * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
