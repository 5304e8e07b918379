"""The grid of a study: its sizes, their trunks and the cells that branch off them.

N is the number of parameters that a token is multiplied by (`Shape.matmul_parameters`), for sizes and
budgets: of experts those that it passes. A trunk trains at a constant rate; for each number of tokens D a
branch leaves it after 0.8·D and cools down. One trunk serves all D of its size, so batch, learning rate and
weight decay are those of the recipe (trainer/recipe.py) for the budget at multiple 1. Those of [train] are
valid at the reference point: the smallest size unless it is set.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from fractions import Fraction

from corpus.errors import ConfigError
from trainer import config
from trainer.recipe import Point, Recipe, nearest, scaled
from trainer.scaling.config import Study
from trainer.shape import Shape, shape

FINE = 100
"""Steps at multiple 1 to which any budget may be rounded up; odd ratios that need more may not double it."""


@dataclass(frozen=True, slots=True)
class Size(Recipe):
    """A model of the grid and its recipe; `tokens` is its budget at multiple 1, `warmup` in tokens.

    `steps` holds for each multiple, ascending, the steps of its cell; not of more tokens than `tokens.most`.
    """

    model: config.Model
    shape: Shape
    tokens: int
    warmup: int
    steps: dict[float, int]

    @property
    def name(self) -> str:
        """Return "d4w256": depth and width."""
        return f"d{self.shape.layers}w{self.shape.width}"


@dataclass(frozen=True, slots=True)
class Trunk:
    """A training run at a constant rate, `factor` times the formula's, and the multiples at which it cools.

    `unique`: the number of tokens of the corpus that it repeats; None: it reads the whole corpus.
    """

    corpus: str
    size: Size
    seed: int
    multiples: tuple[float, ...]
    unique: int | None = None
    factor: float = 1.0

    @property
    def name(self) -> str:
        """Return its folder's name: "web-d4w256-s0"; a subset adds "-u1000000", another rate "-lr0.5"."""
        part = f"-u{self.unique}" if self.unique is not None else ""
        rate = f"-lr{self.factor:g}" if self.factor != 1 else ""
        return f"{self.corpus}-{self.size.name}-s{self.seed}{part}{rate}"


@dataclass(frozen=True, slots=True)
class Cell:
    """A model of the study: a trunk's weights, cooled down after `steps` steps on `tokens` tokens in all.

    `branch` is the step at which it leaves the trunk, `unique` the number of unique tokens that it reads.
    """

    trunk: Trunk
    multiple: float
    steps: int
    branch: int
    tokens: int
    unique: int

    @property
    def name(self) -> str:
        """Return its name in tables: the trunk and the tokens."""
        return f"{self.trunk.name}-t{self.tokens}"

    @property
    def compute(self) -> float:
        """Return 6·N·D."""
        return 6.0 * self.trunk.size.shape.matmul_parameters * self.tokens


def sizes(study: Study, vocabulary: int) -> tuple[Size, ...]:
    """Return the models, smallest first; ConfigError if two targets have the same nearest model, or none."""
    wanted = study.sizes
    ratio = (wanted.largest / wanted.smallest) ** (1 / max(1, wanted.count - 1))
    models = [
        nearest(study.train.model, vocabulary, wanted.smallest * ratio**k, wanted.aspect)
        for k in range(wanted.count)
    ]
    shapes = [shape(model, vocabulary) for model in models]
    counted = [each.matmul_parameters for each in shapes]
    if sorted(set(counted)) != counted:
        shown = ", ".join(f"{n:,}" for n in sorted(set(counted)))
        raise ConfigError(
            f"sizes.count = {wanted.count}: from {wanted.smallest:,} to {wanted.largest:,} parameters the "
            f"nearest models with a head dimension of {study.train.model.head} are only those of {shown}: "
            "set fewer sizes, sizes farther apart, or a smaller train.model.head"
        )
    first = _budget(study, shapes[0])
    at = study.reference or Point(parameters=counted[0], width=shapes[0].width, tokens=first)
    return tuple(_size(study, model, each, at) for model, each in zip(models, shapes, strict=True))


def _budget(study: Study, found: Shape) -> int:
    return max(1, round(study.tokens.per_parameter * found.matmul_parameters))


def _size(study: Study, model: config.Model, found: Shape, at: Point) -> Size:
    """Return a size with its recipe, warmup and steps."""
    schedule, tokens = study.train.schedule, _budget(study, found)
    own = Point(parameters=found.matmul_parameters, width=found.width, tokens=tokens)
    chosen = scaled(study.train, at, own)
    a_step = chosen.batch * study.train.data.length
    steps = _steps(study, tokens, a_step)
    if (most := study.tokens.most) is not None:
        if (least := min(steps.values()) * a_step) > most:
            raise ConfigError(
                f"tokens.most = {most:,}: the smallest budget of a model of {found.matmul_parameters:,} "
                f"parameters is {least:,} tokens; set more, a smaller "
                "tokens.per_parameter, or a smaller sizes.largest"
            )
        steps = {multiple: count for multiple, count in steps.items() if count * a_step <= most}
    warmup = max(1, round(schedule.warmup * tokens))
    if warmup > (first := min(steps.values()) * a_step) * (1 - schedule.decay):
        raise ConfigError(
            f"train.schedule.warmup = {schedule.warmup:g} of the budget at multiple 1 is {warmup:,} tokens: "
            f"it overlaps the decay of the smallest cell, {first:,} tokens; make it shorter"
        )
    return Size(**asdict(chosen), model=model, shape=found, tokens=tokens, warmup=warmup, steps=steps)


def _steps(study: Study, tokens: int, a_step: int) -> dict[float, int]:
    """Return each multiple's steps: integers in the multiples' ratio, whose decay starts at a step."""
    parts = {m: Fraction(m).limit_denominator(1000) for m in sorted(study.tokens.multiples)}
    whole = math.lcm(*(part.denominator for part in parts.values()))
    decay = Fraction(study.train.schedule.decay).limit_denominator(100)
    least = decay.denominator * whole
    if least > FINE and least > 2 * tokens / a_step:
        raise ConfigError(
            f"tokens.multiples = {list(study.tokens.multiples)} with train.schedule.decay = "
            f"{study.train.schedule.decay:g}: whole steps in these ratios are {least:,} or more at multiple "
            f"1, and a model's {tokens:,} tokens are {tokens / a_step:.3g} steps: choose simpler numbers, "
            "such as 0.5, 1, 2 and a decay of 0.2, or more tokens.per_parameter"
        )
    unit = decay.denominator * max(1, round(tokens / a_step / least))
    return {m: int(part * whole) * unit for m, part in parts.items()}


def trunks(study: Study, found: tuple[Size, ...], held: dict[str, int]) -> tuple[Trunk, ...]:
    """Return the trunks of all corpora, main ones first; `held`: the number of tokens of each corpus.

    ConfigError for epochs of a subset for which the corpus or the subset is too small.
    """
    made = []
    for corpus in study.corpora:
        for size in found:
            multiples = tuple(size.steps)
            count = study.seeds.smallest if size is found[0] else study.seeds.others
            first = study.train.seed
            made += [Trunk(corpus, size, seed, multiples) for seed in range(first, first + count)]
        made += _repeated(study, corpus, found, held[corpus])
    return tuple(made)


def checks(study: Study, found: tuple[Size, ...]) -> tuple[Trunk, ...]:
    """Return the trunks at other learning rates: of the smallest size, at the multiple nearest to 1."""
    nearest = min(found[0].steps, key=lambda m: abs(math.log(m)))
    corpus, seed = next(iter(study.corpora)), study.train.seed
    return tuple(Trunk(corpus, found[0], seed, (nearest,), factor=f) for f in study.check if f != 1)


def _repeated(study: Study, corpus: str, found: tuple[Size, ...], held: int) -> list[Trunk]:
    """Group the cells with repeated data by their subset: budgets on one subset share a trunk."""
    made = []
    budgets = study.repetition.multiples or study.tokens.multiples
    for size in found[: study.repetition.sizes]:
        a_step = size.batch * study.train.data.length
        by_unique: dict[int, set[float]] = {}
        for multiple in (each for each in size.steps if each in budgets):
            for epochs in study.repetition.epochs:
                by_unique.setdefault(size.steps[multiple] * a_step // epochs, set()).add(multiple)
        for unique, multiples in sorted(by_unique.items()):
            if unique < a_step:
                raise ConfigError(
                    f"repetition.epochs: a subset for {size.name} would have {unique:,} tokens, and a step "
                    f"reads {a_step:,}: set fewer epochs, or a smaller train.data.batch"
                )
            if unique < held:  # else its cells would equal the main ones
                made.append(Trunk(corpus, size, study.train.seed, tuple(sorted(multiples)), unique))
    return made


def cells(study: Study, trunk: Trunk, held: int) -> list[Cell]:
    """Return the cells of a trunk, by tokens."""
    a_step = trunk.size.batch * study.train.data.length
    kept = 1 - Fraction(study.train.schedule.decay).limit_denominator(100)
    return [
        Cell(
            trunk,
            multiple,
            steps,
            branch=int(steps * kept),
            tokens=steps * a_step,
            unique=min(steps * a_step, held if trunk.unique is None else trunk.unique),
        )
        for multiple, steps in trunk.size.steps.items()
        if multiple in trunk.multiples
    ]
