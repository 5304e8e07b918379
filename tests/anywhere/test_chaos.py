"""A build on this machine that is disturbed: a clear stop each time, at the end the same bytes.

The form that lasts longer, on stores and engines too, is benchmarks/chaos.py.
"""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path

from anywhere import chaos
from anywhere.conftest import SETTINGS, Cloud
from anywhere.same import contents


def test_what_goes_wrong_on_this_machine_changes_nothing(cloud: Cloud, local: Path, tmp_path: Path) -> None:
    """Each unit twice and a worker killed; a full disk; a changed part, odd clocks."""
    shutil.copytree(local.parent, tmp_path, ignore=shutil.ignore_patterns("corpus"), dirs_exist_ok=True)
    config, extract, draw = tmp_path / local.name, tmp_path / "corpus" / "extract", random.Random(0)
    build = ["build", config, *SETTINGS]

    def done() -> set[str]:
        """Return the units of extract that have a record."""
        return {path.stem for path in extract.glob("units/*.json")} - {"stage", "inputs"}

    process = cloud.start(*build, before=chaos.TWICE)
    assert chaos.wait_for(process, lambda: bool(done()))
    assert chaos.kill_one(process.pid, "pipelines.worker", draw)
    assert "SIGKILL" in cloud.finished(process, 1)
    kept = done()

    said = cloud.derlem(*build, before=chaos.full_disk(2000), status=1)
    assert "not written" in said
    assert done() >= kept
    kept = done()

    parts = sorted(path for path in extract.rglob("*.arrow") if path.stem[-16:] in kept)
    chaos.damage(draw.choice(parts), draw)
    chaos.shift_times(tmp_path / "corpus", 5)
    said = cloud.derlem(*build, before=chaos.TWICE + chaos.clock(-7))
    found = re.search(r"(\d+) done before", said)
    assert found is not None
    assert int(found[1]) == len(kept) - 1
    assert contents(tmp_path / "corpus") == contents(local.parent / "corpus")
