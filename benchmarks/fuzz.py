"""Read many archives with a damaged record among good ones, and write down what went wrong.

    python benchmarks/fuzz.py --files 1000000 --state fuzz.json

Every file is made from its number, so that a finding can be looked at again. The state is written every
thousand files; the same command goes on from there.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from fuzzing import FORMATS, GOOD, damaged, findings  # noqa: E402

_STEP = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--files", type=int, default=1_000_000, help="damaged files, each with one damaged record"
    )
    parser.add_argument("--state", type=Path, default=Path("fuzz.json"), help="where the figures are kept")
    arguments = parser.parse_args()
    state = {"files": 0, "processor_s": 0.0, "findings": []}
    if arguments.state.exists():
        state = json.loads(arguments.state.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        while state["files"] < arguments.files:
            started = time.process_time()
            until = min(state["files"] + _STEP, arguments.files)
            for seed in range(state["files"], until):
                state["findings"] += [asdict(found) for found in findings(damaged(seed), Path(folder))]
            state["files"] = until
            state["processor_s"] = round(state["processor_s"] + time.process_time() - started, 1)
            arguments.state.write_text(json.dumps(state, indent=1), encoding="utf-8")
    print(
        f"{state['files']:,} files in {', '.join(FORMATS)}: one damaged record and {GOOD} good ones each, "
        f"{state['processor_s']:,.0f} s of processor time, {len(state['findings'])} findings"
    )
    for found in state["findings"][:20]:
        print(f"  {found['seed']} ({found['format']}): {found['what']}")
    sys.exit(1 if state["findings"] else 0)


if __name__ == "__main__":
    main()
