"""Documents are repeated by their number of copies as FineWeb2 does."""

from __future__ import annotations

import numpy as np
import pytest

from corpus.dedup.rehydrate import repeats, score_repeats


def test_documents_are_repeated_by_copies_as_fineweb2_does() -> None:
    copies = np.array([1, 2, 3, 4, 5, 99, 100, 999, 1_000, 50_000])
    assert repeats(copies).tolist() == [1, 2, 3, 3, 5, 5, 8, 8, 1, 1]
    assert repeats(np.empty(0, np.uint32)).size == 0
    with pytest.raises(ValueError, match="0 copies"):
        repeats(np.array([3, 0]))


def test_documents_are_repeated_by_the_last_score_that_they_reach() -> None:
    scores = np.array([np.nan, -5.0, 0.5, 0.79, 0.8, 2.0])
    assert score_repeats(scores, [(0.5, 2), (0.8, 7)]).tolist() == [1, 1, 2, 2, 7, 7]
