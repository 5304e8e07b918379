"""A mixture of experts is the sum that its papers write down, and its load evens out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._dynamo.testing import CompileCounter
from torch.nn import functional

from corpus.errors import ConfigError
from trainer.config import Config
from trainer.experts import Balance, Experts, Stack, grouped
from trainer.model import Transformer, build
from trainer.model_config import Model
from trainer.shape import Shape, shape
from trainer.world import World

ALONE = World(0, 1, 0, torch.device("cpu"))
QWEN: dict[str, Any] = {"scores": "softmax", "shared": 0, "balance": 0.0}


def sizes(**experts: Any) -> Shape:
    given = {"depth": 2, "width": 32, "head": 16, "experts": {"count": 6, **experts}}
    return shape(Model.model_validate(given), 300)


def lively(**experts: Any) -> Experts:
    """Make a layer whose weights are large, and whose biases change the choice."""
    layer = layers(build(sizes(**experts), 0, "cpu", torch.float32))[0]
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            parameter.mul_(1.0 if "norm" in name else 0.2 / parameter.std())
        if not layer.router.softmax:
            layer.router.bias.copy_(torch.linspace(-0.3, 0.3, 6))
    return layer


def layers(model: Transformer) -> list[Experts]:
    return [module for module in model.modules() if isinstance(module, Experts)]


def states(rows: int = 2, length: int = 11, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(rows, length, 32, generator=torch.Generator().manual_seed(1)).to(dtype)


def written_down(layer: Experts, x: Tensor) -> Tensor:
    """Compute a layer token by token and expert by expert, as the papers write it."""
    out = []
    for token in layer.norm(x).flatten(0, 1):
        logits = layer.router.weight @ token
        scores = logits.softmax(0) if layer.router.softmax else logits.sigmoid()
        biased = (scores.detach() + layer.router.bias).tolist()
        best = sorted(range(6), key=lambda e: -biased[e])[: layer.active]
        total = torch.zeros_like(token)
        for e in best:
            gate, up = (layer.gate_up.weight[e] @ token).chunk(2)
            made = layer.down.weight[e] @ (functional.silu(gate) * up)
            total = total + scores[e] / sum(scores[each] for each in best) * made
        if layer.shared is not None:
            gate, up = (layer.shared.gate_up.weight @ token).chunk(2)
            total = total + layer.shared.down.weight @ (functional.silu(gate) * up)
        out.append(total)
    return torch.stack(out).view_as(x)


KINDS: list[dict[str, Any]] = [{}, {"active": 1, "shared": 2}, {"active": 3, "shared": 0}, QWEN]


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_and_its_gradients_are_those_of_the_papers_sum(kind: dict[str, Any]) -> None:
    layer = lively(**kind)
    x, y = states().requires_grad_(), states().requires_grad_()
    found, expected = layer(x), written_down(layer, y)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    weights = torch.linspace(-1, 1, found.numel()).view_as(found)
    gradients = torch.autograd.grad((found * weights).sum(), [x, *layer.parameters()])
    wanted = torch.autograd.grad((expected * weights).sum(), [y, *layer.parameters()])
    torch.testing.assert_close(gradients, wanted, atol=2e-5, rtol=1e-4)


@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 40), st.integers(0, 2**31))
@settings(deadline=None, max_examples=60)
def test_choices_are_grouped_by_expert_and_come_back(
    experts: int, active: int, tokens: int, seed: int
) -> None:
    chosen = torch.randint(experts, (tokens, active), generator=torch.Generator().manual_seed(seed))
    ends, of, to = grouped(chosen, experts)
    flat = chosen.flatten()
    assert ends.dtype == torch.int32  # what the grouped product takes
    assert ends.tolist() == [int((flat <= e).sum()) for e in range(experts)]
    assert flat[of].tolist() == sorted(flat.tolist())
    assert torch.equal(of[to], torch.arange(len(flat)))
    for begin, end in zip([0, *ends.tolist()], ends.tolist(), strict=False):
        assert of[begin:end].tolist() == sorted(of[begin:end].tolist())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_grouped_product_is_the_loop_over_experts(dtype: torch.dtype) -> None:
    """Also where an expert has no token, and its gradient is zero."""
    generator = torch.Generator().manual_seed(0)
    stack = Stack(4, 16, 24)
    with torch.no_grad():
        stack.weight.normal_(generator=generator)
    ends = torch.tensor([3, 3, 10, 17], dtype=torch.int32)
    x = torch.randn(17, 16, generator=generator).to(dtype).requires_grad_()
    weight = stack.weight.detach().clone().requires_grad_()
    y = x.detach().clone().requires_grad_()
    parts = zip([0, *ends.tolist()], ends.tolist(), weight.to(dtype), strict=False)
    expected = torch.cat([y[begin:end] @ matrix.T for begin, end, matrix in parts])
    found = stack(x, ends)
    assert torch.equal(found, expected)
    gradients = torch.autograd.grad(found.float().square().sum(), [x, stack.weight])
    wanted = torch.autograd.grad(expected.float().square().sum(), [y, weight])
    assert torch.equal(gradients[0], wanted[0])
    assert torch.equal(gradients[1], wanted[1])
    assert [bool(each.any()) for each in gradients[1]] == [True, False, True, True]


def test_a_bias_changes_the_choice_and_no_weight() -> None:
    router = lively().router
    x = states().flatten(0, 1)
    weights, _ = router(x)
    router.bias.copy_(torch.tensor([9.0, 8.0, 0, 0, 0, 0]))
    forced, chosen = router(x)
    assert (chosen == torch.tensor([0, 1])).all()
    scores = (x @ router.weight.T).sigmoid()[:, :2]
    torch.testing.assert_close(forced, scores / scores.sum(1, keepdim=True))
    for each in (weights, forced):
        torch.testing.assert_close(each.sum(1), torch.ones(len(x)))


def test_the_router_chooses_in_full_precision() -> None:
    layer = lively()
    x = states(dtype=torch.bfloat16)
    weights, _ = layer.router(layer.norm(x).flatten(0, 1))
    assert weights.dtype == torch.float32
    assert layer(x).dtype == torch.bfloat16


@pytest.mark.parametrize("kind", [{}, QWEN])
def test_in_half_precision_a_layer_compiles_whole_and_once_for_any_choice(kind: dict[str, Any]) -> None:
    layer, counter = lively(**kind), CompileCounter()
    compiled = torch.compile(layer.forward, backend=counter, fullgraph=True, dynamic=False)
    for seed in range(3):
        x = torch.randn(2, 11, 32, generator=torch.Generator().manual_seed(seed)).bfloat16()
        out = compiled(x)
        load = layer.router.load.clone()
        layer.router.load.zero_()
        torch.testing.assert_close(out, layer(x))
        assert torch.equal(load, layer.router.load)
        assert load.sum() == 2 * 11 * layer.active
    assert counter.frame_count == 1


def test_biases_follow_the_load_of_all_micro_batches() -> None:
    model = build(sizes(balance=0.25), 0, "cpu", torch.float32)
    balance = Balance(model, 0.25)
    routers = [layer.router for layer in layers(model)]
    for load in ([5, 1, 2, 2, 2, 0], [1, 1, 2, 2, 2, 4]):  # 6, 2, 4, 4, 4, 4
        for router in routers:
            router.load = torch.tensor(load)
        balance.add()
    balance.end(ALONE)
    balance.update()
    for router in routers:
        assert router.bias.tolist() == [-0.25, 0.25, 0, 0, 0, 0]
    assert balance.load.tolist() == [[6, 2, 4, 4, 4, 4]] * 2
    numbers = balance.numbers()
    assert numbers == pytest.approx({"busiest": 0.25, "even": 1 / 6, "violation": 0.5, "idle": 0.0})
    routers[0].load, routers[1].load = torch.tensor([12, 0, 0, 0, 0, 0]), torch.tensor([2] * 6)
    balance.add()
    balance.end(ALONE)  # nothing is left of the step before
    assert balance.numbers() == pytest.approx(
        {"busiest": 1.0, "even": 1 / 6, "violation": 2.5, "idle": 5 / 12}
    )


def test_biases_even_out_a_router_that_prefers_an_expert() -> None:
    """Its weights stay: the biases alone do it."""
    model = build(sizes(), 0, "cpu", torch.float32)
    layer, balance = layers(model)[0], Balance(model, 0.01)
    with torch.no_grad():
        layer.router.weight.normal_(0.0, 0.1, generator=torch.Generator().manual_seed(0))
        layer.router.weight[0] += 0.5 * torch.ones(32)
    violations = []
    for seed in range(120):
        x = torch.randn(8, 32, 32, generator=torch.Generator().manual_seed(seed)) + 0.5
        layer(x)
        balance.add()
        balance.end(ALONE)
        balance.update()
        share = balance.load[0] / balance.load[0].sum()
        violations.append(float(share.max() * 6 - 1))
    assert violations[0] > 1.5
    assert max(violations[-10:]) < 0.5


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            {"experts": {"count": 4, "active": 4}},
            r"experts\.active = 4: expected less than .*count = 4",
        ),
        ({"experts": {"active": 1}}, r"experts\.count = 0: other keys"),
        ({"hidden": 64, "experts": {"count": 4, "hidden": 32}}, "set only one of them"),
        ({"activation": "relu2", "experts": {"count": 4}}, 'activation = "relu2": expected "swiglu"'),
        ({"experts": {"count": 4, "scores": "softmax"}}, r"set experts\.shared = 0 and"),
    ],
)
def test_experts_that_do_not_fit_are_refused(model: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Model.model_validate(model)


def test_an_encoder_has_no_experts() -> None:
    given = {"model": {"experts": {"count": 4}, "qk_norm": False}, "objective": {"name": "masked"}}
    with pytest.raises(ValueError, match=r"set model\.experts\.count = 0, because EuroBERT"):
        Config.model_validate(given)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"experts": {"count": 4, "hidden": 12}}, r"model\.experts\.hidden = 12: expected a multiple of 8"),
        ({"width": 30, "head": 10, "experts": {"count": 4}}, r"model\.width = 30: expected a multiple of 8"),
    ],
)
def test_sizes_that_grouped_products_do_not_take_are_refused(model: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        shape(Model.model_validate({"depth": 1, **model}), 300)
