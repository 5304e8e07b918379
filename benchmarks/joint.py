"""Unique tokens, epochs, a second language and weight decay in one study of small models. It can be resumed.

    OMP_NUM_THREADS=1 python -m benchmarks.joint FOLDER --train TEXT_TR TEXT_MULTI
    python -m benchmarks.joint

The first writes FOLDER/corpora (Turkish cut to each number of unique tokens, beside all English) and trains
the runs of `design` on them, a line of FOLDER/runs.jsonl each. The loss is of held-out Turkish; `share` is
the share of the read tokens that is Turkish, `unique` counts unique Turkish tokens. Both print how far each
law misses every run if it is fitted to the others; the second for the runs in benchmarks/data/joint.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.planted import HUMAN, cut, pieces, write
from corpus.teller import SILENT
from corpus.tokenizer import MODEL, Tokenizer
from corpus.tokenizer.train import fit as fit_tokenizer
from trainer import config, run, tokens
from trainer.scaling.choice import choose
from trainer.scaling.fit import fit
from trainer.scaling.laws import LAWS, Floats, Law
from trainer.scaling.runs import Columns, Runs
from trainer.scaling.source import Asked, load

HELD = 80
"""Held-out documents of each source."""
UNIQUE = (16_384, 49_152, 147_456)
EPOCHS = (1, 4, 16)
ENGLISH = (0.0, 0.25, 0.5)
DECAYS = (0.1, 1.0)
WIDTHS = (32, 48, 64)
MOST = 1_200_000
"""The most tokens of a run."""
RUNS = 45
VOCABULARY = 1_024
TABLE = Path(__file__).parent / "data" / "joint"
COLUMNS = Columns(("bits_per_byte",), "params", "tokens", "unique", "run", share="share", decay="decay")
TUR, ENG = "tur_Latn/text", "eng_Latn/text"
SETTINGS = (
    "model.depth=2",
    "model.head=16",
    "data.length=128",
    "data.batch=8",
    "evaluate.documents=80",
    "evaluate.every=0",
    "evaluate.prompt=",
    "checkpoint.every=100000",
    "run.log=[]",
)


@dataclass(frozen=True)
class Point:
    """A run of the study: unique Turkish tokens, readings of them, share of English, decay, width."""

    unique: int
    epochs: int
    english: float
    decay: float
    width: int

    @property
    def tokens(self) -> int:
        """Return the tokens that it reads, of both languages."""
        return round(self.unique * self.epochs / (1 - self.english))

    @property
    def name(self) -> str:
        """Return its name, which is also its row's."""
        return f"u{self.unique}-e{self.epochs}-s{self.english:g}-d{self.decay:g}-w{self.width}"


def design(runs: int = RUNS) -> list[Point]:
    """Return a fraction of the factorial of all levels, chosen for even levels and even pairs of levels.

    Greedy: each next point is the one whose levels and pairs of levels were chosen least so far.
    """
    every = [Point(*levels) for levels in itertools.product(UNIQUE, EPOCHS, ENGLISH, DECAYS, WIDTHS)]
    every = [point for point in every if point.tokens <= MOST]
    random.Random(0).shuffle(every)
    chosen: list[Point] = []
    seen: dict[tuple[object, ...], int] = {}

    def keys(point: Point) -> list[tuple[object, ...]]:
        levels = list(asdict(point).items())
        return [*((one,) for one in levels), *itertools.combinations(levels, 2)]

    while len(chosen) < runs:
        best = min(
            (point for point in every if point not in chosen),
            key=lambda point: sum(2 * seen.get(key, 0) + 1 for key in keys(point)),
        )
        chosen.append(best)
        for key in keys(best):
            seen[key] = seen.get(key, 0) + 1
    return chosen


def corpora(text_tr: Path, text_multi: Path, folder: Path) -> None:
    """Write a folder of token shards for each number of unique tokens, with one tokenizer."""
    draw = random.Random(0)
    held, human = {}, []
    for name in HUMAN:
        texts = list(pieces(text_tr / f"{name}.jsonl.zst"))
        draw.shuffle(texts)
        held[f"tur_Latn/{name}"] = texts[:HELD]
        human += texts[HELD:]
    english = list(pieces(text_multi / "libreoffice-help-en.jsonl.zst"))
    draw.shuffle(human)
    draw.shuffle(english)
    model = fit_tokenizer([*human[:1_000], *english[:1_000]], "unigram", VOCABULARY)
    tokenizer = Tokenizer(model)
    for unique in UNIQUE:
        text = {TUR: cut(human, unique, tokenizer), ENG: english}
        write(folder / str(unique), text, held, model)


def trained(folder: Path, point: Point, seed: int) -> dict[str, object]:
    """Train a run and return its row."""
    corpus = str(folder / str(point.unique))
    held = {stream.name: int(stream.tokens.sum()) for stream in tokens.streams(tokens.open(corpus))}
    weights = [f'data.weights={{"{TUR}"={1 - point.english}, "{ENG}"={point.english}}}']
    changed = [
        f"model.width={point.width}",
        f"data.tokens={point.tokens}",
        f"optimizer.weight_decay={point.decay}",
        f"seed={seed}",
    ]
    settings = config.load("tiny", (*SETTINGS, *weights, *changed))
    begin = time.process_time()
    with tempfile.TemporaryDirectory() as temporary:
        result = run.train(corpus, Path(temporary) / "run", settings, SILENT)
    read = int(result["tokens"])
    return {
        "run": f"{point.name}-seed{seed}",
        "params": result["matmul_parameters"],
        "tokens": read,
        "unique": min(held[TUR], round(read * (1 - point.english))),
        "share": 1 - point.english,
        "decay": point.decay,
        "seed": seed,
        "bits_per_byte": float(result["evaluation"]["all"]["bits_per_byte"]),
        "english": held[ENG],
        "seconds": round(time.process_time() - begin, 1),
    }


def train(folder: Path, text_tr: Path, text_multi: Path, seeds: int) -> None:
    """Train what is missing."""
    made = folder / "corpora"
    if not (made / str(UNIQUE[-1]) / MODEL).exists():
        corpora(text_tr, text_multi, made)
    table = folder / "runs.jsonl"
    table.touch()
    done = {json.loads(line)["run"] for line in table.read_text(encoding="utf-8").splitlines()}
    for seed, point in itertools.product(range(seeds), design()):
        if f"{point.name}-seed{seed}" in done:
            continue
        row = trained(made, point, seed)
        with table.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")


def left_out(law: Law, runs: Runs) -> Floats:
    """Return ln predicted − ln measured of each run by the law fitted to the others [n]."""
    rows = np.arange(len(runs))
    found = [fit(law, runs.take(rows != row), descents=16).predict(runs.take(rows == row))[0] for row in rows]
    return np.log(np.array(found) / runs.loss)


def main() -> None:
    """Train what is missing if asked for, then compare the laws."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=TABLE)
    parser.add_argument("--train", type=Path, nargs=2, metavar=("TEXT_TR", "TEXT_MULTI"))
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    if asked.train:
        train(asked.folder, *asked.train, asked.seeds)
    runs = load(asked.folder / "runs.jsonl", Asked(COLUMNS)).runs("bits_per_byte")
    print(f"{len(runs)} runs, {runs.loss.min():.3f} to {runs.loss.max():.3f} bits per byte")
    for name in ("joint", "repetition", "repetition, tied", "chinchilla", "tied"):
        found, misses = fit(LAWS[name], runs), np.abs(left_out(LAWS[name], runs))
        again = runs.columns["tokens"] > 1.001 * runs.columns["unique"]
        print(
            f"{name:<17} fit {found.error:.2%}; one left out: mean {misses.mean():.2%}, "
            f"median {np.median(misses):.2%}, repeated {misses[again].mean():.2%}, largest {misses.max():.1%}"
        )
    law, compared = choose("", runs)
    print(f"{law.name} answers: " + ", ".join(f"{each.law} {each.penalised:.2%}" for each in compared))


if __name__ == "__main__":
    main()
