"""Filters of the user's own: functions of a document, from a file beside the configuration or a package."""

from __future__ import annotations

import difflib
import hashlib
import math
import sys
import traceback
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from corpus import files
from corpus.errors import ConfigError, PluginError
from corpus.filters.document import Document
from corpus.filters.preset import PLUGIN, Between

GROUP = "derlem.filters"
"""The group of entry points in which a package names its filters."""

_EXPECTED = "expected a number, or True, False, None or a reason as text"
_SHOWN = 80  # characters of a text in a message


@dataclass(frozen=True, slots=True)
class Plugin:
    """A filter that can be sent to workers: it carries its file (`code`), or names what they import.

    `version` is what tells one from another: the file's SHA-256, or the version of the package.
    """

    name: str
    spec: str  # as the configuration names it
    version: str
    origin: str  # path of the file, or module:function
    code: bytes | None = None

    @property
    def rule(self) -> str:
        return f"{PLUGIN}.{self.name}"

    def measure(self, document: Document, limit: bool | Between) -> tuple[float, str]:
        """Return the value of a document (nan for None; of a verdict 1 where it drops) and its reason.

        Raises PluginError where the function fails, or returns what does not fit its limit.
        """
        try:
            found: Any = _function(self)(document)
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"{self.rule} failed {_place(error, self.origin)} on {_named(document)}"
            ) from error
        if found is None:
            return math.nan, ""
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
        function = _loaded(plugin)
        if not callable(function):
            raise ConfigError(f"plugins: {spec!r}: {plugin.name} is {function!r}; expected a function")
    return tuple(found.values())


def _from_file(spec: str, base: Path) -> Plugin:
    file, _, name = spec.rpartition(":")
    path = files.located(file, base)
    if not name.isidentifier():
        raise ConfigError(
            f"plugins: {spec!r}: {name!r} is not the name of a function; expected FILE.py:FUNCTION"
        )
    try:
        code = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"plugins: {spec!r}: {path} cannot be read: {reason}") from None
    return Plugin(name, spec, hashlib.sha256(code).hexdigest(), path, code)


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
    return Plugin(spec, spec, version, entry.value)


def _loaded(plugin: Plugin) -> object:
    """Return what a plugin's name stands for; ConfigError where it cannot be loaded."""
    try:
        if plugin.code is None:
            return metadata.EntryPoint(plugin.name, plugin.origin, GROUP).load()
        module = _module(plugin.origin, plugin.version, plugin.code)
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"plugins: {plugin.spec!r} cannot be loaded {_place(error, plugin.origin)}"
        ) from error
    if plugin.name not in vars(module):
        own = [name for name, value in vars(module).items() if isinstance(value, types.FunctionType)]
        close = difflib.get_close_matches(plugin.name, own, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"its functions: {', '.join(own) or 'none'}"
        raise ConfigError(f"plugins: {plugin.spec!r}: {plugin.origin} has no {plugin.name}; {hint}")
    return vars(module)[plugin.name]


@cache
def _function(plugin: Plugin) -> Callable[[Document], object]:
    function: Any = _loaded(plugin)
    return function  # type: ignore[no-any-return]


@cache
def _module(path: str, version: str, code: bytes) -> types.ModuleType:
    """Run the code of a file as a module.

    It is run from the bytes whose hash is the plugin's version: workers elsewhere need no file, and a file
    that changes during a build changes nothing.
    """
    module = types.ModuleType(f"derlem_plugin_{version[:16]}")
    module.__file__ = path
    sys.modules[module.__name__] = module  # dataclasses of the file look for their module
    try:
        exec(compile(code, path, "exec", dont_inherit=True), vars(module))
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module


def _place(error: BaseException, origin: str) -> str:
    """Return where in a plugin's file an error came from, and what it is."""
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, SyntaxError) and error.filename == origin:
        return f"({origin}, line {error.lineno}: {what})"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == origin] or [
        frame for frame in frames if frame.filename != __file__
    ]
    return f"({own[-1].filename}, line {own[-1].lineno}: {what})" if own else f"({what})"


def _named(document: Document) -> str:
    """Name a document in a message: by its URL where it has one, else by its first words."""
    shown = document.url or f"that begins {document.text[:_SHOWN]!r}"
    source = f" of source {document.source!r}" if document.source else ""
    return f"the document {shown}{source}"
