"""The families of filter rules, in the order in which a text passes through them.

The order is FineWeb's, which lets the last filter read what C4 left, but quality comes before repetition.
"""

from __future__ import annotations

from typing import Any

from corpus.filters import c4, fineweb, gopher, own
from corpus.filters.family import Family, Rule

FAMILIES: tuple[Family[Any], ...] = (
    gopher.FAMILY,
    c4.FAMILY,
    fineweb.FAMILY,
    own.FAMILY,
)

RULES: tuple[Rule, ...] = tuple(rule for family in FAMILIES for rule in family.rules)
"""All rules in the order in which they are tried: the order of `Judgement.values` and of stored columns."""
