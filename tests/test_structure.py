"""Imports run one way: derlem.py, then pipelines and trainer, then corpus without Beam and torch."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "corpus": {"apache_beam", "torch", "pipelines", "trainer", "derlem"},
    "pipelines": {"torch", "trainer", "derlem"},
    "trainer": {"apache_beam", "pipelines", "derlem"},
}


def imported(path: Path) -> set[str]:
    """Give the top-level names of every module that a file imports, wherever the import stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_imports_run_one_way(package: str) -> None:
    modules = sorted((ROOT / package).rglob("*.py"))
    assert modules
    wrong = {str(m.relative_to(ROOT)): imported(m) & FORBIDDEN[package] for m in modules}
    assert {module: names for module, names in wrong.items() if names} == {}


def test_help_imports_neither_beam_nor_torch() -> None:
    code = (
        "import sys, runpy; sys.argv = ['derlem', '--help']\n"
        "try: runpy.run_module('derlem', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(sorted({'apache_beam', 'torch', 'numba', 'pyarrow', 'pydantic'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


PARTS = {"pydantic_core": "pydantic", "botocore": "s3fs"}  # packages that come only with another
ON_REQUEST = {"tiktoken"}  # what `tokenizer compare` uses where it is there, and says so where it is not


def test_every_package_that_is_imported_is_declared_for_users() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(d for name in extras if name != "dev" for d in extras[name])]
    declared = {re.split(r"[\[<>=~ ]", one)[0].lower().replace("_", "-") for one in wanted}
    carriers = packages_distributions()
    ours = {*FORBIDDEN, "derlem", *sys.stdlib_module_names} | ON_REQUEST
    modules = [
        ROOT / "derlem.py",
        *(path for package in FORBIDDEN for path in (ROOT / package).rglob("*.py")),
    ]
    missing = set()
    for module in modules:
        for name in imported(module) - ours:
            carried = {name, PARTS.get(name, name), *carriers.get(name, ())}
            if not declared & {one.lower().replace("_", "-") for one in carried}:
                missing.add(f"{module.relative_to(ROOT)}: {name}")
    assert missing == set()


def test_every_dependency_has_a_tested_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(d for e in project["optional-dependencies"].values() for d in e)]
    names = {d.split("[")[0].split(">")[0].strip().lower().replace("_", "-") for d in wanted}
    pinned = {
        line.split("==")[0].strip().lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    }
    assert names - pinned == set()


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
