"""Kill a build at random moments, resume it, and compare every final file with an uninterrupted build's.

    python benchmarks/resume.py examples/corpus.toml --kills 10

Also builds once with two workers. Prints what differs; exits with 1 if anything does.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STAGES = ("extract", "filter", "dedupe", "shards")


def command(config: Path, output: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "derlem", "build", str(config), "--set", f"output={output}", *more]


def final_files(folder: Path) -> dict[str, bytes]:
    """Everything but reports and records, which hold times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "units" not in path.parts and path.name != "report.json"
    }


def compare(name: str, found: dict[str, bytes], wanted: dict[str, bytes]) -> bool:
    differing = sorted(path for path in found.keys() | wanted.keys() if found.get(path) != wanted.get(path))
    print(f"{name}: {len(found)} files, {len(differing)} differ {differing[:5]}", flush=True)
    return not differing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with tempfile.TemporaryDirectory() as home:
        whole, halves, pair = (Path(home) / name for name in ("whole", "halves", "pair"))
        subprocess.run(
            command(arguments.config, whole), check=True, **quiet
        )  # compiles what is compiled once
        shutil.rmtree(whole)
        started = time.monotonic()
        subprocess.run(command(arguments.config, whole), check=True, **quiet)
        wall = time.monotonic() - started
        print(f"uninterrupted: {wall:.1f} s")
        wanted = final_files(whole)
        same = True
        for number in range(arguments.kills):
            run = subprocess.Popen(command(arguments.config, halves), start_new_session=True, **quiet)
            moment = moments.uniform(0.1, 0.6) * wall
            time.sleep(moment)
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            stages = [stage for stage in STAGES if (halves / stage / "manifest.json").exists()]
            units = len(list(halves.glob("*/units/*.json")))
            print(f"kill {number + 1} after {moment:.1f} s: {units} units, finished {stages}", flush=True)
            if len(stages) == len(STAGES):  # what remains to be killed is a new build
                same &= compare("finished between kills", final_files(halves), wanted)
                shutil.rmtree(halves)
        subprocess.run(command(arguments.config, halves), check=True, **quiet)
        subprocess.run(command(arguments.config, pair, "--workers", "2"), check=True, **quiet)
        same &= compare("killed and resumed", final_files(halves), wanted)
        same &= compare("two workers", final_files(pair), wanted)
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
