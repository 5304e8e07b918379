"""Read JSON records of runs and studies; a ConfigError names what is wrong in a damaged one."""

from __future__ import annotations

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
