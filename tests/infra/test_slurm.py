"""The batch script trains on two nodes, processes here, and queues itself again only after a signal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from token_shards import tokenizer, write

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "infra" / "slurm" / "train.sbatch"

# What Slurm does, on this machine: a task a node, whose signals are those of srun.
SRUN = r"""#!/bin/bash
shift  # --kill-on-bad-exit=1
tasks=()
trap 'kill -TERM "${tasks[@]}"' TERM
for node in $(seq 0 $((SLURM_NNODES - 1))); do SLURM_NODEID=$node "$@" & tasks+=($!); done
status=0
for task in "${tasks[@]}"; do
  wait "$task" || status=$?
  while kill -0 "$task" 2>/dev/null; do wait "$task" || status=$?; done
done
exit $status
"""
SCONTROL = r"""#!/bin/bash
if [ "$1" = requeue ]; then echo "$2" >"$QUEUED"; else echo localhost; echo localhost; fi
"""
CONFIG = """
[model]
depth = 1
width = 32
head = 16
[data]
length = 16
batch = 8
tokens = 512
[evaluate]
documents = 0
[run]
device = "cpu"
log = []
"""


@pytest.fixture
def cluster(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a job on two nodes with one device each."""
    programs = tmp_path / "bin"
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        program(programs, name, text)
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "QUEUED": str(tmp_path / "queued"),
        "SLURM_NNODES": "2",
        "SLURM_GPUS_ON_NODE": "1",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "localhost",
        "OMP_NUM_THREADS": "1",
        "CORPUS": str(tmp_path / "corpus"),
        "RUN": str(tmp_path / "run"),
        "PRESET": str(tmp_path / "small.toml"),
    }


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    (folder / name).chmod(0o755)


def start(cluster: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", SCRIPT], env=cluster, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    )


def test_two_nodes_train_one_run(cluster: dict[str, str], tmp_path: Path) -> None:
    documents = [[*range(3 + number % 5, 40), 2] for number in range(20)]
    write(tmp_path / "corpus", {"tur_Latn/web": [documents]}, model=tokenizer())
    (tmp_path / "small.toml").write_text(CONFIG, encoding="utf-8")
    program(tmp_path / "bin", "torchrun", f'#!/bin/sh\nexec {sys.executable} -m torch.distributed.run "$@"\n')
    job = start(cluster)
    said, _ = job.communicate(timeout=300)
    assert job.returncode == 0, said[-3000:]
    assert json.loads((tmp_path / "run" / "result.json").read_text())["steps"] == 4
    assert "; 2 × CPU" in said
    assert not (tmp_path / "queued").exists()


def test_a_signal_reaches_the_run_and_the_job_queues_itself_again(
    cluster: dict[str, str], tmp_path: Path
) -> None:
    program(
        tmp_path / "bin",
        "torchrun",
        "#!/bin/bash\ntrap 'touch \"$RUN.saved-$SLURM_NODEID\"; exit 143' TERM\n"
        'touch "$RUN.started-$SLURM_NODEID"\nwhile :; do sleep 0.05; done\n',
    )
    job = start(cluster)
    while len(list(tmp_path.glob("run.started-*"))) < 2:
        time.sleep(0.01)
    job.send_signal(signal.SIGTERM)
    said, _ = job.communicate(timeout=60)
    assert job.returncode == 143, said
    assert len(list(tmp_path.glob("run.saved-*"))) == 2
    assert (tmp_path / "queued").read_text().strip() == cluster["SLURM_JOB_ID"]


def test_a_run_that_fails_is_not_queued_again(cluster: dict[str, str], tmp_path: Path) -> None:
    program(tmp_path / "bin", "torchrun", "#!/bin/sh\nexit 3\n")
    job = start(cluster)
    said, _ = job.communicate(timeout=60)
    assert job.returncode == 3, said
    assert not (tmp_path / "queued").exists()


@pytest.mark.parametrize("name", ["CORPUS", "RUN"])
def test_a_job_without_its_folders_says_what_is_missing(name: str, cluster: dict[str, str]) -> None:
    del cluster[name]
    job = start(cluster)
    said, _ = job.communicate(timeout=60)
    assert job.returncode != 0
    assert name in said
