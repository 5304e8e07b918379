"""What a run on a CPU never uses is not imported with it."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest


@cache
def imported() -> frozenset[str]:
    """Return the names of the modules that importing a run's module brings."""
    program = "import sys, trainer.run\nprint(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return frozenset(ended.stdout.split())


@pytest.mark.parametrize(
    "package",
    [
        "torch._dynamo",
        "torch._inductor",
        "torch.onnx",
        "torch.distributed.checkpoint",
        "torch.distributed.fsdp",
        "torch.distributed.tensor",
        "torch.utils.tensorboard",
        *("apache_beam", "numba", "pandas", "pyarrow.compute", "rich", "scipy", "sympy", "typer"),
    ],
)
def test_a_run_imports_no(package: str) -> None:
    assert "trainer.loop" in imported()
    assert package not in imported()
