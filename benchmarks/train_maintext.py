"""Train the table that judges main text: `train_maintext.py DATA/html-gold [--labels FILE] [--write]`.

Needs `pip install lightgbm`. Each line of each page is labelled with the share of its words that are in the
gold text, by the best alignment of both. Scores are of pages of hosts that the trees have not seen, in five
folds; `--write` trains on all pages and writes corpus/text/maintext/trees.npz.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import pickle
import re
import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from numba import njit

from benchmarks import train_kinds
from benchmarks.extraction import Page, fold, pages, score
from corpus.text.maintext import judgement, layout, markup
from corpus.text.maintext.columns import FEATURES, FURNITURE, REVIEW
from corpus.text.maintext.features import features

FOLDS = train_kinds.FOLDS
TREES = 150
SETTINGS: dict[str, Any] = {
    "objective": "cross_entropy",
    "learning_rate": 0.1,
    "num_leaves": 20,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.2,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 20,
    "path_smooth": 20,
    "max_bin": 63,
    "seed": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
# LibreOffice's 300 pages are of one host and one template.
SET_WEIGHTS = {"tr-libreoffice-help": 0.3, "article-extraction-benchmark": 2.0}
_WORD = re.compile(r"\w+")
_MOST_CELLS = 600_000_000


@dataclass(slots=True)
class Labels:
    """The share of each line that is gold, NaN where unknown; its words; the gold's words."""

    gold: np.ndarray
    words: np.ndarray
    size: int


@njit(cache=True)
def align(a, b):  # type: ignore[no-untyped-def]
    """Return which words of both are paired in the best alignment, where pairs in a row count three times."""
    n, m = a.size, b.size
    best = np.zeros(m + 1, np.float32)
    run = np.full(m + 1, -1e9, np.float32)
    steps = np.zeros((n + 1, m + 1), np.uint8)
    none = np.float32(-1e9)
    for i in range(1, n + 1):
        best_before, run_before = best[0], run[0]
        run[0] = none
        for j in range(1, m + 1):
            best_above, run_above = best[j], run[j]
            pair, step = none, np.uint8(0)
            if a[i - 1] == b[j - 1]:
                pair = best_before + np.float32(0.3)
                if run_before + np.float32(1.0) > pair:
                    pair, step = run_before + np.float32(1.0), np.uint8(4)
            top, way = best_above, np.uint8(1)
            if best[j - 1] > top:
                top, way = best[j - 1], np.uint8(2)
            if pair > top:
                top, way = pair, np.uint8(3)
            best[j], run[j] = top, pair
            steps[i, j] = way | step
            best_before, run_before = best_above, run_above
    in_a, in_b = np.zeros(n, np.uint8), np.zeros(m, np.uint8)
    i, j, inside = n, m, False
    while i > 0 and j > 0:
        step = steps[i, j]
        if inside or step & 3 == 3:
            in_a[i - 1] = in_b[j - 1] = 1
            inside = step & 4 != 0
            i -= 1
            j -= 1
        elif step & 3 == 1:
            i -= 1
        else:
            j -= 1
    return in_a, in_b


def label(lines: list[str], page: Page) -> Labels:
    """Return the labels of a page's lines."""
    words = [_WORD.findall(line.lower()) for line in lines]
    counts = np.array([len(each) for each in words], np.float32)
    if page.gold is None:
        gold = np.full(len(lines), np.nan, np.float32)
        for at, line in enumerate(lines):
            for strings, value in ((page.wanted, 1), (page.unwanted, 0)):
                if any(s in line or (len(line) >= 12 and line in s) for s in strings):
                    gold[at] = value
        size = sum(len(_WORD.findall(s)) for s in page.wanted + page.unwanted)
        return Labels(gold, counts, max(50, size))
    wanted = _WORD.findall(page.gold.lower())
    ids: dict[str, int] = {}
    a = np.array([ids.setdefault(word, len(ids)) for each in words for word in each], np.int32)
    b = np.array([ids.setdefault(word, len(ids)) for word in wanted], np.int32)
    gold = np.zeros(len(lines), np.float32)
    if a.size and b.size:
        b = b[:20_000]
        a = a[: _MOST_CELLS // b.size]
        in_a, in_b = align(a, b)
        place = 0
        for at, each in enumerate(words):
            if each and place < in_a.size:
                gold[at] = in_a[place : place + len(each)].mean()
            place += len(each)
        left = Counter(word for word, paired in zip(wanted, in_b, strict=False) if not paired)
        flat = f" {' '.join(wanted)} "
        for at, each in enumerate(words):  # what the gold has in another order
            own = Counter(each)
            moved = gold[at] < 0.3 and len(each) >= 3 and (own & left).total() >= 0.8 * len(each)
            if moved and f" {' '.join(each)} " in flat:
                gold[at] = 1
                left -= own
    return Labels(gold, counts, len(wanted))


def table(booster: Any) -> judgement.Trees:
    """Return LightGBM's trees as ours."""
    starts: list[int] = []
    rows: list[tuple[int, float, int, float]] = []

    def add(node: dict[str, Any]) -> None:
        at = len(rows)
        if "split_feature" not in node:
            rows.append((-1, node["leaf_value"], 0, node["leaf_value"]))
            return
        rows.append((0, 0.0, 0, 0.0))
        add(node["left_child"])
        right = len(rows) - at - 1
        add(node["right_child"])
        # A feature is at most the threshold or not, as it is at most the next smaller number of 32 bits.
        limit = np.float32(node["threshold"])
        if limit > node["threshold"]:
            limit = np.nextafter(limit, np.float32(-np.inf))
        rows[at] = (node["split_feature"], float(limit), right, node["internal_value"])

    for tree in booster.dump_model()["tree_info"]:
        starts.append(len(rows))
        add(tree["tree_structure"])
    columns = list(zip(*rows, strict=True))
    kinds = (np.int16, np.float32, np.int16, np.float32)
    return judgement.Trees(
        np.array(starts, np.int32), *(np.array(c, k) for c, k in zip(columns, kinds, strict=True))
    )


def main() -> None:
    """Print scores by set and kind of page, and write the table if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--labels", type=Path, help="where labels are kept between runs")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--predictions", type=Path, help="where the folds' judgements are written")
    options = parser.parse_args()
    examples = list(pages(options.data))
    known: dict[Any, Labels] = {}
    if options.labels and options.labels.exists():
        known = pickle.loads(options.labels.read_bytes())
    rows, labels, reads = [], [], []
    for page in examples:
        data, read = markup.read(page.html)
        rows.append(features(data, read))
        reads.append((data, read))
        lines = len(read.lines)
        key = (page.set, page.name, lines, read.pieces.tobytes() if lines else b"")
        key = hashlib.md5(repr(key).encode()).hexdigest()
        if key not in known:
            texts = [" ".join(layout.line_text(data, read, at).split()) for at in range(lines)]
            known[key] = label(texts, page)
        labels.append(known[key])
    if options.labels:
        options.labels.write_bytes(pickle.dumps(known))
    x = np.concatenate(rows)
    gold = np.concatenate([each.gold for each in labels])
    words = np.concatenate([each.words for each in labels])
    of_page = np.repeat(np.arange(len(labels)), [len(each.gold) for each in labels])
    folds = np.array([fold(page.host, FOLDS) for page in examples])
    weight = (words + 4) / np.maximum(60, [each.size for each in labels])[of_page]
    whole = np.bincount(of_page, weight, len(labels))
    weight *= np.minimum(1, 4 / np.maximum(whole, 1e-9))[of_page]
    weight *= np.array([SET_WEIGHTS.get(page.set, 1.0) for page in examples])[of_page]
    usable = ~np.isnan(gold) & (words > 0)
    weight /= weight[usable].mean()
    share = np.minimum(1, weight / 1.5)
    used = usable & (np.random.default_rng(0).random(weight.size) < share)
    weight /= share
    print(f"{usable.sum():,} lines, {used.sum():,} trained on", flush=True)

    def train(which: np.ndarray) -> Any:
        return lightgbm.train(SETTINGS, lightgbm.Dataset(x[which], gold[which], weight=weight[which]), TREES)

    likely = np.zeros(gold.size)
    for number in range(FOLDS):
        held_out = folds[of_page] == number
        trees = table(train(used & ~held_out))
        likely[held_out] = judgement.likelihoods(
            x[held_out], trees.starts, trees.feature, trees.threshold, trees.right
        )
    ends = np.cumsum([0] + [len(each.gold) for each in labels])
    for (a, b), of_kinds in zip(itertools.pairwise(ends), train_kinds.by_folds(examples, rows), strict=True):
        likely[a:b] *= judgement.by_name(x[a:b, (FURNITURE, REVIEW)] > 0, of_kinds)
    if options.predictions:
        np.savez(options.predictions, likely=likely, gold=gold, words=words, ends=ends)
    report(examples, reads, [likely[a:b] for a, b in itertools.pairwise(ends)])
    if options.write:
        trees = table(train(used))
        path = Path(judgement.__file__).with_name("trees.npz")
        arrays = {name: getattr(trees, name) for name in judgement.Trees.__slots__}
        np.savez_compressed(path, features=np.array(FEATURES), **arrays)
        print(f"{path}: {trees.starts.size} trees, {trees.feature.size} nodes, {path.stat().st_size:,} bytes")


def report(examples: list[Page], reads: list[Any], likely: list[np.ndarray]) -> None:
    """Print F1, precision and recall by set and kind of page."""
    groups: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for page, (data, read), own in zip(examples, reads, likely, strict=True):
        kept = judgement.chosen(data, read, own)
        found = score("\n".join(layout.text(data, read, kept)), page)
        for kind in dict.fromkeys((page.set, page.kind)):
            groups[kind].append(found)
    for kind, scores in groups.items():
        means = "".join(f"{statistics.mean(column):7.3f}" for column in zip(*scores, strict=True))
        print(f"{kind:40}{len(scores):6}{means}", flush=True)


if __name__ == "__main__":
    main()
