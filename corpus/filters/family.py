"""A family of filter rules: the model of its limits, and the function that measures a text by all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from pydantic import Field

from corpus.settings import Section
from corpus.text.view import TextView

Direction = Literal["above", "below"]
_DROPS = "drops"  # key of a field's extra schema: "above", "below", or None for a parameter


def above(description: str, source: str = "", **bounds: Any) -> Any:
    """Return the field of a limit: documents whose value is above it are dropped."""
    return _field(None, description, "above", source, bounds)


def below(description: str, source: str = "", **bounds: Any) -> Any:
    """Return the field of a limit: documents whose value is below it are dropped."""
    return _field(None, description, "below", source, bounds)


def parameter(default: Any, description: str, source: str = "", **bounds: Any) -> Any:
    """Return the field of a parameter: it decides what is measured, or which lines are removed."""
    return _field(default, description, None, source, bounds)


def _field(
    default: Any, description: str, drops: Direction | None, source: str, bounds: dict[str, Any]
) -> Any:
    extra: dict[str, Any] = {_DROPS: drops, "source": source}
    return Field(default, description=description, json_schema_extra=extra, **bounds)


@dataclass(frozen=True, slots=True)
class Rule:
    """One limit of a family: `name` (`gopher.min_words`) is its name in files and messages.

    `source` is the publication.
    """

    name: str
    key: str
    direction: Direction
    description: str
    source: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A key of a family that is not a limit: texts must be measured again where it changes."""

    name: str
    key: str
    description: str
    source: str


@dataclass(frozen=True, slots=True)
class Measured:
    """The value of every rule, in order; nan where a text has none.

    A family that removes lines also returns the view of what remains (None where nothing was removed), and
    how many lines each of its parameters removed or changed.
    """

    values: Sequence[float]
    view: TextView | None = None
    lines: Mapping[str, int] = field(default_factory=dict)


Limits = TypeVar("Limits", bound=Section)


@dataclass(frozen=True, slots=True)
class Family(Generic[Limits]):
    """Rules that are measured together.

    `limits` is the model of the family's table in a preset: its fields, made by `above`, `below` and
    `parameter`, are the rules in the order in which they are tried. `measure` returns the value of each rule,
    whether its limit is set or not.
    """

    name: str
    title: str
    source: str
    limits: type[Limits]
    measure: Callable[[TextView, Limits], Measured]

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(
            Rule(f"{self.name}.{key}", key, drops, description, source)
            for key, drops, description, source in self._fields()
            if drops is not None
        )

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return tuple(
            Parameter(f"{self.name}.{key}", key, description, source)
            for key, drops, description, source in self._fields()
            if drops is None
        )

    def _fields(self) -> list[tuple[str, Direction | None, str, str]]:
        found: list[tuple[str, Direction | None, str, str]] = []
        for key, info in self.limits.model_fields.items():
            extra: Any = info.json_schema_extra
            if not isinstance(extra, dict) or _DROPS not in extra or not info.description:
                raise TypeError(f"{self.name}.{key}: make the field with above(), below() or parameter()")
            found.append((key, extra[_DROPS], info.description, extra["source"] or self.source))
        return found
