"""Objectives of hidden tokens at equal tokens: token or whole-word masks, a decoder or an encoder-decoder.

    python -m benchmarks.planted TEXT_TR TEXT_MULTI planted --tokens 520000
    OMP_NUM_THREADS=1 python -m benchmarks.hidden planted/base results.jsonl

Models of about half a million parameters read 196,608 tokens. Encoders are scored by single masked tokens,
models of spans by the tokens of spans, on held-out documents, in nats a token. A decoder's texts end a few
tokens earlier, to make room for its sentinels, so the spans of the two kinds are not the same. One JSON line
per run; it can be resumed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from corpus.teller import SILENT
from trainer import config, run

SETTINGS = (
    "model.width=96",
    "model.head=32",
    "model.qk_norm=false",
    "data.tokens=196_608",
    "data.length=256",
    "data.batch=8",
    "evaluate.documents=80",
    "evaluate.every=0",
    "evaluate.prompt=",
    "checkpoint.every=100000",
    "run.log=[]",
)
SPANS = "objective.name=span-corruption"
KINDS = {
    "masked tokens": ["objective.name=masked", "model.depth=3"],
    "masked words": ["objective.name=masked", "model.depth=3", "objective.words=true"],
    "spans, decoder": [SPANS, "model.depth=4"],
    "spans, encoder-decoder": [SPANS, "model.depth=2", "model.kind=encoder-decoder"],
}


def trained(corpus: str, overrides: list[str], seed: int) -> dict[str, Any]:
    """Return the score, the parameters and the processor seconds of a run."""
    settings = config.load("tiny", (*SETTINGS, *overrides, f"seed={seed}"))
    begin = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        result = run.train(corpus, Path(folder) / "run", settings, SILENT)
    scores = result.get("evaluation_masked") or result["evaluation_spans"]
    seconds = time.process_time() - begin
    return {**scores, "parameters": result["parameters"], "seconds": seconds, "skipped": result["skipped"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus")
    parser.add_argument("results", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    lines = given.results.read_text().splitlines() if given.results.exists() else []
    done = {(each["kind"], each["seed"]) for each in map(json.loads, lines)}
    for seed in range(given.seeds):
        for kind, overrides in KINDS.items():
            if (kind, seed) not in done:
                found = {"kind": kind, "seed": seed, **trained(given.corpus, overrides, seed)}
                with given.results.open("a") as file:
                    file.write(json.dumps(found) + "\n")
                print(found, flush=True)


if __name__ == "__main__":
    main()
