"""Questions with options, one of them right, read from TurBLiMP's files or a user's own JSON lines."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from corpus.errors import ConfigError

_SETS = resources("trainer.tasks") / "sets"
TURBLIMP = "base.jsonl.gz"
"""In the folder of TurBLiMP (Başar et al., arXiv 2506.13487): 16,000 minimal pairs of 16 phenomena."""
RATINGS = "human-base_judgments.tsv.gz"
"""Beside it: ratings from 1 to 7, a person a line, a sentence a column; the sentences are in SURVEYS."""
SURVEYS = ("human-survey_material-v1.tsv.gz", "human-survey_material-v2.tsv.gz")


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt and its possible continuations, of which options[answer] is right; `group` is a phenomenon.

    A minimal pair is two whole sentences after an empty prompt, the acceptable one first.
    """

    group: str
    prompt: str
    options: tuple[str, ...]
    answer: int


@dataclass(frozen=True, slots=True)
class Rated:
    """A sentence and its mean rating by people, from 1 (bad) to 7 (good)."""

    text: str
    rating: float


@dataclass(frozen=True)
class Task:
    """A set of questions, and sentences that people rated, if the set has any."""

    name: str
    questions: tuple[Question, ...]
    rated: tuple[Rated, ...] = ()


def sets() -> list[str]:
    """Return the names of the packaged sets."""
    return sorted(p.name.removesuffix(".jsonl") for p in _SETS.iterdir() if p.name.endswith(".jsonl"))


def load(named: str) -> Task:
    """Read a packaged set by its name, a folder of TurBLiMP, or a file of JSON lines (.gz too).

    A line has `good` and `bad` (TurBLiMP: `good_sentence`, `bad_sentence`), or `prompt`, `options` and
    `answer`, the right option or its number from 0; `phenomenon` names its group. Raises ConfigError.
    """
    path = Path(named)
    if named in sets():
        return Task(named, tuple(_questions(Path(str(_SETS / f"{named}.jsonl")))))
    if path.is_dir():
        if not (path / TURBLIMP).exists():
            raise ConfigError(f"{named}: the folder has no {TURBLIMP}, expected TurBLiMP's files")
        return Task(path.name, tuple(_questions(path / TURBLIMP)), tuple(_rated(path)))
    if not path.exists():
        raise ConfigError(
            f"{named}: no such file, folder or packaged set ({', '.join(sets())}); TurBLiMP's pairs "
            "are at github.com/ezgibasar/TurBLiMP"
        )
    return Task(path.name.split(".")[0], tuple(_questions(path)))


def _open(path: Path) -> Iterator[str]:
    with (
        gzip.open(path, "rt", encoding="utf-8")
        if path.suffix == ".gz"
        else path.open(encoding="utf-8") as lines
    ):
        yield from lines


def _questions(path: Path) -> Iterator[Question]:
    found = False
    for number, line in enumerate(_open(path), 1):
        if not line.strip():
            continue
        found = True
        try:
            yield _question(json.loads(line))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{path}, line {number}: {error or 'not a question'}: expected JSON with `good` and `bad`, "
                "or with `prompt`, `options` and `answer`, one of the options or its number from 0"
            ) from None
    if not found:
        raise ConfigError(f"{path}: holds no questions")


def _question(line: dict[str, Any]) -> Question:
    group = str(line.get("phenomenon_file") or line.get("phenomenon") or line.get("group") or "all")
    if "options" not in line:
        good = line["good_sentence"] if "good_sentence" in line else line["good"]
        bad = line["bad_sentence"] if "bad_sentence" in line else line["bad"]
        return Question(group, "", (str(good), str(bad)), 0)
    options = tuple(map(str, line["options"]))
    answer = line["answer"]
    place = answer if isinstance(answer, int) else options.index(str(answer))
    if len(options) < 2 or not 0 <= place < len(options) or not all(options):
        raise ValueError(f"answer {answer!r} of {len(options)} options")
    return Question(group, str(line.get("prompt", "")), options, place)


def _rated(folder: Path) -> Iterator[Rated]:
    """Yield the rated sentences: each half of the columns has one survey's sentences in their order."""
    if not all((folder / name).exists() for name in (RATINGS, *SURVEYS)):
        return
    _, labels, *people = [line.rstrip("\n").split("\t") for line in _open(folder / RATINGS)]
    half = len(labels) // 2
    for number, name in enumerate(SURVEYS):
        rows = [line.rstrip("\n").split("\t") for line in _open(folder / name)][1 : half + 1]
        for place, (text, phenomenon, kind) in enumerate(rows, number * half):
            if labels[place] != f"{phenomenon}_{kind}":
                raise ConfigError(
                    f"{folder / RATINGS}: column {place + 1} is of {labels[place]}, expected "
                    f"{phenomenon}_{kind} as in {name}"
                )
            ratings = [float(person[place]) for person in people if len(person) > place and person[place]]
            if ratings:
                yield Rated(text, sum(ratings) / len(ratings))
