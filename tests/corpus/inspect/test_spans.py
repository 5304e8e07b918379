"""Removed passages can be read, with the documents that keep them."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.errors import NotThereError
from corpus.inspect.spans import spans
from tests.pipelines import test_substrings as built
from tests.pipelines.test_dedupe import rows, write_parts


def test_passages_are_shown_with_the_document_that_keeps_them(tmp_path: Path) -> None:
    texts, passages = built.planted(6)
    write_parts(tmp_path, rows(texts[:2]), rows(texts)[2:])
    built.run(built.config(tmp_path))
    found = spans(str(tmp_path), limit=10)
    assert [each.text.strip() for each in found] == [*passages[:4], *passages[4:]]
    assert [(int(each.id, 16), int(each.kept, 16)) for each in found] == [(n, n - 1) for n in range(1, 6)] + [
        (5, 0)
    ]
    assert {each.rule for each in found} == {"dedupe.substrings"}
    assert len(spans(str(tmp_path), limit=2)) == 2
    assert [int(each.id, 16) for each in spans(str(tmp_path), id=f"{3:032X}")] == [3]
    with pytest.raises(NotThereError, match="no passage of a document whose id starts with 'f' was removed"):
        spans(str(tmp_path), id="f")
