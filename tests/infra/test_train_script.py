"""The GPU machine's script: trains to the end from the copy of a run, and never copies half a checkpoint.

In place of Google's client there is a program that copies folders, file by file, in any order, and dies
where a test says.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "infra" / "terraform" / "gcp" / "train.sh"

GCLOUD = f"""#!{sys.executable}
import os, pathlib, random, re, shutil, sys
words = sys.argv[1:]
if words[:2] != ["storage", "rsync"]:
    with open(os.environ["SAID"], "a") as said:
        said.write(" ".join(words) + chr(10))
    sys.exit()
exclude = next((w.partition("=")[2] for w in words if w.startswith("--exclude=")), None)
places = [w.replace("gs://", os.environ["BUCKETS"] + "/") for w in words[2:] if w[0] != "-"]
source, target = map(pathlib.Path, places)
def listed(root):
    names = [str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()]
    return {{n for n in names if not (exclude and re.match(exclude, n))}}
def step():
    left = pathlib.Path(os.environ["LEFT"])
    if left.exists():
        number = int(left.read_text())
        if not number:
            sys.exit(1)
        left.write_text(str(number - 1))
if not source.is_dir():
    sys.exit("no such folder")
shuffled = random.Random(int(os.environ["SEED"]))
there, here = listed(target), sorted(listed(source))
shuffled.shuffle(here)
for name in here:
    if name not in there or (source / name).read_bytes() != (target / name).read_bytes():
        step()
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, target / name)
if "--delete-unmatched-destination-objects" in words:
    gone = sorted(there - set(here))
    shuffled.shuffle(gone)
    for name in gone:
        step()
        (target / name).unlink()
"""

# A run of three steps: each is a checkpoint, of which the last two stay; it stops before step $STOP.
DOCKER = """#!/bin/bash
echo "$@" >>"$SAID"
[ "$1" = stop ] && exit
here=$(echo "$@" | sed 's/.*--volume \\([^:]*\\):.*/\\1/')
for step in 1 2 3; do
  [ -e "$here/checkpoints/000000000$step/facts.json" ] && continue
  [ $step = "$STOP" ] && exit 1
  mkdir -p "$here/checkpoints/.part"
  for rank in 0 1; do echo $step $rank >"$here/checkpoints/.part/__${rank}_0.distcp"; done
  echo $step >"$here/checkpoints/.part/facts.json"
  mv "$here/checkpoints/.part" "$here/checkpoints/000000000$step"
  rm -rf "$here/checkpoints/000000000$((step - 2))"
  echo $step >>"$here/metrics.jsonl"
done
echo done >"$here/result.json"
"""


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a machine on which a group has started the script."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / "buckets" / "runs" / "first").mkdir(parents=True)
    (tmp_path / "buckets" / "runs" / "first" / ".run").touch()
    for name, text in (("gcloud", GCLOUD), ("docker", DOCKER), ("nvidia-smi", "#!/bin/sh\n")):
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "BUCKETS": str(tmp_path / "buckets"),
        "SAID": str(tmp_path / "said"),
        "LEFT": str(tmp_path / "left"),
        "HERE": str(tmp_path / "run"),
        "EVERY": "60",
        "SEED": "1",
        "STOP": "",
    }


def do(function: str, machine: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a function of the script, after the settings that Terraform writes before it."""
    settings = (
        "IMAGE=registry.example/derlem/trainer:1\nCORPUS=gs://corpus/out\nRUN=gs://runs/first\nPRESET=124m\n"
        "SETTINGS=('data.length=2048' 'run.log=[\"jsonl\"]')\nGROUP=derlem-trainer\nREGION=europe-west1\n"
    )
    text = f"{settings}{SCRIPT.read_text(encoding='utf-8')}\n{function}\n"
    return subprocess.run(["bash", "-c", text], env=machine, capture_output=True, text=True, check=False)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_trains_copies_and_ends_its_own_bill(machine: dict[str, str], tmp_path: Path) -> None:
    done = do("main", machine)
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "buckets" / "runs" / "first") == tree(tmp_path / "run")
    assert (tmp_path / "buckets" / "runs" / "first" / ".run").exists()
    login, train, resize = (tmp_path / "said").read_text().splitlines()
    assert login == "auth configure-docker registry.example --quiet"
    assert "registry.example/derlem/trainer:1 torchrun --standalone" in train
    assert "derlem train gs://corpus/out --output /run/derlem --preset 124m" in train
    assert '--set data.length=2048 --set run.log=["jsonl"]' in train
    assert "managed resize derlem-trainer --size 0 --region europe-west1" in resize


def test_a_new_machine_resumes_from_the_copy(machine: dict[str, str], tmp_path: Path) -> None:
    assert do("main", machine | {"STOP": "3"}).returncode == 1
    assert "resize" not in (tmp_path / "said").read_text()
    assert do("leave", machine).returncode == 0
    assert (tmp_path / "said").read_text().splitlines()[-1] == "stop --time 15 derlem"
    (tmp_path / "run").rename(tmp_path / "lost")
    assert do("main", machine).returncode == 0
    assert (tmp_path / "run" / "metrics.jsonl").read_text().split() == ["1", "2", "3"]


def test_a_copy_that_cannot_be_had_is_not_taken_for_a_new_run(
    machine: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "buckets" / "runs" / "first" / ".run").unlink()
    (tmp_path / "buckets" / "runs" / "first").rmdir()
    (tmp_path / "bin" / "sleep").symlink_to("/bin/true")
    assert do("main", machine).returncode != 0
    assert (tmp_path / "said").read_text().splitlines() == ["auth configure-docker registry.example --quiet"]


def complete(folder: Path) -> bool:
    step = str(int(folder.name))
    return all((folder / f"__{rank}_0.distcp").read_text() == f"{step} {rank}\n" for rank in (0, 1))


@pytest.mark.parametrize("seed", range(3))
def test_a_copy_that_ends_anywhere_leaves_a_latest_checkpoint_that_is_whole(
    seed: int, machine: dict[str, str], tmp_path: Path
) -> None:
    machine["SEED"] = str(seed)
    assert do("main", machine | {"STOP": "3"}).returncode == 1
    assert do("push", machine).returncode == 0
    before = tree(tmp_path / "buckets")
    (tmp_path / "bin" / "gcloud").rename(tmp_path / "gcloud")  # the third step, which removes the first
    subprocess.run(
        ["bash", tmp_path / "bin" / "docker", "--volume", f"{machine['HERE']}:x"], env=machine, check=True
    )
    (tmp_path / "gcloud").rename(tmp_path / "bin" / "gcloud")
    ends = []
    for number in range(20):
        for name, content in before.items():
            (tmp_path / "buckets" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "buckets" / name).write_bytes(content)
        for name in tree(tmp_path / "buckets").keys() - before.keys():
            (tmp_path / "buckets" / name).unlink()
        (tmp_path / "left").write_text(str(number))
        ended = do("push", machine).returncode
        found = sorted((tmp_path / "buckets" / "runs" / "first" / "checkpoints").glob("0*/facts.json"))
        assert complete(found[-1].parent), number
        ends.append((ended, int(found[-1].parent.name)))
        if not ended:
            break
    assert ends[0] == (1, 2)
    assert ends[-1] == (0, 3)
    assert len(ends) > 5
