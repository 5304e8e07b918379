import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from trainer import loss
from trainer.loss import IGNORED, linear_cross_entropy

TOKENS, WIDTH, VOCABULARY, ROWS = 37, 16, 50, 64
SETTINGS: list[dict[str, Any]] = [
    {},
    {"z_loss": 1e-2},
    {"soft_cap": 3.0},
    {"z_loss": 1e-2, "soft_cap": 3.0},
]


@pytest.fixture(params=[1, 10, 1000], ids="{} tokens a chunk".format)
def chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "_CPU_ELEMENTS", request.param * ROWS)


in_chunks = pytest.mark.usefixtures("chunks")


def example(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    hidden = torch.randn(TOKENS, WIDTH, generator=random).to(dtype).requires_grad_()
    weight = torch.randn(ROWS, WIDTH, generator=random).to(dtype).requires_grad_()
    targets = torch.randint(VOCABULARY, (TOKENS,), generator=random)
    targets[[0, 7, 8, TOKENS - 1]] = IGNORED
    return hidden, weight, targets


def plainly(
    hidden: Tensor, weight: Tensor, targets: Tensor, z_loss: float = 0.0, soft_cap: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Compute the same by torch, from all logits at once."""
    logits = (hidden @ weight.T)[:, :VOCABULARY]
    if soft_cap:
        logits = soft_cap * torch.tanh(logits / soft_cap)
    nll = functional.cross_entropy(logits, targets, reduction="none")
    partition = torch.logsumexp(logits, 1)[targets != IGNORED]
    return nll.sum() + z_loss * partition.square().sum(), nll.detach()


@in_chunks
def test_loss_and_gradients_are_those_of_torchs_own_product_with_cross_entropy() -> None:
    theirs = getattr(functional, "linear_cross_entropy", None)  # since torch 2.13
    if theirs is None:
        pytest.skip("this torch has no linear_cross_entropy")
    hidden, padded, targets = example()
    weight = padded.detach()[:VOCABULARY].clone().requires_grad_()
    found, _ = linear_cross_entropy(hidden, weight, targets, vocabulary=VOCABULARY)
    expected = theirs(hidden, weight, targets, reduction="sum", ignore_index=IGNORED)
    torch.testing.assert_close(found, expected)
    gradients = (torch.autograd.grad(each, [hidden, weight]) for each in (found, expected))
    torch.testing.assert_close(*gradients)


@in_chunks
@pytest.mark.parametrize("options", SETTINGS)
def test_loss_and_gradients_are_those_of_torch(options: dict[str, Any]) -> None:
    results = []
    for function, extra in ((plainly, {}), (linear_cross_entropy, {"vocabulary": VOCABULARY})):
        hidden, weight, targets = example()
        total, nll = function(hidden, weight, targets, **options, **extra)  # type: ignore[operator]
        (total / 100).backward()
        results.append((total.detach(), nll, hidden.grad, weight.grad))
        assert not nll.requires_grad
    torch.testing.assert_close(results[1], results[0], atol=1e-5, rtol=1e-5)
    assert not results[1][3][VOCABULARY:].any(), "padded rows have no gradient"


@in_chunks
@pytest.mark.parametrize("options", SETTINGS)
def test_the_gradient_is_the_derivative(options: dict[str, Any]) -> None:
    hidden, weight, targets = example(torch.float64)

    def total(hidden: Tensor, weight: Tensor) -> Tensor:
        return linear_cross_entropy(hidden, weight, targets, vocabulary=VOCABULARY, **options)[0]

    few = slice(0, 9)
    targets = targets[few]
    inputs = (hidden[few].detach().requires_grad_(), weight)
    assert torch.autograd.gradcheck(total, inputs, fast_mode=True)


@pytest.mark.parametrize("options", [{}, {"z_loss": 1e-2, "soft_cap": 3.0}])
def test_compiled_it_is_the_same(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = torch.compile(loss._chunk, backend="eager", fullgraph=True)
    monkeypatch.setattr(loss, "_compiled_chunk", lambda: compiled)
    results = []
    for each in (False, True):
        hidden, weight, targets = example()
        total, nll = linear_cross_entropy(
            hidden, weight, targets, vocabulary=VOCABULARY, compiled=each, **options
        )
        total.backward()
        results.append((total.detach(), nll, hidden.grad, weight.grad))
    torch.testing.assert_close(results[1], results[0])


@pytest.mark.parametrize("wanted", [(True, False), (False, True)])
def test_either_gradient_may_be_unwanted(wanted: tuple[bool, bool]) -> None:
    hidden, weight, targets = example()
    both = torch.autograd.grad(plainly(hidden, weight, targets)[0], (hidden, weight))
    for tensor, want in zip((hidden, weight), wanted, strict=True):
        tensor.requires_grad_(want)
    linear_cross_entropy(hidden, weight, targets, vocabulary=VOCABULARY)[0].backward()
    for tensor, want, gradient in zip((hidden, weight), wanted, both, strict=True):
        if want:
            torch.testing.assert_close(tensor.grad, gradient, atol=1e-5, rtol=1e-5)
        else:
            assert tensor.grad is None


def test_without_gradients_the_loss_is_the_same_and_none_are_made() -> None:
    hidden, weight, targets = example()
    expected = linear_cross_entropy(hidden, weight, targets, vocabulary=VOCABULARY)
    with torch.no_grad():
        total, nll = linear_cross_entropy(hidden, weight, targets, vocabulary=VOCABULARY)
    assert not total.requires_grad
    assert torch.equal(total, expected[0])
    assert torch.equal(nll, expected[1])


@in_chunks
def test_targets_that_are_all_ignored_cost_nothing() -> None:
    hidden, weight, targets = example()
    total, nll = linear_cross_entropy(
        hidden, weight, torch.full_like(targets, IGNORED), vocabulary=VOCABULARY, z_loss=1.0
    )
    total.backward()
    assert total.item() == 0
    assert not nll.any()
    assert hidden.grad is not None
    assert weight.grad is not None
    assert not hidden.grad.any()
    assert not weight.grad.any()


def test_large_logits_do_not_overflow() -> None:
    hidden, weight, targets = example()
    total, _ = linear_cross_entropy(hidden * 1e4, weight, targets, vocabulary=VOCABULARY)
    total.backward()
    torch.testing.assert_close(total, plainly(hidden * 1e4, weight, targets)[0])
    assert hidden.grad is not None
    assert hidden.grad.isfinite().all()


def test_half_precision_is_that_of_the_products_alone() -> None:
    """States in bfloat16, weights in float32: the loss is float32, and the masters get a float32 gradient."""
    hidden, weight, targets = example()
    exact = torch.autograd.grad(plainly(hidden, weight, targets)[0], (hidden, weight))
    halves = hidden.detach().bfloat16().requires_grad_()
    total, nll = linear_cross_entropy(halves, weight, targets, vocabulary=VOCABULARY)
    total.backward()
    assert (total.dtype, nll.dtype) == (torch.float32, torch.float32)
    assert halves.grad is not None
    assert weight.grad is not None
    assert (halves.grad.dtype, weight.grad.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(total, plainly(hidden, weight, targets)[0], rtol=1e-2, atol=0)
    for ours, theirs in zip((halves.grad.float(), weight.grad), exact, strict=True):
        assert (ours - theirs).norm() < 2e-2 * theirs.norm()


def test_the_gradient_of_the_weight_is_summed_in_full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small chunks in bfloat16 give the gradient of one chunk: no sum is rounded to bfloat16."""
    hidden, weight, targets = example()
    gradients: list[Tensor] = []
    for chunk in (1, 600):
        monkeypatch.setattr(loss, "_CPU_ELEMENTS", chunk * ROWS)
        weight.grad = None
        # One token, many times: each chunk adds a little to a large sum.
        many = hidden.detach().bfloat16()[5].expand(600, -1)
        linear_cross_entropy(many, weight, targets[5].expand(600), vocabulary=VOCABULARY)[0].backward()
        assert weight.grad is not None
        gradients.append(weight.grad)
    assert (gradients[0] - gradients[1]).norm() < 1e-2 * gradients[1].norm()


def test_confident_tokens_keep_their_gradient_in_half_precision() -> None:
    """A probability that rounds to 1 in bfloat16 still leaves the gradient p - 1 of the target."""
    hidden = torch.tensor([[6.5, 0.0]], dtype=torch.bfloat16, requires_grad=True)
    weight = torch.eye(2, requires_grad=True)
    linear_cross_entropy(hidden, weight, torch.tensor([0]), vocabulary=2)[0].backward()
    assert weight.grad is not None
    exact = -6.5 / (1 + math.exp(6.5))
    assert weight.grad[0, 0].item() == pytest.approx(exact, rel=0.01)


def test_the_scale_of_the_loss_is_not_rounded_to_half_precision() -> None:
    hidden, weight, targets = example()
    gradients = []
    for scale in (1.0, 187.5 / 2**17):  # in bfloat16 off by 0.27 %
        halves = hidden.detach().bfloat16().requires_grad_()
        (linear_cross_entropy(halves, weight, targets, vocabulary=VOCABULARY)[0] * scale).backward()
        assert halves.grad is not None
        gradients.append(halves.grad.double() / scale)
    ratio = (gradients[0] * gradients[1]).sum() / gradients[0].square().sum()
    assert ratio.item() == pytest.approx(1, abs=1e-3)


def test_logits_never_exist_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    product = loss._product

    def watched(a: Tensor, b: Tensor) -> Tensor:
        out = product(a, b)
        sizes.append(tuple(out.shape))
        return out

    monkeypatch.setattr(loss, "_CPU_ELEMENTS", 5 * ROWS)
    monkeypatch.setattr(loss, "_product", watched)
    hidden, weight, targets = example()
    linear_cross_entropy(hidden, weight, targets, vocabulary=VOCABULARY)[0].backward()
    assert {size for size in sizes if size != weight.shape} == {(5, ROWS), (TOKENS % 5, ROWS)}
