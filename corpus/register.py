"""The register of a Turkish text, as a packaged classifier tells it: law, manual, post, or none of them."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from corpus.classifier import Classifier

LANGUAGE = "tur_Latn"
OTHER = "other"
"""The label of a text that is far from all registers that the model knows."""

CERTAIN = 0.7
"""The least probability of a label that is given."""

CHARACTERS = 1_000
"""How much of a text's start is read."""

LEAST_TOKENS = 8
"""Words and marks of the shortest text that is asked about."""

STEM_LETTERS = 6

_LOWER = str.maketrans({"I": "ı", "İ": "i"})
_TOKEN = re.compile(r"[^\W\d_]+|\d+|[^\w\s]")


class Register(NamedTuple):
    """`label` is a register or `OTHER`, `score` the probability of the most probable label."""

    label: str
    score: float


def of(text: str) -> Register:
    """Return the register of a Turkish text; one of fewer than `LEAST_TOKENS` has none, with score 0."""
    line = register_view(text)
    found = _model().predict(line, 1) if line.count(" ") + 1 >= LEAST_TOKENS else []
    if not found:
        return Register(OTHER, 0.0)
    label, score = found[0]
    return Register(label if score >= CERTAIN else OTHER, min(score, 1.0))


def register_view(text: str) -> str:
    """Return what the classifier reads: stems of the first words, one sign for all numbers, and marks."""
    tokens = _TOKEN.findall(text[:CHARACTERS].translate(_LOWER).lower())
    return " ".join("0" if token[0].isdigit() else token[:STEM_LETTERS] for token in tokens)


@cache
def _model() -> Classifier:
    # Only here, as it waits for numba.
    from corpus import classifier

    return classifier.load(str(resources.files("corpus.models") / "register-tur.ftz"))
