"""Errors that a user reads are one tree, drawn as it is; all others are signals inside the package."""

from __future__ import annotations

import ast
import pickle
import re
import signal
from pathlib import Path

import pytest

from corpus import errors
from corpus.errors import DerlemError, DiskFullError, NotThereError, StoppedError

ROOT = Path(__file__).parents[2]
FOREIGN = {"HttpProcessingError", "OSError", "ValueError"}
"""Bases of exceptions that libraries catch: aiohttp's parser, callers of resolvers, pydantic's validators."""


def drawn() -> set[tuple[str, str]]:
    """Return the pairs of base and class in the picture of the module's docstring."""
    pairs, above = set(), []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ((?:[│ ]   )*(?:[├└]── )?)([A-Z]\w+)", line)
        if not found:
            continue
        depth = len(found[1]) // 4
        above[depth:] = [found[2]]
        if depth:
            pairs.add((above[depth - 1], found[2]))
    return pairs


def test_the_picture_shows_the_tree_as_it_is() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, DerlemError)
    ]
    tree = {
        (base.__name__, kind.__name__)
        for kind in kinds
        for base in kind.__bases__
        if issubclass(base, DerlemError)
    }
    assert drawn() == tree


@pytest.mark.parametrize("package", ["corpus", "pipelines", "trainer", "commands"])
def test_every_other_exception_is_a_signal_or_for_a_library(package: str) -> None:
    found = {
        f"{path.relative_to(ROOT)}: {node.name}": {ast.unparse(base) for base in node.bases}
        for path in (ROOT / package).rglob("*.py")
        if path != ROOT / "corpus" / "errors.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and any(_is_exception(ast.unparse(base)) for base in node.bases)
    }
    assert {name: bases for name, bases in found.items() if bases.isdisjoint({"Signal", *FOREIGN})} == {}


def _is_in_tree(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, DerlemError)


def _is_exception(base: str) -> bool:
    return base == "Signal" or re.search(r"(Error|Exception)$", base) is not None


def test_errors_come_through_from_worker_processes() -> None:
    for error in (NotThereError("lost"), DiskFullError(28, "/x"), StoppedError(signal.SIGTERM, 7)):
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
