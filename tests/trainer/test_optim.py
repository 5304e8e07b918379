"""Optimizers against their formulas and against torch's own; groups; resuming; the same on two ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from pydantic import ValidationError
from ranks import on_ranks
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from trainer import config, optim, recipe
from trainer.attention import Documents
from trainer.average import Ema
from trainer.guard import Guard
from trainer.model import Transformer
from trainer.model import build as build_model
from trainer.optim.adafactor import Adafactor
from trainer.optim.lamb import Lamb
from trainer.optim.lion import Lion
from trainer.optim.muon import POLAR_EXPRESS, Muon, normalize_rows, orthogonalize
from trainer.shape import shape
from trainer.world import World

NAMES = ["adamw", "muon", "adafactor", "lion", "lamb"]
SWITCHED = "muon, switched"
EVERY = [*NAMES, SWITCHED]
CPU = torch.device("cpu")
JORDAN = ((3.4445, -4.7750, 2.0315),) * 5
Array = NDArray[np.float64]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Tensors this small gain nothing from threads, and lose much where cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def settings(name: str, **given: Any) -> config.Optimizer:
    if name == SWITCHED:
        name, given = "muon", {"normalize": True, "cautious": True, **given}
    return config.Optimizer.model_validate({"name": name, **given})


def transformer(**given: Any) -> Transformer:
    sizes = {"depth": 2, "width": 32, "head": 8, "kv_heads": 2, "hidden": 40, **given}
    return build_model(shape(config.Model.model_validate(sizes), 300), 0, CPU, torch.float32)


def gradients(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def names(found: list[optim.Group]) -> dict[str, set[str]]:
    return {each.name: set(each.parameters) for each in found}


def mixed() -> Transformer:
    """A model with experts: beside matrices it has stacks of them, three on two ranks."""
    return transformer(hidden=None, experts={"count": 3})


# Groups


def test_every_parameter_is_in_exactly_one_group() -> None:
    model = transformer()
    found = optim.groups(model, settings("muon"))
    listed = [name for each in found for name in each.parameters]
    assert sorted(listed) == sorted(name for name, _ in model.named_parameters())
    assert set(names(found)) == {
        *("embedding", "head", "norms"),
        *("attention.qkv", "attention.out", "feed.gate_up", "feed.down"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_norms_and_embeddings_never_decay(name: str) -> None:
    found = {each.name: each.weight_decay for each in optim.groups(transformer(), settings(name))}
    assert found.pop("norms") == found.pop("embedding") == 0.0
    assert set(found.values()) == {0.1}


def test_a_tied_head_is_an_embedding_and_does_not_decay() -> None:
    found = {each.name: each for each in optim.groups(transformer(tied=True), settings("adamw"))}
    assert "head" not in found
    assert found["embedding"].weight_decay == 0.0


def test_muon_has_the_matrices_of_blocks_and_nothing_else() -> None:
    found = optim.groups(transformer(activation="relu2"), settings("muon", matrix_lr=0.03, lr=0.002))
    muon = {each.name for each in found if each.rule == "muon"}
    assert muon == {"attention.qkv", "attention.out", "feed.up", "feed.down"}
    assert {each.peak for each in found if each.rule == "muon"} == {0.03}
    assert {(each.rule, each.peak) for each in found if each.rule != "muon"} == {("adamw", 0.002)}


def test_fused_matrices_name_their_parts() -> None:
    found = {each.name: each.rows for each in optim.groups(transformer(), settings("muon"))}
    assert found["attention.qkv"] == (32, 16, 16)
    assert found["feed.gate_up"] == (40, 40)
    assert found["attention.out"] == found["feed.down"] == ()


def test_experts_are_in_groups_of_their_own_and_decay() -> None:
    found = {each.name: each for each in optim.groups(mixed(), settings("muon"))}
    assert found["feed.gate_up"].rows == (48, 48)
    assert found["feed.shared.gate_up"].rows == (48, 48)
    for name in ("feed.router", "feed.down", "feed.shared.down"):
        assert found[name].rows == ()
    experts = [each for name, each in found.items() if name.startswith("feed.")]
    assert {(each.rule, each.weight_decay) for each in experts} == {("muon", 0.1)}
    listed = [name for each in found.values() for name in each.parameters]
    assert sorted(listed) == sorted(name for name, _ in mixed().named_parameters())


@pytest.mark.parametrize(("key", "value"), [("momentum_warmup", 10), ("normalize", True), ("cautious", True)])
def test_muons_switches_are_refused_for_other_optimizers(key: str, value: object) -> None:
    with pytest.raises(ValidationError, match=f'{key} = .*: only for name = "muon", found "lion"'):
        settings("lion", **{key: value})


def test_a_parameter_of_unknown_part_is_refused() -> None:
    model = transformer()
    model.extra = nn.Parameter(torch.zeros(3))
    with pytest.raises(ValueError, match="extra: no optimizer group"):
        optim.groups(model, settings("adamw"))


def test_groups_are_described_in_a_line_each() -> None:
    lines = optim.describe(optim.groups(transformer(), settings("muon")))
    assert "attention.qkv: muon, 2 tensors, 4,096 parameters, lr 0.02, weight decay 0.1" in lines[1]
    assert "in parts of 32, 16, 16 rows" in lines[1]


def test_rates_without_a_name_are_the_optimizers_own() -> None:
    for name in NAMES:
        found = {each.name: each for each in optim.groups(transformer(), settings(name))}
        assert found["embedding"].peak == recipe.LEARNING_RATES[name]


@pytest.mark.parametrize("name", NAMES)
def test_embedding_head_and_norms_have_multiples_of_the_rate(name: str) -> None:
    chosen = settings(name, lr=0.01, embedding_lr=3, head_lr=0.5, norm_lr=2)
    found = {each.name: each.peak for each in optim.groups(transformer(), chosen)}
    assert found.pop("embedding") == pytest.approx(0.03)
    assert found.pop("head") == pytest.approx(0.005)
    assert found.pop("norms") == pytest.approx(0.02)
    assert set(found.values()) == {chosen.matrix_lr if name == "muon" else 0.01}


@pytest.mark.parametrize("name", NAMES)
def test_a_rate_is_a_share_of_each_groups_peak(name: str) -> None:
    optimizers = optim.build(transformer(), settings(name), CPU)
    for share in (0.5, 0.25):
        optim.set_rate(optimizers, share)
        for members in (members for each in optimizers for members in each.param_groups):
            assert members["lr"] == share * members["peak"] > 0


# Formulas


def follow(
    make: Callable[[list[nn.Parameter]], torch.optim.Optimizer],
    reference: Callable[[int, Array, Array, dict[str, Array]], Array],
    size: tuple[int, ...],
    steps: int = 60,
) -> None:
    """Assert that an optimizer and a reference in float64 go the same way under the same gradients."""
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(size, generator=generator)
    parameter, expected = nn.Parameter(start.clone()), start.double().numpy()
    optimizer, state = make([parameter]), dict[str, Array]()
    for step in range(1, steps + 1):
        parameter.grad = torch.randn(size, generator=generator) * (0.1 + step % 7)
        expected = reference(step, expected, parameter.grad.double().numpy(), state)
        optimizer.step()
    np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    assert np.abs(expected - start.numpy()).max() > 0.05


def test_lion_follows_its_paper() -> None:
    lr, decay, first, second = 0.01, 0.1, 0.9, 0.99

    def reference(_: int, w: Array, g: Array, state: dict[str, Array]) -> Array:
        m = state.get("m", np.zeros_like(w))
        direction = np.sign(first * m + (1 - first) * g)
        state["m"] = second * m + (1 - second) * g
        return w - lr * (direction + decay * w)

    follow(lambda p: Lion(p, (first, second), lr=lr, weight_decay=decay), reference, (6, 5))


@pytest.mark.parametrize("size", [(6, 5), (7,)])
def test_lamb_follows_its_paper_and_leaves_vectors_unscaled(size: tuple[int, ...]) -> None:
    lr, decay, first, second, eps = 0.02, 0.1, 0.9, 0.95, 1e-6

    def reference(t: int, w: Array, g: Array, state: dict[str, Array]) -> Array:
        state["m"] = first * state.get("m", np.zeros_like(w)) + (1 - first) * g
        state["v"] = second * state.get("v", np.zeros_like(w)) + (1 - second) * g * g
        r = (state["m"] / (1 - first**t)) / (np.sqrt(state["v"] / (1 - second**t)) + eps)
        u = r + decay * w
        return w - lr * u * (np.linalg.norm(w) / np.linalg.norm(u) if w.ndim > 1 else 1.0)

    follow(lambda p: Lamb(p, (first, second), eps, lr=lr, weight_decay=decay), reference, size)


def test_lamb_moves_a_matrix_that_begins_at_zero() -> None:
    parameter = nn.Parameter(torch.zeros(3, 3))
    parameter.grad = torch.ones(3, 3)
    Lamb([parameter], (0.9, 0.95), lr=0.1).step()
    assert torch.allclose(parameter, torch.full((3, 3), -0.1))


@pytest.mark.parametrize("size", [(6, 5), (7,)])
def test_adafactor_follows_its_paper(size: tuple[int, ...]) -> None:
    lr, decay = 0.05, 0.1

    def reference(t: int, w: Array, g: Array, state: dict[str, Array]) -> Array:
        old, g2 = 1 - t**-0.8, g * g + 1e-30
        if w.ndim == 1:
            state["v"] = v = old * state.get("v", np.zeros_like(w)) + (1 - old) * g2
        else:
            state["r"] = old * state.get("r", np.zeros(w.shape[0])) + (1 - old) * g2.sum(1)
            state["c"] = old * state.get("c", np.zeros(w.shape[1])) + (1 - old) * g2.sum(0)
            v = np.outer(state["r"], state["c"]) / state["r"].sum()
        u = g / np.sqrt(v)
        u /= max(1.0, float(np.sqrt((u * u).mean())))
        return w - lr * decay * w - lr * max(1e-3, float(np.sqrt((w * w).mean()))) * u

    follow(lambda p: Adafactor(p, lr=lr, weight_decay=decay), reference, size)


@pytest.mark.parametrize("size", [(6, 5), (7,)])
def test_adafactor_is_torchs_while_its_rate_is_below_the_root_of_steps(size: tuple[int, ...]) -> None:
    ours, theirs = nn.Parameter(torch.ones(size)), nn.Parameter(torch.ones(size))
    pair = [
        Adafactor([ours], lr=0.02, weight_decay=0.1),
        torch.optim.Adafactor([theirs], lr=0.02, weight_decay=0.1),
    ]
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        ours.grad = torch.randn(size, generator=generator)
        theirs.grad = ours.grad.clone()
        for optimizer in pair:
            optimizer.step()
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_adamw_is_torchs_for_a_hundred_steps_of_a_schedule() -> None:
    model, twin = transformer(), transformer()
    optimizers = optim.build(model, settings("adamw", lr=0.01), CPU)
    decaying = [p for n, p in twin.named_parameters() if "norm" not in n and "embedding" not in n]
    others = [p for n, p in twin.named_parameters() if "norm" in n or "embedding" in n]
    reference = torch.optim.AdamW(
        [{"params": decaying}, {"params": others, "weight_decay": 0.0}],
        betas=(0.9, 0.95),
        weight_decay=0.1,
        foreach=False,
    )
    for step in range(100):
        gradients(model, step)
        gradients(twin, step)
        share = (step + 1) / 100
        optim.set_rate(optimizers, share)
        for members in reference.param_groups:
            members["lr"] = 0.01 * share
        optimizers[0].step()
        reference.step()
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-6)


# Muon


@pytest.mark.parametrize("size", [(3, 16, 16), (2, 8, 40), (1, 1, 5)])
def test_orthogonalizing_sets_singular_values_to_about_one(size: tuple[int, ...]) -> None:
    matrices = torch.randn(size, generator=torch.Generator().manual_seed(0)) * 1e-5
    u, values, v = torch.linalg.svd(matrices.double(), full_matrices=False)
    assert values.min() / matrices.norm(dim=(1, 2)).max() > 1e-3
    found = orthogonalize(matrices).double()
    assert torch.allclose(u.mT @ found @ v.mT, torch.eye(size[1]).double(), atol=0.15)


def test_singular_values_from_a_thousandth_on_come_out_within_fifteen_percent_of_one() -> None:
    values = torch.logspace(-3, math.log10(1.02), 2000, dtype=torch.float64)
    for a, b, c in POLAR_EXPRESS:
        values = a * values + b * values**3 + c * values**5
    assert (values - 1).abs().max() < 0.15


def test_gradients_of_zero_change_nothing_and_stay_finite() -> None:
    parameter = nn.Parameter(torch.ones(4, 6))
    parameter.grad = torch.zeros(4, 6)
    Muon([parameter], lr=0.1).step()
    assert torch.equal(parameter, torch.ones(4, 6))


@pytest.mark.parametrize("size", [(12, 12), (8, 24), (24, 8)])
def test_muon_is_torchs_with_the_same_coefficients(size: tuple[int, int]) -> None:
    start = torch.randn(size, generator=torch.Generator().manual_seed(0))
    ours = [nn.Parameter(start.clone()), nn.Parameter(start.flip(0).clone())]
    theirs = [nn.Parameter(p.detach().clone()) for p in ours]
    pair = [
        Muon(ours, lr=0.02, weight_decay=0.1, coefficients=JORDAN, dtype=torch.bfloat16),
        torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1, momentum=0.95),
    ]
    generator = torch.Generator().manual_seed(1)
    for _ in range(30):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn(size, generator=generator)
            b.grad = a.grad.clone()
        for optimizer in pair:
            optimizer.step()
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).norm() < 0.01 * (b - start).norm()


def test_the_parts_of_fused_matrices_are_orthogonalized_each_on_its_own() -> None:
    generator = torch.Generator().manual_seed(0)
    fused = [nn.Parameter(torch.zeros(20, 8)) for _ in range(3)]
    apart = [[nn.Parameter(torch.zeros(rows, 8)) for rows in (12, 4, 4)] for _ in fused]
    for whole, parts in zip(fused, apart, strict=True):
        whole.grad = torch.randn(20, 8, generator=generator)
        for part, gradient in zip(parts, whole.grad.split([12, 4, 4]), strict=True):
            part.grad = gradient.clone()
    Muon([{"params": fused, "rows": (12, 4, 4)}], lr=0.1).step()
    Muon([part for parts in apart for part in parts], lr=0.1).step()
    for whole, parts in zip(fused, apart, strict=True):
        assert torch.allclose(whole, torch.cat(parts), atol=1e-6)
        assert torch.linalg.matrix_norm(whole[:12], 2).item() == pytest.approx(
            0.1 * math.sqrt(12 / 8), rel=0.15
        )


@pytest.mark.parametrize("rows", [(), (12, 8)])
def test_the_matrices_of_a_stack_are_orthogonalized_each_on_its_own(rows: tuple[int, ...]) -> None:
    stack = nn.Parameter(torch.zeros(3, 20, 8))
    stack.grad = torch.randn(3, 20, 8, generator=torch.Generator().manual_seed(0))
    apart = [nn.Parameter(torch.zeros(20, 8)) for _ in range(3)]
    for matrix, gradient in zip(apart, stack.grad, strict=True):
        matrix.grad = gradient.clone()
    Muon([{"params": [stack], "rows": rows}], lr=0.1).step()
    Muon([{"params": apart, "rows": rows}], lr=0.1).step()
    assert torch.allclose(stack, torch.stack(list(apart)), atol=1e-6)


def test_adafactor_has_means_of_each_matrix_of_a_stack() -> None:
    """With equal sizes of weights and gradients, on which its scale and its clipping depend."""
    generator = torch.Generator().manual_seed(0)
    weights, gradient = torch.randn(2, 3, 6, 5, generator=generator)
    weights /= weights.square().mean((1, 2), keepdim=True).sqrt()
    stack = nn.Parameter(weights.clone())
    apart = [nn.Parameter(matrix.clone()) for matrix in weights]
    stack.grad = gradient
    for matrix, part in zip(apart, gradient, strict=True):
        matrix.grad = part.clone()
    Adafactor([stack], lr=1.0).step()
    Adafactor(apart, lr=1.0).step()
    for found, expected, before in zip(stack, apart, weights, strict=True):
        moved, wanted = found - before, expected - before
        assert torch.allclose(moved / moved.norm(), wanted / wanted.norm(), atol=1e-6)


@pytest.mark.parametrize(
    ("size", "rows"), [((12, 8), ()), ((20, 8), (12, 8)), ((8, 24), ()), ((3, 12, 8), ())]
)
@pytest.mark.parametrize(
    ("normalize", "cautious"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_muons_switches_follow_their_papers(
    size: tuple[int, ...], rows: tuple[int, ...], normalize: bool, cautious: bool
) -> None:
    lr, decay, momentum = 0.02, 3.0, 0.9

    def reference(_: int, w: Array, g: Array, state: dict[str, Array]) -> Array:
        state["m"] = momentum * state.get("m", np.zeros_like(w)) + (1 - momentum) * g
        ahead = momentum * state["m"] + (1 - momentum) * g
        matrices = ahead.reshape(-1, *w.shape[-2:])
        moments = state.setdefault("v", np.zeros((*matrices.shape[:2], 1)))
        update = np.zeros_like(matrices)
        for n, matrix in enumerate(matrices):
            begin = 0
            for height in rows or (w.shape[-2],):
                part = slice(begin, begin := begin + height)
                o = polar(matrix[part]) * math.sqrt(max(1.0, height / w.shape[-1]))
                if normalize:
                    moments[n, part] = 0.95 * moments[n, part] + 0.05 * (o * o).mean(1, keepdims=True)
                    even = o / np.sqrt(moments[n, part])
                    o = even * np.linalg.norm(o) / np.linalg.norm(even)
                update[n, part] = o
        u = update.reshape(w.shape)
        return w - lr * decay * w * (u * w >= 0 if cautious else 1.0) - lr * u

    def muon(parameters: list[nn.Parameter]) -> Muon:
        group = {"params": parameters, "rows": rows}
        return Muon([group], momentum, lr, decay, normalize=normalize, cautious=cautious)

    follow(muon, reference, size)


def polar(matrix: Array) -> Array:
    """Return Muon's polynomial of a matrix, in float64."""
    x = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = orthogonalize(torch.from_numpy(x.copy())[None])[0].numpy()
    return x if matrix.shape[0] <= matrix.shape[1] else x.T


def test_normalized_rows_have_one_size_and_keep_the_norm_of_the_matrix() -> None:
    generator = torch.Generator().manual_seed(0)
    updates = torch.randn(2, 6, 5, generator=generator) * torch.arange(1.0, 7.0)[:, None]
    found, _ = normalize_rows(updates, torch.zeros(2, 6, 1))
    rows = found.norm(dim=-1)
    assert torch.allclose(rows, rows[:, :1].expand(2, 6), rtol=1e-5)
    assert torch.allclose(found.norm(dim=(1, 2)), updates.norm(dim=(1, 2)), rtol=1e-5)


def test_a_row_without_gradients_stays_where_it_is() -> None:
    parameter = nn.Parameter(torch.ones(4, 3))
    parameter.grad = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    parameter.grad[1] = 0.0
    Muon([parameter], lr=0.1, normalize=True).step()
    assert torch.equal(parameter[1], torch.ones(3))
    assert torch.isfinite(parameter).all()


def test_momentum_is_set_for_muon_alone() -> None:
    optimizers = optim.build(transformer(), settings("muon"), CPU)
    optim.set_momentum(optimizers, 0.5)
    found = [members.get("momentum") for each in optimizers for members in each.param_groups]
    assert sorted(found, key=str) == [0.5] * 4 + [None] * 3


def test_the_momentum_that_is_set_is_the_one_of_the_next_step() -> None:
    pair = [nn.Parameter(torch.zeros(4, 4)) for _ in range(2)]
    for parameter, momentum in zip(pair, (0.5, 0.9), strict=True):
        optimizer = Muon([parameter], momentum=momentum)
        for step, each in enumerate((0.5, 0.7)):
            optim.set_momentum([optimizer], each)
            generator = torch.Generator().manual_seed(step)
            parameter.grad = torch.randn(4, 4, generator=generator)
            optimizer.step()
    assert torch.equal(*pair)


def test_muon_refuses_what_is_no_matrix_or_does_not_split() -> None:
    with pytest.raises(ValueError, match="changes matrices"):
        Muon([nn.Parameter(torch.zeros(4))])
    with pytest.raises(ValueError, match="changes matrices"):
        Muon([{"params": [nn.Parameter(torch.zeros(4, 4))], "rows": (3, 2)}])


# Resuming


def run(model: nn.Module, optimizers: list[torch.optim.Optimizer], first: int, end: int) -> None:
    for step in range(first, end):
        gradients(model, step)
        optim.set_rate(optimizers, 1 / (1 + step))
        for optimizer in optimizers:
            optimizer.step()


@pytest.mark.parametrize("name", EVERY)
def test_an_optimizer_goes_on_bitwise_from_its_state(name: str, tmp_path: Path) -> None:
    through, resumed = mixed(), mixed()
    optimizers = optim.build(through, settings(name), CPU)
    run(through, optimizers, 0, 5)
    torch.save(
        [through.state_dict(), *(optimizer.state_dict() for optimizer in optimizers)], tmp_path / "state"
    )
    run(through, optimizers, 5, 10)
    weights, *states = torch.load(tmp_path / "state", weights_only=True)
    resumed.load_state_dict(weights)
    again = optim.build(resumed, settings(name), CPU)
    for optimizer, state in zip(again, states, strict=True):
        optimizer.load_state_dict(state)
    run(resumed, again, 5, 10)
    for a, b in zip(through.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", EVERY)
def test_states_travel_by_parameter_names_through_distributed_checkpoints(name: str) -> None:
    through, resumed = mixed(), mixed()
    optimizers = optim.build(through, settings(name), CPU)
    run(through, optimizers, 0, 3)
    state = deepcopy(get_optimizer_state_dict(through, optimizers))
    assert "blocks.0.attention.qkv.weight" in state["state"]
    resumed.load_state_dict(through.state_dict())
    again = optim.build(resumed, settings(name), CPU)
    before = [p.detach().clone() for p in resumed.parameters()]
    empty = get_optimizer_state_dict(resumed, again)  # makes the states, with a step of rate 0
    assert all(torch.equal(p, q) for p, q in zip(resumed.parameters(), before, strict=True))
    assert empty["state"].keys() == state["state"].keys()
    set_optimizer_state_dict(resumed, again, state)
    run(through, optimizers, 3, 6)
    run(resumed, again, 3, 6)
    for a, b in zip(through.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_loaded_state_leaves_rates_and_decay_as_they_are_configured() -> None:
    model = mixed()
    old = optim.build(model, settings("muon", lr=0.5, matrix_lr=0.5, weight_decay=0.5), CPU)
    run(model, old, 0, 1)
    new = optim.build(model, settings("muon", lr=0.1, matrix_lr=0.2, weight_decay=0.3), CPU)
    expected = [[(g["name"], g["peak"], g["weight_decay"]) for g in each.param_groups] for each in new]
    set_optimizer_state_dict(model, new, get_optimizer_state_dict(model, old))
    found = [[(g["name"], g["peak"], g["weight_decay"]) for g in each.param_groups] for each in new]
    assert found == expected
    assert all(len(each.state) > 0 for each in new)


@pytest.mark.parametrize("name", EVERY)
def test_states_are_float32_and_of_the_weights_shapes(name: str) -> None:
    model = mixed()
    optimizers = optim.build(model, settings(name), CPU)
    run(model, optimizers, 0, 1)
    for optimizer in optimizers:
        for parameter, state in optimizer.state.items():
            for key, value in state.items():
                assert value.dtype == torch.float32
                assert key in ("step", "row_var", "col_var") or value.shape == parameter.shape


@pytest.mark.parametrize("name", EVERY)
def test_a_model_learns(name: str) -> None:
    model = mixed()
    optimizers = optim.build(model, settings(name), CPU)
    tokens = torch.randint(0, 300, (4, 17), generator=torch.Generator().manual_seed(0))
    documents = Documents.whole(4, 16, CPU)
    losses = []
    for _ in range(8):
        loss, _ = model(tokens[:, :-1], documents, tokens[:, 1:])
        losses.append(loss.item() / 64)
        model.zero_grad()
        (loss / 64).backward()
        for optimizer in optimizers:
            optimizer.step()
    assert all(b < a for a, b in pairwise(losses))


# Ranks


def _on_rank(world: World, folder: str) -> None:
    mesh = dist.init_device_mesh("cpu", (world.size,))
    for name in EVERY:
        for kind in ("fsdp", "ddp"):
            model = mixed()
            if kind == "fsdp":
                for block in model.blocks:
                    fully_shard(block, mesh=mesh)
                fully_shard(model, mesh=mesh)
            group = dist.group.WORLD if kind == "ddp" else None
            optimizers = optim.build(model, settings(name), CPU, group)
            guard = Guard(clip=1.0, outlier=6.0, patience=5)
            ema = Ema(model, 0.5)
            norms = []
            for step in range(2):
                generator = torch.Generator().manual_seed(step)
                for p in model.parameters():
                    gradient = torch.randn(p.shape, generator=generator)
                    p.grad = (
                        distribute_tensor(gradient, p.device_mesh, p.placements)
                        if isinstance(p, DTensor)
                        else gradient
                    )
                verdict = guard.check(torch.tensor(2.0), model.parameters())
                norms.append(verdict.decision.read().norm)
                optim.set_skip(optimizers, verdict.skip)
                for optimizer in optimizers:
                    optimizer.step()
                ema.update(verdict.skip)
            states = []
            with ema.swapped():
                every = [*model.named_parameters(), *model.named_buffers()]
                states.append({n: p.detach().clone() for n, p in every})
            states.append(dict(model.named_parameters()))
            whole = [
                {n: p.full_tensor() if isinstance(p, DTensor) else p for n, p in state.items()}
                for state in states
            ]
            torch.save((norms, *whole), f"{folder}/{name}-{kind}-{world.rank}")


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train with every optimizer on two ranks, sharded and replicated; give the folder of the results."""
    folder = tmp_path_factory.mktemp("ranks")
    on_ranks(_on_rank, str(folder))
    return folder


@pytest.mark.parametrize("kind", ["fsdp", "ddp"])
@pytest.mark.parametrize("name", EVERY)
def test_two_ranks_make_the_update_of_one(name: str, kind: str, two_ranks: Path) -> None:
    model = mixed()
    optimizers = optim.build(model, settings(name), CPU)
    guard = Guard(clip=1.0, outlier=6.0, patience=5)
    ema = Ema(model, 0.5)
    expected_norms = []
    for step in range(2):
        gradients(model, step)
        verdict = guard.check(torch.tensor(2.0), model.parameters())
        expected_norms.append(verdict.decision.read().norm)
        for optimizer in optimizers:
            optimizer.step()
        ema.update()
    found: list[tuple[dict[str, Tensor], ...]] = []
    for rank in range(2):
        norms, averages, weights = torch.load(two_ranks / f"{name}-{kind}-{rank}", weights_only=True)
        assert norms == pytest.approx(expected_norms, rel=1e-5)
        found.append((averages, weights))
    for number, expected in enumerate((ema.weights, dict(model.named_parameters()))):
        for parameter_name, tensor in expected.items():
            assert torch.equal(found[0][number][parameter_name], found[1][number][parameter_name])
            assert torch.allclose(found[0][number][parameter_name], tensor, rtol=1e-5, atol=1e-5)
