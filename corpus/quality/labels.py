"""Classifiers of fastText trained from labels, with what they are worth by cross-validation."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from corpus import classifier
from corpus.errors import ConfigError
from corpus.quality import tables

FOLDS = 5
_BINS = 5  # of the probabilities, for calibration
_RARE = 5  # texts that a telling word is in
_PREFIX = "__label__"
_WORDS = 5_000_000  # read in all epochs together: few labels need many epochs
_LEAST_EPOCHS, _MOST_EPOCHS = 5, 25
_SETTINGS: dict[str, Any] = {  # one thread and a seed: equal labels give equal bytes
    "dim": 16, "lr": 0.5, "wordNgrams": 2, "maxn": 0, "bucket": 200_000,
    "minCount": 2, "loss": "softmax", "thread": 1, "seed": 1, "verbose": 0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text as one line, and its label."""

    line: str
    label: str


@dataclass(frozen=True, slots=True)
class LabelReport:
    """What cross-validation gave for a label, and the words that tell it most."""

    label: str
    texts: int
    precision: float
    recall: float
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bin:
    """Texts whose label got a probability between `low` and `high`, and the share of which it was right."""

    low: float
    high: float
    texts: int
    probability: float
    right: float


@dataclass(frozen=True, slots=True)
class Report:
    """A classifier by cross-validation: each text judged by a model that did not see it, nor a copy of it."""

    texts: int
    right: float
    labels: tuple[LabelReport, ...]
    calibration: tuple[Bin, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        return asdict(self)


def read(place: str, text: str = "text", label: str = "label") -> list[Labelled]:
    """Return the labelled texts of a table (`corpus.quality.tables`); ConfigError for one without labels."""
    table = tables.read(place, text, label)
    rows = zip(table[text].to_pylist(), table[label].to_pylist(), strict=True)
    found = [
        Labelled(classifier.line(str(one)), _name(which)) for one, which in rows if one and which is not None
    ]
    counts = Counter(each.label for each in found)
    few = [name for name, number in counts.items() if number < 2 * FOLDS]
    if len(counts) < 2 or few:
        shown = ", ".join(f"{name} {number:,}" for name, number in counts.most_common(20)) or "none"
        raise ConfigError(
            f"{place}: labels: {shown}; expected two or more, each of {2 * FOLDS} texts at least"
        )
    return found


def _name(label: object) -> str:
    """Return a label as fastText writes it, a word."""
    return "-".join(str(label).split()).removeprefix(_PREFIX)


def train(labelled: Sequence[Labelled], path: Path) -> Report:
    """Train a classifier, write it to `path` (.ftz: quantised, else .bin), and cross-validate it.

    Raises ConfigError where the package that trains is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        guesses, sure = _guesses(labelled, home)
        model = _fit(labelled, home)
        words = _telling(model, labelled)
        if path.suffix == ".ftz":
            model.quantize(input=str(home / "labels.txt"), qnorm=True, verbose=0)
        model.save_model(str(home / f"model{path.suffix}"))
        path.write_bytes((home / f"model{path.suffix}").read_bytes())
    truth = np.array([each.label for each in labelled])
    return Report(
        texts=len(labelled),
        right=float((guesses == truth).mean()),
        labels=tuple(_of_label(name, truth, guesses, words[name]) for name in np.unique(truth).tolist()),
        calibration=tuple(_calibration(sure, guesses == truth)),
    )


def _guesses(labelled: Sequence[Labelled], home: Path) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Return for each text the label that a model of the other folds gives it, and its probability."""
    fold = np.array([xxhash.xxh3_64_intdigest(each.line.encode()) % FOLDS for each in labelled])
    guesses, sure = np.full(len(labelled), "", dtype=object), np.zeros(len(labelled))
    for number in range(FOLDS):
        path = home / "fold.bin"
        learnt = [each for each, mine in zip(labelled, fold, strict=True) if mine != number]
        _fit(learnt, home).save_model(str(path))
        judge = classifier.load(str(path))
        for place in np.flatnonzero(fold == number).tolist():
            if found := judge.predict(labelled[place].line, 1):
                guesses[place], sure[place] = found[0]
    return guesses.astype(str), np.minimum(sure, 1.0)


def _fit(labelled: Sequence[Labelled], home: Path) -> Any:
    try:
        import fasttext_new
    except ImportError:
        raise ConfigError(
            "no package that trains fastText's classifiers is installed; install derlem[quality]"
        ) from None
    path = home / "labels.txt"
    path.write_text("".join(f"{_PREFIX}{each.label} {each.line}\n" for each in labelled), encoding="utf-8")
    words = sum(each.line.count(" ") + 1 for each in labelled)
    epochs = min(_MOST_EPOCHS, max(_LEAST_EPOCHS, _WORDS // words))
    return fasttext_new.train_supervised(input=str(path), epoch=epochs, **_SETTINGS)


def _telling(model: Any, labelled: Sequence[Labelled], number: int = 12) -> dict[str, tuple[str, ...]]:
    """Return for each label the words whose own vectors speak most for it and against the other labels."""
    counts = Counter(word for each in labelled for word in set(each.line.split()))
    output = np.asarray(model.get_output_matrix())
    names = [name.removeprefix(_PREFIX) for name in model.get_labels()]
    words = model.get_words()
    scores = np.asarray(model.get_input_matrix())[: len(words)] @ (output - output.mean(axis=0)).T
    common = np.array([counts[word] >= _RARE for word in words], dtype=bool)
    return {
        name: tuple(
            words[n] for n in np.argsort(-np.where(common, scores[:, place], -np.inf))[:number].tolist()
        )
        for place, name in enumerate(names)
    }


def _of_label(
    name: str, truth: NDArray[np.str_], guesses: NDArray[np.str_], words: tuple[str, ...]
) -> LabelReport:
    mine, said = truth == name, guesses == name
    both = int((mine & said).sum())
    return LabelReport(name, int(mine.sum()), both / max(1, int(said.sum())), both / int(mine.sum()), words)


def _calibration(sure: NDArray[np.float64], right: NDArray[np.bool_]) -> list[Bin]:
    """Return the bins of probabilities, with equally many texts in each."""
    pieces = np.array_split(np.argsort(sure, kind="stable"), _BINS)
    return [
        Bin(
            float(sure[one].min()),
            float(sure[one].max()),
            one.size,
            float(sure[one].mean()),
            float(right[one].mean()),
        )
        for one in pieces
        if one.size
    ]
