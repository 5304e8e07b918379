"""Functions of the user's own, out of a Python file that the configuration names as FILE.py:FUNCTION."""

from __future__ import annotations

import difflib
import hashlib
import re
import sys
import traceback
import types
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from corpus import files
from corpus.errors import ConfigError

_SPEC = re.compile(r"(.*\.py):([^\W\d]\w*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class UserFunction:
    """A function and the file that it is in, with its content: workers need no file.

    The file is run from the bytes whose hash identifies the version: a file that changes during a
    build changes nothing.
    """

    spec: str  # as the configuration names it
    path: str
    name: str
    code: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.code).hexdigest()

    def load(self) -> Any:
        """Return the function; ConfigError where its file fails, or has none of the name."""
        try:
            module = _module(self.path, self.code)
        except (Exception, SystemExit) as error:
            raise ConfigError(f"{self.spec} cannot be loaded {place(error, self.path)}") from error
        found = vars(module).get(self.name)
        if callable(found):
            return found
        if self.name in vars(module):
            raise ConfigError(f"{self.spec}: {self.name} is {found!r}; expected a function")
        own = [name for name, value in vars(module).items() if isinstance(value, types.FunctionType)]
        close = difflib.get_close_matches(self.name, own, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"its functions: {', '.join(own) or 'none'}"
        raise ConfigError(f"{self.spec}: {self.path} has no {self.name}; {hint}")


def is_spec(text: str) -> bool:
    """Return whether a text names a function of a file."""
    return path_of(text) != ""


def path_of(spec: str) -> str:
    """Return FILE.py of FILE.py:FUNCTION, empty where a text names no function of a file."""
    named = _SPEC.fullmatch(spec)
    return named[1] if named else ""


def find(spec: str, base: str | Path) -> UserFunction:
    """Return what FILE.py:FUNCTION names, FILE as seen from the folder `base`; else ConfigError."""
    named = _SPEC.fullmatch(spec)
    if named is None:
        raise ConfigError(f"{spec!r}: expected FILE.py:FUNCTION")
    path = files.located(named[1], base)
    try:
        code = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{spec}: {path} cannot be read: {reason}") from None
    found = UserFunction(spec, path, named[2], code)
    found.load()
    return found


def place(error: BaseException, path: str = "") -> str:
    """Return what an error is and where it came from, in brackets: in the file `path`, or in any file."""
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, SyntaxError) and error.filename == path:
        return f"({path}, line {error.lineno}: {what})"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == path] if path else frames[1:]  # the first called it
    return f"({own[-1].filename}, line {own[-1].lineno}: {what})" if own else f"({what})"


@cache
def _module(path: str, code: bytes) -> types.ModuleType:
    """Run the code of a file as a module, once a process."""
    module = types.ModuleType(f"derlem_user_{hashlib.sha256(code).hexdigest()[:16]}")
    module.__file__ = path
    sys.modules[module.__name__] = module  # dataclasses of the file look for their module
    try:
        exec(compile(code, path, "exec", dont_inherit=True), vars(module))
    except BaseException:  # SystemExit of the file or an interruption too: half a module must not stay
        del sys.modules[module.__name__]
        raise
    return module
