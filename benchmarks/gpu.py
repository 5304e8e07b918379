"""The trainer on a GPU: bfloat16 beside float32, compile time, tokens a second, MFU, memory and data wait.

The tokens are those of benchmarks.loader. A size is trained by its preset, at its own batch, without
evaluation; rates are medians over the steps after the first twenty; the compile time is what the first step
takes longer than they do. `--set model.experts.count=8` trains experts of the same active parameters, by
which their MFU is counted. A test runs all of it on a CPU with tiny shapes. On a GPU it was not run yet:
none was at hand.

    python -m benchmarks.gpu [--presets 124m,350m,1300m] [--steps 60] [--set run.recompute=true]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.loader import write
from corpus.teller import SILENT
from corpus.tokenizer import MODEL
from corpus.tokenizer.train import fit
from trainer import config, device, metrics, model, run, tokens
from trainer.loader import Loader
from trainer.objective import unpack
from trainer.shape import shape

TARGETS = {"124m": 600e3, "350m": 220e3, "1300m": 70e3}  # tokens a second on one H200
WARM = 20
PLAIN = ("evaluate.documents=0", "evaluate.prompt=", "run.log=[]")


def correctness(folder: str, preset: str, changes: Sequence[str], on: torch.device) -> tuple[float, float]:
    """Return the relative difference of the loss and the cosine of the gradients, bfloat16 to float32."""
    settings = config.load(preset, [*changes, "data.batch=2", "run.micro_batch=0"])
    opened = tokens.open(folder)
    with Loader(opened, tokens.order(settings, opened)) as loader:
        batch = next(loader.steps(0, 1))[0]
    inputs, targets, documents = unpack(batch, on)
    losses, gradients = [], []
    for dtype in (torch.float32, torch.bfloat16):
        made = model.build(shape(settings.model, opened.vocabulary), 0, on, dtype)
        with torch.no_grad():  # away from the initial values, where the output layer is nearly zero
            made.output.normal_(0.0, 0.02, generator=torch.Generator(on).manual_seed(0))
        loss, _ = made(inputs, documents, targets)
        loss.backward()
        losses.append(float(loss.detach()))
        gradients.append(torch.cat([p.grad.flatten() for p in made.parameters() if p.grad is not None]))
    cosine = torch.nn.functional.cosine_similarity(*gradients, dim=0)
    return abs(losses[1] / losses[0] - 1), float(cosine)


def speed(
    folder: str, preset: str, changes: Sequence[str], steps: int, warm: int = WARM
) -> dict[str, float | None]:
    """Train `warm` steps and these; return medians of the rates, and the device's peak memory (GiB)."""
    data = config.load(preset, changes).data
    most = data.length * data.batch * (warm + steps)
    settings = config.load(preset, [*changes, *PLAIN, f"data.tokens={most}"])
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as out:
        run.train(folder, Path(out) / "run", settings, SILENT)
        lines = metrics.read(Path(out) / "run" / metrics.FILE, "train")
    found: dict[str, float | None] = {}
    for key in ("tokens_per_second", "tflops", "mfu", "mfu_full", "waited"):
        values = [line[key] for line in lines[warm:]]
        found[key] = None if None in values else statistics.median(values)
    seconds = [line["targets"] / line["tokens_per_second"] for line in lines]
    found["compile_seconds"] = seconds[0] - statistics.median(seconds[warm:])
    found["gib"] = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a line of each size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--presets", default=",".join(TARGETS))
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--warm", type=int, default=WARM)
    parser.add_argument("--corpus", help="token shards to read; made up unless given")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    options = parser.parse_args(arguments)
    on = device.choose("auto")
    with tempfile.TemporaryDirectory() as made:
        folder = options.corpus or made
        if options.corpus is None:
            write(Path(made), 1 << 26)
            (Path(made) / MODEL).write_bytes(fit(["bir iki üç dört beş altı yedi sekiz"] * 9, "unigram", 360))
        for preset in options.presets.split(","):
            difference, cosine = correctness(folder, preset, options.changes, on)
            print(f"{preset}: bfloat16 to float32: loss {difference:.1e}, cosine of gradients {cosine:.6f}")
            found = speed(folder, preset, options.changes, options.steps, options.warm)
            shown = {key: None if value is None else round(value, 4) for key, value in found.items()}
            print(f"{preset}: {shown}; target {TARGETS.get(preset, 0):,.0f} tokens/s")


if __name__ == "__main__":
    main()
