"""SkyPilot's own reader takes the task, and would refuse a wrong one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

TASK = Path(__file__).parents[2] / "infra" / "sky" / "train.yaml"
READ = """
import json, sys, yaml
from sky import Task
given = [("CORPUS", "gs://corpus/out"), ("RUN", "first"), ("COPIES", "gs://runs")]
task = Task.from_yaml_config(yaml.safe_load(open(sys.argv[1])), env_overrides=given)
print(json.dumps({
    "nodes": task.num_nodes,
    "gpus": sorted(name for each in task.resources for name in each.accelerators or {}),
    "spot": all(each.use_spot for each in task.resources),
    "mounts": {place: [each.source, each.mode.value] for place, each in task.storage_mounts.items()},
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
    assert found["mounts"] == {"/copies": ["gs://runs", "MOUNT"]}
    assert "SKYPILOT_NUM_GPUS_PER_NODE" in found["run"]


def test_skypilot_refuses_a_key_that_it_does_not_know(tool: Callable[[str], str], tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(TASK.read_text(encoding="utf-8").replace("use_spot:", "use_spots:"), encoding="utf-8")
    done = read(tool, path, tmp_path)
    assert done.returncode != 0
    assert "use_spots" in done.stderr


def test_the_script_of_the_task_is_shell(tmp_path: Path) -> None:
    run = TASK.read_text(encoding="utf-8").partition("\nrun: |\n")[2]
    assert "torchrun" in run
    assert subprocess.run(["bash", "-n"], input=run, text=True, check=False).returncode == 0
