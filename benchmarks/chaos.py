"""Builds that are disturbed at random, on a disk, on stores and on the stand-in for Dataflow: the long form.

    python -m benchmarks.chaos --minutes 30 --seed 1 --place local s3 gs dataflow

Each round starts the small corpus of the tests anew, disturbs it until a number of runs have ended, then
lets it finish: its bytes must be those of a build that nothing disturbed, each run must have ended well or
with a message, and no finished unit may be lost. The short form is tests/anywhere/test_chaos.py and
test_storage.py. Needs the environments that those tests install.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from anywhere import chaos, environments, stores, test_dataflow  # noqa: E402
from anywhere.conftest import SETTINGS, Cloud  # noqa: E402
from anywhere.proxy import Faults, Request  # noqa: E402
from anywhere.same import contents, on_store  # noqa: E402
from anywhere.stores import Store  # noqa: E402
from support import write_input  # noqa: E402

RUNS = 3  # that are disturbed, a round
OUTAGE_S = 60.0
LIMIT_S = 1800  # of a disturbed run, on a machine with other work, too
PLACES = ("local", "s3", "gs", "dataflow")
SAID = re.compile(
    r"stopped|the store did not|not written|another run is at work|Forbidden|denied|cannot be|runs already"
)


@dataclass(slots=True)
class Run:
    """A run that is disturbed: code before it, what is done while it works, its words beyond the usual."""

    before: str = ""
    meanwhile: Callable[[subprocess.Popen[str]], None] = lambda process: None
    words: list[object] = field(default_factory=list)


@dataclass(slots=True)
class Place:
    """Where corpora are built: a store or a folder, and the words and processes of an engine."""

    cloud: Cloud
    config: Path
    store: Store | None
    expected: dict[str, str]
    draw: random.Random
    engine: list[object] = field(default_factory=list)
    spoil: Callable[..., None] | None = None  # the stand-in's faults

    def output(self, name: str) -> str:
        """Return the output of a round."""
        return self.store.url(name) if self.store else str(self.config.parent / name)

    def start(self, name: str, run: Run) -> subprocess.Popen[str]:
        """Start a build."""
        words = ["build", self.config, *SETTINGS, "--set", f'output="{self.output(name)}"', *run.words]
        return self.cloud.start(*words, *self.engine, store=self.store, before=run.before)

    def built(self, name: str, scratch: Path) -> dict[str, str]:
        """Return the contents of a round's output."""
        if self.store is None:
            return contents(self.config.parent / name)
        return on_store(self.cloud, self.store, name, scratch / name)

    def done(self, name: str, scratch: Path) -> set[str]:
        """Return the records of finished units."""
        return {path for path in self.built(name, scratch) if re.search(r"/units/[0-9a-f]{16}\.json$", path)}


def after(draw: random.Random, do: Callable[[subprocess.Popen[str]], object]) -> Run:
    """Return a run in which something happens at a random moment."""

    def meanwhile(process: subprocess.Popen[str]) -> None:
        time.sleep(draw.uniform(2, 20))
        do(process)

    return Run(meanwhile=meanwhile)


def disturbances(place: Place, name: str) -> dict[str, Callable[[], Run]]:
    """Return what can go wrong at a place, by name."""
    draw, store = place.draw, place.store
    found: dict[str, Callable[[], Run]] = {
        "driver killed": lambda: after(draw, lambda process: process.kill()),
        "clock wrong by hours": lambda: Run(before=chaos.clock(draw.uniform(-12, 12))),
    }
    if not place.engine:
        found["each unit twice"] = lambda: Run(before=chaos.TWICE)

        def worker_killed() -> Run:
            run = after(draw, lambda process: chaos.kill_one(process.pid, "pipelines.worker", draw))
            run.before = chaos.TWICE
            return run

        found["worker killed"] = worker_killed
    if store is None:
        found["disk full"] = lambda: Run(before=chaos.full_disk(draw.randrange(500, 30_000)))

        def damaged() -> Run:
            folder = place.config.parent / name
            parts = sorted(path for path in folder.rglob("*.arrow") if "units" not in path.parts)
            if parts:
                chaos.damage(draw.choice(parts), draw)
            if folder.exists():
                chaos.shift_times(folder, draw.uniform(-12, 12))
            return Run()

        found["part corrupted, times shifted"] = damaged
    else:
        proxy = store.proxy

        def spoiled() -> Run:
            proxy.clear(Faults(unavailable=0.05, reset=0.04, stalled=0.01))
            return Run()

        def revoked() -> Run:
            left = [draw.randrange(20, 300)]

            def refuse(request: Request) -> int:
                left[0] -= 1
                return 403 if left[0] < 0 else 0

            proxy.clear(Faults(refuse=refuse))
            return Run()

        def away(process: subprocess.Popen[str]) -> None:
            proxy.faults.down = True
            time.sleep(OUTAGE_S)
            proxy.faults.down = False

        found |= {
            "requests spoiled": spoiled,
            "rights revoked": revoked,
            f"store away for {OUTAGE_S:.0f} s": lambda: after(draw, away),
        }
    if (spoil := place.spoil) is not None:

        def service(**faults: object) -> Callable[[], Run]:
            def make() -> Run:
                spoil(**faults)
                return Run()

            return make

        found |= {
            "service refuses": service(refuse=403),
            "answer lost": service(lose_answer=True),
            "job done twice": service(twice=True),
        }
    return found


def round_of(place: Place, name: str, scratch: Path, only: str) -> list[str]:
    """Disturb a build by what has `only` in its name, let it finish, and return what was wrong with it."""
    wrong, kept = list[str](), set[str]()
    for number in range(RUNS):
        known = sorted(disturbances(place, name).items())
        what, make = place.draw.choice([each for each in known if only in each[0]])
        run = make()
        began = time.monotonic()
        process = place.start(name, run)
        thread = threading.Thread(target=run.meanwhile, args=(process,), daemon=True)
        thread.start()
        try:
            said, _ = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
            wrong.append(f"{what}: did not end")
        thread.join()
        status = process.returncode
        print(f"  {name}: {what}: status {status} after {time.monotonic() - began:.0f} s", flush=True)
        if status not in (0, -9) and ("Traceback" in said or not SAID.search(said)):
            wrong.append(f"{what}: status {status}, and no clear message: {said[-600:]}")
        if place.store is not None:
            place.store.proxy.clear()
        if place.spoil is not None:
            place.spoil()
        done = place.done(name, scratch / f"{number}")
        if "corrupted" not in what and kept - done:
            wrong.append(f"{what}: lost {sorted(kept - done)}")
        kept = done
    said, _ = (process := place.start(name, Run())).communicate(timeout=1800)
    if process.returncode:
        wrong.append(f"the last run, undisturbed: status {process.returncode}: {said[-600:]}")
    elif (found := place.built(name, scratch / "last")) != place.expected:
        other = sorted(dict(found.items() ^ place.expected.items()))
        wrong.append(f"other bytes: {other[:8]}")
    return wrong


@contextmanager
def opened(kind: str, cloud: Cloud, folder: Path, draw: random.Random) -> Iterator[Place]:
    """Open a place of a kind, with what an undisturbed build of its inputs holds."""
    folder.mkdir()
    config = write_input(folder)
    with ExitStack() as stack:
        store = None
        if kind != "local":
            start = stores.s3 if kind == "s3" else stores.gs
            store = stack.enter_context(start(folder))
        if kind == "dataflow":
            assert store is not None
            names = [path.name for path in folder.glob("pages-*.jsonl")]
            cloud.run(test_dataflow._COPY, folder, store.url("in"), *names, store=store)
            config.write_text(config.read_text().replace('paths = ["', f'paths = ["{store.url("in")}/'))
        expected = folder / "expected"
        cloud.derlem("build", config, *SETTINGS, "--set", f'output="{expected}"', store=store)
        place = Place(cloud, config, store, contents(expected), draw)
        if kind == "dataflow":
            assert store is not None
            service = stack.enter_context(test_dataflow.running(cloud, store, folder))
            place.engine = test_dataflow.words(config, store, service, "", test_dataflow.IMAGE)[-7:]
            place.engine.insert(0, "--")
            place.spoil = service.spoil
        yield place


def main() -> None:
    """Disturb builds until the time is over; exit with 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--place", nargs="+", choices=PLACES, default=PLACES)
    parser.add_argument("--only", default="", metavar="WORDS", help='as in "store away"; all by default')
    given = parser.parse_args()
    draw, cloud = random.Random(given.seed), Cloud(environments.cloud())
    until = time.monotonic() + given.minutes * 60
    wrong, number = list[str](), 0
    with tempfile.TemporaryDirectory(prefix="chaos-") as made, ExitStack() as stack:
        folder = Path(made)
        places = {kind: stack.enter_context(opened(kind, cloud, folder / kind, draw)) for kind in given.place}
        while time.monotonic() < until:
            kind = given.place[number % len(given.place)]
            number += 1
            scratch = folder / f"scratch-{number}"
            scratch.mkdir()
            found = round_of(places[kind], f"{kind}-{number}", scratch, given.only)
            shutil.rmtree(scratch)
            wrong += [f"{kind} {number}: {each}" for each in found]
            print(f"{kind} {number}: {'; '.join(found) or 'the same bytes, nothing lost'}", flush=True)
    print(f"{number} rounds of {RUNS} disturbed runs: {len(wrong)} faults", *wrong, sep="\n")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
