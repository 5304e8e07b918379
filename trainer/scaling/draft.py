"""Draft a study for a corpus: sizes and budgets that its tokens, its vocabulary and the time allow."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import torch

from corpus import files, settings
from corpus.errors import ConfigError, StudyError
from corpus.teller import Teller
from trainer import recipe, tokens
from trainer.scaling import config, rates
from trainer.scaling.config import Study
from trainer.scaling.dispatch import Workers, devices, locked
from trainer.scaling.grid import sizes
from trainer.scaling.plan import Plan, plan
from trainer.shape import shape

FILE, UNTUNED = "study.toml", "draft.toml"
"""The study's file in the study's folder, and before its rates are tuned."""
_CPU = resources("trainer.scaling") / "presets" / "cpu.toml"
_COUNT, _RANGE, _NARROW = 4, 6.0, 3.0  # sizes; the largest over the smallest, and where that takes too long
_SCANT = 8.0  # tokens per parameter at multiple 1; runs of fewer do not follow one law
_EPOCHS = (4, 16)
_FACTORS = (0.5, 2.0, 4.0, 8.0)  # of the rates; those of very short runs are higher than the formulas say
_LOOKS, _NEAR = 3, 0.1  # plans that are tried, and the step in ln N that is not worth another


def draft(
    corpus: str,
    output: Path,
    hours: float,
    cost: Callable[[Plan], float],
    overrides: Sequence[str] = (),
) -> Study:
    """Return a study of a corpus whose runs take about `hours`, or less where the corpus is too small.

    The largest model is the largest that the time and this corpus allow: its largest budget is 20 tokens per
    parameter times the largest multiple. It is six times the smallest, or down to three times the smallest
    that makes sense with this vocabulary; where that is too large too, all models read fewer tokens per
    parameter. Sizes come first, because runs of few tokens per parameter do not follow the law of the others.
    `cost` returns the seconds of a plan on this machine; `overrides` are `key=value`, and stronger than what
    is drafted.

    Raises ConfigError where the corpus or the time is too little for any study, DatasetError for a folder
    without token shards.
    """
    opened = tokens.open(corpus)
    base = settings.read(Path(str(_CPU))) if not torch.cuda.is_available() else {}
    base |= {"output": str(output), "corpora": {_name(corpus): corpus}}
    held = tokens.held(opened)

    def parsed(**tables: dict[str, Any]) -> Study:
        """Return the study of these tables, with the overrides over them."""
        data = copy.deepcopy(base | {name: base.get(name, {}) | table for name, table in tables.items()})
        where = settings.named("the draft of a study", overrides)
        return settings.parse(Study, settings.overlay(data, overrides), where)

    def made(largest: float, share: float = 1.0) -> Plan:
        """Return the plan up to a size, with a share of the tokens that it could read."""
        smallest = largest if is_one else max(first, largest / _RANGE)
        for _ in range(_LOOKS):
            budget = max(1.0, share * min(recipe.PER_PARAMETER * largest, held / longest))
            tables: dict[str, dict[str, Any]] = {
                "sizes": {"smallest": round(smallest), "largest": round(largest), "count": _COUNT},
                "tokens": {"per_parameter": float(f"{budget / largest:.3g}")},
                "seeds": {"others": 3},
            }
            repetition = _repetition(parsed(**tables), opened.vocabulary)
            found = plan(parsed(**tables, repetition=repetition))
            read = max(cell.tokens for cell in found.cells())
            if read <= held:
                break
            share *= 0.8  # steps are whole: a budget can be rounded to more than the corpus
        return found

    given = settings.overlay({}, overrides)
    # Sizes are not drafted yet: overrides of some of them would not fit those that are the default.
    unsized = settings.overlay(copy.deepcopy(base), overrides) | {"sizes": {}, "repetition": {}}
    study = settings.parse(Study, unsized, settings.named("the draft of a study", overrides))
    is_one = isinstance(given.get("sizes"), dict) and given["sizes"].get("count") == 1
    longest = max(study.tokens.multiples)
    first = _smallest(study, opened.vocabulary)
    least = _NARROW * first
    most = max(least, held / (recipe.PER_PARAMETER * longest))
    largest, found = least, made(least)
    share = hours * 3600 / cost(found)
    if is_short := share < 1:
        found = made(least, share)
        share = hours * 3600 / cost(found)
    for _ in range(0 if is_short else _LOOKS):
        # The cost of a size grows with its square, as long as its tokens grow with it.
        wanted = min(most, max(least, largest * math.sqrt(share)))
        if abs(math.log(wanted / largest)) < _NEAR:
            break
        largest, found = wanted, made(wanted)
        share = hours * 3600 / cost(found)
    _check(found, held, hours, share, settings.named("a study of this vocabulary", overrides))
    return found.study


def doubt(study: Study) -> str:
    """Return why the answers of a drafted study will be rough; empty if they need not be.

    Of models of 70 to 409 thousand parameters on 1.4 to 11 tokens each, none of the largest was within its
    interval; of 70 to 180 thousand on 5 to 40, all were (benchmarks/README.md, "A real study on one core").
    """
    if study.tokens.per_parameter >= _SCANT:
        return ""
    most, enough = (each * max(study.tokens.multiples) for each in (study.tokens.per_parameter, _SCANT))
    return (
        f"its models read at most {most:.2g} tokens per parameter, so its answers will be rough; for "
        f"{enough:.0f} give more text, more hours, or a tokenizer of fewer pieces (tokenizer.vocabulary), "
        "which allows smaller models"
    )


def tuned(study: Study, teller: Teller) -> Study:
    """Return a study with the best of some multiples of its rates, and without a check of them.

    They are tried on the smallest size, at the budget of multiple 1, in the folder `rates` of the study's
    output. A run that fails, or diverges, is worse than all others; StudyError if all fail.
    """
    folder = Path(study.output) / "rates"
    made = plan(study.model_copy(update={"output": str(folder), "check": _FACTORS}))
    trunks = [replace(made.checks[0], factor=1.0), *made.checks]
    failed: StudyError | None = None
    with locked(folder) as lock, Workers(folder, devices(study.train.run, study.workers), lock) as workers:
        try:
            workers.dispatch(made.units(trunks), lambda unit: None)
        except StudyError as error:
            failed = error
    rows = {trunk.factor: unit.row() for trunk in trunks for unit in made.units([trunk]) if unit.facts}
    losses = {factor: rates.loss(row) for factor, row in rows.items() if row is not None}
    losses = {factor: loss for factor, loss in losses.items() if math.isfinite(loss)}
    if not losses:
        raise failed or StudyError(f"{folder}: no learning rate gives a finite loss")
    best = min(losses, key=lambda factor: losses[factor])
    shown = ", ".join(f"× {factor:g}: {losses[factor]:.4f}" for factor in sorted(losses))
    teller.say(f"learning rates of {made.sizes[0].name}: {shown}: × {best:g} is taken")
    optimizer = study.train.optimizer
    chosen = {
        "lr": float(f"{recipe.lr(optimizer) * best:.3g}"),
        "matrix_lr": float(f"{optimizer.matrix_lr * best:.3g}"),
    }
    train = study.train.model_copy(update={"optimizer": optimizer.model_copy(update=chosen)})
    return study.model_copy(update={"train": train, "check": ()})


def _smallest(study: Study, vocabulary: int) -> int:
    """Return the parameters of a model of one layer and two heads."""
    model = study.train.model
    return shape(
        model.model_copy(update={"depth": 1, "width": 2 * model.head, "hidden": None}), vocabulary
    ).matmul_parameters


def _repetition(study: Study, vocabulary: int) -> dict[str, Any]:
    """Return the repetition of a study's smallest size, where a part of the corpus has two steps or more.

    It is at the multiple nearest to 1, and at the largest.
    """
    multiples = study.tokens.multiples
    nearest = min(multiples, key=lambda multiple: abs(math.log(multiple)))
    steps = sizes(study, vocabulary)[0].steps[nearest]
    epochs = [each for each in _EPOCHS if steps >= 2 * each]
    return {"epochs": epochs, "multiples": sorted({nearest, max(multiples)})} if epochs else {}


def _check(found: Plan, held: int, hours: float, share: float, what: str) -> None:
    """Raise ConfigError where even the shortest plan exceeds the corpus, or takes twice the time."""
    largest = max(cell.tokens for cell in found.cells())
    fewer = "train a tokenizer of fewer pieces (tokenizer.vocabulary), which allows smaller models"
    if largest > held:
        raise ConfigError(
            f"{what} needs at least {largest:,} tokens, and the corpus has {held:,}: add text, or {fewer}"
        )
    if share < 0.5:
        raise ConfigError(
            f"{what} takes at least {hours / share:.2g} hours on this machine: give them with --hours, or "
            f"{fewer}"
        )


def _name(corpus: str) -> str:
    """Return the name of the corpus's folder, as the study's folders can hold it."""
    path = Path(files.located(corpus))
    named = path.parent.name if path.name in ("tokens", "corpus") else path.name
    kept = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in named)
    return kept.strip("-_") or "corpus"


def read(folder: Path, corpus: str, overrides: Sequence[str] = ()) -> tuple[Study, bool] | None:
    """Return the study in a folder and whether its rates are tuned; None where there is none.

    Raises ConfigError if it is that of another corpus.
    """
    path = next((path for name in (FILE, UNTUNED) if (path := folder / name).exists()), None)
    if path is None:
        return None
    study = config.load(path, tuple(overrides))
    if corpus not in study.corpora.values():
        raise ConfigError(
            f"{path} is the study of {', '.join(study.corpora.values())}, not of {corpus}: choose another "
            "--output, or remove the folder"
        )
    return study, path.name == FILE


def write(study: Study, hours: float, *, is_tuned: bool) -> Path:
    """Write a study's file to its folder, with its origin in its first line; return the path.

    That of a tuned study replaces that of the draft.
    """
    path = Path(study.output) / (FILE if is_tuned else UNTUNED)
    data = study.model_dump(mode="json", exclude_defaults=True, exclude_none=True) | {"output": "."}
    head = f"# Drafted for about {hours:g} hours on this machine. Change it, and give it to `derlem scale`.\n"
    files.write_bytes(study.output, path.name, (head + "\n".join(_lines(data)) + "\n").encode())
    if is_tuned:
        path.with_name(UNTUNED).unlink(missing_ok=True)
    return path


def _lines(data: dict[str, Any], name: str = "") -> Iterator[str]:
    """Yield the lines of a TOML table: its values, then the tables in it."""
    for key, value in data.items():
        if not isinstance(value, dict):
            yield f"{settings.as_key(key)} = {settings.as_toml(value)}"
    for key, value in data.items():
        if isinstance(value, dict):
            inner = f"{name}.{settings.as_key(key)}" if name else settings.as_key(key)
            if any(not isinstance(each, dict) for each in value.values()):
                yield f"\n[{inner}]"
            yield from _lines(value, inner)
