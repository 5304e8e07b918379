"""SkyPilot's own reader takes the task, and would refuse a wrong one."""

from __future__ import annotations

import json
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

TASK = Path(__file__).parents[2] / "infra" / "sky" / "train.yaml"
READ = """
import json, sys, yaml
from sky import Task
given = [("CORPUS", "gs://corpus/out"), ("COPY", "gs://runs/first")]
task = Task.from_yaml_config(yaml.safe_load(open(sys.argv[1])), env_overrides=given)
print(json.dumps({
    "nodes": task.num_nodes,
    "gpus": sorted(name for each in task.resources for name in each.accelerators or {}),
    "spot": all(each.use_spot for each in task.resources),
    "envs": task.envs,
    "run": task.run,
}))
"""


def read(tool: Callable[[str], str], path: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Let SkyPilot read a task with the values that a user gives."""
    python = Path(tool("sky")).with_name("python")
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [python, "-c", READ, path], capture_output=True, text=True, check=False, env=environment, cwd=home
    )


def test_skypilot_reads_the_task(tool: Callable[[str], str], tmp_path: Path) -> None:
    done = read(tool, TASK, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["nodes"] == 1
    assert found["gpus"] == ["A100-80GB", "H100", "H200"]
    assert found["spot"]
    assert found["envs"]["COPY"] == "gs://runs/first"
    assert "SKYPILOT_NUM_GPUS_PER_NODE" in found["run"]


def test_skypilot_refuses_a_key_that_it_does_not_know(tool: Callable[[str], str], tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(TASK.read_text(encoding="utf-8").replace("use_spot:", "use_spots:"), encoding="utf-8")
    done = read(tool, path, tmp_path)
    assert done.returncode != 0
    assert "use_spots" in done.stderr


def test_the_script_of_the_task_trains_with_a_copy(tmp_path: Path) -> None:
    """A program in place of torchrun writes down what it is told."""
    torchrun = tmp_path / "derlem" / "bin" / "torchrun"
    torchrun.parent.mkdir(parents=True)
    torchrun.write_text('#!/bin/sh\necho "$@" >"$HOME/said"\nexit 143\n', encoding="utf-8")
    torchrun.chmod(0o755)
    script = textwrap.dedent(TASK.read_text(encoding="utf-8").partition("\nrun: |\n")[2])
    given = {
        "HOME": str(tmp_path), "CORPUS": "gs://corpus/out", "COPY": "gs://runs/first", "PRESET": "124m",
        "SKYPILOT_NUM_GPUS_PER_NODE": "8", "PATH": "/usr/bin:/bin",
    }  # fmt: skip
    assert subprocess.run(["bash", "-c", script], env=given, check=False).returncode == 143
    words = (tmp_path / "said").read_text().strip()
    assert "--nproc-per-node 8" in words
    assert words.endswith(
        f"train gs://corpus/out --output {tmp_path}/run --preset 124m --set checkpoint.mirror=gs://runs/first"
    )
