"""Train the model of a page's kind: `train_kinds.py DATA/html-gold [--write]`.

Needs `pip install scipy`. The pages of wcxb-dev have their kinds. Printed is what pages of hosts that the
model has not seen are taken for, in five folds; `--write` trains on all pages and writes
corpus/text/maintext/kinds.npz.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from benchmarks.extraction import Page, fold, pages
from corpus.text.maintext import kinds, markup
from corpus.text.maintext.columns import FEATURES
from corpus.text.maintext.features import features

FOLDS = 5
_L2 = 100.0
_ITERATIONS = 150


def summaries(rows: list[np.ndarray]) -> np.ndarray:
    """Return the summary of each page, by its lines' features."""
    return np.array([kinds.summary(each.sum(axis=0, dtype=np.float64), len(each)) for each in rows])


def train(seen: np.ndarray, kind: np.ndarray) -> kinds.Model:
    """Return the model of the least log loss on summaries whose kinds are known, by number."""
    mean, deviation = (a.astype(np.float32) for a in (seen.mean(axis=0), seen.std(axis=0) + 1e-3))
    x = np.hstack([kinds.scaled(seen, mean, deviation), np.ones((len(seen), 1))])
    wanted = np.eye(len(kinds.KINDS))[kind]
    shape = x.shape[1], len(kinds.KINDS)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight = flat.reshape(shape)
        scores = x @ weight
        scores -= scores.max(axis=1, keepdims=True)
        likely = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        large = _L2 * np.vstack([weight[:-1], np.zeros((1, shape[1]))])
        value = -np.log((likely * wanted).sum(axis=1) + 1e-12).sum() + 0.5 * (large * weight).sum()
        return value, (x.T @ (likely - wanted) + large).ravel()

    found = minimize(
        loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS}
    )
    return kinds.Model(mean, deviation, found.x.reshape(shape).astype(np.float32))


def known(examples: list[Page]) -> np.ndarray:
    """Return the number of each page's kind, -1 where it is not known."""
    names = [page.kind.split("/")[-1] for page in examples]
    return np.array([kinds.KINDS.index(name) if name in kinds.KINDS else -1 for name in names])


def by_folds(examples: list[Page], rows: list[np.ndarray]) -> np.ndarray:
    """Return how likely each page is of each kind, by models that saw no page of its host."""
    seen, kind = summaries(rows), known(examples)
    of = np.array([fold(page.host, FOLDS) for page in examples])
    likely = np.zeros((len(examples), len(kinds.KINDS)))
    for number in range(FOLDS):
        likely[of == number] = kinds.probabilities(
            seen[of == number], train(seen[(of != number) & (kind >= 0)], kind[(of != number) & (kind >= 0)])
        )
    return likely


def report(kind: np.ndarray, likely: np.ndarray) -> None:
    """Print the confusion matrix, and how many are right by how sure the model is."""
    taken, sure = likely.argmax(axis=1), likely.max(axis=1)
    print(f"{'is, taken for':15}" + "".join(f"{name[:9]:>10}" for name in kinds.KINDS) + "    recall")
    for number, name in enumerate(kinds.KINDS):
        row = np.bincount(taken[kind == number], minlength=len(kinds.KINDS))
        print(f"{name:15}" + "".join(f"{count:10}" for count in row) + f"{row[number] / row.sum():10.2f}")
    print(f"right: {(taken == kind).mean():.3f}")
    for low, high in ((0.0, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.01)):
        of = (sure >= low) & (sure < high)
        right = (taken == kind)[of].mean()
        print(f"certainty {low:.1f} to {min(high, 1.0):.1f}: {of.sum()} pages, {right:.3f} right")


def main() -> None:
    """Print how pages are taken, and write the model if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    examples = [page for page in pages(options.data) if page.set == "wcxb-dev"]
    rows = [features(*markup.read(page.html)) for page in examples]
    kind = known(examples)
    report(kind, by_folds(examples, rows))
    if options.write:
        made = train(summaries(rows), kind)
        path = Path(kinds.__file__).with_name("kinds.npz")
        arrays = {name: getattr(made, name) for name in kinds.Model.__slots__}
        np.savez_compressed(path, features=np.array(FEATURES), **arrays)
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
