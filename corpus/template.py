"""The commented configuration files to start from, of a corpus and of a crawl."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from corpus.config import Config, Source
from corpus.crawl.config import Crawl
from corpus.crawl.state.catalogue import Source as Fetched
from corpus.settings import as_toml

_WIDTH = 100

EXAMPLE = Fetched("warc", ("crawl/*.warc.gz",))


def template(fetched: Sequence[Fetched] = (EXAMPLE,)) -> str:
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


def crawl_template() -> str:
    """Return a crawl's configuration with every key at its default and its description above it."""
    head = (
        "# A crawl of derlem: `derlem crawl SEEDS --config FILE -o DIR`; every key below shows its default."
    )
    return "\n".join([head, *_tables(Crawl, "")]) + "\n"


def _keys(section: type[BaseModel], given: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for name, field in section.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        if isinstance(default, BaseModel) or (field.is_required() and name not in given):
            continue
        lines += textwrap.wrap(field.description or "", _WIDTH, initial_indent="# ", subsequent_indent="# ")
        if name in given:
            lines.append(f"{name} = {as_toml(given[name])}")
        else:  # TOML has no value for what is not set
            lines.append(f"# {name} is not set" if default is None else f"# {name} = {as_toml(default)}")
    return lines


def _tables(section: type[BaseModel], prefix: str) -> list[str]:
    lines: list[str] = []
    for name, field in section.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        if isinstance(default, BaseModel):
            kind = type(default)
            lines += ["", f"# {(kind.__doc__ or '').strip()}", f"[{prefix}{name}]", *_keys(kind, {})]
            lines += _tables(kind, f"{prefix}{name}.")
    return lines
