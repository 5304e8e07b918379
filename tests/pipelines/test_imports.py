"""What takes seconds to import is imported where there is work for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

PLAN = """
import sys
from corpus.config import Run
from pipelines import build, crawl, options
options.choose(Run(), 2, ())
"""


@pytest.mark.parametrize("package", ["apache_beam", "grpc", "torch", "scipy.stats"])
def test_a_build_with_nothing_to_do_imports_no(package: str) -> None:
    code = f"{PLAN}\nassert {package!r} not in sys.modules"
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


@pytest.mark.parametrize("package", ["apache_beam", "torch", "numba", "numpy", "pyarrow", "pydantic"])
def test_help_imports_no(package: str) -> None:
    code = f"import sys, derlem\nassert {package!r} not in sys.modules"
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


def test_scaling_takes_its_quantiles_from_where_they_are_made() -> None:
    code = "import sys, trainer.scaling.report.build\nassert 'scipy.stats' not in sys.modules"
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
