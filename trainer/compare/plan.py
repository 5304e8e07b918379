"""The plan of a comparison: what is trained, what it costs, what it can see, and what could mislead it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np

from corpus.errors import ConfigError
from trainer import held_out, tokens
from trainer.compare import leaks
from trainer.compare.config import Comparison
from trainer.compare.estimate import noise
from trainer.compare.leaks import Leaks
from trainer.compare.results import Results, measures
from trainer.compare.runs import Planned, differences, level
from trainer.compare.sequential import smallest_difference
from trainer.scaling import plan as scaling
from trainer.scaling.plan import Estimate

POWER = 0.8
"""Probability with which the smallest difference of a plan is found."""
MOVED = 0.02
"""A share of a source that differs by more than this between two corpora is reported."""


@dataclass(frozen=True)
class Confounds:
    """What differs besides the choice that is priced.

    `mix` has each corpus's share of training tokens by stream, `held_mix` whether all are read in the first
    one's instead, `epochs` how often the largest budget reads the stream that it repeats most, `same` pairs
    of corpora with the same training tokens.
    """

    mix: Mapping[str, Mapping[str, float]]
    held_mix: bool
    epochs: Mapping[str, float]
    leaks: Leaks
    same: tuple[tuple[str, str], ...]

    @property
    def mix_moved(self) -> bool:
        """Return whether the share of any stream read differs by more than `MOVED` from the first's."""
        if self.held_mix:
            return False
        first, *others = self.mix.values()
        names = {name for mix in self.mix.values() for name in mix}
        return any(abs(mix.get(name, 0.0) - first.get(name, 0.0)) > MOVED for mix in others for name in names)


def named(folders: list[str]) -> dict[str, str]:
    """Return a short name for each folder: its last parts, from the last in which they differ.

    "a/corpus" and "b/corpus" are "a" and "b". Raises ConfigError for fewer than two, or one given twice.
    """
    if len(set(folders)) < len(folders) or len(folders) < 2:
        raise ConfigError(f"CORPUS {' '.join(folders)}: expected two or more different corpora")
    parts = [PurePosixPath(folder).parts[::-1] for folder in folders]
    for depth in range(max(map(len, parts))):
        found = [re.sub(r"\W+", "-", each[min(depth, len(each) - 1)]).strip("-") for each in parts]
        if len(set(found)) == len(found) and all(found):
            return dict(zip(found, folders, strict=True))
    return {f"corpus-{number + 1}": folder for number, folder in enumerate(folders)}


def named_beside(folders: list[str], taken: Mapping[str, str]) -> dict[str, str]:
    """Return a name for each of the user's held-out sets, other than those of corpora: "held", "held-2"."""
    found: dict[str, str] = {}
    for folder in folders:
        name = re.sub(r"\W+", "-", PurePosixPath(folder).name).strip("-") or "held-out"
        number = 2
        wanted = name
        while wanted in taken or wanted in found:
            wanted, number = f"{name}-{number}", number + 1
        found[wanted] = folder
    return found


def plan(
    comparison: Comparison,
    corpora: Mapping[str, str],
    sets: Mapping[str, str],
    output: str,
    *,
    hold_mix: bool = False,
    own: bool = True,
) -> tuple[Planned, Confounds]:
    """Return a comparison that can be run, and what could mislead it.

    `sets` are held-out sets of the user's: if there are any, they alone decide. `own`: models are scored on
    the validation documents of every corpus, too. `hold_mix` reads every corpus in the first one's mix of
    streams. Raises ConfigError for corpora of two tokenizers, or a mix that a corpus cannot have;
    DatasetError for folders without token shards or validation documents.
    """
    folders = {**corpora, **sets}
    opened = {name: tokens.open(folder) for name, folder in folders.items()}
    tokens.one_tokenizer(opened)
    held = {
        name: {each.name: int(each.tokens.sum()) for each in tokens.streams(opened[name])} for name in corpora
    }
    mix = {name: _shares(counts) for name, counts in held.items()}
    first = next(iter(corpora))
    if hold_mix:
        comparison = _held(comparison, mix)
    grid = scaling.plan(comparison.study(dict(corpora), output))
    settings = comparison.train.evaluate
    scored = {name: opened[name] for name in (folders if own else sets)}
    chosen = held_out.choose(scored, settings.documents, settings.seed)
    found = leaks.find({name: (corpora[name], opened[name]) for name in corpora}, chosen.samples)
    clean = held_out.choose(scored, settings.documents, settings.seed, found.ids)
    planned = Planned(comparison, grid, clean, tuple(sets or corpora))
    names = list(corpora)
    # The tokens' fingerprint has the order of streams too: equal ones train equal models.
    same = tuple(
        (a, b)
        for place, a in enumerate(names)
        for b in names[place + 1 :]
        if grid.fingerprints[a] == grid.fingerprints[b]
    )
    most = max(cell.tokens for cell in grid.cells() if cell.trunk.corpus == first)
    epochs = {}
    for name, counts in held.items():
        read = _shares(comparison.train.data.weights or counts)
        epochs[name] = max(most * share / counts[stream] for stream, share in read.items() if share)
    return planned, Confounds(mix, hold_mix, epochs, found, same)


def _shares(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def _held(comparison: Comparison, mix: Mapping[str, Mapping[str, float]]) -> Comparison:
    """Return the comparison with the first corpus's mix as the weights of every corpus."""
    first, *others = mix
    for name in others:
        if missing := sorted(set(mix[first]) - set(mix[name])):
            raise ConfigError(
                f"--hold-mix: {name} has no {', '.join(missing)}, which {first} has: the mix cannot be held; "
                "compare without it, or build both from the same sources"
            )
    data = comparison.train.data.model_copy(update={"weights": dict(mix[first])})
    return comparison.model_copy(update={"train": comparison.train.model_copy(update={"data": data})})


@dataclass(frozen=True)
class Power:
    """What a plan can see: `noise` is the standard deviation of one run, all in bits per byte.

    `measured` says whether finished runs gave it; else it is the configuration's share of 2 bits per byte.
    """

    noise: float
    measured: bool
    smallest: float
    bits_per_byte: float


def power(planned: Planned, results: Results | None) -> Power:
    """Return the smallest difference that the last look finds with probability `POWER`."""
    comparison = planned.comparison
    bits = level(planned, results) if results else 2.0
    spread, documents = comparison.noise * bits, 0.0
    measured = results is not None and results.seeds > 1
    if results is not None and measured:
        main = measures(results.documents, planned.main)[0]
        spread = noise(main.of(results.bits[:, -1, -1]))[0]
        documents = float(np.mean([each.document_error for each in differences(planned, results)]))
    seen = smallest_difference(comparison.rule(bits), spread, len(planned.corpora), POWER, documents)
    return Power(spread, measured, seen, bits)


def cost(planned: Planned, devices: int, keep: bool) -> Estimate:
    """Return the cost of all seeds, measured by a few steps on this device, once if they are kept."""
    scored = planned.grid.scored + sum(int(each.tokens.sum()) for each in planned.held.samples.values())
    return scaling.estimate(replace(planned.grid, scored=scored), max(1, devices), keep)
