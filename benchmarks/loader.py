"""Shuffled windows of 2,048 tokens from page-cached shards, one core, beside mosaicml-streaming and litdata.

The tokens are made up: documents of Zipf-like lengths (mean about 800), 2²¹ tokens a record batch, as the
tokenize stage writes them. The peers get the same tokens in their own formats, as windows of 2,049. Rates are
medians over rounds taken in turn, by processor time and, for a quiet machine, by the clock. First batch and
resume are new processes, imports aside, on these shards and on 10¹² tokens: a manifest that names the same
files again and again.

    taskset -c 0 python -m benchmarks.loader [--peer-python /path/to/python-with-the-peers]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpus import dataset
from corpus.counts import Counts
from corpus.schema import TOKENS16

LENGTH, ROWS, BATCH, MEAN, EOS = 2048, 512, 1 << 21, 800, 2
FILES, WARM, ROUNDS, FRESH = 2, 8, 5, 5
TRILLION = 10**12


def write(folder: Path, tokens: int) -> None:
    """Write `tokens` tokens as token shards, and end to end in tokens.npy for the peers."""
    random, written, whole = np.random.default_rng(0), [], []
    for number in range(FILES):
        name = f"train-web-{number}.arrow"
        with dataset.create(
            str(folder),
            name,
            TOKENS16,
            "",
            compression=None,
            language="tur_Latn",
            split="train",
            source="web",
        ) as slot:
            for _ in range(tokens // BATCH // FILES):
                batch, values = record_batch(random)
                slot.arrow.write_tokens(batch)
                whole.append(values)
        written.append(slot.file)
    np.save(folder / "tokens.npy", np.concatenate(whole))
    manifest(folder, [file for file in written if file is not None])


def record_batch(random: np.random.Generator) -> tuple[pa.RecordBatch, np.ndarray]:
    """Draw a record batch of documents with Zipf-like lengths, and give its tokens too."""
    lengths = np.minimum(170 * random.random(4 * BATCH // MEAN) ** -0.8, 60_000).astype(np.int64)
    limits = np.concatenate([[0], np.cumsum(lengths)])
    limits = limits[: np.searchsorted(limits, BATCH) + 1]
    values = random.integers(3, 32_000, limits[-1]).astype(np.uint16)
    values[limits[1:] - 1] = EOS
    rows = len(limits) - 1
    tokens = pa.ListArray.from_arrays(
        pa.array(limits, pa.int32()), pa.array(values), type=TOKENS16.schema().field("tokens").type
    )
    columns = [
        pa.array(4 * np.diff(limits), pa.uint32()),
        pa.array([f"{row:032x}" for row in range(rows)]),
        *(pa.array([name] * rows) for name in ("tur_Latn", "web")),
        pa.array(np.ones(rows), pa.uint32()),
    ]
    return pa.RecordBatch.from_arrays([tokens, *columns], schema=TOKENS16.schema()), values


def manifest(folder: Path, written: list[dataset.File]) -> None:
    unit = dataset.Unit(name="u", fingerprint="", inputs=(), files=tuple(written), counts=Counts())
    facts = {
        "tokenizer": "00" * 32,
        "vocabulary": 32_000,
        "padded_vocabulary": 32_000,
        "eos": EOS,
        "bos": None,
    }
    dataset.save(
        str(folder), dataset.Manifest(stage="tokenize", version=1, settings={}, units=(unit,), facts=facts)
    )


def trillion(folder: Path, real: Path) -> Path:
    """Write the manifest of 10¹² tokens, which are the real files many times over."""
    folder.mkdir()
    written = dataset.load(str(real)).files("tokens16")
    for file in written:
        (folder / file.path).symlink_to(real / file.path)
    held = sum(sum(file.batches.tokens) for file in written if file.batches is not None)
    manifest(folder, written * round(TRILLION / held))
    return folder


def ours(folder: Path, tokens: int) -> dict[str, tuple[float, float]]:
    """Read the tokens twice by a new loader; give tokens a second of processor time and by the clock.

    The first time every page of the maps is still to be found in the page cache.
    """
    from trainer import tokens as shards
    from trainer.loader import Loader
    from trainer.order import Order, Phase

    opened = shards.open(str(folder))
    streams = shards.streams(opened)
    order = Order(streams, [Phase(1, {stream.name: 1.0 for stream in streams}, LENGTH, ROWS)], 1)
    rates, steps = {}, tokens // (LENGTH * ROWS)
    with Loader(opened, order) as loader:
        read = loader.steps(0, 2 * steps + WARM)
        for _ in range(WARM):
            next(read)
        for name in ("derlem, first pass", "derlem"):
            began, processor = time.perf_counter(), time.process_time()
            targets = sum(batch.targets for batches in islice(read, steps) for batch in batches)
            processor, wall = time.process_time() - processor, time.perf_counter() - began
            assert targets > 0.99 * steps * ROWS * LENGTH
            rates[name] = (steps * ROWS * LENGTH / processor, steps * ROWS * LENGTH / wall)
    return rates


FIRST = """
import json, sys, time
import numpy, torch, numba, pyarrow.ipc
from numba.core.registry import cpu_target
cpu_target.typing_context.refresh(); cpu_target.target_context.refresh()
from trainer import gather, loader, order, tokens
folder, step, length, rows = sys.argv[1], *map(int, sys.argv[2:])
times = []
def lap(): times.append([time.perf_counter(), time.process_time()])
lap()
opened = tokens.open(folder); lap()
streams = tokens.streams(opened); lap()
made = order.Order(streams, [order.Phase(1, {s.name: 1.0 for s in streams}, length, rows)], 1); lap()
reading = loader.Loader(opened, made); lap()
steps = reading.steps(step, step + 100)
next(steps); lap()
again = reading.steps(step + 5000, step + 5100)
next(again); lap()
steps.close(); again.close(); reading.close()
print(json.dumps([numpy.diff(times, axis=0).tolist(), reading.index_bytes]))
"""


def fresh(folder: Path, step: int) -> tuple[np.ndarray, int]:
    """Return medians over new processes, ms [laps, 2] by clock and by processor, and the index in bytes.

    The laps are the manifest, streams, order, loader, first batch and that of another step.
    """
    runs = []
    for _ in range(FRESH):
        run = subprocess.run(
            [sys.executable, "-c", FIRST, str(folder), *map(str, (step, LENGTH, ROWS))],
            capture_output=True,
            text=True,
            check=True,
        )
        runs.append(json.loads(run.stdout))
    return 1e3 * np.median([times for times, _ in runs], axis=0), runs[0][1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer-python", help="a Python with mosaicml-streaming and litdata")
    parser.add_argument("--tokens", type=int, default=1 << 27)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "tokens"
        folder.mkdir()
        write(folder, arguments.tokens)
        ours(folder, arguments.tokens)  # compiles the kernel
        rates: dict[str, list[tuple[float, float]]] = {}
        peers = None
        if arguments.peer_python:
            peers = subprocess.Popen(
                [arguments.peer_python, str(Path(__file__).with_name("peer_loader.py")), temporary],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert peers.stdout is not None
            print(peers.stdout.readline(), end="")
        for _ in range(ROUNDS):
            for name, found in ours(folder, arguments.tokens).items():
                rates.setdefault(name, []).append(found)
            if peers is not None:
                assert peers.stdin is not None
                assert peers.stdout is not None
                print("go", file=peers.stdin, flush=True)
                for name, found in json.loads(peers.stdout.readline()).items():
                    rates.setdefault(name, []).append(tuple(found))
        if peers is not None:
            peers.communicate("end\n", timeout=60)
        mine = [statistics.median(column) for column in zip(*rates["derlem"], strict=True)]
        for name, found in rates.items():
            processor, wall = (statistics.median(column) for column in zip(*found, strict=True))
            print(
                f"{name}: {processor / 1e6:.1f} M tokens/s of processor time, {wall / 1e6:.1f} by the clock; "
                f"ours is {mine[0] / processor:.1f} and {mine[1] / wall:.1f} x"
            )
        for name, where in (("these", folder), ("10^12", trillion(Path(temporary) / "trillion", folder))):
            for step in (0, 800_000):
                laps, held = fresh(where, step)
                print(
                    f"{name} tokens, new process, imports aside, step {step:,}, ms (of processor time): ",
                    end="",
                )
                for lap, rows in (("manifest", laps[:2]), ("order, loader, first batch", laps[2:5])):
                    print("{}: {:.0f} ({:.0f}), ".format(lap, *rows.sum(axis=0)), end="")
                print("another step: {:.0f} ({:.0f}); ".format(*laps[5]), end="")
                print(f"index {held / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
