"""A text through all filters: every rule's value, the first rule that drops it, and what remains of it.

Values are measured once and stored; `decide` and `decide_columns` read nothing else, so that other limits
can be tried without the texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from corpus.filters.document import Document
from corpus.filters.drop import Drop
from corpus.filters.families import FAMILIES, RULES
from corpus.filters.plugins import Plugin
from corpus.filters.preset import Bound, Preset
from corpus.text.view import TextView

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the filters found in a text.

    `values` has the value of every rule, in the order of `rule_names`, for texts that are dropped too; nan
    where a text has none. `view` is the text without the lines that were removed, `lines` counts these by
    the key that removed them.
    """

    values: Values
    drop: Drop | None
    view: TextView
    lines: dict[str, int]


def rule_names(preset: Preset) -> tuple[str, ...]:
    """Return the names of all rules in the order of `Judgement.values`: of families, plugins, and models."""
    return (*(rule.name for rule in RULES), *preset.added)


def judge(
    view: TextView, preset: Preset, plugins: Sequence[Plugin] = (), document: Document | None = None
) -> Judgement:
    """Return the value of every rule for a text, and the decision.

    `plugins`, models included, are those of the preset, in its order, and get `document` with the lines that
    remain. Raises PluginError where one fails.
    """
    values: list[float] = []
    lines: dict[str, int] = {}
    for family in FAMILIES:
        measured = family.measure(view, preset.of(family))
        values += measured.values
        lines |= measured.lines
        view = measured.view or view
    reasons: dict[str, str] = {}
    if plugins:
        seen = (document or Document(view.text)).with_view(view)
        limits = preset.added
        for plugin in plugins:
            value, reason = plugin.measure(seen, limits[plugin.rule])
            values.append(value)
            if reason:
                reasons[plugin.rule] = reason
    drop = decide(values, preset)
    if drop is not None and drop.rule in reasons:
        drop = replace(drop, reason=reasons[drop.rule])
    return Judgement(np.array(values, dtype=np.float64), drop, view, lines)


def decide(values: Sequence[float] | Values, preset: Preset) -> Drop | None:
    """Return the first rule that drops a text with these values (in the order of `rule_names`)."""
    for bound in preset.bounds:
        value = values[bound.index]
        if value > bound.high:
            return _drop(bound, value, bound.high)
        if value < bound.low:
            return _drop(bound, value, bound.low)
    return None


def decide_columns(columns: Mapping[str, ArrayLike], preset: Preset) -> NDArray[np.intp]:
    """Return for many texts what `decide` decides: the index of the rule in `rule_names`, or -1.

    `columns` has the values by rule's name, NumPy or Arrow, null or nan where there is none. Raises KeyError
    naming the rule that has a limit and no column.
    """
    rows = len(next(iter(columns.values()), ()))  # type: ignore[arg-type]
    fate = np.full(rows, -1, dtype=np.intp)
    for bound in reversed(preset.bounds):
        values: Any = np.asarray(columns[bound.rule], dtype=np.float64)
        fate[(values > bound.high) | (values < bound.low)] = bound.index
    return fate


def same_values(one: Preset, other: Preset) -> bool:
    """Return whether two presets measure the same: they differ in limits at most, so stored values hold."""
    return list(one.added) == list(other.added) and all(
        getattr(one.of(family), parameter.key) == getattr(other.of(family), parameter.key)
        for family in FAMILIES
        for parameter in family.parameters
    )


def _drop(bound: Bound, value: float, limit: float) -> Drop:
    return Drop(bound.rule) if bound.is_verdict else Drop(bound.rule, float(value), limit)
