"""The plan of a study: its cells, and their cost on this device."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel

from corpus import files, temporary
from corpus.teller import SILENT
from trainer import evaluate, preflight, records, run, tokens
from trainer.order import Order
from trainer.scaling.config import Study
from trainer.scaling.dispatch import threads
from trainer.scaling.grid import Cell, Size, Trunk, cells, checks, sizes, trunks
from trainer.scaling.units import Unit, configured, units
from trainer.shape import flops
from trainer.tasks import questions
from trainer.tokens import Tokens
from trainer.world import start

RATES = "rates.json"
STEPS, SECONDS = 20, 2.0
"""Largest number of steps, and approximate longest time, for measuring a rate after one warmup step."""
MEASURED = 1 << 14
"""Largest number of tokens of such a step."""


@dataclass(frozen=True, eq=False)
class Plan:
    """The grid of a study. `held` has the tokens of each corpus, `scored` those of the validation documents.

    `fingerprints` identify what is read of each corpus, `validation` the documents that score all models.
    """

    study: Study
    sizes: tuple[Size, ...]
    trunks: tuple[Trunk, ...]
    checks: tuple[Trunk, ...]
    held: Mapping[str, int]
    fingerprints: Mapping[str, str]
    validation: str
    scored: int

    def cells(self, of: Sequence[Trunk] | None = None) -> list[Cell]:
        """Return the cells of some trunks, by default of all but the checks', in the table's order."""
        chosen = self.trunks if of is None else of
        return [cell for trunk in chosen for cell in cells(self.study, trunk, self.held[trunk.corpus])]

    def units(self, of: Sequence[Trunk]) -> list[Unit]:
        """Return the units that train some trunks and their cells."""
        return [
            unit
            for trunk in of
            for unit in units(
                self.study,
                trunk,
                self.held[trunk.corpus],
                (self.fingerprints[trunk.corpus], self.validation),
            )
        ]

    @property
    def last(self) -> tuple[Cell, ...]:
        """Return the largest cells, of every corpus and seed: they are predicted before they are trained."""
        main = [cell for cell in self.cells() if cell.trunk.unique is None]
        most = max(cell.compute for cell in main)
        return tuple(cell for cell in main if cell.compute == most)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return {
            "corpora": {
                name: {"tokens": self.held[name], "content": self.fingerprints[name]}
                for name in self.study.corpora
            },
            "sizes": [
                {
                    "name": size.name,
                    "matmul_parameters": size.shape.matmul_parameters,
                    "parameters": size.shape.parameters,
                    "non_embedding_parameters": size.shape.non_embedding_parameters,
                    "layers": size.shape.layers,
                    "width": size.shape.width,
                    "batch": size.batch,
                    "lr": size.lr,
                    "matrix_lr": size.matrix_lr,
                    "weight_decay": size.weight_decay,
                    "warmup": size.warmup,
                }
                for size in self.sizes
            ],
            "cells": [
                {
                    "run": cell.name,
                    "corpus": cell.trunk.corpus,
                    "size": cell.trunk.size.name,
                    "seed": cell.trunk.seed,
                    "multiple": cell.multiple,
                    "steps": cell.steps,
                    "tokens": cell.tokens,
                    "unique_tokens": cell.unique,
                    "epochs": cell.tokens / cell.unique,
                }
                for cell in self.cells()
            ],
            "checks": [cell.name for cell in self.cells(self.checks)],
            "predicted": [cell.name for cell in self.last],
        }


class _Rates(BaseModel):
    """The content of RATES: tokens per second of some sizes, by name, and what they depend on."""

    key: str
    rates: dict[str, float]


@dataclass(frozen=True)
class Estimate:
    """The cost of a study: `rates` are tokens per second by size, `seconds` on one device, `wall` on all."""

    rates: dict[str, float]
    flops: float
    tokens: int
    seconds: float
    wall: float
    devices: int
    price: float


def plan(study: Study) -> Plan:
    """Return a study's grid; ConfigError or DatasetError if it cannot be trained."""
    for task in study.tasks:
        questions.load(task)  # refused here, and not after the first model is trained
    opened = {name: tokens.open(folder) for name, folder in study.corpora.items()}
    tokens.one_tokenizer(opened)
    scored_on = opened[study.validation_corpus]
    found = sizes(study, scored_on.vocabulary)
    orders = {name: _order(study, found[0], each) for name, each in opened.items()}
    held = {name: _held(order) for name, order in orders.items()}
    fingerprints = {name: tokens.fingerprint(each, orders[name], 0) for name, each in opened.items()}
    validation = tokens.fingerprint(scored_on, orders[study.validation_corpus], 0, "validation")
    wanted = study.train.evaluate
    return Plan(
        study=study,
        sizes=found,
        trunks=trunks(study, found, held),
        checks=checks(study, found),
        held=held,
        fingerprints=fingerprints,
        validation=validation,
        scored=int(evaluate.choose(scored_on, wanted.documents, wanted.seed).tokens.sum()),
    )


def _order(study: Study, size: Size, opened: Tokens) -> Order:
    config = configured(study, Trunk("", size, study.train.seed, ()), 1, cooled=False)
    return preflight.open_order(config, opened, 1)


def _held(order: Order) -> int:
    """Return the number of tokens in the streams that are read."""
    weights = order.phases[-1].weights
    return sum(int(stream.tokens.sum()) for stream in order.streams if weights.get(stream.name, 0.0) > 0)


def estimate(made: Plan, devices: int, keep: bool = False) -> Estimate:
    """Add up the time of all units on some devices.

    Rates are measured at the smallest and the largest size, once: `keep` writes them to the study's folder.
    """
    key = _machine(made, devices)
    known = records.read(Path(made.study.output), RATES, _Rates)
    if known is None or known["key"] != key:
        ends = {size.name: size for size in (made.sizes[0], made.sizes[-1])}
        before = torch.get_num_threads()
        torch.set_num_threads(threads(devices))
        known = {"key": key, "rates": {name: _rate(made, size) for name, size in ends.items()}}
        torch.set_num_threads(before)
        if keep:
            files.write_json(made.study.output, RATES, known, sweeps=True)
    measured = [size for size in made.sizes if size.name in known["rates"]]
    speeds = [known["rates"][size.name] * _operations(made, size) for size in measured]
    logs = np.log([size.shape.matmul_parameters for size in measured])
    rates = {
        size.name: float(
            np.exp(np.interp(np.log(size.shape.matmul_parameters), logs, np.log(speeds)))
            / _operations(made, size)
        )
        for size in made.sizes
    }
    total, seconds, count, longest = 0.0, 0.0, 0, 0.0
    for trunk in (*made.trunks, *made.checks):
        found = made.cells([trunk])
        a_step = trunk.size.batch * made.study.train.data.length
        tokens = a_step * (found[-1].branch + sum(cell.steps - cell.branch for cell in found))
        # A score is a step's forward pass, a third of its operations.
        own = (tokens + len(found) * made.scored / 3) / rates[trunk.size.name]
        # One after another: a trunk's parts and the last cooldown.
        longest = max(longest, a_step * found[-1].steps / rates[trunk.size.name])
        count, seconds = count + tokens, seconds + own
        total += tokens * _operations(made, trunk.size)
    wall = max(seconds / devices, longest)
    return Estimate(rates, total, count, seconds, wall, devices, seconds / 3600 * made.study.price)


def _machine(made: Plan, devices: int) -> str:
    """Return everything that a rate depends on, as text."""
    run = made.study.train.run
    device = torch.cuda.get_device_name() if run.device != "cpu" and torch.cuda.is_available() else "cpu"
    sizes = [asdict(made.sizes[0].shape), asdict(made.sizes[-1].shape)]
    train = made.study.train.model_dump(mode="json", exclude={"checkpoint", "evaluate", "seed"})
    return files.fingerprint(device, platform.node(), threads(devices), sizes, train)


def _operations(made: Plan, size: Size) -> float:
    length = made.study.train.data.length
    return flops(size.shape, (length + 1) / 2)


def _rate(made: Plan, size: Size) -> float:
    """Measure the tokens per second of a few steps as the study does them, in smaller batches if needed."""
    study = made.study
    config = configured(study, Trunk("", size, study.train.seed, ()), STEPS + 1, cooled=False)
    batch = max(1, min(size.batch, MEASURED // config.data.length))
    config = config.model_copy(update={"data": config.data.model_copy(update={"batch": batch})})
    world = start(config.run)
    opened = tokens.open(study.corpora[study.validation_corpus])
    order = preflight.open_order(config, opened, world.size)
    with temporary.folder("trial") as folder:
        trial = run.Run(folder, config, opened, order, world, SILENT)
        times = []
        with trial.loader() as loader:
            for batches in loader.steps(0, STEPS + 1):
                begin = time.perf_counter()
                _ = trial.advance(batches)[0].decision  # waits for the device
                times.append(time.perf_counter() - begin)
                if sum(times[1:]) > SECONDS:
                    break
    return batch * config.data.length / float(np.median(times[1:]))
