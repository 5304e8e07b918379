"""The shingles of texts themselves, by which an estimate from signatures can be checked."""

from __future__ import annotations

from corpus.dedup.signature import SHINGLE_WORDS
from corpus.text.view import view


def shingles(text: str) -> frozenset[bytes]:
    """Return the distinct shingles of a text: five folded words each, as `signature` takes them."""
    seen = view(text)
    size = min(len(seen.word_starts), SHINGLE_WORDS)
    if size == 0:
        return frozenset()
    folded = seen.folded.tobytes()
    starts, ends = seen.word_starts.tolist(), seen.word_ends[size - 1 :].tolist()
    return frozenset(folded[start:end] for start, end in zip(starts, ends, strict=False))


def jaccard(left: frozenset[bytes], right: frozenset[bytes]) -> float:
    """Return the Jaccard similarity of two sets; 1 where both are empty."""
    both = len(left | right)
    return len(left & right) / both if both else 1.0
