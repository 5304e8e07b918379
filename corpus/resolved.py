"""The configuration in force as TOML: every value with its origin, a file, a preset, --set or a default."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from corpus import filters, settings
from corpus.config import Config, load
from corpus.errors import found_in
from corpus.filters import ALL, FAMILIES, InForce, Preset
from corpus.filters.preset import OWN
from corpus.settings import Origins, as_key, as_toml

DEFAULT = "default"
"""The origin of a value that nothing but the code gives."""
_LIMITS = ("filter", "limits")
_COLUMN = 44  # column of the origins, unless a value is longer


def resolved(path: Path, overrides: tuple[str, ...] = ()) -> str:
    """Return the configuration in a file, with overrides over it, as text of a file that means the same.

    Every key is written out with its origin as a comment. The limits of the filters are written for each
    language, whether a preset or the configuration gives them; false is a rule that is off.

    Raises ConfigError where the configuration, or a preset or plugin that it names, cannot be used.
    """
    config = load(path, overrides)
    origins = settings.origins(settings.read(path), str(path), overrides)
    with found_in(settings.named(path, overrides)):
        in_force = filters.in_force(config.filter, path.resolve().parent)
    lines = [
        "# Every value in force. The comment names its origin: a file, a preset, --set, or derlem's default.",
        "",
        *_table(config, (), origins),
    ]
    for number, source in enumerate(config.source):
        lines += ["", "[[source]]", *_table(source, ("source", str(number)), origins)]
    lines += _tables(config, (), origins)
    for code in (*in_force.presets, ALL):
        lines += ["", *_limits(config, in_force, code, origins)]
    return "\n".join(lines) + "\n"


def _table(section: BaseModel, path: tuple[str, ...], origins: Origins) -> Iterator[str]:
    """Yield the lines of a table's own keys."""
    for name, value in section.model_dump(mode="json").items():
        key = (*path, name)
        if isinstance(getattr(section, name), BaseModel) or key in (("source",), _LIMITS):
            continue
        if value is None:  # TOML has no value for it
            yield _line(f"# {name} is not set", _origin(key, origins))
        else:
            yield _line(f"{as_key(name)} = {as_toml(value)}", _origin(key, origins))


def _tables(section: BaseModel, path: tuple[str, ...], origins: Origins) -> Iterator[str]:
    """Yield the tables inside a section."""
    for name in type(section).model_fields:
        inner = getattr(section, name)
        if isinstance(inner, BaseModel):
            key = (*path, name)
            yield from ("", f"[{'.'.join(key)}]", *_table(inner, key, origins))
            yield from _tables(inner, key, origins)


def _origin(path: tuple[str, ...], origins: Origins) -> str:
    """Return where a value is from: all origins of what is in it."""
    found = {origin: None for key, origin in origins.items() if key[: len(path)] == path}
    return ", ".join(found) or DEFAULT


def _line(text: str, origin: str) -> str:
    return f"{text:<{_COLUMN}}  # {origin}"


def _limits(config: Config, in_force: InForce, code: str, origins: Origins) -> Iterator[str]:
    """Yield the table of the limits that the filters have for a language."""
    name = config.filter.presets.get(code, config.filter.default)
    named, preset = in_force.named[name], in_force.preset(code)
    whose = "Languages without a table of their own" if code == ALL else code
    yield f"# {whose}: preset {name} ({named.summary})"
    yield f"[filter.limits.{as_toml(code)}]"
    own = _own_limits(code, origins)
    for rule, value in _values(preset):
        default = f"{DEFAULT}: off" if value is False else DEFAULT
        origin = own.get(rule) or (f"preset {name}" if _has(named, rule) else default)
        yield _line(f"{as_toml(rule)} = {as_toml(value)}", origin)


def _own_limits(code: str, origins: Origins) -> dict[str, str]:
    """Return the origins of the limits that the configuration itself gives a language, by rule."""
    found: dict[str, str] = {}
    for language in (ALL, code):
        for path, origin in origins.items():
            if path[:2] == _LIMITS and path[2:3] == (language,):
                rule = ".".join(".".join(path[3:]).split(".")[:2])
                found[rule] = f"{origin}, [filter.limits.{as_toml(language)}]"
    return found


def _values(preset: Preset) -> Iterator[tuple[str, Any]]:
    """Yield every key of a preset: its name and its value, which is false where the key is at its default."""
    for family in FAMILIES:
        table = preset.of(family)
        values, given = table.model_dump(mode="json"), table.model_dump(exclude_defaults=True)
        yield from (
            (f"{family.name}.{key}", value if key in given else False) for key, value in values.items()
        )
    tables = preset.model_dump(mode="json", include=set(OWN), exclude_none=True)
    for own in OWN:
        yield from ((f"{own}.{name}", limit) for name, limit in tables[own].items())


def _has(named: Preset, rule: str) -> bool:
    """Return whether a preset, as it was written, has a key."""
    table, _, key = rule.partition(".")
    return rule in named.added if table in OWN else key in getattr(named, table).model_fields_set
