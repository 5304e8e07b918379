"""TOML to frozen models: what every configuration shares; a wrong key, type or value names itself."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError


class ConfigError(ValueError):
    """The configuration cannot be used; the message names key, value and what is allowed."""


class Section(BaseModel):
    """A table of a configuration: unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Model = TypeVar("Model", bound=Section)


def read(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read a TOML file and lay `key.path=value` overrides over it.

    Raises FileNotFoundError where there is none, and ConfigError naming the file or the override.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise  # the caller knows what the file would be
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from None
    return overlay(data, overrides)


def overlay(data: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Lay `key.path=value` overrides over tables, in place; ConfigError for any other text."""
    for override in overrides:
        _override(data, override)
    return data


def parse(model: type[Model], data: dict[str, Any], where: str) -> Model:
    """Turn the tables of a TOML file into a model; ConfigError lists everything that is wrong."""
    try:
        # By way of JSON, whose arrays strict validation accepts as tuples.
        return model.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        lines = [f"  {_fault(model, fault)}" for fault in error.errors()]
        raise ConfigError("\n".join([f"{where}: the configuration cannot be used:", *lines])) from None


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override!r}: expected key=value, such as --set dedupe.threshold=0.8")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word, as a shell leaves it when it takes the quotes away
    *tables, last = key.strip().split(".")
    for number, name in enumerate(tables):
        data = data.setdefault(name, {})
        if not isinstance(data, dict):
            raise ConfigError(f"--set {override!r}: {'.'.join(tables[: number + 1])} is not a table of keys")
    data[last] = value


def _fault(model: type[BaseModel], fault: Any) -> str:
    """Say one fault that pydantic found: the key, the value, what is allowed."""
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{key}: unknown key{_suggestion(model, fault['loc'])}"
    if fault["type"] == "missing":
        return f"{key}: missing; it has no default"
    message = fault["msg"].removeprefix("Value error, ")
    if not key:
        return str(message)
    return f"{key} = {json.dumps(fault['input'], ensure_ascii=False, default=str)}: {message}"


def _suggestion(section: type[BaseModel], location: tuple[str | int, ...]) -> str:
    for part in location[:-1]:
        if isinstance(part, str) and part in section.model_fields:
            section = _section_of(section, part)
    names = list(section.model_fields)
    close = difflib.get_close_matches(str(location[-1]), names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known here: {', '.join(names)}"


def _section_of(section: type[BaseModel], key: str) -> type[BaseModel]:
    """Give the model of a sub-table, also where it is a list of tables."""
    annotation: Any = section.model_fields[key].annotation
    inner = getattr(annotation, "__args__", (annotation,))[0]
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else section
