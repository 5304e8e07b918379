"""Filters of the user's own: functions of a document, from a file or a package, and models of quality."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from corpus import usercode
from corpus.errors import ConfigError, PluginError
from corpus.filters.contamination import SetFunction
from corpus.filters.document import Document
from corpus.filters.found import Found
from corpus.filters.harm import HostsFunction, ListFunction
from corpus.filters.models import ModelFunction
from corpus.filters.preset import PLUGIN, Between
from corpus.usercode import UserFunction

GROUP = "derlem.filters"
"""The group of entry points in which a package names its filters."""

_EXPECTED = "expected a number, or True, False, None or a reason as text"
_SHOWN = 80  # characters of a text in a message


@dataclass(frozen=True, slots=True)
class PackageFunction:
    """A function of an installed package, which workers have installed too."""

    name: str
    place: str  # module:function

    def load(self) -> Any:
        """Return the function; ConfigError where its package cannot be imported, or has none of the name."""
        try:
            found = metadata.EntryPoint(self.name, self.place, GROUP).load()
        except (Exception, SystemExit) as error:
            raise ConfigError(f"plugins: {self.name!r} cannot be loaded {usercode.place(error)}") from error
        if not callable(found):
            raise ConfigError(f"plugins: {self.name!r}: {self.place} is {found!r}; expected a function")
        return found


@dataclass(frozen=True, slots=True)
class Plugin:
    """A filter that can be sent to workers; without a function it has a name alone, for what is stored.

    `version` identifies it: the file's SHA-256, or the version of the package. `table` is that of its limits.
    """

    name: str
    spec: str  # as the configuration names it
    version: str
    function: (
        UserFunction | PackageFunction | ModelFunction | SetFunction | ListFunction | HostsFunction | None
    ) = None
    table: str = PLUGIN

    @property
    def rule(self) -> str:
        return f"{self.table}.{self.name}"

    def measure(self, document: Document, limit: bool | Between) -> tuple[float, str]:
        """Return the value of a document (nan for None; of a verdict 1 where it drops) and its reason.

        Raises PluginError where the function fails, or returns what does not fit its limit.
        """
        assert self.function is not None
        try:
            found: Any = _loaded(self.function)(document)
        except (Exception, SystemExit) as error:
            path = self.function.path if isinstance(self.function, UserFunction) else ""
            raise PluginError(
                f"{self.rule} failed {usercode.place(error, path)} on {_named(document)}"
            ) from error
        if found is None:
            return math.nan, ""
        if isinstance(found, Found):
            return found.value, found.reason
        is_number = isinstance(found, int | float | np.integer | np.floating) and not isinstance(found, bool)
        if is_number and not math.isnan(found):
            if limit is True:
                raise self._wrong(found, document, f"a number needs a limit: {self.rule!r} = {{ max = … }}")
            return float(found), ""
        if not isinstance(found, bool | np.bool_ | str) or found == "":
            raise self._wrong(found, document, _EXPECTED)
        if isinstance(limit, Between):
            raise self._wrong(found, document, f"expected a number, which {self.rule!r} has limits for")
        return float(bool(found)), found if isinstance(found, str) else ""

    def _wrong(self, found: object, document: Document, expected: str) -> PluginError:
        shown = repr(found)
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
        return PluginError(
            f"{self.rule} ({self.spec}) returned {shown} ({type(found).__name__}) for {_named(document)}: "
            f"{expected}"
        )


def load_plugins(specs: Sequence[str], base: Path) -> tuple[Plugin, ...]:
    """Return the plugins that a configuration in the folder `base` names: FILE.py:FUNCTION, or entry points.

    Raises ConfigError for a file, function or entry point that cannot be loaded, and for two of one name.
    """
    found: dict[str, Plugin] = {}
    for spec in specs:
        plugin = _from_file(spec, base) if ".py:" in spec else _from_entry_point(spec)
        if plugin.name in found:
            raise ConfigError(
                f"plugins: {found[plugin.name].spec!r} and {spec!r} have one name, {plugin.rule}; rename one"
            )
        found[plugin.name] = plugin
    return tuple(found.values())


def _from_file(spec: str, base: Path) -> Plugin:
    try:
        function = usercode.find(spec, base)
    except ConfigError as error:
        raise ConfigError(f"plugins: {error}") from error.__cause__
    return Plugin(function.name, spec, function.sha256, function)


def _from_entry_point(spec: str) -> Plugin:
    found = metadata.entry_points(group=GROUP)
    chosen = [entry for entry in found if entry.name == spec]
    if not chosen:
        there = ", ".join(sorted(entry.name for entry in found)) or "none"
        raise ConfigError(
            f"plugins: {spec!r}: neither FILE.py:FUNCTION nor an entry point of the group {GROUP}; "
            f"installed ones: {there}"
        )
    if len({entry.value for entry in chosen}) > 1:
        values = ", ".join(sorted(entry.value for entry in chosen))
        raise ConfigError(f"plugins: {spec!r} is an entry point of several packages: {values}")
    entry = chosen[0]
    version = f"{entry.dist.name} {entry.dist.version}" if entry.dist else ""
    function = PackageFunction(spec, entry.value)
    function.load()
    return Plugin(spec, spec, version, function)


@cache
def _loaded(
    function: UserFunction | PackageFunction | ModelFunction | SetFunction | ListFunction | HostsFunction,
) -> Callable[[Document], object]:
    loaded: Callable[[Document], object] = function.load()
    return loaded


def _named(document: Document) -> str:
    """Name a document in a message: by its URL where it has one, else by its first words."""
    shown = document.url or f"that starts {document.text[:_SHOWN]!r}"
    source = f" of source {document.source!r}" if document.source else ""
    return f"the document {shown}{source}"
