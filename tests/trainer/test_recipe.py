"""Batch, rates and decay follow the stated laws at every size and budget."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import ConfigError
from trainer import config, recipe
from trainer.recipe import Point
from trainer.shape import shape

points = st.builds(
    Point,
    parameters=st.integers(10**4, 10**11),
    width=st.integers(16, 16_384),
    tokens=st.integers(10**5, 10**13),
)


def settings(name: str = "muon", batch: int = 256) -> config.Config:
    return config.Config.model_validate({"optimizer": {"name": name}, "data": {"batch": batch}})


def exact(found: float) -> object:
    """Return what equals a value up to the rounding to four digits."""
    return pytest.approx(found, rel=6e-4)


@given(points, points, st.sampled_from([1, 8, 48, 256]))
def test_muons_batch_is_the_power_of_two_nearest_to_the_law(at: Point, to: Point, batch: int) -> None:
    found = recipe.scaled(settings(batch=batch), at, to).batch
    assert found.bit_count() == 1
    law = batch * (to.tokens / at.tokens) ** 0.383
    assert found == 1 if law < 1 else 2**-0.5001 < found / law < 2**0.5001


@given(points, points)
def test_muons_rates_follow_the_root_of_the_batch_and_the_width(at: Point, to: Point) -> None:
    base = settings()
    found = recipe.scaled(base, at, to)
    root = math.sqrt(found.batch / base.data.batch)
    assert found.matrix_lr == exact(base.optimizer.matrix_lr * root)
    assert found.lr * math.sqrt(to.width) == exact(1e-2 * root * math.sqrt(at.width))
    assert found.weight_decay * to.tokens == exact(base.optimizer.weight_decay * root * at.tokens)


@given(points, points)
def test_adamws_rate_and_batch_follow_the_parameters_alone(at: Point, to: Point) -> None:
    base = settings("adamw")
    found = recipe.scaled(base, at, to)
    assert found.lr == exact(1e-3 * (at.parameters / to.parameters) ** (1 / 3))
    law = 256 * (to.parameters / at.parameters) ** (2 / 3)
    assert found.batch == 1 if law < 1 else 2**-0.5001 < found.batch / law < 2**0.5001
    assert found.weight_decay == base.optimizer.weight_decay


@given(st.sampled_from(recipe.RULED), points, st.integers(0, 10))
def test_a_recipe_is_its_own_at_its_own_point(name: str, at: Point, power: int) -> None:
    base = settings(name, 2**power)
    found = recipe.scaled(base, at, at)
    same = (base.data.batch, recipe.lr(base.optimizer), base.optimizer.matrix_lr, base.optimizer.weight_decay)
    assert (found.batch, found.lr, found.matrix_lr, found.weight_decay) == same


@pytest.mark.parametrize("preset", ["124m", "350m", "tiny"])
def test_a_preset_of_another_size_keeps_its_proportions_and_follows_the_recipe(preset: str) -> None:
    base = config.load(preset)
    own = shape(base.model, 32_768)
    made = config.load(preset, recipe.overrides(base, 32_768, 60_000_000, None))
    found = shape(made.model, 32_768)
    assert found.matmul_parameters == pytest.approx(60e6, rel=0.15)
    assert found.width / found.layers == pytest.approx(own.width / own.layers, rel=0.5)
    assert made.data.tokens == 20 * found.matmul_parameters
    at, to = (
        Point(parameters=each.matmul_parameters, width=each.width, tokens=tokens)
        for each, tokens in ((own, base.data.tokens), (found, made.data.tokens))
    )
    stated = base.model_copy(update={"optimizer": base.optimizer.model_copy(update=recipe.MUON)})
    wanted, rates = recipe.scaled(stated, at, to), made.optimizer
    assert made.data.batch == wanted.batch
    assert (rates.lr, rates.matrix_lr) == (wanted.lr, wanted.matrix_lr)
    assert (rates.weight_decay, rates.embedding_lr, rates.momentum) == (wanted.weight_decay, 4.0, 0.85)
    assert made.evaluate == base.evaluate


def test_other_tokens_alone_leave_the_model_and_its_own_tokens_leave_the_batch_and_stated_values() -> None:
    base = config.load("124m")
    more = config.load("124m", recipe.overrides(base, 32_768, None, 10 * base.data.tokens))
    assert (more.model.depth, more.model.width) == (12, 768)
    assert (more.data.batch, more.data.tokens) == (512, 25_000_000_000)
    stated = ["optimizer.momentum=0.95", "optimizer.weight_decay=0.1"]
    given = recipe.overrides(config.load("124m", stated), 32_768, None, base.data.tokens)
    same = config.load("124m", [*stated, *given])
    assert same.data == base.data
    assert same.optimizer == base.optimizer.model_copy(update={"lr": 0.01, "embedding_lr": 4.0})
    adamw = config.load("124m", ["optimizer.name='adamw'"])
    read = {each.partition("=")[0] for each in recipe.overrides(adamw, 32_768, None, base.data.tokens)}
    assert read == {"model.depth", "model.width", "data.tokens", "data.batch", "optimizer.lr"}
    kept = config.load("124m", recipe.overrides(adamw, 32_768, None, base.data.tokens)).optimizer
    assert (kept.embedding_lr, kept.momentum, kept.weight_decay) == (1.0, 0.95, 0.1)


def test_tokens_that_are_set_are_those_of_the_recipe() -> None:
    given = ["data.tokens=2_000_000_000"]
    found = recipe.beside("124m", given, 32_768, 60_000_000, None)
    assert found == recipe.beside("124m", (), 32_768, 60_000_000, 2_000_000_000)
    assert found != recipe.beside("124m", (), 32_768, 60_000_000, None)
    assert config.load("124m", [*found, *given]) == config.load("124m", found)


@pytest.mark.parametrize(
    ("given", "asked", "said"),
    [
        ("data.tokens=5", (None, 6), r"--tokens 6 and --set data.tokens: omit one"),
        ("model.width=64", (60_000_000, None), r"--parameters 60,000,000 and --set model.width: both choose"),
        ("model.hidden=64", (60_000_000, None), r"--set model.hidden: both choose the size"),
    ],
)
def test_what_is_chosen_twice_is_refused(given: str, asked: tuple[int | None, int | None], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        recipe.beside("124m", [given], 32_768, *asked)


def test_other_tokens_keep_the_model_that_is_set() -> None:
    given = ["model.depth=3", "model.width=256"]
    found = recipe.beside("124m", given, 32_768, None, 10**9)
    made = config.load("124m", [*found, *given])
    assert (made.model.depth, made.model.width, made.data.tokens) == (3, 256, 10**9)


@pytest.mark.parametrize("experts", [False, True])
def test_a_stated_width_of_the_feed_forward_layer_follows_the_size(*, experts: bool) -> None:
    stated = ["model.experts.count=8", "model.experts.hidden=256"] if experts else ["model.hidden=2048"]
    base = config.load("124m", stated)
    made = config.load("124m", [*stated, *recipe.overrides(base, 1_024, 1_000_000_000, None)])
    assert shape(made.model, 1_024).matmul_parameters == pytest.approx(1e9, rel=0.15)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("optimizer.name='lion'", "the configuration has optimizer.name = lion"),
        ("data.epochs=2.0", "the configuration has data.phases or data.epochs"),
        ("data.phases=[{tokens=1000}]", "the configuration has data.phases or data.epochs"),
    ],
)
def test_presets_without_rules_are_refused(given: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        recipe.overrides(config.load("124m", [given]), 1_024, 10_000_000, None)


def test_a_size_that_the_vocabulary_does_not_allow_is_refused() -> None:
    tiny = config.load("tiny")
    with pytest.raises(
        ConfigError, match=r"--parameters 1,000: with 1,024 pieces .* smallest model has [\d,]+"
    ):
        recipe.overrides(tiny, 1_024, 1_000, None)
    assert recipe.overrides(tiny, 1_024, 1_000_000, None)
