"""Train the runs of a comparison seed by seed, score them, and stop when the rule says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from corpus import files
from corpus.errors import ConfigError
from corpus.teller import Teller
from trainer import held_out, records
from trainer.compare.config import Comparison
from trainer.compare.estimate import Difference, difference
from trainer.compare.results import Results, measures
from trainer.held_out import Floats, HeldOut
from trainer.scaling.dispatch import Workers, devices, locked
from trainer.scaling.plan import Plan
from trainer.scaling.units import Unit

CORPORA = "corpora.json"
"""In the folder of a comparison: fingerprints of the tokens of every corpus."""


@dataclass(frozen=True, eq=False)
class Planned:
    """A comparison that can be run: its settings, the grid of its runs, and the held-out documents.

    `main` names the held-out sets whose mean decides.
    """

    comparison: Comparison
    grid: Plan
    held: HeldOut
    main: tuple[str, ...]

    @property
    def corpora(self) -> tuple[str, ...]:
        """Return the names of the corpora; the others are compared with the first."""
        return tuple(self.grid.study.corpora)

    def units(self, seed: int) -> list[Unit]:
        """Return the units of one seed, of every corpus and size."""
        first = self.grid.study.train.seed
        return self.grid.units([trunk for trunk in self.grid.trunks if trunk.seed == first + seed])

    def bits(self, seed: int) -> Floats | None:
        """Return the bits of a finished seed's runs: float64[corpora, sizes, budgets, documents]."""
        shape = (len(self.corpora), len(self.grid.sizes), len(self.comparison.tokens.multiples))
        found = []
        for unit in self.units(seed):
            if unit.facts is None:
                continue
            bits = held_out.stored(unit.path, self.held.digest) if unit.done else None
            if bits is None:
                return None
            found.append(bits)
        return np.stack(found).reshape(*shape, -1)

    def results(self) -> Results | None:
        """Return the results of the seeds that are finished for every corpus; None if there are none."""
        found = []
        for seed in range(self.comparison.most):
            bits = self.bits(seed)
            if bits is None:
                break
            found.append(bits)
        if not found:
            return None
        data = self.grid.study.train.data
        tokens = [[n * size.batch * data.length for n in size.steps.values()] for size in self.grid.sizes]
        return Results(
            corpora=self.corpora,
            sizes=tuple(size.name for size in self.grid.sizes),
            parameters=np.array([size.shape.matmul_parameters for size in self.grid.sizes]),
            tokens=np.array(tokens, np.int64),
            documents=self.held.documents,
            bits=np.stack(found, axis=3),
        )


@dataclass(frozen=True)
class Answered:
    """A task at the largest size and budget: each corpus's mean accuracy, and its difference from the first.

    `errors` are paired standard errors of the differences over seeds; NaN for one seed.
    """

    task: str
    chance: float
    accuracy: tuple[float, ...]
    differences: tuple[float, ...]
    errors: tuple[float, ...]


def answered(planned: Planned, seeds: int) -> list[Answered]:
    """Return the tasks that the models of the first `seeds` seeds were asked."""
    shape = (len(planned.corpora), len(planned.grid.sizes), len(planned.comparison.tokens.multiples))
    rows = []
    for seed in range(seeds):
        cells = [unit.row() or {} for unit in planned.units(seed) if unit.facts is not None]
        rows.append([cells[place] for place in np.arange(len(cells)).reshape(shape)[:, -1, -1]])
    found = []
    for task in rows[0][0].get("tasks", {}):
        share = np.array([[row["tasks"][task]["share"] for row in seed] for seed in rows])
        apart = share - share[:, :1]
        spread = apart.std(0, ddof=1) / np.sqrt(seeds) if seeds > 1 else np.full(shape[0], np.nan)
        chance = float(rows[0][0]["tasks"][task]["chance"])
        means = (tuple(each.tolist()) for each in (share.mean(0), apart.mean(0), spread))
        found.append(Answered(task, chance, *means))
    return found


def differences(planned: Planned, results: Results) -> list[Difference]:
    """Return each other corpus's difference from the first: at the largest size and budget, over the main
    sets."""
    main = measures(results.documents, planned.main)[0]
    return [difference(results, main, other) for other in range(1, len(results.corpora))]


def level(planned: Planned, results: Results) -> float:
    """Return the bits per byte of the first corpus at the largest size and budget, over the main sets."""
    main = measures(results.documents, planned.main)[0]
    return float(main.of(results.bits[0, -1, -1]).mean())


def stopped(planned: Planned, results: Results) -> bool:
    """Return whether no further seed is to be trained."""
    rule = planned.comparison.rule(level(planned, results))
    return rule.stops(results.seeds, differences(planned, results))


def run(planned: Planned, teller: Teller) -> Results:
    """Train and score what is missing, seed by seed, until the rule stops; the same call resumes it.

    Raises StudyError for runs that failed, StoppedError after SIGTERM or Ctrl-C.
    """
    folder = Path(planned.grid.study.output)
    comparison = planned.comparison
    results = None
    with locked(folder) as lock:
        _claim(planned, folder)
        documents = held_out.write(folder, planned.held)
        with Workers(folder, devices(comparison.train.run, comparison.workers), lock) as workers:
            for seed in range(comparison.most):
                units = [replace(unit, held_out=documents) for unit in planned.units(seed)]
                workers.dispatch(units, lambda unit: None)
                results = planned.results()
                assert results is not None
                _say(planned, results, teller)
                if stopped(planned, results):
                    break
    assert results is not None
    return results


class _Corpora(BaseModel):
    content: dict[str, str]


def _claim(planned: Planned, folder: Path) -> None:
    """Record what the corpora hold; ConfigError if one is not what an earlier start trained on."""
    found = dict(planned.grid.fingerprints)
    held = records.read(folder, CORPORA, _Corpora)
    for name, content in (held["content"] if held else {}).items():
        if found.get(name, content) != content:
            raise ConfigError(
                f"{folder}: corpus {name} is not the one that this comparison started with: name another "
                "--output, or restore its token shards"
            )
    files.write_json(str(folder), CORPORA, {"content": {**(held["content"] if held else {}), **found}})


def _say(planned: Planned, results: Results, teller: Teller) -> None:
    """Report the differences after a seed."""
    apart: Sequence[Difference] = differences(planned, results)
    told = ", ".join(
        f"{name} {each.value:+.4f} ± {each.error:.4f}"
        for name, each in zip(results.corpora[1:], apart, strict=True)
    )
    teller.say(f"seed {results.seeds} of at most {planned.comparison.most}: bits per byte {told}")
