"""JSON records of runs and studies: values ready to be written, and what is wrong in a damaged record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from corpus import files
from corpus.errors import ConfigError

_REST = "restore the file, or name another folder"


def read(folder: Path, name: str, kind: type[BaseModel]) -> dict[str, Any] | None:
    """Return a record with at least the fields of `kind`, None if there is none."""
    try:
        held = files.read_json(str(folder), name)
    except (ValueError, OSError) as error:
        raise ConfigError(f"{folder}/{name} is damaged: {error}; {_REST}") from None
    if held is None and files.size(str(folder), name) is None:
        return None
    if not isinstance(held, dict):
        raise ConfigError(f"{folder}/{name} holds a {type(held).__name__}, expected an object; {_REST}")
    try:
        kind.model_validate(held)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{folder}/{name} is damaged: {key}: {first['msg']}; {_REST}") from None
    return held


def plain(value: Any) -> Any:
    """Return a value ready for JSON: null for numbers that are not finite, sets sorted.

    A dataclass is the object that its `as_dict` returns, or of its fields where it has none.
    """
    if hasattr(value, "as_dict"):
        return plain(value.as_dict())
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, set | frozenset):
        return [plain(each) for each in sorted(value)]
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
