"""SkyPilot's own reader takes the task, and would refuse a wrong one."""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

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


TORCHRUN = """#!/bin/bash
echo "$@" >>"$SAID"
here=$HOME/run/checkpoints
[ -e "$here/0000000001/facts.json" ] && echo resumed >>"$SAID"
mkdir -p "$here/0000000002" "$here/.0000000003.part"
touch "$here"/0000000002/{facts.json,__0_0.distcp} "$here/.0000000003.part/__0_0.distcp"
rm -rf "$here/0000000001"
exit "$STATUS"
"""


@pytest.mark.parametrize("status", [0, 143])
def test_the_task_resumes_from_the_copy_and_copies_the_run_however_it_ends(
    status: int, tool: Callable[[str], str], tmp_path: Path
) -> None:
    """The bucket is a folder, and a program trains; one step is copied, the next is finished, one is not."""
    tool("rsync")
    torchrun = tmp_path / "home" / "derlem" / "bin" / "torchrun"
    torchrun.parent.mkdir(parents=True)
    torchrun.write_text(TORCHRUN, encoding="utf-8")
    torchrun.chmod(0o755)
    copy = tmp_path / "copies" / "first" / "checkpoints" / "0000000001"
    copy.mkdir(parents=True)
    (copy / "facts.json").touch()
    script = textwrap.dedent(TASK.read_text(encoding="utf-8").partition("\nrun: |\n")[2])
    given = {
        "HOME": str(tmp_path / "home"), "SAID": str(tmp_path / "said"), "STATUS": str(status), "RUN": "first",
        "CORPUS": "gs://corpus/out", "PRESET": "124m", "SKYPILOT_NUM_GPUS_PER_NODE": "8",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", "-c", script.replace("/copies/", f"{tmp_path}/copies/")],
        env={**os.environ, **given}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == status
    words, resumed = (tmp_path / "said").read_text().splitlines()
    assert resumed == "resumed"
    assert "--nproc-per-node 8" in words
    assert f"train gs://corpus/out --output {tmp_path}/home/run --preset 124m" in words
    copied = {
        str(path.relative_to(tmp_path / "copies"))
        for path in (tmp_path / "copies").rglob("*")
        if path.is_file()
    }
    assert copied == {f"first/checkpoints/0000000002/{name}" for name in ("facts.json", "__0_0.distcp")}
