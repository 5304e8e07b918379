"""TOML files read into frozen models; errors name the key, the value and what is allowed."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Sequence, Set
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from corpus.errors import ConfigError

LARGEST = 2**53
"""The largest number in a configuration: beyond it the numbers of TOML and JSON are not exact."""

OVERRIDE = "--set"
"""The origin of a value that an override gave."""
Share = Annotated[float, Field(ge=0.0, le=1.0)]
"""The type of a share."""
Location = tuple[str | int, ...]
"""Where a value is: keys, and numbers in lists, from 0 as in pydantic's errors."""
Origins = dict[tuple[str, ...], str]
"""Where values are from, by their paths."""

# Messages of pydantic, and what they are in the terms of TOML.
_WORDS = (
    (r"^Value error, ", ""),
    (r"^Input should be ", "expected "),
    (r"\ban object$", "a table of keys"),
    (r"\bvalid array$", "list, in [brackets]"),
    (r"\ba valid integer$", "a whole number"),
    (r"\ba valid number$", "a number"),
    (r"\ba valid string$", "a text, in quotation marks"),
    (r"\ba valid boolean$", "true or false"),
    (r"^(Tuple|List|Dictionary) should have at least (\d+) items? .*", r"expected \2 or more values"),
    (r"^(Tuple|List) should have at most (\d+) items? .*", r"expected at most \2 values"),
    (r"^String should match pattern '(.*)'$", r"expected a text of the form \1"),
)


class Section(BaseModel):
    """A table of a configuration: unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class WrongValueError(ValueError):
    """A value that other values of its table exclude; a validator of the table raises it."""

    def __init__(self, section: Section, key: str, message: str) -> None:
        """Name the key by its dotted path within the section, and what is expected there."""
        value = attrgetter(key)(section)
        super().__init__(
            f"{key}: {message}" if isinstance(value, dict) else f"{key} = {_shown(value)}: {message}"
        )


Model = TypeVar("Model", bound=Section)


def changed(
    section: Section, include: Set[str] | None = None, exclude: Set[str] = frozenset()
) -> dict[str, Any]:
    """Return the values of a section that are not its defaults, for the settings that name a unit's work.

    So a new option that nobody uses changes no unit. A default that changes must change the version of the
    stage, which tests/pipelines/test_defaults.py guards.
    """
    keys = set(type(section).model_fields if include is None else include) - exclude
    return section.model_dump(mode="json", exclude_defaults=True, include=keys)


def read(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return the tables of a TOML file, with `key.path=value` overrides over them.

    Raises FileNotFoundError where there is none, and ConfigError naming the file or the override.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise  # the caller knows what the file would be
    except IsADirectoryError:
        raise ConfigError(f"{path}: a folder; expected a TOML file") from None
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, no TOML, too many digits
        raise ConfigError(f"{path}: cannot be read as TOML: {_reason(error)}") from None
    return overlay(data, overrides)


def overlay(data: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Set `key.path=value` overrides in tables, in place, and return them; ConfigError for other text."""
    for override in overrides:
        _override(data, override)
    return data


def named(name: str | Path, overrides: Sequence[str]) -> str:
    """Return the name of a file, for messages, with the keys that overrides set over it."""
    keys = ", ".join(override.partition("=")[0].strip() for override in overrides)
    return f"{name} with {OVERRIDE} {keys}" if keys else str(name)


def parse(model: type[Model], data: dict[str, Any], where: str) -> Model:
    """Turn the tables of a TOML file into a model; ConfigError lists everything that is wrong."""
    for location, value in _leaves(data):
        if isinstance(value, str) and not _is_text(value):
            raise ConfigError(f"{where}: {_key(location, data)} = {value!r}: expected UTF-8 text")
        if isinstance(value, int | float) and LARGEST < abs(value) < float("inf"):
            expected = f"expected a number up to {LARGEST:,} (2**53)"
            raise ConfigError(f"{where}: {_key(location, data)} = {value}: {expected}")
    try:
        # By way of JSON, whose arrays strict validation accepts as tuples.
        return model.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        lines = [f"  {_fault(model, data, fault)}" for fault in _innermost(error.errors())]
        raise ConfigError("\n".join([f"{where}: the configuration cannot be used:", *lines])) from None


def origins(data: dict[str, Any], name: str, overrides: Sequence[str] = ()) -> Origins:
    """Return where each value of a configuration is from, by its path: the file `name`, or OVERRIDE.

    `data` are the tables of the file alone. A list is one value, except a list of tables, whose numbers
    are part of the path.
    """
    found = dict.fromkeys(_paths(data), name)
    for override in overrides:
        given, key = overlay({}, [override]), tuple(_names(override.partition("=")[0].strip()))
        kept = {path: origin for path, origin in found.items() if path[: len(key)] != key}
        found = kept | dict.fromkeys(_paths(given), OVERRIDE)
    return found


def as_toml(value: Any) -> str:
    """Return a value as TOML on one line; JSON's strings, numbers, booleans and arrays are TOML's as well."""
    if isinstance(value, dict):
        inside = ", ".join(f"{as_key(key)} = {as_toml(item)}" for key, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    return json.dumps(value, ensure_ascii=False)


def as_key(name: str) -> str:
    """Return a key as TOML, in quotation marks where it needs them."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _paths(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every value in tables, and in lists of tables."""
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        value = {str(number): item for number, item in enumerate(value)}
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _paths(inner, (*path, name))
    elif path:
        yield path


def _reason(error: Exception) -> str:
    """Return what is wrong with a TOML file or value, in a line."""
    if isinstance(error, OSError):
        return str(error.strerror)
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error).split(";")[0]


def _leaves(value: Any, location: Location = ()) -> Iterator[tuple[Location, Any]]:
    """Yield the values in tables and lists, each with its place; keys count as values of their table."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield location, name
            yield from _leaves(inner, (*location, name))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*location, number))
    else:
        yield location, value


def _is_text(value: str) -> bool:
    """Return whether a text is Unicode: a shell's argument that is not UTF-8 has lone surrogates."""
    return not re.search("[\ud800-\udfff]", value)


def _innermost(faults: Sequence[Any]) -> list[Any]:
    """Drop the faults of a table or list that only follow from those of its parts."""
    places = [fault["loc"] for fault in faults]
    return [
        fault
        for fault in faults
        if not any(
            len(place) > len(fault["loc"]) and place[: len(fault["loc"])] == fault["loc"] for place in places
        )
    ]


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    shown = repr(override if len(override) <= 200 else f"{override[:200]}…")
    if not equals or not all(_names(key.strip())):
        raise ConfigError(f"--set {shown}: expected key=value, such as --set dedupe.threshold=0.8")
    try:
        value = _value(text)
    except tomllib.TOMLDecodeError:
        value = text  # a bare word, as a shell leaves it when it takes the quotes away
    except (ValueError, RecursionError) as error:  # too many digits, too many brackets
        raise ConfigError(f"--set {shown}: {_reason(error)}") from None
    *tables, last = _names(key.strip())
    for number, name in enumerate(tables):
        data = data.setdefault(name, {})
        if not isinstance(data, dict):
            raise ConfigError(f"--set {shown}: {'.'.join(tables[: number + 1])} is not a table of keys")
    data[last] = value


def _names(key: str) -> list[str]:
    """Return the names of a dotted key, as TOML has it: a dot within quotation marks is part of a name."""
    names, is_quoted = [""], False
    for sign in key:
        if sign == '"':
            is_quoted = not is_quoted
        elif sign == "." and not is_quoted:
            names.append("")
        else:
            names[-1] += sign
    return names


def _value(text: str) -> Any:
    """Read one TOML value; TOMLDecodeError also where more than a value is in the text."""
    read = tomllib.loads(f"value = {text}")
    if len(read) != 1:
        raise tomllib.TOMLDecodeError("more than a value")
    return read["value"]


def _fault(model: type[BaseModel], data: dict[str, Any], fault: Any) -> str:
    """Return one fault that pydantic found: the key, the value, what is allowed."""
    location, kind, found = fault["loc"], fault["type"], fault["input"]
    if kind == "missing" and isinstance(location[-1], int):  # a list is too short, and its place is at hand
        location, message = location[:-1], f"expected {location[-1] + 1} or more values"
    elif kind == "missing":
        return f"{_key(location, data)}: missing; it has no default"
    elif kind == "extra_forbidden":
        return f"{_key(location, data)}: unknown key{_suggestion(model, location)}"
    elif kind == "tuple_type" and isinstance(found, dict):
        message = f"a table; expected a list of them: write [[{_key(location, data)}]]"
    elif isinstance(error := fault.get("ctx", {}).get("error"), WrongValueError):
        return _key((*location, str(error)), data)
    else:
        message = fault["msg"]
        for pattern, words in _WORDS:
            message = re.sub(pattern, words, message)
        if location[-1:] == ("[key]",):
            return f"{_key(location[:-2], data)}: the name {json.dumps(found, ensure_ascii=False)}: {message}"
    if kind == "value_error" and isinstance(found, dict):  # of a whole table: the message says what in it
        return f"{_key(location, data)}: {message}" if location else str(message)
    return f"{_key(location, data)} = {_shown(found)}: {message}"


def _key(location: Location, data: Any) -> str:
    """Return a place as a user finds it: dotted keys; of a list, tables by their names or counted from 1."""
    shown, joint = "", ""
    for part in location:
        try:
            data = data[part]
        except (LookupError, TypeError):  # a key that is missing, or a message in place of a key
            data = None
        if isinstance(part, str):
            shown, joint = f"{shown}{joint}{part}", "."
            continue
        name = data.get("name") if isinstance(data, dict) else None
        number = f", {'table' if isinstance(data, dict) else 'value'} {part + 1}"
        shown, joint = f"{shown} {_shown(name)}" if isinstance(name, str) else f"{shown}{number}", ", "
    return shown


def _shown(value: Any) -> str:
    """Return a value as a message shows it: in a line, without what its tables hold."""
    text = json.dumps(_closed(value), ensure_ascii=False, default=str).replace('"{…}"', "{…}")
    text = {"Infinity": "inf", "-Infinity": "-inf", "NaN": "nan", "null": "(not set)"}.get(text, text)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _closed(value: Any) -> Any:
    if isinstance(value, dict | BaseModel):
        return "{…}" if value else {}
    return [_closed(item) for item in value] if isinstance(value, list | tuple) else value


def _suggestion(model: type[BaseModel], location: tuple[str | int, ...]) -> str:
    """Return the known key that an unknown one may stand for: in its table, or of its name in another."""
    section, name = model, str(location[-1])
    for part in location[:-1]:
        if part in section.model_fields:
            section = next(_tables(section.model_fields[str(part)].annotation), section)
    names = list(section.model_fields)
    if close := difflib.get_close_matches(name, names, n=1):
        return f"; did you mean {close[0]!r}?"
    elsewhere = [".".join(path) for path in _keys(model) if path[-1] == name]
    hint = f"did you mean {' or '.join(map(repr, elsewhere))}? " if elsewhere else ""
    return f"; {hint}known here: {', '.join(names)}"


def _keys(section: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths of all keys that a model has, but not those within lists and under the user's names."""
    for name, field in section.model_fields.items():
        yield (*path, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, (*path, name))


def _tables(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models of the tables that a key holds: alone, in a list, or by the user's names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _tables(inner)
