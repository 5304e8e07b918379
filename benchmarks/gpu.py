"""The trainer on a GPU: bfloat16 beside float32, then tokens a second, MFU and data wait of three sizes.

The tokens are those of benchmarks.loader. A size is trained by its preset, at its own batch, without
evaluation; rates are medians over the steps after the first twenty. It was not run yet: no GPU was at hand.

    python -m benchmarks.gpu [--presets 124m,350m,1300m] [--steps 60]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.loader import write
from corpus.tokenizer import MODEL
from trainer import config, metrics, model, run, tokens
from trainer.loader import Loader, unpack
from trainer.shape import shape

TARGETS = {"124m": 600e3, "350m": 220e3, "1300m": 70e3}  # tokens a second on one H200
WARM = 20


def correctness(folder: str, preset: str, device: torch.device) -> tuple[float, float]:
    """Return the relative difference of the loss and the cosine of the gradients, bfloat16 to float32."""
    settings = config.load(preset, ["data.batch=2"])
    opened = tokens.open(folder)
    with Loader(opened, tokens.order(settings, opened)) as loader:
        batch = next(loader.steps(0, 1))[0]
    inputs, targets, documents = unpack(batch, device)
    losses, gradients = [], []
    for dtype in (torch.float32, torch.bfloat16):
        made = model.build(shape(settings.model, opened.vocabulary), 0, device, dtype)
        with torch.no_grad():  # away from the initial values, where the output layer is nearly zero
            made.output.normal_(0.0, 0.02, generator=torch.Generator(device).manual_seed(0))
        loss, _ = made(inputs, documents, targets)
        loss.backward()
        losses.append(float(loss))
        gradients.append(torch.cat([p.grad.flatten() for p in made.parameters() if p.grad is not None]))
    cosine = torch.nn.functional.cosine_similarity(*gradients, dim=0)
    return abs(losses[1] / losses[0] - 1), float(cosine)


def speed(folder: str, preset: str, steps: int) -> dict[str, float | None]:
    """Train this many steps; return medians of the rates, and the peak of the device's memory (GiB)."""
    data = config.load(preset).data
    changes = ["evaluate.documents=0", "evaluate.prompt=", "run.log=[]"]
    settings = config.load(preset, [*changes, f"data.tokens={data.length * data.batch * steps}"])
    with tempfile.TemporaryDirectory() as out:
        run.train(folder, Path(out) / "run", settings, Console(stderr=True))
        lines = metrics.read(Path(out) / "run" / metrics.FILE, "train")[WARM:]
    found: dict[str, float | None] = {}
    for key in ("tokens_per_second", "tflops", "mfu", "mfu_full", "waited"):
        values = [line[key] for line in lines]
        found[key] = None if None in values else statistics.median(values)
    found["gib"] = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None
    return found


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--presets", default=",".join(TARGETS))
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), 1 << 26)
        (Path(folder) / MODEL).touch()  # no tokenizer is needed for made-up tokens
        for preset in options.presets.split(","):
            difference, cosine = correctness(folder, preset, device)
            print(f"{preset}: bfloat16 to float32: loss {difference:.1e}, cosine of gradients {cosine:.6f}")
            found = speed(folder, preset, WARM + options.steps)
            shown = {key: None if value is None else round(value, 4) for key, value in found.items()}
            print(f"{preset}: {shown}; target {TARGETS.get(preset, 0):,.0f} tokens/s")


if __name__ == "__main__":
    main()
