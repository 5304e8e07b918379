"""Products in 8-bit floats: those of the quantised matrices, in training alone; a model learns."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from corpus.errors import ConfigError
from trainer import config, device, float8, optim
from trainer.attention import Documents
from trainer.layers import Linear
from trainer.model import Transformer, build
from trainer.shape import shape

RANDOM = torch.Generator().manual_seed(0)


def drawn(*size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(size, generator=RANDOM).to(dtype)


def back(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Quantise a tensor: its largest value becomes the largest of the format."""
    scale = tensor.abs().max().float() / torch.finfo(dtype).max
    return (tensor.float() / scale).to(dtype).float() * scale


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_product_and_its_gradients_are_those_of_the_quantised_matrices(dtype: torch.dtype) -> None:
    x, weight = drawn(2, 16, 48, dtype=dtype).requires_grad_(), drawn(32, 48).requires_grad_()
    gradient = drawn(2, 16, 32, dtype=dtype)
    out = float8.product(x, weight)
    assert (out.dtype, out.shape) == (dtype, (2, 16, 32))
    found = [out, *torch.autograd.grad(out, [x, weight], gradient)]
    states = back(x.detach(), torch.float8_e4m3fn).flatten(0, 1)
    matrix = back(weight.detach().to(dtype), torch.float8_e4m3fn)
    given = back(gradient, torch.float8_e5m2).flatten(0, 1)
    wanted = [(states @ matrix.T).view(2, 16, 32), (given @ matrix).view(2, 16, 48), given.T @ states]
    rough = 1e-5 if dtype == torch.float32 else 1e-2
    for ours, expected in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours.float(), expected, atol=rough * 10, rtol=rough)
    exact = (x @ weight.to(dtype).T).float()
    assert 0.0 < (out.float() - exact).norm() / exact.norm() < 0.06


def test_zeros_are_a_product_of_zeros() -> None:
    assert not float8.product(torch.zeros(16, 16), torch.zeros(16, 16)).any()


def made(width: int, float8_too: bool) -> Transformer:
    model = build(
        shape(config.Model(depth=2, width=width, head=width // 2, hidden=32), 64), 0, "cpu", torch.float32
    )
    if float8_too:
        assert float8.convert(model.blocks) == (8 if width % 16 == 0 else 0)
    return model


def losses(model: Transformer, steps: int) -> list[float]:
    """Train on one batch; return the mean losses."""
    tokens = torch.randint(0, 64, (4, 33), generator=torch.Generator().manual_seed(0))
    documents, found = Documents.whole(4, 32), []
    optimizers = optim.build(model, config.Optimizer(), torch.device("cpu"))
    for _ in range(steps):
        loss, _ = model(tokens[:, :-1], documents, tokens[:, 1:])
        (loss / 128).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        found.append(loss.item() / 128)
    return found


def test_a_model_overfits_as_it_does_in_single_precision() -> None:
    plain, quantised = losses(made(32, False), 60), losses(made(32, True), 60)
    assert plain != quantised
    assert quantised[0] == pytest.approx(plain[0], rel=1e-3)
    assert quantised[-1] < 0.1
    assert abs(quantised[30] - plain[30]) < 0.05 * plain[0]


def test_what_does_not_fit_stays_and_an_evaluation_is_as_without_it() -> None:
    tokens = torch.arange(32).view(1, 32)
    for width in (32, 40):
        plain, changed = made(width, False), made(width, True)
        used = [name for name, module in changed.named_modules() if getattr(module, "product", None)]
        assert isinstance(changed.head, Linear)
        assert "head" not in used
        same = [torch.equal(*(model.hidden(tokens, Documents.whole(1, 32)) for model in (plain, changed)))]
        plain.eval()
        changed.eval()
        same.append(torch.equal(*(m.hidden(tokens, Documents.whole(1, 32)) for m in (plain, changed))))
        assert same == [width == 40, True]
    x, weight = drawn(15, 32), drawn(16, 32)  # 15 states
    assert torch.equal(float8.product(x, weight), x @ weight.T)


def test_it_compiles_whole() -> None:
    x, weight = drawn(16, 32).requires_grad_(), drawn(48, 32).requires_grad_()
    compiled = torch.compile(float8.product, backend="aot_eager", fullgraph=True)
    found, expected = (
        torch.autograd.grad(f(x, weight).sum(), [x, weight]) for f in (compiled, float8.product)
    )
    torch.testing.assert_close(found, expected)


def test_a_gpu_without_such_products_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "A100")
    sizes, cuda = shape(config.Model(depth=1, width=128, head=64), 300), torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0))
    with pytest.raises(ConfigError, match=r"run\.fp8 = true: A100 has compute capability 8\.0, .* need 8\.9"):
        device.check(sizes, cuda, torch.bfloat16, fp8=True)
    device.check(sizes, cuda, torch.bfloat16)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 9))
    device.check(sizes, cuda, torch.bfloat16, fp8=True)
