"""Columns of a manifest: the same values, whether packed in JSON's text or not."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import batches
from corpus.batches import Batches, Digests, Numbers

_numbers = st.lists(st.integers(0, 2**63 - 1), max_size=9)
_digests = st.lists(st.from_regex(r"[0-9a-f]{16}", fullmatch=True), max_size=9)


@given(_numbers)
def test_numbers_are_those_that_were_packed(values: list[int]) -> None:
    column = Numbers(Numbers.pack(values))
    assert column == tuple(values)
    assert list(column) == values
    assert len(column) == len(values)
    assert np.array_equal(column.array(), np.array(values, np.int64))
    assert pickle.loads(pickle.dumps(column)) == column


@given(_digests)
def test_checksums_are_those_that_were_packed(values: list[str]) -> None:
    column = Digests(Digests.pack(values))
    assert column == tuple(values)
    assert len(column) == len(values)
    assert list(column) == values


@given(_numbers, _digests)
def test_batches_come_back_from_json(numbers: list[int], digests: list[str]) -> None:
    values = dict.fromkeys(("offset", "length", "documents", "tokens"), numbers) | {"xxh3": digests}
    made = Batches.model_validate(values)
    text = made.model_dump_json()
    assert Batches.model_validate_json(text) == made
    assert all(isinstance(column, str) for column in json.loads(text).values())
    assert made == Batches.model_validate(made.model_dump(mode="json"))


def test_a_column_that_is_replaced_by_plain_numbers_is_written_as_such() -> None:
    changed = batches.NONE.model_copy(update={"tokens": (1, 2)})
    assert Batches.model_validate_json(changed.model_dump_json()).tokens == (1, 2)


def test_columns_of_other_values_differ() -> None:
    assert Numbers(Numbers.pack([1])) != Numbers(Numbers.pack([2]))
    assert Numbers(Numbers.pack([1])) != (2,)
    assert Numbers(Numbers.pack([1])) != "1"


@pytest.mark.parametrize("value", [[-1], ["a"], "€"])
def test_what_is_no_column_of_numbers_is_refused(value: object) -> None:
    with pytest.raises((ValueError, OverflowError)):
        list(Batches.model_validate({**batches.NONE.model_dump(), "tokens": value}).tokens)
