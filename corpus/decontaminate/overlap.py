"""How much of a reference a document holds: n-grams of stems find the place, an alignment measures it.

A document's 3- and 5-grams are looked up among those of all references. Where one is found, the reference is
aligned with the words around it: the score is the share of the reference's words that stand there in their
order, weighted by rarity (IDF over the references). The scheme is that of decon (allenai, 2025), without
sampling, and with an alignment instead of n-gram overlap: a changed stem breaks five n-grams but one word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corpus.decontaminate.references import LEAST_WORDS, Reference

LONG, SHORT = 5, 3
"""Stems of an n-gram that finds a reference: of a long one, and of one below `LONG_WORDS`."""

LONG_WORDS = 12
MOST_POSTINGS = 64
"""References that one n-gram finds; an n-gram of more of them says nothing about any."""

TOLERANCE, SHORT_TOLERANCE = 0.2, 0.25
"""The share that may differ at the limit of 0.8: of a long reference, and of one below `LONG_WORDS`.

One changed word is more of a short text. A text of `LEAST_WORDS` must be whole.
"""

ANSWERED_WORDS = 20
"""A reference below this length, whose answer is known, is found only with the answer near by."""

NEAR_WORDS = 50
"""How near: words before and after the place."""


@dataclass(frozen=True, slots=True)
class Index:
    """References as packed arrays."""

    stems: NDArray[np.uint64]  # of all references, one after the other
    weights: NDArray[np.float32]  # of each of them: its IDF
    ends: NDArray[np.int64]  # [references] where their stems end
    answers: NDArray[np.uint64]
    answer_ends: NDArray[np.int64]  # [references]
    grams: NDArray[np.uint64]  # sorted hashes of n-grams
    gram_ends: NDArray[np.int64]  # [grams] where their postings end
    postings: NDArray[np.int32]  # [n, 2] reference, place of the n-gram in it
    bits: NDArray[np.uint64]  # a bit of each n-gram's hash: most n-grams of a document have none


def build(references: Sequence[Reference]) -> Index:
    """Return the index of references."""
    stems = np.concatenate([each.stems for each in references])
    lengths = [each.stems.size for each in references]
    names, inverse = np.unique(stems, return_inverse=True)
    owners = np.repeat(np.arange(len(references)), lengths)
    pairs = np.unique(np.stack([inverse, owners], axis=1), axis=0)
    held = np.bincount(pairs[:, 0], minlength=names.size)
    weights = np.log(1.0 + len(references) / held).astype(np.float32)[inverse]
    grams, gram_ends, postings = _postings(references)
    bits = np.zeros(1 << max(6, int(grams.size * 16).bit_length() - 6), np.uint64)
    _set_bits(bits, grams)
    answers = [each.answer for each in references]
    return Index(
        stems,
        weights,
        np.cumsum(lengths),
        np.concatenate([np.empty(0, np.uint64), *answers]),
        np.cumsum([each.size for each in answers]),
        grams,
        gram_ends,
        postings,
        bits,
    )


def _postings(
    references: Sequence[Reference],
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int32]]:
    """Return the n-grams of all references and where each stands; without those of too many references."""
    hashes, places = [], []
    for number, reference in enumerate(references):
        found = _grams(reference.stems, LONG if reference.stems.size >= LONG_WORDS else SHORT)
        hashes.append(found)
        places.append(np.stack([np.full(found.size, number), np.arange(found.size)], axis=1))
    gram, place = np.concatenate(hashes), np.concatenate(places).astype(np.int32)
    order = np.argsort(gram, kind="stable")
    gram, place = gram[order], place[order]
    names, counts = np.unique(gram, return_counts=True)
    # Where all n-grams of a reference are frequent, its rarest one counts: so each can be found.
    few = np.repeat(counts <= MOST_POSTINGS, counts)
    rarest = np.full(len(references), np.iinfo(np.int64).max)
    each = np.repeat(counts, counts)
    np.minimum.at(rarest, place[:, 0], each)
    kept = few | (each == rarest[place[:, 0]])
    names, counts = np.unique(gram[kept], return_counts=True)
    return names, np.cumsum(counts), place[kept]


@njit(inline="always")
def _gram(stems, at, size):  # type: ignore[no-untyped-def]
    h = np.uint64(size)
    for word in range(at, at + size):
        h = (h ^ stems[word]) * np.uint64(0x9E3779B97F4A7C15)
        h = h ^ (h >> np.uint64(29))
    return h * np.uint64(0xBF58476D1CE4E5B9)


@njit(cache=True)
def _grams(stems, size):  # type: ignore[no-untyped-def]
    found = np.empty(stems.size - size + 1, dtype=np.uint64)
    for at in range(found.size):
        found[at] = _gram(stems, at, size)
    return found


@njit(inline="always")
def _bit(bits, gram):  # type: ignore[no-untyped-def]
    place = gram >> np.uint64(26)  # the upper bits are the well mixed ones
    return (place >> np.uint64(6)) & np.uint64(bits.size - 1), np.uint64(1) << (place & np.uint64(63))


@njit(cache=True)
def _set_bits(bits, grams):  # type: ignore[no-untyped-def]
    for gram in grams:
        word, bit = _bit(bits, gram)
        bits[word] |= bit


_NONE = np.empty(0, np.float32)


def best(stems: NDArray[np.uint64], index: Index, highest: NDArray[np.float32] = _NONE) -> tuple[float, int]:
    """Return the score, 0 to 1, of the reference that a document holds most of, and its number (-1: none).

    A score of 0.8 or more says that at most `TOLERANCE` of a reference differs (`SHORT_TOLERANCE` of a short
    one); 1 is every stem in its order. `stems` are those of the document. `highest`, float32[references],
    is raised to the scores of all references that it holds something of.
    """
    score, reference = _best(
        stems, index.stems, index.weights, index.ends, index.answers, index.answer_ends,
        index.grams, index.gram_ends, index.postings, index.bits, highest,
    )  # fmt: skip
    return float(score), int(reference)


@njit(cache=True)
def _best(  # type: ignore[no-untyped-def]
    doc, stems, weights, ends, answers, answer_ends, grams, gram_ends, postings, bits, highest
):
    score, found = 0.0, -1
    seen = np.full(64, -1, dtype=np.int64)  # references that were aligned lately, and up to which word
    until = np.zeros(64, dtype=np.int64)
    for at in range(doc.size - SHORT + 1):
        for size in (SHORT, LONG):
            if at + size > doc.size:
                continue
            gram = _gram(doc, at, size)
            word, bit = _bit(bits, gram)
            if not bits[word] & bit:
                continue
            number = np.searchsorted(grams, gram)
            if number == grams.size or grams[number] != gram:
                continue
            first = gram_ends[number - 1] if number else 0
            for posting in range(first, gram_ends[number]):
                reference = postings[posting, 0]
                slot = reference & 63
                if seen[slot] == reference and at < until[slot]:
                    continue
                start = ends[reference - 1] if reference else 0
                length = ends[reference] - start
                low = max(0, at - postings[posting, 1] - 2 - length // 8)
                high = min(doc.size, at - postings[posting, 1] + length + 2 + length // 8)
                share = _aligned(
                    doc[low:high], stems[start : start + length], weights[start : start + length]
                )
                allowed = TOLERANCE if length >= LONG_WORDS else SHORT_TOLERANCE
                if length == LEAST_WORDS:
                    allowed = 1e-6
                share = max(0.0, 1.0 - (1.0 - share) * 0.2 / allowed)
                seen[slot], until[slot] = reference, high - size + 1
                if share <= score and (not highest.size or share <= highest[reference]):
                    continue
                if length < ANSWERED_WORDS and not _is_answered(
                    doc[max(0, low - NEAR_WORDS) : high + NEAR_WORDS], answers, answer_ends, reference
                ):
                    continue
                if share > score:
                    score, found = share, reference
                if highest.size:
                    highest[reference] = max(highest[reference], share)
    return score, found


@njit(cache=True)
def _aligned(doc, stems, weights):  # type: ignore[no-untyped-def]
    """Return the share of the weights of the longest common subsequence."""
    best = np.zeros(doc.size + 1, dtype=np.float32)
    total = np.float32(0.0)
    for word in range(stems.size):
        total += weights[word]
        before = np.float32(0.0)  # best[at] of the row before
        for at in range(doc.size):
            kept = best[at + 1]
            if doc[at] == stems[word]:
                best[at + 1] = max(kept, before + weights[word])
            elif best[at] > kept:
                best[at + 1] = best[at]
            before = kept
    return best[doc.size] / total


@njit(cache=True)
def _is_answered(doc, answers, answer_ends, reference):  # type: ignore[no-untyped-def]
    """Return whether most of the answer's stems stand in the words; an answer of three or fewer whole."""
    first = answer_ends[reference - 1] if reference else 0
    size = answer_ends[reference] - first
    there = 0
    for word in range(first, first + size):
        for at in range(doc.size):
            if doc[at] == answers[word]:
                there += 1
                break
    return there == size if size <= 3 else there >= 0.8 * size
