"""The grid of a study is what was asked for: sizes even in ln N, branches on a step, stated formulas."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest

from corpus import settings
from corpus.errors import ConfigError
from trainer import schedule
from trainer.scaling import config, grid
from trainer.scaling.config import Study
from trainer.scaling.grid import Trunk
from trainer.scaling.units import configured, units

VOCABULARY = 32_000
PLENTY = 10**12


def asked(**changes: Any) -> Study:
    data: dict[str, Any] = {
        "output": "study",
        "corpora": {"web": "tokens"},
        "train": {"model": {"head": 64}, "schedule": {"warmup": 0.05}},
    }
    return settings.parse(Study, settings.overlay(data, [f"{k}={v}" for k, v in changes.items()]), "test")


def test_sizes_are_even_in_ln_n_and_of_about_the_aspect() -> None:
    found = grid.sizes(asked(**{"sizes.smallest": 20_000_000, "sizes.largest": 160_000_000}), VOCABULARY)
    counted = [size.shape.matmul_parameters for size in found]
    for number, wanted in zip(counted, (20e6, 40e6, 80e6, 160e6), strict=True):
        assert number == pytest.approx(wanted, rel=0.15)
    for size in found:
        assert 30 < size.shape.width / size.shape.layers < 130
        assert size.shape.width % 64 == 0


def test_of_experts_n_counts_those_that_a_token_passes_and_their_width_follows_the_size() -> None:
    wanted = {"sizes.smallest": 20_000_000, "sizes.largest": 160_000_000, "train.model.experts.count": 8}
    found = grid.sizes(asked(**wanted, **{"train.model.experts.hidden": 64}), VOCABULARY)
    for size, number in zip(found, (20e6, 40e6, 80e6, 160e6), strict=True):
        assert size.shape.matmul_parameters == pytest.approx(number, rel=0.15)
        assert size.shape.parameters > size.shape.active_parameters
        assert size.shape.experts == 8
    assert found[-1].shape.hidden > 2 * found[0].shape.hidden


def test_sizes_that_are_one_model_are_refused() -> None:
    with pytest.raises(
        ConfigError,
        match=r"sizes.count = 4: .* head dimension of 64 are only those of .*: set fewer",
    ):
        grid.sizes(asked(**{"sizes.smallest": 4_000_000, "sizes.largest": 4_400_000}), VOCABULARY)


@pytest.mark.parametrize("multiples", [[0.5, 1, 2, 4], [4, 0.7, 1.5], [1], [0.25, 3]])
def test_every_cell_branches_on_a_step_and_keeps_its_trunks_rates(multiples: list[float]) -> None:
    study = asked(**{"tokens.multiples": multiples})
    for size in grid.sizes(study, VOCABULARY):
        trunk = Trunk("web", size, 0, tuple(sorted(multiples)))
        made = grid.cells(study, trunk, PLENTY)
        assert [cell.multiple for cell in made] == sorted(multiples)
        a_step = size.batch * study.train.data.length
        for cell in made:
            assert cell.branch * 5 == cell.steps * 4
            assert cell.tokens == cell.steps * a_step
            assert cell.tokens * made[0].multiple == pytest.approx(made[0].tokens * cell.multiple, rel=1e-12)
            wanted = cell.multiple * 20 * size.shape.matmul_parameters
            assert cell.tokens == pytest.approx(wanted, rel=0.06)
            cooled, hot = (
                schedule.rates(configured(study, trunk, steps, cooled=own).schedule, steps * a_step)
                for steps, own in ((cell.steps, True), (cell.branch, False))
            )
            assert cooled.stable == hot.stable == cell.branch * a_step
            assert cooled.warmup == hot.warmup == size.warmup
            for step in (0, 1, cell.branch // 2, cell.branch - 1):
                begin, end = step * a_step, (step + 1) * a_step
                assert cooled.step(begin, end) == hot.step(begin, end)
            assert cooled.shape == "1-sqrt"
            assert cooled.at(cell.tokens) == 0


def test_ratios_whose_whole_steps_exceed_the_budget_are_refused() -> None:
    for odd in ({"tokens.multiples": [0.333, 1]}, {"train.schedule.decay": 0.1234}):
        study = asked(**odd, **{"tokens.per_parameter": 0.2})
        with pytest.raises(ConfigError, match=r"tokens.multiples = .*: whole steps .* simpler numbers"):
            grid.sizes(study, VOCABULARY)
    for size in grid.sizes(asked(**{"tokens.multiples": [0.333, 1], "train.data.batch": 4}), VOCABULARY):
        assert size.steps[0.333] * 1000 == size.steps[1.0] * 333


def test_a_budget_below_one_token_is_one_step_of_each_ratio() -> None:
    first = grid.sizes(asked(**{"tokens.per_parameter": 1e-9}), VOCABULARY)[0]
    assert first.tokens == 1
    assert first.steps == {0.5: 5, 1.0: 10, 2.0: 20, 4.0: 40}


def test_a_trunk_is_trained_once_in_parts_that_end_where_cells_branch() -> None:
    study = asked()
    size = grid.sizes(study, VOCABULARY)[0]
    trunk = Trunk("web", size, 0, (0.5, 1.0, 2.0, 4.0))
    made = units(study, trunk, PLENTY, ("corpus", "validation"))
    parts = [unit for unit in made if unit.facts is None]
    assert [unit.branch and unit.branch[1] for unit in parts] == [
        None,
        *(cell.branch for cell in grid.cells(study, trunk, PLENTY)[:-1]),
    ]
    folders = {unit.folder for unit in parts}
    for unit in made:
        assert unit.branch is None or unit.branch[0] in folders
        assert unit.config.evaluate.documents == 0
    assert len({unit.folder for unit in made}) == len(made) == 8


def test_muons_rates_follow_the_batch_and_the_batch_the_tokens() -> None:
    study = asked(**{"sizes.count": 3, "train.optimizer.lr": 0.01, "train.optimizer.matrix_lr": 0.02})
    first, *others = grid.sizes(study, VOCABULARY)
    assert (first.batch, first.lr, first.matrix_lr, first.weight_decay) == (256, 0.01, 0.02, 0.1)
    for size in others:
        exact = 256 * (size.tokens / first.tokens) ** 0.383
        assert size.batch in (2 ** math.floor(math.log2(exact)), 2 ** math.ceil(math.log2(exact)))
        root = math.sqrt(size.batch / 256)
        assert size.matrix_lr == pytest.approx(0.02 * root, rel=1e-3)
        assert size.lr == pytest.approx(0.01 * root * (first.shape.width / size.shape.width) ** 0.5, rel=1e-3)
        assert size.weight_decay == pytest.approx(0.1 * root * first.tokens / size.tokens, rel=1e-3)


def test_adamws_rates_follow_the_size() -> None:
    reference = {"reference.parameters": 108_000_000, "reference.width": 768, "reference.tokens": 2 * 10**9}
    adamw = {"train.optimizer.name": "adamw", "train.optimizer.lr": 0.0047, "train.data.batch": 160}
    for size in grid.sizes(asked(**reference, **adamw), VOCABULARY):
        n = size.shape.matmul_parameters
        assert size.lr == pytest.approx(0.0047 * (n / 108e6) ** (-1 / 3), rel=1e-3)
        assert abs(math.log2(size.batch / (160 * (n / 108e6) ** (2 / 3)))) <= 0.5
        assert size.weight_decay == 0.1


def test_the_smallest_size_has_the_seeds_and_the_other_learning_rates() -> None:
    study = asked(**{"corpora.books": "other", "train.seed": 5})
    sizes = grid.sizes(study, VOCABULARY)
    made = grid.trunks(study, sizes, {"web": PLENTY, "books": PLENTY})
    for corpus in ("web", "books"):
        found = [(trunk.size.name, trunk.seed) for trunk in made if trunk.corpus == corpus]
        assert found == [(sizes[0].name, 5), (sizes[0].name, 6), (sizes[0].name, 7)] + [
            (size.name, 5) for size in sizes[1:]
        ]
    halved, doubled = grid.checks(study, sizes)
    assert (halved.factor, doubled.factor, halved.multiples) == (0.5, 2.0, (1.0,))
    rate = configured(study, doubled, 10, cooled=True).optimizer
    assert (rate.lr, rate.matrix_lr) == (2 * sizes[0].lr, 2 * sizes[0].matrix_lr)


def test_the_repetition_axis_reads_the_same_budgets_as_several_epochs() -> None:
    study = asked(**{"repetition.epochs": [2, 4, 8, 16], "repetition.sizes": 2})
    sizes = grid.sizes(study, VOCABULARY)
    made = [trunk for trunk in grid.trunks(study, sizes, {"web": PLENTY}) if trunk.unique is not None]
    for size in sizes[:2]:
        own = [cell for trunk in made if trunk.size is size for cell in grid.cells(study, trunk, PLENTY)]
        pairs = sorted((cell.multiple, cell.tokens // cell.unique) for cell in own)
        assert pairs == sorted(itertools.product((0.5, 1.0, 2.0, 4.0), (2, 4, 8, 16)))
        trunks = [trunk for trunk in made if trunk.size is size]
        assert len(trunks) == 7  # budgets on one subset share a trunk
        for trunk in trunks:
            assert configured(study, trunk, 5, cooled=False).data.unique == trunk.unique
    assert not [trunk for trunk in made if trunk.size in sizes[2:]]


def test_budgets_of_more_tokens_than_the_most_are_left_out_at_every_size() -> None:
    whole = grid.sizes(asked(), VOCABULARY)
    budgets = [[steps * size.batch * 2048 for steps in size.steps.values()] for size in whole]
    most = budgets[-1][1]  # of the largest size two are left, of the smaller ones as many or more
    study = asked(**{"tokens.most": most, "repetition.epochs": [2]})
    sizes = grid.sizes(study, VOCABULARY)
    made = grid.trunks(study, sizes, {"web": PLENTY})
    for size, every in zip(sizes, budgets, strict=True):
        cells = [cell for trunk in made if trunk.size is size for cell in grid.cells(study, trunk, PLENTY)]
        assert {cell.tokens for cell in cells} == {each for each in every if each <= most}
    with pytest.raises(ConfigError, match=r"tokens\.most = 9: the smallest budget of a model of "):
        grid.sizes(asked(**{"tokens.most": 9}), VOCABULARY)


def test_subsets_as_large_as_the_corpus_are_left_to_the_main_cells() -> None:
    study = asked(**{"repetition.epochs": [2]})
    sizes = grid.sizes(study, VOCABULARY)
    held = sizes[0].steps[2.0] * sizes[0].batch * study.train.data.length
    made = [trunk for trunk in grid.trunks(study, sizes, {"web": held}) if trunk.unique is not None]
    assert max(trunk.unique or 0 for trunk in made) < held
    main = grid.cells(study, Trunk("web", sizes[0], 0, (4.0,)), held)
    assert (main[0].unique, main[0].tokens) == (held, 2 * held)


def test_a_subset_smaller_than_a_step_is_refused() -> None:
    study = asked(**{"repetition.epochs": [100_000]})
    with pytest.raises(ConfigError, match="set fewer epochs"):
        grid.trunks(study, grid.sizes(study, VOCABULARY), {"web": PLENTY})


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("sizes.count", 1, "several sizes need a largest above"),
        ("repetition.epochs", [1], "of 2 or more"),
        ("repetition.multiples", [3], "some of tokens.multiples"),
        ("validation", "books", "expected one of the corpora web"),
        ("train.schedule.name", "cosine", "whose trunk a study branches"),
        ("train.optimizer.name", "lion", "published only for muon and adamw"),
        ("train.evaluate.documents", 0, r"evaluate\.documents = 0: expected 1 or more"),
        ("train.data.unique", 10, "expected none: the study sets"),
        ("train.data.epochs", 2, "expected none: the study sets"),
        ("corpora.a/b", "x", "letters, digits, - and _"),
        ("size.count", 4, "did you mean 'sizes'"),
    ],
)
def test_what_cannot_be_studied_is_named(key: str, value: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        asked(**{key: f"'{value}'" if isinstance(value, str) else value})


def test_a_warmup_that_reaches_into_a_decay_is_refused() -> None:
    with pytest.raises(ConfigError, match="it overlaps the decay of the smallest cell"):
        grid.sizes(asked(**{"train.schedule.warmup": 0.5}), VOCABULARY)


def test_local_folders_are_seen_from_the_studys_file(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text('output = "out"\n[corpora]\nweb = "../web"\nfar = "s3://bucket/web"\n')
    found = config.load(path)
    assert found.output == str(tmp_path / "out")
    assert found.corpora == {"web": str(tmp_path.parent / "web"), "far": "s3://bucket/web"}
    with pytest.raises(ConfigError, match="no such file"):
        config.load(tmp_path / "other.toml")
