"""Language models of quality: n-grams of good texts, alone or against those of bad ones, and their file."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
import xxhash
from pyarrow import ipc

from corpus import files
from corpus.errors import ConfigError
from corpus.quality.ngrams import LONGEST, Ngrams, fit
from corpus.quality.ranks import auc
from corpus.quality.scorer import Scorer
from corpus.quality.symbols import Alphabet

VERSION = 1
"""Of the file: raise it when its content has another meaning."""

_KIND = "derlem quality lm"
_HELD = 10  # one text of ten, by its hash, is not trained on but scored
_GOOD, _BAD = 0, 1
_COLUMNS = pa.schema(
    [
        pa.field("model", pa.uint8(), metadata={"meaning": "0: of good texts, 1: of bad ones"}),
        pa.field("ngram", pa.uint64(), metadata={"meaning": "its symbols, the last one in the lowest byte"}),
        pa.field(
            "probability", pa.float32(), metadata={"meaning": "log10, of the last symbol after the others"}
        ),
        pa.field("backoff", pa.float32(), metadata={"meaning": "log10 of the weight of shorter contexts"}),
    ]
)


@dataclass(frozen=True, slots=True)
class Checks:
    """What held-back texts got, one text of ten: their number, and the median perplexity by the good model.

    `auc` is how often a good text's score is above a bad one's.
    """

    good_texts: int
    bad_texts: int = 0
    good_perplexity: float = 0.0
    bad_perplexity: float = 0.0
    auc: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class LanguageModel:
    """The n-grams of good texts, and of bad ones where there are some.

    The difference of the mean log10 probabilities of a text's characters, good minus bad, is standardised:
    `middle` is half-way between the means of held-back good and bad texts, `spread` their pooled standard
    deviation.
    """

    good: Ngrams
    bad: Ngrams | None = None
    middle: float = 0.0
    spread: float = 1.0
    checks: Checks = field(default_factory=lambda: Checks(0))


class Scores:
    """A language model ready to score."""

    def __init__(self, model: LanguageModel) -> None:
        self._good = Scorer(model.good)
        self._bad = Scorer(model.bad) if model.bad is not None else None
        self._middle, self._spread = model.middle, model.spread

    def perplexity(self, text: str) -> float:
        """Return the perplexity of a text's characters by the model of good texts; nan for an empty text."""
        return float(10.0 ** -self._good.mean(text))

    def score(self, text: str) -> float:
        """Return the standardised difference of the two models, high for good; nan for an empty text."""
        return (self.difference(text) - self._middle) / self._spread

    def difference(self, text: str) -> float:
        """Return the mean log10 probability by the good model minus that by the bad one."""
        assert self._bad is not None
        return self._good.mean(text) - self._bad.mean(text)


def train(good: Sequence[str], bad: Sequence[str] = (), order: int = 5) -> LanguageModel:
    """Return the model of good texts, against bad ones if there are any; ConfigError for too few texts.

    A tenth of the texts is held back, to standardise the difference and to check the model.
    """
    if not 2 <= order <= LONGEST:
        raise ConfigError(f"order {order}: expected 2 to {LONGEST}")
    learnt, held = _divided(good, "good")
    bad_learnt, bad_held = _divided(bad, "bad") if bad else ([], [])
    alphabet = Alphabet.of([*learnt, *bad_learnt])
    model = LanguageModel(fit(learnt, alphabet, order))
    scores = Scores(model)
    perplexity = float(np.median([scores.perplexity(text) for text in held]))
    if not bad:
        return LanguageModel(model.good, checks=Checks(len(held), good_perplexity=perplexity))
    pair = LanguageModel(model.good, fit(bad_learnt, alphabet, order))
    scores = Scores(pair)
    of_good, of_bad = (np.array([scores.difference(text) for text in texts]) for texts in (held, bad_held))
    checks = Checks(
        good_texts=len(held),
        bad_texts=len(bad_held),
        good_perplexity=perplexity,
        bad_perplexity=float(np.median([scores.perplexity(text) for text in bad_held])),
        auc=auc(of_good, of_bad),
    )
    spread = math.sqrt((of_good.var() + of_bad.var()) / 2) or 1.0
    return LanguageModel(pair.good, pair.bad, float(of_good.mean() + of_bad.mean()) / 2, spread, checks)


def _divided(texts: Sequence[str], name: str) -> tuple[list[str], list[str]]:
    """Return the texts to learn from, and those that are held back."""
    held = [xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")) % _HELD == 0 for text in texts]
    parts = [[text for text, back in zip(texts, held, strict=True) if back is side] for side in (False, True)]
    if not all(parts):
        raise ConfigError(
            f"{len(texts):,} {name} texts: too few to hold one of {_HELD} back; expected a hundred or more"
        )
    return parts[0], parts[1]


def dump(model: LanguageModel) -> bytes:
    """Return the file of a model: Arrow, with its settings as JSON in the metadata of the schema."""
    written = io.BytesIO()
    about = {
        "kind": _KIND,
        "version": VERSION,
        "order": model.good.order,
        "alphabet": model.good.alphabet.characters,
        "middle": model.middle,
        "spread": model.spread,
        "checks": {name: getattr(model.checks, name) for name in Checks.__slots__},
    }
    schema = _COLUMNS.with_metadata({"derlem.quality": json.dumps(about, ensure_ascii=False)})
    options = ipc.IpcWriteOptions(compression="zstd")
    with ipc.new_file(written, schema, options=options) as writer:
        for number, ngrams in ((_GOOD, model.good), (_BAD, model.bad)):
            if ngrams is not None:
                which = pa.array(np.full(ngrams.keys.size, number, np.uint8))
                columns = [which, *map(pa.array, (ngrams.keys, ngrams.probability, ngrams.backoff))]
                writer.write(pa.RecordBatch.from_arrays(columns, schema=schema))
    return written.getvalue()


def load(place: str) -> LanguageModel:
    """Return the model of a file; ConfigError where there is none."""
    try:
        with files.open_bytes(place) as file:
            return _parsed(file.read())
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ConfigError(f"{place}: no model of `derlem quality lm`: {reason}") from None


def _parsed(data: bytes) -> LanguageModel:
    table = ipc.open_file(pa.BufferReader(data)).read_all()
    about: dict[str, Any] = json.loads((table.schema.metadata or {})[b"derlem.quality"])
    if (about["kind"], about["version"]) != (_KIND, VERSION):
        raise ValueError(f"it is {about['kind']}, version {about['version']}; expected {_KIND}, {VERSION}")
    alphabet = Alphabet(about["alphabet"])
    which = table["model"].to_numpy()
    keys, probability, backoff = (table[name].to_numpy() for name in _COLUMNS.names[1:])
    good, bad = (
        Ngrams(alphabet, about["order"], keys[mine], probability[mine], backoff[mine])
        for mine in (which == _GOOD, which == _BAD)
    )
    checks = Checks(**about["checks"])
    return LanguageModel(good, bad if bad.keys.size else None, about["middle"], about["spread"], checks)


def write_arpa(model: Ngrams, file: TextIO) -> None:
    """Write n-grams as an ARPA file, which other programs read: characters are its words, ▁ a blank."""
    names = model.alphabet.names()
    orders = _orders(model)
    file.write("\\data\\\n")
    file.writelines(f"ngram {n}={places.size}\n" for n, places in enumerate(orders, start=1))
    for n, places in enumerate(orders, start=1):
        file.write(f"\n\\{n}-grams:\n")
        file.writelines(_arpa_lines(model, names, places, n))
    file.write("\n\\end\\\n")


def _orders(model: Ngrams) -> list[np.ndarray[Any, np.dtype[np.intp]]]:
    length = np.ones(model.keys.size, np.int64)
    for n in range(1, model.order):
        length += model.keys > np.uint64((1 << (8 * n)) - 1)
    return [np.flatnonzero(length == n) for n in range(1, model.order + 1)]


def _arpa_lines(
    model: Ngrams, names: dict[int, str], places: np.ndarray[Any, np.dtype[np.intp]], n: int
) -> Iterator[str]:
    for place in places.tolist():
        symbols = int(model.keys[place]).to_bytes(n, "big")
        words = " ".join(names[symbol] for symbol in symbols)
        weight = f"\t{model.backoff[place]:.7f}" if n < model.order else ""
        yield f"{model.probability[place]:.7f}\t{words}{weight}\n"
