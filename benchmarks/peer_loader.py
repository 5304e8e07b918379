"""The peers' side of benchmarks/loader.py; run by a Python that has them, never imported by ours.

The argument is a folder with tokens/tokens.npy. For each line that comes in, a line of JSON goes out: each
peer's tokens a second by processor time and by the clock.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
import types
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

LENGTH = 2048
MOST = 20_000  # windows of a round
SECONDS = 5.0


def stub_torchvision() -> None:
    """Stand in for torchvision, which streaming imports for its image datasets, where there is none."""
    with contextlib.suppress(ImportError):
        import torchvision  # noqa: F401

        return
    import transformers.feature_extraction_utils  # noqa: F401 - it looks for torchvision when first imported

    for name in (
        "torchvision",
        "torchvision.datasets",
        "torchvision.transforms",
        "torchvision.transforms.functional",
    ):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["torchvision.datasets"].VisionDataset = object
    sys.modules["torchvision.transforms.functional"].to_tensor = None


def windows(folder: Path):
    tokens = np.load(folder / "tokens" / "tokens.npy", mmap_mode="r")
    return (tokens[at : at + LENGTH + 1] for at in range(0, len(tokens) - LENGTH, LENGTH))


def mosaic(folder: Path):
    """Write the windows as MDS; give an iterator over shuffled samples."""
    from streaming import MDSWriter, StreamingDataset

    out = str(folder / "mds")
    with MDSWriter(out=out, columns={"tokens": f"ndarray:uint16:{LENGTH + 1}"}) as writer:
        for window in windows(folder):
            writer.write({"tokens": np.array(window)})
    data = StreamingDataset(local=out, shuffle=True, shuffle_seed=1, batch_size=1)
    return lambda: (sample["tokens"].size - 1 for sample in data)


def lit(folder: Path):
    """Write the tokens as litdata chunks; give iterators over shuffled blocks, single and in batches of 8."""
    from litdata import StreamingDataLoader, StreamingDataset, TokensLoader
    from litdata.streaming.writer import BinaryWriter

    out = str(folder / "lit")
    writer = BinaryWriter(out, chunk_bytes="64MB", item_loader=TokensLoader(LENGTH + 1))
    for index, window in enumerate(windows(folder)):
        writer.add_item(index, torch.from_numpy(np.array(window)))
    writer.done()
    writer.merge()

    def dataset():
        return StreamingDataset(out, item_loader=TokensLoader(LENGTH + 1), shuffle=True, seed=1)

    one, many = dataset(), StreamingDataLoader(dataset(), batch_size=8, num_workers=0)
    return (
        lambda: (block.numel() - 1 for block in one),
        lambda: (batch.numel() - len(batch) for batch in many),
    )


def rate(iterate) -> tuple[float, float]:
    """Read for some seconds; give tokens a second by processor time and by the clock."""
    reading = iterate()
    for _ in range(20):
        next(reading)
    tokens, end = 0, time.perf_counter() + SECONDS
    began, processor = time.perf_counter(), time.process_time()
    for count in reading:
        tokens += count
        if time.perf_counter() > end:
            break
    return tokens / (time.process_time() - processor), tokens / (time.perf_counter() - began)


def main() -> None:
    # What the peers print must not come between the lines of JSON.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(1)
    stub_torchvision()
    folder = Path(sys.argv[1])
    peers = {"mosaicml-streaming": mosaic(folder)}
    peers["litdata, one by one"], peers["litdata, batches of 8"] = lit(folder)
    versions = ", ".join(f"{name} {version(name)}" for name in ("mosaicml-streaming", "litdata", "torch"))
    print(versions, file=answers, flush=True)
    for line in sys.stdin:
        if line.strip() == "end":
            break
        print(json.dumps({name: rate(iterate) for name, iterate in peers.items()}), file=answers, flush=True)
    shutil.rmtree(folder / "mds", ignore_errors=True)


if __name__ == "__main__":
    main()
