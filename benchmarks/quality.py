"""What models of quality cost and tell apart: `quality.py MODEL GROUP=FILE ... [--pairs GROUP>GROUP ...]`.

MODEL is a file of `derlem quality lm`, FILE has texts as JSON lines. Prints each group's median perplexity
and scores, words scored a second of processor time, and for pairs the chance that a text of the first group
has a higher score than one of the second (AUC).
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from corpus.quality.model import Scores, load
from corpus.quality.ranks import auc
from corpus.quality.scorer import Scorer
from corpus.quality.texts import sample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("groups", nargs="+", metavar="GROUP=FILE")
    parser.add_argument("--pairs", nargs="*", default=[], metavar="GROUP>GROUP")
    args = parser.parse_args()
    model = load(args.model)
    scores = Scores(model)
    found: dict[str, np.ndarray] = {}
    everything: list[str] = []
    for name, place in (group.split("=", 1) for group in args.groups):
        texts = sample([place], 1 << 20)
        everything += texts
        found[name] = np.array([scores.score(text) for text in texts])
        perplexity = np.median([scores.perplexity(text) for text in texts])
        low, middle, high = np.percentile(found[name], [10, 50, 90])
        spread = f"score {low:6.2f} {middle:6.2f} {high:6.2f}"
        print(f"{name:12}{len(texts):6} texts, perplexity {perplexity:6.2f}, {spread}")
    for pair in args.pairs:
        above, below = pair.split(">")
        print(f"{pair:24} AUC {auc(found[above], found[below]):.4f}")
    scorer = Scorer(model.good)
    words = sum(len(text.split()) for text in everything)
    for name, scored, inputs in (
        ("a text", scorer.log10, everything),
        ("its symbols", scorer.log10_of, [model.good.alphabet.symbols(text) for text in everything]),
    ):
        times = []
        for _ in range(3):
            started = time.process_time()
            for one in inputs:
                scored(one)
            times.append(time.process_time() - started)
        print(f"from {name}: {words / np.median(times) / 1e6:.2f} M words a second, one model")


if __name__ == "__main__":
    main()
