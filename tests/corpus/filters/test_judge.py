"""`decide` and `decide_columns` agree on all values and limits; equal parameters measure equal values."""

from __future__ import annotations

import math
import typing
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpus.filters import FAMILIES, RULES, Preset, decide, decide_columns, judge, rule_names, same_values
from corpus.filters.preset import Between
from corpus.text.view import view
from tests.corpus.filters.presets import preset

STOP_WORDS = ("ve", "bir", "the")
PLUGINS = ("number", "verdict")


def limits() -> st.SearchStrategy[dict[str, dict[str, Any]]]:
    """Return random limits of the families' rules, each given or not."""
    tables = {}
    for family in FAMILIES:
        hints = typing.get_type_hints(family.limits)
        keys = {}
        for rule in family.rules:
            is_count = int in typing.get_args(hints[rule.key])
            keys[rule.key] = st.integers(1, 40) if is_count else st.floats(0.0, 1.0)
        tables[family.name] = st.fixed_dictionaries({}, optional=keys)
    return st.fixed_dictionaries(tables)


def ranges() -> st.SearchStrategy[bool | Between]:
    numbers = st.floats(-100.0, 100.0)
    both = st.tuples(numbers, numbers).map(lambda pair: Between(min=min(pair), max=max(pair)))
    return (
        st.booleans() | numbers.map(lambda x: Between(min=x)) | numbers.map(lambda x: Between(max=x)) | both
    )


@st.composite
def presets(draw: st.DrawFn) -> Preset:
    tables = draw(limits())
    tables["gopher"]["stop_words"] = STOP_WORDS
    own = {name: draw(ranges()) for name in PLUGINS}
    return preset(**tables).model_copy(update={"plugin": own})


@st.composite
def cases(draw: st.DrawFn) -> tuple[Preset, list[list[float]]]:
    """Return a preset and rows of values, many of which are its limits themselves, or absent."""
    chosen = draw(presets())
    edges = [limit for bound in chosen.bounds for limit in (bound.low, bound.high) if math.isfinite(limit)]
    value = st.floats(-1.0, 50.0) | st.just(math.nan) | st.sampled_from([0.0, 1.0, *edges])
    width = len(rule_names(chosen))
    return chosen, draw(st.lists(st.lists(value, min_size=width, max_size=width), max_size=8))


def one_by_one(chosen: Preset, rows: list[list[float]]) -> list[str]:
    drops = [decide(row, chosen) for row in rows]
    return [drop.rule if drop else "" for drop in drops]


def by_column(chosen: Preset, columns: dict[str, Any]) -> list[str]:
    names = (*rule_names(chosen), "")
    return [names[index] for index in decide_columns(columns, chosen)]


@given(cases())
def test_columns_are_decided_as_documents_are_one_by_one(case: tuple[Preset, list[list[float]]]) -> None:
    chosen, rows = case
    names = rule_names(chosen)
    values = np.array(rows, dtype=np.float64).reshape(len(rows), len(names))
    columns = dict(zip(names, values.T, strict=True))
    expected = one_by_one(chosen, rows)
    assert by_column(chosen, columns) == expected
    stored = {name: pa.array(column, from_pandas=True) for name, column in columns.items()}  # nan is null
    assert by_column(chosen, stored) == expected


WORDS = st.sampled_from([*STOP_WORDS, "ağaç", "1", "#", "…", "...", "{", "lorem ipsum", "-", "uzunca"])
TEXTS = st.lists(st.lists(WORDS, max_size=12).map(" ".join), max_size=8).map("\n".join) | st.text(max_size=80)


@given(st.lists(TEXTS, max_size=4), presets())
@example(["ve bir ağaç. " * 20, ""], preset(gopher={"min_words": 60}))
def test_random_documents_meet_the_same_fate_in_columns(texts: list[str], chosen: Preset) -> None:
    chosen = chosen.model_copy(update={"plugin": {}})
    judged = [judge(view(text), chosen) for text in texts]
    columns = {
        name: [float(each.values[at]) for each in judged] for at, name in enumerate(rule_names(chosen))
    }
    expected = [each.drop.rule if each.drop else "" for each in judged]
    assert by_column(chosen, columns) == expected


def test_columns_without_a_rule_that_has_a_limit_are_refused() -> None:
    with pytest.raises(KeyError, match=r"gopher\.min_words"):
        decide_columns({"gopher.hashes": [0.0]}, preset(gopher={"min_words": 3}))


@given(TEXTS, limits(), limits())
def test_presets_that_differ_in_limits_measure_the_same(text: str, one: Any, other: Any) -> None:
    first, second = (
        preset(**{**tables, "gopher": tables["gopher"] | {"stop_words": STOP_WORDS}})
        for tables in (one, other)
    )
    assert same_values(first, second)
    values = [judge(view(text), each).values for each in (first, second)]
    assert np.array_equal(values[0], values[1], equal_nan=True)


PARAMETERS = {
    "gopher.stop_words": ("ve",),
    "gopher.skip_headings": True,
    "c4.remove_citations": True,
    "c4.max_word_length": 20,
    "c4.terminal_punctuation": True,
    "c4.min_words_per_line": 3,
    "c4.javascript": True,
    "c4.policy_phrases": ("gizlilik politika",),
    "c4.policy_max_words": 9,
    "c4.policy_min_share": 0.5,
    "fineweb.short_line_chars": 12,
    "own.prose_words": 12,
}


def test_every_parameter_is_tried() -> None:
    assert set(PARAMETERS) == {each.name for family in FAMILIES for each in family.parameters}


@pytest.mark.parametrize("name", PARAMETERS)
def test_presets_that_differ_in_a_parameter_do_not_measure_the_same(name: str) -> None:
    table, _, key = name.partition(".")
    changed = preset(**{table: {key: PARAMETERS[name]}})
    assert same_values(changed, changed)
    assert not same_values(changed, preset())
    assert not same_values(preset(), changed)


def test_plugins_are_the_same_by_their_names_and_order_whatever_their_limits() -> None:
    def own(**limits: bool | Between) -> Preset:
        return preset().model_copy(update={"plugin": limits})

    assert same_values(own(a=True, b=Between(max=1.0)), own(a=False, b=Between(min=0.5)))
    assert not same_values(own(a=True, b=True), own(b=True, a=True))
    assert not same_values(own(a=True), own(a=True, b=True))
    assert not same_values(own(), own(a=True))


def test_the_values_of_a_judgement_are_those_of_the_rules_in_order() -> None:
    chosen = preset()
    assert rule_names(chosen) == tuple(rule.name for rule in RULES)
    assert judge(view("Bir söz."), chosen).values.shape == (len(RULES),)
