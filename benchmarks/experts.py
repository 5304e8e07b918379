"""Does a mixture of experts learn more than a dense model of the same active parameters? It can be resumed.

    derlem build corpus.toml --until tokenize     # law and manuals in Turkish, 1,024 pieces
    OMP_NUM_THREADS=1 python -m benchmarks.experts corpus results.jsonl

Every model reads the same tokens in the same order. Of a token the experts cost what the dense layer costs;
the router comes on top. The speed is that of whole steps, by processor time, of runs in turn.

    OMP_NUM_THREADS=1 python -m benchmarks.experts --layer

compares one layer, forward and backward, with the dense layer of the same active parameters and with
GLM-4-MoE's of transformers (its loop, and its way by the same grouped product), in turn.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import fmean, median

import torch
from torch import nn

from corpus.teller import SILENT
from trainer import config, metrics, model, run
from trainer.shape import shape

SIZE = ("model.depth=2", "model.width=128", "model.head=32", "model.hidden=384")
SETTINGS = (
    "data.length=256",
    "data.batch=8",
    "data.tokens=800000",
    "evaluate.documents=80",
    "evaluate.every=0",
    "evaluate.prompt=",
    "checkpoint.every=100000",
    "run.log=[]",
)
EIGHT = ("model.experts.count=8",)  # two of eight and a shared one, of 128 each
SOFTMAX = ("model.experts.scores=softmax", "model.experts.shared=0", "model.experts.balance=0")
VARIANTS: dict[str, tuple[str, ...]] = {
    "dense": (),
    "8 experts": EIGHT,
    "8 experts, no balance": (*EIGHT, "model.experts.balance=0"),
    "8 experts, balance 0.01": (*EIGHT, "model.experts.balance=0.01"),
    "8 experts, softmax, as Qwen3-MoE": (*EIGHT, *SOFTMAX),
    "16 experts": ("model.experts.count=16",),
}


def trained(corpus: str, overrides: tuple[str, ...], seed: int) -> dict[str, float]:
    """Train once; return scores, parameters, tokens per processor second and the load of the experts."""
    settings = config.load("tiny", (*SIZE, *SETTINGS, *overrides, f"seed={seed}"))
    with tempfile.TemporaryDirectory() as folder:
        before = time.process_time()
        result = run.train(corpus, Path(folder) / "run", settings, SILENT)
        spent = time.process_time() - before
        load = metrics.read(Path(folder) / "run" / metrics.FILE, "experts")
    return {
        "bits_per_byte": result["evaluation"]["all"]["bits_per_byte"],
        "parameters": result["parameters"],
        "active_parameters": result["active_parameters"],
        "tokens_per_second": result["tokens"] / spent,
        **({key: load[-1][key] for key in ("violation", "busiest", "idle")} if load else {}),
    }


def layers() -> None:
    """Print the median processor time of each layer, for 2,048 tokens of width 256."""
    from transformers import Glm4MoeConfig
    from transformers.models.glm4_moe.modeling_glm4_moe import Glm4MoeMoE

    for dtype in (torch.float32, torch.bfloat16):
        for count, active, hidden in ((8, 2, 256), (32, 4, 128), (64, 8, 64)):
            experts = {"count": count, "active": active, "hidden": hidden}
            ways: dict[str, nn.Module] = {
                "dense": _feed({"hidden": hidden * (active + 1)}, dtype),
                "ours": _feed({"experts": experts}, dtype),
            }
            for way in ("eager", "grouped_mm"):
                stated = Glm4MoeConfig(
                    hidden_size=256,
                    moe_intermediate_size=hidden,
                    n_routed_experts=count,
                    num_experts_per_tok=active,
                    n_shared_experts=1,
                )
                stated._experts_implementation = way
                ways[f"transformers, {way}"] = peer = Glm4MoeMoE(stated).to(dtype)
                for parameter in peer.parameters():
                    nn.init.normal_(parameter, 0.0, 0.02)
            spent: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(9):
                for name, made in ways.items():
                    x = torch.randn(4, 512, 256, dtype=dtype, requires_grad=True)
                    before = time.process_time()
                    made(x).float().square().mean().backward()
                    spent[name].append(time.process_time() - before)
            base = median(spent["dense"])
            shown = ", ".join(
                f"{name} {1e3 * median(each):.0f} ms ({median(each) / base:.2f})"
                for name, each in spent.items()
            )
            print(f"{dtype}, {active} of {count} and 1, of width {hidden}: {shown}")


def _feed(changes: dict[str, object], dtype: torch.dtype) -> nn.Module:
    """Return the layer of a model of one block."""
    sizes = config.Model.model_validate({"depth": 1, "width": 256, "head": 64, **changes})
    feed = model.build(shape(sizes, 1024), 0, "cpu", dtype).blocks[0].feed
    assert isinstance(feed, nn.Module)
    return feed


def main() -> None:
    """Train what is missing, seed by seed, and print a row for each variant."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", nargs="?")
    parser.add_argument("results", type=Path, nargs="?")
    parser.add_argument("--layer", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(VARIANTS))
    asked = parser.parse_args()
    if asked.layer:
        layers()
        return
    if asked.results is None:
        parser.error("expected CORPUS RESULTS, or --layer")
    asked.results.touch()
    rows = [json.loads(line) for line in asked.results.read_text(encoding="utf-8").splitlines()]
    found = {(row["variant"], row["seed"]): row for row in rows}
    for seed in range(asked.seeds):
        for name in asked.only:
            if (name, seed) not in found:
                row = {"variant": name, "seed": seed, **trained(asked.corpus, VARIANTS[name], seed)}
                found[name, seed] = row
                with asked.results.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(row) + "\n")
    base = [found[asked.only[0], seed] for seed in range(asked.seeds)]
    for name in asked.only:
        each = [found[name, seed] for seed in range(asked.seeds)]
        bits = [row["bits_per_byte"] for row in each]
        ratios = [a / b["bits_per_byte"] - 1 for a, b in zip(bits, base, strict=True)]
        speed = median(row["tokens_per_second"] for row in each)
        shown = ", ".join(f"{value:.4f}" for value in bits)
        uneven = ", ".join(f"{row['violation']:.2f}" for row in each if "violation" in row)
        print(
            f"{name:<34} {each[0]['parameters']:>9,} {each[0]['active_parameters']:>9,}  {fmean(bits):.4f} "
            f"({shown}), {100 * fmean(ratios):+.1f} %; {speed:,.0f} tokens/s; MaxVio {uneven or '-'}"
        )


if __name__ == "__main__":
    main()
