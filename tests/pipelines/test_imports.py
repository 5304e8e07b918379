"""What takes seconds to import is imported where there is work for it."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest

PLAN = """
from corpus.config import Run
from pipelines import build, crawl, options
options.choose(Run(), 2, ())
"""


@cache
def imported(code: str) -> frozenset[str]:
    """Return the names of the modules that a program of its own has imported at its end."""
    program = f"{code}\nimport sys\nprint(*sys.modules)"
    ended = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    return frozenset(ended.stdout.split())


@pytest.mark.parametrize("package", ["apache_beam", "grpc", "torch", "scipy.stats"])
def test_a_build_with_nothing_to_do_imports_no(package: str) -> None:
    modules = imported(PLAN)
    assert "pipelines.options" in modules
    assert package not in modules


@pytest.mark.parametrize("package", ["apache_beam", "torch", "numba", "numpy", "pyarrow", "pydantic"])
def test_help_imports_no(package: str) -> None:
    modules = imported("import derlem")
    assert "derlem" in modules
    assert package not in modules


def test_scaling_takes_its_quantiles_from_where_they_are_made() -> None:
    assert "scipy.stats" not in imported("import trainer.scaling.report.build")
