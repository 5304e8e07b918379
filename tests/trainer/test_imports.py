"""What a run on a CPU never uses is not imported with it; configurations are read without torch."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest

CONFIGURATIONS = "trainer.config, trainer.compare.config, trainer.mix.config, trainer.scaling.config"


@cache
def imported(modules: str) -> frozenset[str]:
    """Return the names of the modules that importing some brings."""
    program = f"import sys, {modules}\nprint(*sys.modules)"
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
    assert "trainer.loop" in imported("trainer.run")
    assert package not in imported("trainer.run")


def test_configurations_need_no_torch() -> None:
    """Where the extra train is not installed, their faults are still told, and tested."""
    assert "trainer.scaling.config" in imported(CONFIGURATIONS)
    assert "torch" not in imported(CONFIGURATIONS)
