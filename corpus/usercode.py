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

    The file is run from the bytes whose hash tells one version from another: a file that changes during a
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
            raise ConfigError(f"{self.spec} cannot be loaded {self.place(error)}") from error
        found = vars(module).get(self.name)
        if callable(found):
            return found
        if self.name in vars(module):
            raise ConfigError(f"{self.spec}: {self.name} is {found!r}; expected a function")
        own = [name for name, value in vars(module).items() if isinstance(value, types.FunctionType)]
        close = difflib.get_close_matches(self.name, own, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"its functions: {', '.join(own) or 'none'}"
        raise ConfigError(f"{self.spec}: {self.path} has no {self.name}; {hint}")

    def place(self, error: BaseException) -> str:
        """Return where in the file an error came from, and what it is, in brackets."""
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        if isinstance(error, SyntaxError) and error.filename == self.path:
            return f"({self.path}, line {error.lineno}: {what})"
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == self.path]
        return f"({self.path}, line {frames[-1].lineno}: {what})" if frames else f"({what})"


def is_spec(text: str) -> bool:
    """Return whether a text names a function of a file."""
    return _SPEC.fullmatch(text) is not None


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


@cache
def _module(path: str, code: bytes) -> types.ModuleType:
    """Run the code of a file as a module, once a process."""
    module = types.ModuleType(f"derlem_user_{hashlib.sha256(code).hexdigest()[:16]}")
    module.__file__ = path
    sys.modules[module.__name__] = module  # dataclasses of the file look for their module
    try:
        exec(compile(code, path, "exec", dont_inherit=True), vars(module))
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module
