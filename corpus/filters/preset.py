"""Presets: which filters a language passes through and with which limits, each number with its source."""

from __future__ import annotations

import difflib
import json
import tomllib
from functools import cache
from importlib.resources import files

from pydantic import Field, ValidationError

from corpus.filters.c4 import C4
from corpus.filters.fineweb import FineWeb
from corpus.filters.gopher import Quality, Repetition
from corpus.settings import ConfigError, Section

_FOLDER = files("corpus.filters") / "presets"


class Preset(Section):
    """The filters of a preset in the order in which they run; one that is not given does not run."""

    summary: str = Field(description="What the preset is, in one line.")
    gopher_quality: Quality | None = None
    gopher_repetition: Repetition | None = None
    c4: C4 | None = None
    fineweb: FineWeb | None = None


def names() -> list[str]:
    """Return the names of all presets, sorted."""
    return sorted(
        entry.name.removesuffix(".toml") for entry in _FOLDER.iterdir() if entry.name.endswith(".toml")
    )


def source(name: str) -> str:
    """Give the preset as written: TOML, its comments the source of each number; ConfigError where unknown."""
    known = names()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
        raise ConfigError(f"filter preset {name!r}: unknown; {hint}")
    return (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")


@cache
def load(name: str) -> Preset:
    """Return the preset called `name`; ConfigError where there is none, with the name probably meant."""
    return parse(source(name), name)


def parse(toml: str, name: str) -> Preset:
    """Read a preset; ConfigError for an unknown key or a value that is not allowed."""
    try:
        # By way of JSON, whose arrays strict validation accepts as tuples.
        return Preset.model_validate_json(json.dumps(tomllib.loads(toml)))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise ConfigError(f"filter preset {name!r}: {error}") from error
