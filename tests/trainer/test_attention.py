from typing import Any

import packed_attention
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainer import config, parallel
from trainer.attention import Documents, Pair, attend, mask
from trainer.model import build
from trainer.shape import shape
from trainer.world import World

ROWS, LENGTH = 2, 12


def documents_of(inner: set[int], capacity: int = 32) -> Documents:
    """Make documents of two rows that start at row starts and at `inner` positions of the flattened rows."""
    starts = sorted({row * LENGTH for row in range(ROWS)} | inner)
    starts += [ROWS * LENGTH] * (capacity - len(starts))
    return Documents.of(torch.tensor(starts, dtype=torch.int32), ROWS, LENGTH)


def plainly(query: Tensor, key: Tensor, value: Tensor, ids: Tensor) -> Tensor:
    """Attend as the definition says, one head and one query after another."""
    out = torch.zeros_like(query)
    group = query.shape[2] // key.shape[2]
    for row, time, head in torch.cartesian_prod(*(torch.arange(size) for size in query.shape[:3])).tolist():
        ours = [other for other in range(time + 1) if ids[row, other] == ids[row, time]]
        scores = key[row, ours, head // group] @ query[row, time, head] * query.shape[3] ** -0.5
        out[row, time, head] = scores.softmax(0) @ value[row, ours, head // group]
    return out


def heads(query_heads: int, kv_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    sizes = (query_heads, kv_heads, kv_heads)
    query, key, value = (torch.randn(ROWS, LENGTH, size, 8, generator=random) for size in sizes)
    return query, key, value


@given(st.sets(st.integers(0, ROWS * LENGTH - 1)))
@settings(deadline=None)
def test_documents_know_whose_each_token_is_and_where(inner: set[int]) -> None:
    documents = documents_of(inner)
    number, position = -1, -1
    for token, (id_, place) in enumerate(
        zip(documents.ids.flatten().tolist(), documents.positions.flatten().tolist(), strict=True)
    ):
        begins = token % LENGTH == 0 or token in inner
        number, position = (number + 1, 0) if begins else (number, position + 1)
        assert (id_, place) == (number, position)


def test_whole_windows_are_one_document_each() -> None:
    whole = Documents.whole(ROWS, LENGTH)
    for ours, expected in zip(
        (whole.ids, whole.positions),
        (documents_of(set()).ids, documents_of(set()).positions),
        strict=True,
    ):
        assert torch.equal(ours, expected)
    assert whole.cu_seqlens.tolist() == [0, LENGTH, 2 * LENGTH]


@given(st.sets(st.integers(0, ROWS * LENGTH - 1)), st.sampled_from([(2, 2), (4, 2), (3, 1)]))
@settings(deadline=None, max_examples=15)
def test_attention_is_causal_and_stays_inside_documents(inner: set[int], sizes: tuple[int, int]) -> None:
    documents = documents_of(inner)
    query, key, value = heads(*sizes)
    out = attend(query, key, value, mask(documents, query.dtype))
    torch.testing.assert_close(out, plainly(query, key, value, documents.ids), atol=2e-6, rtol=1e-5)


@given(st.sets(st.integers(0, ROWS * LENGTH - 1)), st.lists(st.integers(0, LENGTH), min_size=26, max_size=26))
@settings(deadline=None, max_examples=25)
def test_all_of_a_document_sees_its_prefix(inner: set[int], prefixes: list[int]) -> None:
    documents = documents_of(inner)
    inside = documents.positions < torch.tensor(prefixes)[documents.ids]
    given_ = documents.with_prefix(inside)
    seen = mask(given_, torch.float32)
    assert isinstance(seen, Tensor)
    for row, time, other in torch.cartesian_prod(
        torch.arange(ROWS), torch.arange(LENGTH), torch.arange(LENGTH)
    ).tolist():
        same = bool(documents.ids[row, time] == documents.ids[row, other])
        assert seen[row, 0, time, other] == (same and (other <= time or bool(inside[row, other])))
    packed_attention.install()
    query, key, value = heads(4, 2)
    torch.testing.assert_close(attend(query, key, value, given_), attend(query, key, value, seen))


def packed_and_masked(
    sizes: tuple[int, int], dtype: torch.dtype, run: Any = attend, *, prefix: bool = False
) -> list[list[Tensor]]:
    """Return attention and its gradients, by the packed path of GPUs and by the masked path of the CPU."""
    packed_attention.install()
    documents = documents_of({3, 4, 20})
    if prefix:
        documents = documents.with_prefix(documents.positions < 3)
    found = []
    for allowed in (documents, mask(documents, torch.float32)):
        inputs = [tensor.to(dtype).requires_grad_() for tensor in heads(*sizes)]
        out = (run if allowed is documents else attend)(*inputs, allowed)
        gradients = torch.autograd.grad((out.float() ** 2).sum(), inputs)
        found.append([out.detach(), *gradients])
    return found


@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize("sizes", [(2, 2), (4, 2)])
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 4e-2)])
def test_the_packed_path_of_gpus_gives_what_the_masked_path_gives(
    sizes: tuple[int, int], dtype: torch.dtype, near: float, prefix: bool
) -> None:
    packed, masked = packed_and_masked(sizes, dtype, prefix=prefix)
    for ours, expected in zip(packed, masked, strict=True):
        assert ours.shape == expected.shape
        torch.testing.assert_close(ours, expected, atol=near, rtol=near)


@pytest.mark.parametrize("prefix", [False, True])
def test_the_packed_path_compiles_whole_forward_and_backward(prefix: bool) -> None:
    compiled = torch.compile(attend, backend="aot_eager", fullgraph=True, dynamic=False)
    packed, masked = packed_and_masked((4, 2), torch.float32, compiled, prefix=prefix)
    for ours, expected in zip(packed, masked, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("sizes", [(2, 2), (4, 2)])
def test_cross_attention_stays_inside_documents(sizes: tuple[int, int]) -> None:
    """Eight queries of a row, whose documents are as many as those of its twelve keys, some without keys."""
    packed_attention.install()
    outputs = Documents.of(torch.tensor([0, 2, 5, 8, 8, 11, 16], dtype=torch.int32), ROWS, 8)
    inputs = Documents.of(torch.tensor([0, 7, 7, 12, 20, 24, 24], dtype=torch.int32), ROWS, LENGTH)
    pair = Pair(inputs, outputs)
    query, key, value = heads(*sizes)
    query = query[:, :8]
    seen = mask(pair, torch.float32)
    assert isinstance(seen, Tensor)
    packed, masked = attend(query, key, value, pair), attend(query, key, value, seen)
    some = (outputs.ids[:, :, None] == inputs.ids[:, None, :]).any(2)
    assert some.any()
    assert not some.all()
    torch.testing.assert_close(packed[some], masked[some])
    group = sizes[0] // sizes[1]
    for row, time, head in torch.cartesian_prod(*(torch.arange(size) for size in query.shape[:3])).tolist():
        ours = [other for other in range(LENGTH) if inputs.ids[row, other] == outputs.ids[row, time]]
        if ours:
            scores = key[row, ours, head // group] @ query[row, time, head] * query.shape[3] ** -0.5
            expected = scores.softmax(0) @ value[row, ours, head // group]
            torch.testing.assert_close(masked[row, time, head], expected, atol=2e-6, rtol=1e-5)


def test_a_model_learns_the_same_by_the_packed_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss and gradients of a whole model, with grouped heads, a short row and recomputed blocks."""
    packed_attention.install()
    made = shape(config.Model(depth=2, width=32, head=16, kv_heads=1), 300)
    documents = documents_of({3, 4, 20})
    tokens = torch.randint(0, 300, (ROWS, LENGTH + 1), generator=torch.Generator().manual_seed(0))
    found = []
    for path in (lambda documents, dtype: documents, mask):
        monkeypatch.setattr("trainer.model.mask", path)
        model = build(made, 0, "cpu", torch.float32)
        wrapped = parallel.wrap(model, World(0, 1, 0, torch.device("cpu")), "alone", recompute=True)
        loss, _ = wrapped(tokens[:, :-1], documents, tokens[:, 1:])
        loss.backward()
        found.append([loss.detach(), *(p.grad for p in model.parameters())])
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)
