"""Configurations as text: the commented file to start from, and the resolved one."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from corpus.config import Config, Source
from corpus.crawl.config import Crawl
from corpus.crawl.state.catalogue import Source as Fetched

_WIDTH = 100


EXAMPLE = Fetched("warc", ("crawl/*.warc.gz",))


def starter(fetched: Sequence[Fetched] = (EXAMPLE,)) -> str:
    """Return a complete configuration with every key at its default and its description above it.

    Its sources are the files that `fetched` names.
    """
    head = [
        "# A derlem corpus. Build it with `derlem build FILE`; every key below shows its default.",
        "# Keys that start with # are optional.",
        "",
    ]
    lines = [*_keys(Config, {}), "", "# Where text comes from; repeat [[source]] for each origin."]
    for one in fetched:
        name = "pages" if one.format == "warc" else "texts"
        given = {"name": name, "format": one.format, "paths": list(one.paths)}
        lines += ["[[source]]", *_keys(Source, given), ""]
    lines.pop()
    lines += _tables(Config, "")
    return "\n".join([*head, *lines]) + "\n"


def crawl_starter() -> str:
    """Return a crawl's configuration with every key at its default and its description above it."""
    head = (
        "# A crawl of derlem: `derlem crawl SEEDS --config FILE -o DIR`; every key below shows its default."
    )
    return "\n".join([head, *_tables(Crawl, "")]) + "\n"


def resolved(config: Config) -> str:
    """Return a configuration as TOML with every default written out."""
    data = config.model_dump(mode="json")
    sources = data.pop("source")
    lines = [f"{key} = {_value(value)}" for key, value in data.items() if not isinstance(value, dict)]
    for source in sources:
        lines += ["", "[[source]]", *(f"{key} = {_value(value)}" for key, value in source.items())]
    lines += _dump_tables(config, "")
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """Write one TOML value; JSON's strings, numbers, booleans and arrays are TOML's as well."""
    if isinstance(value, dict):
        inside = ", ".join(f"{json.dumps(key)} = {_value(item)}" for key, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    return json.dumps(value, ensure_ascii=False)


def _keys(section: type[BaseModel], given: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for name, field in section.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        if isinstance(default, BaseModel) or (field.is_required() and name not in given):
            continue
        lines += textwrap.wrap(field.description or "", _WIDTH, initial_indent="# ", subsequent_indent="# ")
        if name in given:
            lines.append(f"{name} = {_value(given[name])}")
        else:  # TOML has no value for what is not set
            lines.append(
                f"# {name} is not set" if default is None else f"# {name} = {_value(_plain(default))}"
            )
    return lines


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _tables(section: type[BaseModel], prefix: str) -> list[str]:
    lines: list[str] = []
    for name, field in section.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        if isinstance(default, BaseModel):
            kind = type(default)
            lines += ["", f"# {(kind.__doc__ or '').strip()}", f"[{prefix}{name}]", *_keys(kind, {})]
            lines += _tables(kind, f"{prefix}{name}.")
    return lines


def _dump_tables(section: BaseModel, prefix: str) -> list[str]:
    lines: list[str] = []
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            own = {
                key: item
                for key, item in value.model_dump(mode="json").items()
                if item is not None and not isinstance(getattr(value, key), BaseModel)
            }
            lines += ["", f"[{prefix}{name}]", *(f"{key} = {_value(item)}" for key, item in own.items())]
            lines += _dump_tables(value, f"{prefix}{name}.")
    return lines
