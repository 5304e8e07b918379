"""The GPU machine's script, with programs in place of Google's client, Docker and the GPU's driver."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "infra" / "terraform" / "gcp" / "train.sh"
NOTE = '#!/bin/sh\necho "$(basename "$0") $*" >>"$SAID"\n'


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a machine on which a group has started the script."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, does in (("gcloud", ""), ("docker", "exit $STATUS\n"), ("nvidia-smi", "")):
        (programs / name).write_text(f"{NOTE}{does}", encoding="utf-8")
        (programs / name).chmod(0o755)
    return {"PATH": f"{programs}:{os.environ['PATH']}", "SAID": str(tmp_path / "said"), "STATUS": "0"}


def do(function: str, machine: dict[str, str]) -> tuple[int, list[str]]:
    """Run a function after the settings that Terraform writes; return its status and what programs got."""
    settings = (
        "IMAGE=registry.example/derlem/trainer:1\nCORPUS=gs://corpus/out\nRUN=gs://runs/first\nPRESET=124m\n"
        "SETTINGS=('data.length=2048' 'run.log=[\"jsonl\"]')\nGROUP=derlem-trainer\nREGION=europe-west1\n"
    )
    text = f"{settings}{SCRIPT.read_text(encoding='utf-8')}\n{function}\n"
    done = subprocess.run(["bash", "-c", text], env=machine, capture_output=True, check=False)
    return done.returncode, Path(machine["SAID"]).read_text(encoding="utf-8").splitlines()


def test_it_trains_with_a_copy_and_ends_its_own_bill(machine: dict[str, str]) -> None:
    status, said = do("main", machine)
    assert status == 0
    driver, login, train, resize = said
    assert driver == "nvidia-smi "
    assert login == "gcloud auth configure-docker registry.example --quiet"
    assert "registry.example/derlem/trainer:1 torchrun --standalone" in train
    assert "derlem train gs://corpus/out --output /tmp/run --preset 124m" in train
    assert train.endswith(
        '--set checkpoint.mirror=gs://runs/first --set data.length=2048 --set run.log=["jsonl"]'
    )
    assert resize.startswith("gcloud compute instance-groups managed resize derlem-trainer --size 0 --region")


def test_a_run_that_was_stopped_or_failed_leaves_the_group_as_it_is(machine: dict[str, str]) -> None:
    status, said = do("main", machine | {"STATUS": "143"})
    assert status == 143
    assert said[-1].startswith("docker run")


def test_a_notice_stops_the_run_which_saves(machine: dict[str, str]) -> None:
    assert do("leave", machine) == (0, ["docker stop --time 25 derlem"])


def test_the_settings_are_settings_of_a_run() -> None:
    from trainer import config

    loaded = config.load("124m", ["checkpoint.mirror=/runs/first", "checkpoint.every=200"])
    assert (loaded.checkpoint.mirror, loaded.checkpoint.every) == ("/runs/first", 200)
