"""True similarities are those of the texts' sets of shingles, however they are packed and sent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.dedup.proof import Shingled, pack, packed_shingles, similarities
from corpus.dedup.shingles import jaccard, shingles

TEXTS = st.lists(
    st.lists(st.sampled_from(["bir", "iki", "üç", "dört", "İç", "ıç"]), max_size=14).map(" ".join),
    min_size=2,
    max_size=6,
)


@given(TEXTS)
def test_similarities_are_those_of_the_sets(texts: list[str]) -> None:
    docs = np.arange(len(texts), dtype=np.uint64) * np.uint64(3)
    whole = Shingled.of(docs, texts)
    packed = packed_shingles([pack(whole, docs[1:]), pack(whole, docs[:1])])
    left, right = np.triu_indices(len(texts), 1)
    expected = [jaccard(shingles(texts[i]), shingles(texts[j])) for i, j in zip(left, right, strict=True)]
    for shingled in (whole, packed):
        found = similarities(docs[left], docs[right], shingled)
        assert found.tolist() == np.array(expected, np.float32).tolist()


def test_a_document_whose_shingles_did_not_come_is_named() -> None:
    shingled = Shingled.of(np.array([4], np.uint64), ["bir iki"])
    with pytest.raises(KeyError, match="document 5 were asked for"):
        similarities(np.array([4], np.uint64), np.array([5], np.uint64), shingled)
