"""Signatures are datasketch's, and the kernel reads words as its contract says."""

from __future__ import annotations

import numpy as np
import pytest
import xxhash
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.dedup.signature import (
    EMPTY,
    estimate_jaccard,
    permutations,
    s_curve,
    signature,
    xxh32,
)
from corpus.schema import PERMUTATIONS
from corpus.text.view import view

WORDS = st.lists(st.text("abcçğıöşüé漢字0123456789", min_size=1, max_size=12), max_size=40)


def split(words: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a text view holds, made the slow way."""
    encoded = [word.encode() for word in words]
    lengths = np.array([len(word) for word in encoded], dtype=np.int32)
    ends = np.cumsum(lengths + 1, dtype=np.int32) - 1
    return np.frombuffer(b" ".join(encoded), dtype=np.uint8), ends - lengths, ends


def oracle(words: list[str]) -> np.ndarray:
    sketch = MinHash(num_perm=PERMUTATIONS, seed=1, hashfunc=xxhash.xxh32_intdigest, scheme="affine32")
    size = min(5, len(words))
    shingles = [" ".join(words[i : i + size]).encode() for i in range(len(words) - size + 1)] if words else []
    sketch.update_batch(shingles)
    return sketch.hashvalues


@settings(deadline=None)  # the first call compiles
@given(st.binary(max_size=200), st.integers(0, 8), st.integers(0, 8))
def test_xxh32_is_that_of_xxhash_at_any_place_of_a_buffer(data: bytes, before: int, after: int) -> None:
    buffer = np.frombuffer(b"\xaa" * before + data + b"\xbb" * after, dtype=np.uint8)
    assert xxh32(buffer, before, before + len(data)) == xxhash.xxh32_intdigest(data)


def test_the_permutations_are_those_of_datasketch() -> None:
    a, b = permutations()
    assert np.array_equal(np.stack([a, b]), MinHash(num_perm=PERMUTATIONS, seed=1).permutations)


def test_the_permutations_give_the_published_vector() -> None:
    sketch = MinHash(num_perm=4, permutations=permutations(4), scheme="affine32")
    sketch.update_batch([b"hello", b"world"])
    assert sketch.hashvalues.tolist() == [625790555, 194865109, 1355773502, 1324736089]


@settings(deadline=None)  # the first call compiles
@given(WORDS)
def test_signature_is_that_of_datasketch(words: list[str]) -> None:
    assert np.array_equal(signature(*split(words)), oracle(words))


@pytest.mark.parametrize("count", [1, 4, 5, 6, 8, 9, 300])
def test_any_number_of_words_is_sketched_whole(count: int) -> None:
    words = [f"sözcük{i}" for i in range(count)]
    assert np.array_equal(signature(*split(words)), oracle(words))


def test_a_text_without_words_has_the_empty_signature() -> None:
    assert (signature(*split([])) == EMPTY).all()
    assert np.array_equal(signature(*split([])), oracle([]))


def test_the_signature_of_a_view_is_that_of_its_folded_words() -> None:
    seen = view("IŞIK ışık, Işık; İstanbul'un ışığı — 1923'te gölgesi uzun bir akşamdı.")
    words = seen.folded.tobytes().decode().split(" ")
    assert words[:4] == ["işik", "işik", "işik", "istanbul'un"]
    assert np.array_equal(signature(seen.folded, seen.word_starts, seen.word_ends), oracle(words))


def test_estimated_jaccard_is_the_share_of_equal_places() -> None:
    left = np.arange(2 * PERMUTATIONS, dtype=np.uint32).reshape(2, PERMUTATIONS)
    right = left.copy()
    right[1, :28] += 1
    assert estimate_jaccard(left, right).tolist() == [1.0, 0.75]


def test_estimated_jaccard_is_near_the_true_one() -> None:
    words = [f"k{i}" for i in range(2000)]
    other = words[:1700] + [f"b{i}" for i in range(300)]
    true = (1700 - 4) / (2 * 1996 - (1700 - 4))
    assert abs(estimate_jaccard(signature(*split(words)), signature(*split(other))) - true) < 0.13


def test_s_curve_has_the_published_values() -> None:
    assert [round(s_curve(j), 3) for j in (0.7, 0.8, 0.9)] == [0.565, 0.924, 1.0]
    assert [round(s_curve(j, 9, 13), 3) for j in (0.7, 0.8, 0.9)] == [0.084, 0.399, 0.929]
