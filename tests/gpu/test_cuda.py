"""What only a GPU can show: its kernels give what the CPU gives, and a run on it learns and resumes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from token_shards import tokenizer, write

from corpus import settings
from corpus.teller import SILENT
from trainer import config, metrics, run
from trainer.attention import Documents, Pair, attend, mask
from trainer.experts import Stack
from trainer.load_run import load_run
from trainer.model import build
from trainer.shape import shape

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA GPU, and torch finds none here"
)
STARTS = torch.tensor([0, 100, 256, 300, 512], dtype=torch.int32)


def cuda() -> torch.device:
    return torch.device("cuda", 0)


@pytest.mark.parametrize("prefix", [0, 40])
@pytest.mark.parametrize(("heads", "kv_heads", "head"), [(4, 4, 64), (4, 2, 128)])
def test_flash_attention_over_packed_documents_is_that_of_the_mask(
    heads: int, kv_heads: int, head: int, prefix: int
) -> None:
    documents = Documents.of(STARTS.to(cuda()), 2, 256)
    if prefix:
        documents = documents.with_prefix(documents.positions < prefix)
    random = torch.Generator(cuda()).manual_seed(0)
    sizes = (heads, kv_heads, kv_heads)
    plain = [torch.randn(2, 256, size, head, device=cuda(), generator=random) for size in sizes]
    found = []
    for dtype in (torch.bfloat16, torch.float32):
        inputs = [each.to(dtype).requires_grad_() for each in plain]
        out = attend(*inputs, mask(documents, dtype))
        found.append([out, *torch.autograd.grad((out.float() ** 2).sum(), inputs)])
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours.float(), expected, atol=0.05, rtol=0.05)


def test_flash_cross_attention_is_that_of_the_mask() -> None:
    """The last document of the first row has no key: its queries have no targets, and are not compared."""
    outputs = Documents.of(torch.tensor([0, 30, 60, 64, 100, 128], dtype=torch.int32).to(cuda()), 2, 64)
    inputs = Documents.of(torch.tensor([0, 100, 256, 256, 300, 512], dtype=torch.int32).to(cuda()), 2, 256)
    pair, random = Pair(inputs, outputs), torch.Generator(cuda()).manual_seed(0)
    plain = [torch.randn(2, size, 4, 64, device=cuda(), generator=random) for size in (64, 256, 256)]
    some = (outputs.ids[:, :, None] == inputs.ids[:, None, :]).any(2)
    assert not some.all()
    found = []
    for dtype in (torch.bfloat16, torch.float32):
        tensors = [each.to(dtype).requires_grad_() for each in plain]
        out = attend(*tensors, mask(pair, dtype))[some]
        found.append([out, *torch.autograd.grad((out.float() ** 2).sum(), tensors)])
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours.float(), expected, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_grouped_product_of_experts_is_that_of_the_cpu(dtype: torch.dtype) -> None:
    """Also for experts with one token and with none, in any number: no group is padded."""
    random = torch.Generator().manual_seed(0)
    weight, x = torch.randn(6, 192, 64, generator=random), torch.randn(500, 64, generator=random)
    ends = torch.tensor([0, 1, 130, 130, 443, 500], dtype=torch.int32)
    found = []
    for on in ("cpu", "cuda"):
        stack = Stack(6, 64, 192)
        stack.weight = torch.nn.Parameter(weight.to(on))
        rows = x.to(on, dtype).requires_grad_()
        out = stack(rows, ends.to(on))
        gradients = torch.autograd.grad((out.float() ** 2).sum(), [rows, stack.weight])
        found.append([each.float().cpu() for each in (out, *gradients)])
    for expected, ours in zip(*found, strict=True):
        assert (ours - expected).norm() < 0.01 * expected.norm()


@pytest.mark.parametrize("experts", [0, 4])
def test_a_compiled_model_in_bfloat16_has_the_loss_of_the_cpu(experts: int) -> None:
    mixture = config.Experts(count=experts)
    made = shape(config.Model(depth=2, width=128, head=64, kv_heads=1, experts=mixture), 300)
    tokens = torch.randint(0, 300, (2, 257), generator=torch.Generator().manual_seed(0))
    losses = []
    for on, dtype in ((torch.device("cpu"), torch.float32), (cuda(), torch.bfloat16)):
        model = build(made, 0, on, dtype)
        model.compile_loss = on.type == "cuda"
        for block in model.blocks if on.type == "cuda" else ():
            block.compile(fullgraph=True, dynamic=False)
        documents = Documents.of(STARTS.to(on), 2, 256)
        loss, _ = model(tokens[:, :-1].to(on), documents, tokens[:, 1:].to(on))
        loss.backward()
        losses.append(float(loss))
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)


def test_a_run_learns_on_a_gpu_and_is_opened_on_it_and_on_a_cpu(tmp_path: Path) -> None:
    documents = [[(start + place) % 40 + 3 for place in range(30)] + [2] for start in range(64)]
    held = {"tur_Latn/web": [documents[:4]]}
    write(tmp_path / "corpus", {"tur_Latn/web": [documents]}, validation=held, model=tokenizer())
    data = {
        "model": {"depth": 1, "width": 64, "head": 64},
        "data": {"length": 64, "batch": 16, "tokens": 64 * 16 * 12},
        "evaluate": {"documents": 4},
        "run": {"device": "cuda", "log": [], "micro_batch": 512},
    }
    run.train(str(tmp_path / "corpus"), tmp_path / "run", settings.parse(config.Config, data, "test"), SILENT)
    losses = [line["loss"] for line in metrics.read(tmp_path / "run" / metrics.FILE, "train")]
    assert losses[-1] < losses[0] - 0.5
    weights = [load_run(tmp_path / "run", device=on).model.output.float().cpu() for on in ("cuda", "cpu")]
    assert torch.equal(*weights)
