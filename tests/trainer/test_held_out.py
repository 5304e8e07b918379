"""Held-out documents come back from their file as they were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from comparisons import write_corpora

from trainer import held_out, tokens


def test_documents_are_read_as_they_were_written(tmp_path: Path) -> None:
    opened = {name: tokens.open(folder) for name, folder in write_corpora(tmp_path).items()}
    held = held_out.choose(opened, 7, 0)
    path = held_out.write(tmp_path, held)
    read = held_out.read(path)
    assert held_out.digest(path) == read.digest == held.digest
    for name, sample in held.samples.items():
        other = read.samples[name]
        assert (sample.vocabulary, sample.bos, sample.exact) == (other.vocabulary, other.bos, other.exact)
        for one, two in zip(sample.documents, other.documents, strict=True):
            assert (one.language, one.source, one.id, one.bytes) == (
                two.language,
                two.source,
                two.id,
                two.bytes,
            )
            assert np.array_equal(one.tokens, two.tokens)
