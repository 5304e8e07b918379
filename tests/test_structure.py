"""Imports run one way, each is declared for those who install the package, and each declaration is pinned."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "corpus": {"apache_beam", "torch", "typer", "rich", "pipelines", "trainer", "commands", "derlem"},
    "pipelines": {"torch", "typer", "rich", "trainer", "commands", "derlem"},
    "trainer": {"apache_beam", "typer", "rich", "pipelines", "commands", "derlem"},
    "commands": {"derlem"},
}


OWN = {"derlem", "commands", "corpus", "pipelines", "trainer"}
EXTRAS = {
    "derlem.py": [],
    "commands": [],
    "corpus": [],
    "corpus/view": ["view"],
    "pipelines": [],
    "trainer": ["train"],
}
"""What a user installs for each room besides the run dependencies."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


TOP = {
    ".ci", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "benchmarks",
    "commands", "constraints.txt", "corpus", "derlem.py", "docs", "examples", "infra", "pipelines",
    "pyproject.toml", "tests", "trainer",
}  # fmt: skip
"""The files and folders of the top level."""


def nodes(path: Path, needed: bool) -> Iterator[ast.AST]:
    """Yield a file's syntax nodes; with `needed`, without the `try` blocks that catch a failed import."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        yield node
        optional = needed and isinstance(node, ast.Try) and any(_catches_import(one) for one in node.handlers)
        waiting += node.orelse + node.finalbody if optional else ast.iter_child_nodes(node)


def _catches_import(handler: ast.ExceptHandler) -> bool:
    caught = ast.dump(handler.type) if handler.type else "ImportError"
    return "ImportError" in caught or "ModuleNotFoundError" in caught


def imported(path: Path, needed: bool = False) -> set[str]:
    """Return the top-level names of the modules that a file imports, wherever; with `needed`, must import."""
    names: set[str] = set()
    for node in nodes(path, needed):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def canonical(name: str) -> str:
    """Return the canonical name of a distribution or a requirement (PEP 503)."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", name)[0]).lower()


def declared(extras: list[str]) -> set[str]:
    """Return the distributions that an install with some extras asks for by name."""
    wanted = [*PROJECT["dependencies"], *(d for e in extras for d in PROJECT["optional-dependencies"][e])]
    return {canonical(name) for name in wanted}


@pytest.mark.parametrize("room", sorted(EXTRAS))
def test_what_a_room_imports_its_install_brings(room: str) -> None:
    files = [ROOT / room] if room.endswith(".py") else sorted((ROOT / room).rglob("*.py"))
    rooms_of_their_own = [ROOT / other for other in EXTRAS if other.startswith(f"{room}/")]
    files = [file for file in files if rooms_of_their_own.count(file.parent) == 0]
    needed = (
        set().union(*(imported(file, needed=True) for file in files)) - OWN - set(sys.stdlib_module_names)
    )
    assert needed
    brings = packages_distributions()
    # A module whose distribution does not name it has the distribution's own name.
    unmet = {
        name
        for name in needed
        if declared(EXTRAS[room]).isdisjoint(canonical(found) for found in brings.get(name, [name]))
    }
    assert unmet == set()


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_imports_run_one_way(package: str) -> None:
    modules = sorted((ROOT / package).rglob("*.py"))
    assert modules
    wrong = {str(m.relative_to(ROOT)): imported(m) & FORBIDDEN[package] for m in modules}
    assert {module: names for module, names in wrong.items() if names} == {}


@pytest.mark.parametrize("package", ["corpus", "pipelines", "trainer"])
def test_only_commands_write_to_stdout(package: str) -> None:
    modules = sorted((ROOT / package).rglob("*.py"))
    assert modules
    wrong = {
        str(m.relative_to(ROOT)): [
            node.lineno for node in ast.walk(ast.parse(m.read_text())) if _writes_to_stdout(node)
        ]
        for m in modules
    }
    assert {module: lines for module, lines in wrong.items() if lines} == {}


def test_a_write_to_stdout_is_recognised() -> None:
    source = "print(1)\nsys.stdout.write('a')\nprint(1, file=sys.stderr)\nlog.print(1)"
    assert [node.lineno for node in ast.walk(ast.parse(source)) if _writes_to_stdout(node)] == [1, 2]


def _writes_to_stdout(node: ast.AST) -> bool:
    """Return whether a node is `print(…)` without a file, or names `sys.stdout`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
        return "file" not in {keyword.arg for keyword in node.keywords}
    return isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.stdout"


def test_help_imports_neither_beam_nor_torch() -> None:
    code = (
        "import sys, runpy; sys.argv = ['derlem', '--help']\n"
        "try: runpy.run_module('derlem', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(sorted({'apache_beam', 'torch', 'numba', 'pyarrow', 'pydantic'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout of git")
def test_nothing_stray_is_kept_at_the_top() -> None:
    command = ["git", "-C", str(ROOT), "ls-files"]
    tracked = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {path.split("/")[0] for path in tracked} == TOP


def test_every_dependency_has_a_tested_version() -> None:
    pinned = {
        canonical(line)
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    }
    assert declared(list(PROJECT["optional-dependencies"])) - pinned == set()


@pytest.mark.parametrize(("readme", "fewest"), [("trainer", 20), ("trainer/scaling", 15)])
def test_every_trap_names_tests_that_exist(readme: str, fewest: int) -> None:
    table = (ROOT / readme / "README.md").read_text(encoding="utf-8")
    rows = [row.split("|")[1:4] for row in table.splitlines() if "| `test_" in row]
    assert len(rows) >= fewest
    for trap, modules, tests in rows:
        files = [ROOT / "tests" / readme / f"test_{name.strip()}.py" for name in modules.split(",")]
        held = "".join(path.read_text(encoding="utf-8") for path in files)
        missing = [name for name in re.findall(r"`(test_\w+)`", tests) if f"def {name}(" not in held]
        assert missing == [], trap
