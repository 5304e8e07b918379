"""A folder that a killed process left is removed by the next that needs one; those of living ones stay."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from corpus import temporary

LEAVE = """
import os, signal, sys
from corpus import temporary
with temporary.folder("test", sys.argv[1]) as made:
    print(made, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_folders_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    run = [sys.executable, "-c", LEAVE, str(tmp_path)]
    left = Path(subprocess.run(run, capture_output=True, text=True, check=False).stdout.strip())
    assert left.is_dir()
    (tmp_path / "test.tmp-notes").mkdir()
    with temporary.folder("test", tmp_path) as first:
        assert not left.exists()
        with temporary.folder("test", tmp_path) as second:
            assert first.is_dir()
            assert second != first
    assert [path.name for path in tmp_path.iterdir()] == ["test.tmp-notes"]
