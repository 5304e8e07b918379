from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainer import attention
from trainer.attention import Documents, attend, mask

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


@pytest.mark.parametrize("sizes", [(2, 2), (4, 2)])
def test_the_packed_kernel_is_called_so_that_it_gives_the_same(
    sizes: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel runs on CUDA alone; here a stand-in does what its documentation says."""

    def packed(
        query: Tensor, key: Tensor, value: Tensor, starts: Tensor, key_starts: Tensor, *most: int, **rest: Any
    ) -> Tensor:
        assert rest.pop("window_size") == (-1, 0)
        assert rest == ({"enable_gqa": True} if query.shape[1] != key.shape[1] else {})
        assert starts is key_starts
        assert starts.dtype == torch.int32
        assert most == (LENGTH, LENGTH)
        ids = torch.bucketize(torch.arange(len(query)), starts, right=True)
        return plainly(query[None], key[None], value[None], ids[None])[0]

    monkeypatch.setattr(attention, "varlen_attn", packed)
    documents = documents_of({3, 4, 20})
    query, key, value = heads(*sizes)
    out = attend(query, key, value, documents)
    torch.testing.assert_close(out, attend(query, key, value, mask(documents, query.dtype)))
