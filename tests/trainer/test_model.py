import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._dynamo.testing import CompileCounter
from torch.nn import functional

from trainer.attention import Documents
from trainer.config import Experts, Model
from trainer.layers import Norm
from trainer.loss import IGNORED
from trainer.model import KVCache, Transformer, build
from trainer.shape import shape

VOCABULARY, ROWS, LENGTH = 300, 3, 24
SMALL = Model(depth=2, width=48, head=16)
VARIANTS = {
    "plain": SMALL,
    "grouped": SMALL.model_copy(update={"kv_heads": 1}),
    "relu2": SMALL.model_copy(update={"activation": "relu2", "qk_norm": False}),
    "tied": SMALL.model_copy(update={"tied": True, "soft_cap": 15.0}),
    "experts": SMALL.model_copy(update={"experts": Experts(count=4)}),
    "softmax": SMALL.model_copy(
        update={"experts": Experts(count=6, active=3, shared=0, balance=0.0, scores="softmax")}
    ),
}
variants = pytest.mark.parametrize("variant", VARIANTS)


def make(variant: str = "plain", dtype: torch.dtype = torch.float32, **options: Any) -> Transformer:
    return build(shape(VARIANTS[variant], VOCABULARY), 0, "cpu", dtype, **options)


def lively(variant: str = "plain") -> Transformer:
    """Make a model whose weights are so large that every part of it shows in the logits."""
    model = make(variant)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.mul_(1.2 if "norm" in name else 0.1 / parameter.std())
    return model


def example(starts: tuple[int, ...] = (0, 10, 24, 48, 49, 60)) -> tuple[Tensor, Documents, Tensor]:
    """Return tokens, documents and targets of three rows of 24; some targets are masked."""
    random = torch.Generator().manual_seed(1)
    tokens, targets = torch.randint(VOCABULARY, (2, ROWS, LENGTH), generator=random)
    targets[0, [3, 9]] = IGNORED
    targets[2, 5:] = IGNORED
    ends = [ROWS * LENGTH] * (16 - len(starts))
    return tokens, Documents.of(torch.tensor([*starts, *ends], dtype=torch.int32), ROWS, LENGTH), targets


@variants
def test_the_first_loss_is_that_of_a_guess(variant: str) -> None:
    loss, nll = make(variant)(*example())
    assert loss.item() / (nll != 0).sum().item() == pytest.approx(math.log(VOCABULARY), abs=0.05)


@variants
def test_every_parameter_begins_as_it_should(variant: str) -> None:
    sizes = shape(VARIANTS[variant].model_copy(update={"depth": 8, "width": 128}), VOCABULARY)
    deviations = {"head": 0.001, "out": 0.02 / 4, "down": 0.02 / 4}
    if not sizes.tied:
        deviations["embedding"] = 1.0
    for name, parameter in build(sizes, 0, "cpu", torch.bfloat16).named_parameters():
        kind = name.split(".")[-2]
        assert parameter.dtype == torch.float32, name
        if "norm" in kind:
            assert torch.equal(parameter, torch.ones_like(parameter)), name
        else:
            deviation = deviations.get(kind, 0.02)
            chance = 4 / math.sqrt(parameter.numel())
            assert parameter.std().item() == pytest.approx(deviation, rel=chance), name
            assert abs(parameter.mean().item()) < chance * deviation, name
            assert parameter.abs().max().item() < 6 * deviation, name


def test_parameters_depend_on_their_names_and_the_seed_alone() -> None:
    one = dict(make().named_parameters())
    torch.rand(10)
    again = dict(make().named_parameters())
    deeper = dict(
        build(
            shape(SMALL.model_copy(update={"depth": 3}), VOCABULARY), 0, "cpu", torch.float32
        ).named_parameters()
    )
    other = dict(build(shape(SMALL, VOCABULARY), 1, "cpu", torch.float32).named_parameters())
    assert all(torch.equal(one[name], again[name]) for name in one)
    drawn = [name for name in one if one[name].ndim == 2]
    assert not any(torch.equal(one[name], other[name]) for name in drawn)
    assert torch.equal(one["blocks.1.attention.qkv.weight"], deeper["blocks.1.attention.qkv.weight"])
    assert not torch.equal(one["blocks.0.attention.qkv.weight"], one["blocks.1.attention.qkv.weight"])


def test_a_model_has_the_parameters_that_it_names_and_nothing_else_to_lose() -> None:
    model = make()
    assert set(model.state_dict()) == set(dict(model.named_parameters()))
    assert not list(model.named_buffers(remove_duplicate=False))
    assert set(dict(model.named_parameters())) == {
        "embedding.weight",
        "norm.weight",
        "head.weight",
        *(
            f"blocks.{block}.{part}.weight"
            for block in (0, 1)
            for part in [
                *(f"attention.{name}" for name in ("norm", "qkv", "q_norm", "k_norm", "out")),
                *(f"feed.{name}" for name in ("norm", "gate_up", "down")),
            ]
        ),
    }


@variants
def test_the_loss_is_the_sum_over_targets(variant: str) -> None:
    model, (tokens, documents, targets) = lively(variant), example()
    model.z_loss = 0.01
    loss, nll = model(tokens, documents, targets)
    logits = model.logits(model.hidden(tokens, documents))
    expected = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    torch.testing.assert_close(nll, expected.view_as(nll).detach(), atol=2e-5, rtol=1e-5)
    assert torch.equal(nll == 0, targets == IGNORED)
    partition = logits.logsumexp(-1)[targets != IGNORED]
    torch.testing.assert_close(loss, expected.sum() + 0.01 * partition.square().sum())


def test_dropout_draws_in_training_alone_and_leaves_the_mean() -> None:
    plain, dropped = make(), make(dropout=0.2)
    assert plain.state_dict().keys() == dropped.state_dict().keys()
    held = example()
    torch.manual_seed(0)
    first = dropped(*held)[0].item()
    assert first != dropped(*held)[0].item()
    torch.manual_seed(0)
    assert first == dropped(*held)[0].item()
    assert dropped.eval()(*held)[0].item() == plain(*held)[0].item()
    block = dropped.blocks[0].drop.train()
    ones = torch.ones(100_000)
    assert block(ones).mean().item() == pytest.approx(1.0, abs=0.01)
    assert (block(ones) == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)


def test_rows_of_padding_are_never_predicted() -> None:
    model, (tokens, documents, targets) = lively(), example()
    logits = model.logits(model.hidden(tokens, documents))
    assert logits.shape == (ROWS, LENGTH, 384)
    assert logits[..., :VOCABULARY].isfinite().all()
    assert (logits[..., VOCABULARY:] == -torch.inf).all()
    model(tokens, documents, targets)[0].backward()
    assert not model.head.weight.grad[VOCABULARY:].any()


def test_capped_logits_stay_below_the_cap() -> None:
    model, (tokens, documents, _) = lively("tied"), example()
    with torch.no_grad():
        model.embedding.weight.mul_(100)
    logits = model.logits(model.hidden(tokens, documents))[..., :VOCABULARY]
    assert 14 < logits.abs().max() <= 15


@pytest.fixture(scope="module")
def model() -> Transformer:
    return lively().requires_grad_(False)


@given(st.data())
@settings(deadline=None, max_examples=20)
def test_editing_one_document_never_changes_another(model: Transformer, data: st.DataObject) -> None:
    inner = data.draw(st.sets(st.integers(1, ROWS * LENGTH - 1), max_size=8))
    tokens, documents, _ = example(tuple(sorted({0, LENGTH, 2 * LENGTH} | inner)))
    edited = data.draw(st.integers(0, int(documents.ids.max())))
    inside = documents.ids == edited
    changed = torch.where(inside, (tokens + 1) % VOCABULARY, tokens)
    before, after = (model.logits(model.hidden(ids, documents)) for ids in (tokens, changed))
    assert torch.equal(before[~inside], after[~inside])
    assert not torch.equal(before[inside], after[inside])


def test_a_token_never_sees_a_later_one(model: Transformer) -> None:
    tokens, documents, _ = example()
    for place in (5, 15):
        changed = tokens.clone()
        changed[:, place] += 1
        before, after = (model.hidden(ids % VOCABULARY, documents) for ids in (tokens, changed))
        assert torch.equal(before[:, :place], after[:, :place])


def test_a_document_is_read_the_same_wherever_it_lies(model: Transformer) -> None:
    tokens, documents, _ = example((0, 10, 24, 48))
    alone = tokens[:1, 10:24]
    packed = model.hidden(tokens, documents)[:1, 10:24]
    torch.testing.assert_close(packed, model.hidden(alone, Documents.whole(1, 14)), atol=1e-5, rtol=1e-5)


def test_positions_matter_and_only_their_differences() -> None:
    model = lively()
    tokens, documents, _ = example((0, 24, 48))
    shifted = replace(documents, positions=documents.positions + 1000)
    stretched = replace(documents, positions=documents.positions * 2)
    plain, moved, other = (model.hidden(tokens, each) for each in (documents, shifted, stretched))
    torch.testing.assert_close(plain, moved, atol=2e-3, rtol=0)
    assert (plain - other).abs().max() > 0.05


@variants
def test_reading_by_and_by_with_a_cache_gives_the_same(variant: str) -> None:
    model = lively(variant).requires_grad_(False)
    tokens, _, _ = example()
    whole = model.hidden(tokens, Documents.whole(ROWS, LENGTH))
    cache = KVCache(model.shape, ROWS, LENGTH, "cpu", torch.float32)
    pieces = [model.hidden(piece, cache=cache) for piece in tokens.split([7, 1, 1, 12, 1, 2], dim=1)]
    torch.testing.assert_close(torch.cat(pieces, 1), whole, atol=1e-5, rtol=1e-5)
    assert cache.lengths.tolist() == [LENGTH] * ROWS


@variants
def test_prompts_of_different_lengths_share_a_cache(variant: str) -> None:
    model = lively(variant).requires_grad_(False)
    tokens, _, _ = example()
    whole = model.hidden(tokens, Documents.whole(ROWS, LENGTH))
    lengths = torch.tensor([4, 9, 1])
    cache = KVCache(model.shape, ROWS, LENGTH, "cpu", torch.float32)
    prompts = torch.where(torch.arange(9) < lengths[:, None], tokens[:, :9], 0)
    first = model.hidden(prompts, cache=cache)
    cache.trim(lengths)
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(first[row, :length], whole[row, :length], atol=1e-5, rtol=1e-5)
    rows = torch.arange(ROWS)
    for step in range(8):
        states = model.hidden(tokens[rows, lengths + step][:, None], cache=cache)
        torch.testing.assert_close(states[:, 0], whole[rows, lengths + step], atol=1e-5, rtol=1e-5)
    assert cache.lengths.tolist() == (lengths + 8).tolist()


def test_rows_of_a_cache_can_be_chosen_and_go_on_apart(model: Transformer) -> None:
    tokens, _, _ = example()
    lengths = torch.tensor([10, 6, 8])
    cache = KVCache(model.shape, ROWS, LENGTH, "cpu", torch.float32)
    model.hidden(tokens[:, :10], cache=cache)
    cache.trim(lengths)
    index = torch.tensor([2, 0, 0, 1])
    chosen = cache.select(index)
    following = torch.stack([tokens[row, lengths[row] : lengths[row] + 4] for row in index.tolist()])
    ahead = model.hidden(following, cache=chosen)
    other = model.hidden((tokens[:, 10:14] + 1) % VOCABULARY, cache=cache)
    for row, origin in enumerate(index.tolist()):
        end = int(lengths[origin]) + 4
        whole = model.hidden(tokens[origin, None, :end], Documents.whole(1, end))
        torch.testing.assert_close(ahead[row], whole[0, -4:], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(other[0], ahead[1], atol=1e-2)


def test_a_cache_that_is_too_small_says_so(model: Transformer) -> None:
    cache = KVCache(model.shape, ROWS, 8, "cpu", torch.float32)
    tokens, documents, _ = example()
    model.hidden(tokens[:, :6], cache=cache)
    with pytest.raises(ValueError, match="cache holds 8 tokens per row: 6 are used and 3 more"):
        model.hidden(tokens[:, :3], cache=cache)
    with pytest.raises(ValueError, match="either documents or a cache"):
        model.hidden(tokens, documents, cache)
    with pytest.raises(ValueError, match="either documents or a cache"):
        model.hidden(tokens)


@pytest.mark.parametrize("variant", ["plain", "tied", "experts"])
def test_accumulation_gives_the_gradient_of_the_whole_batch(variant: str) -> None:
    """1×8, 2×4 and 4×2: sums over targets, divided by the targets of the whole batch, whatever the parts."""
    random = torch.Generator().manual_seed(2)
    tokens, targets = torch.randint(VOCABULARY, (2, 8, LENGTH), generator=random)
    targets[torch.arange(8)[:, None] * 3 > torch.arange(LENGTH)] = IGNORED  # rows have unequal numbers
    cuts = torch.randint(1, LENGTH, (8,), generator=random)
    gradients = []
    for rows in (8, 4, 2):
        model = lively(variant)
        for start in range(0, 8, rows):
            part = slice(start, start + rows)
            starts = torch.arange(rows) * LENGTH
            cu_seqlens = [*torch.stack([starts, starts + cuts[part]], 1).flatten().tolist(), rows * LENGTH]
            documents = Documents.of(torch.tensor(cu_seqlens, dtype=torch.int32), rows, LENGTH)
            loss, _ = model(tokens[part], documents, targets[part])
            (loss / (targets != IGNORED).sum()).backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for other in gradients[1:]:
        for name, gradient in gradients[0].items():
            assert gradient is not None
            assert gradient.any(), name
            assert (gradient - other[name]).norm() < 1e-6 * max(1.0, gradient.norm().item()), name


def test_tied_the_output_layer_is_the_embedding_and_gets_both_gradients() -> None:
    model, untied = (
        lively("tied"),
        build(
            shape(VARIANTS["tied"].model_copy(update={"tied": False}), VOCABULARY), 0, "cpu", torch.float32
        ),
    )
    assert model.output.data_ptr() == model.embedding.weight.data_ptr()
    assert not hasattr(model, "head")
    untied.load_state_dict({**model.state_dict(), "head.weight": model.embedding.weight})
    for each in (model, untied):
        each(*example())[0].backward()
    both = untied.embedding.weight.grad + untied.head.weight.grad
    assert untied.embedding.weight.grad.any()
    torch.testing.assert_close(model.embedding.weight.grad, both)


def test_norms_are_computed_in_full_precision() -> None:
    """Of numbers whose squares overflow half precision, and whose sum bfloat16 cannot hold."""
    norm = Norm(4096)
    random = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4096, generator=random)
    norm.weight.data = 1 + 0.003 * torch.randn(4096, generator=random)  # bfloat16 would round it to 1
    for dtype, scale in ((torch.float16, 3e3), (torch.bfloat16, 1.0)):
        rounded = (x * scale).to(dtype)
        exact = norm(rounded.double().float())
        assert norm(rounded).dtype == dtype
        torch.testing.assert_close(norm(rounded), exact.to(dtype), atol=0, rtol=0)


def test_half_precision_stays_near_full_precision() -> None:
    full, half = make(), make(dtype=torch.bfloat16)
    tokens, documents, targets = example()
    assert half.hidden(tokens, documents).dtype == torch.bfloat16
    results = []
    for model in (full, half):
        loss, nll = model(tokens, documents, targets)
        loss.backward()
        results.append((loss, nll, {name: p.grad for name, p in model.named_parameters()}))
        assert all(gradient.dtype == torch.float32 for gradient in results[-1][2].values())
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-3, atol=0)
    for name, gradient in results[0][2].items():
        assert (gradient - results[1][2][name]).norm() < 0.05 * gradient.norm(), name


def test_a_block_compiles_whole_and_once_for_all_documents() -> None:
    model, counter = make("grouped"), CompileCounter()
    plain = [model(*example(starts))[0] for starts in ((0, 24, 48), (0, 3, 24, 30, 48))]
    for block in model.blocks:
        block.compile(backend=counter, fullgraph=True, dynamic=False)
    compiled = [model(*example(starts))[0] for starts in ((0, 24, 48), (0, 3, 24, 30, 48))]
    torch.testing.assert_close(compiled, plain)
    assert counter.frame_count == 1


def test_it_learns() -> None:
    model, (tokens, documents, targets) = make(), example()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss, _ = model(tokens, documents, targets)
        losses.append(loss.item())
        optimizer.zero_grad()
        (loss / (targets != IGNORED).sum()).backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 10
