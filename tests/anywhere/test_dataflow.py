"""From a laptop to Dataflow by adding options: Beam's own client, against a stand-in for the service."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from anywhere import environments, stores
from anywhere.conftest import SETTINGS, Cloud, made
from anywhere.same import contents, on_store
from anywhere.stores import Store

from corpus import chain

IMAGE = "--sdk_container_image=example.org/derlem-worker:1"
_COPY = """
import sys
from corpus import files
fs, root = files.filesystem(sys.argv[2])
for name in sys.argv[3:]:
    fs.put_file(f"{sys.argv[1]}/{name}", f"{root}/{name}")
"""


@pytest.fixture(scope="module")
def bucket(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A Google Cloud Storage."""
    made(environments.servers)
    with stores.gs(tmp_path_factory.mktemp("gs")) as running:
        yield running


@pytest.fixture(scope="module")
def config(cloud: Cloud, local: Path, bucket: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of the small corpus, whose inputs are in the bucket."""
    path = tmp_path_factory.mktemp("dataflow") / "corpus.toml"
    names = [each.name for each in local.parent.glob("pages-*.jsonl")]
    cloud.run(_COPY, local.parent, bucket.url("in"), *names, store=bucket)
    path.write_text(local.read_text().replace('paths = ["', f'paths = ["{bucket.url("in")}/'))
    return path


@pytest.fixture(scope="module")
def expected(cloud: Cloud, config: Path, bucket: Store) -> dict[str, str]:
    """What a build of these inputs by the local runner holds."""
    folder = config.parent / "local"
    cloud.derlem("build", config, *SETTINGS, "--set", f'output="{folder}"', store=bucket)
    return contents(folder)


class Service:
    """The stand-in, running."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port

    def spoil(self, **faults: object) -> None:
        """Let something go wrong from now on."""
        (self.folder / "faults.json").write_text(json.dumps(faults))

    def notes(self, key: str) -> list[dict[str, Any]]:
        """Return what the service noted of a kind."""
        path = self.folder / "jobs.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [note for note in map(json.loads, lines) if key in note]


@contextmanager
def running(cloud: Cloud, bucket: Store, folder: Path) -> Iterator[Service]:
    with (folder / "service.log").open("wb") as log:
        process = subprocess.Popen(
            [str(cloud.python), "-P", str(Path(__file__).with_name("service.py")), str(folder)],
            env=cloud.environment(bucket), stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        yield Service(folder, int(process.stdout.readline()))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def service(cloud: Cloud, bucket: Store, tmp_path: Path) -> Iterator[Service]:
    """The stand-in for the service, with two workers."""
    with running(cloud, bucket, tmp_path) as found:
        yield found


def words(config: Path, bucket: Store, service: Service | None, name: str, *more: str) -> list[object]:
    """Return the words of a build on Dataflow."""
    end = [f"--dataflow_endpoint=http://localhost:{service.port}", "--no_auth"] if service else []
    own = [word for word in more if word.startswith(("--set=", "--until="))]
    return [
        "build", config, *SETTINGS, "--set", f'output="{bucket.url(name)}"', *own, "--",
        "--runner=DataflowRunner", "--project=derlem-test", "--region=europe-west1",
        f"--temp_location={bucket.url('tmp')}", *end, *(word for word in more if word not in own),
    ]  # fmt: skip


def counters_of(report: dict[str, Any]) -> dict[str, int]:
    """Return the counters that a stage must have, by the numbers of its report."""
    counts = report["counts"]
    found = {"units": report["units"], "documents in": counts["seen"], "documents kept": counts["kept"]}
    topics = {fate: counts[fate] for fate in ("dropped", "rejected", "skipped")} | counts["noted"]
    named = {f"{topic}: {name}": names[name] for topic, names in topics.items() for name in names}
    return found | named


def test_a_build_on_dataflow_has_the_local_bytes_at_each_stage(
    cloud: Cloud, config: Path, bucket: Store, service: Service, expected: dict[str, str], tmp_path: Path
) -> None:
    said = cloud.derlem(*words(config, bucket, service, "df", IMAGE), store=bucket)
    assert on_store(cloud, bucket, "df", tmp_path / "fetched") == expected
    submitted = service.notes("submitted")
    names = [note["submitted"] for note in submitted]
    for step in ("extract", "filter", "dedupe-edges-01", "shard", "tokenize"):
        assert any(re.fullmatch(f"derlem-{step}-[0-9a-f]{{16}}", name) for name in names), names
        assert f"derlem-{step}-" in said
    assert "https://console.cloud.google.com/dataflow/jobs/europe-west1/" in said
    for note in submitted:
        assert note["labels"]["derlem-step"] in note["submitted"]
        assert note["options"]["number_of_worker_harness_threads"] == 1
        assert note["options"]["save_main_session"] is False
    counters = {note["job"]: note["counters"] for note in service.notes("counters")}
    for step in ("extract", "filter", "dedupe", "shard", "tokenize"):
        report = json.loads((tmp_path / "fetched" / chain.find(step).folder / "report.json").read_text())
        counted = next(found for name, found in counters.items() if name.startswith(f"derlem-{step}-"))
        numbers = {"buckets": report["facts"]["buckets"]} if step == "dedupe" else counters_of(report)
        assert {name: counted.get(name) for name in numbers} == numbers

    given = words(config, bucket, service, "df", IMAGE, "--until=shard", "--set=dedupe.max_links_in_memory=1")
    said = cloud.derlem(*given, store=bucket)
    assert any("dedupe-round-" in note["submitted"] for note in service.notes("submitted"))
    # A group of shards is named by what dedupe decided of its parts: it decided the same. One is furniture's.
    assert said.count("1 unit, 1 done before") == 2


def test_what_workers_could_not_do_is_refused_before_a_job_is_made(
    cloud: Cloud, config: Path, local: Path, bucket: Store
) -> None:
    def refused(*given: object) -> str:
        return cloud.derlem(*given, store=bucket, status=2)

    assert "its workers do not have derlem" in refused(*words(config, bucket, None, "no"))
    assert "--temp_location=gs://" in refused("build", config, "--", "--runner=DataflowRunner", IMAGE)
    said = refused(*words(local, bucket, None, "no", IMAGE))
    assert "on this machine, which the workers of Dataflow cannot reach" in said


def test_a_dry_run_and_a_template_end_well_and_tell_the_size_of_the_graph(
    cloud: Cloud, config: Path, bucket: Store
) -> None:
    sizes = []
    for name, flag in (("dry", "--dry_run"), ("template", f"--template_location={bucket.url('t/extract')}")):
        said = cloud.derlem(*words(config, bucket, None, name, IMAGE, flag, "--no_auth"), store=bucket)
        (size,) = re.findall(r"derlem-extract-[0-9a-f]{16}: a graph of ([\d,]+) bytes", said)
        sizes.append(int(size.replace(",", "")))
        assert "done:" not in said
    assert max(sizes) < 60_000


def test_ctrl_c_cancels_the_job(cloud: Cloud, config: Path, bucket: Store, service: Service) -> None:
    service.spoil(hold=True)
    process = cloud.start(*words(config, bucket, service, "stopped", IMAGE), store=bucket)
    while not service.notes("submitted") and process.poll() is None:
        time.sleep(0.1)
    time.sleep(2)  # the answer is on its way to the client
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert re.search(r"the job \S+ is cancelled", said), said
    assert [note["cancelled"] for note in service.notes("cancelled")] == [
        note["submitted"] for note in service.notes("submitted")
    ]


def same_extract(cloud: Cloud, bucket: Store, name: str, folder: Path, expected: dict[str, str]) -> bool:
    """Return whether the first stage of a build in the bucket holds what is expected."""
    found = on_store(cloud, bucket, name, folder)
    return found == {name: digest for name, digest in expected.items() if name.startswith("extract/")}


def test_a_driver_that_is_started_again_joins_the_job_that_runs(
    cloud: Cloud, config: Path, bucket: Store, service: Service, expected: dict[str, str], tmp_path: Path
) -> None:
    given = words(config, bucket, service, "joined", IMAGE, "--until=extract")
    service.spoil(delay=1)
    first = cloud.start(*given, store=bucket)
    while not service.notes("submitted") and first.poll() is None:
        time.sleep(0.05)
    first.kill()
    first.communicate()
    assert "runs already: waiting for it" in cloud.derlem(*given, store=bucket)
    assert len(service.notes("submitted")) == 1
    assert same_extract(cloud, bucket, "joined", tmp_path / "fetched", expected)


def test_a_service_that_refuses_loses_an_answer_and_does_all_twice_changes_nothing(
    cloud: Cloud, config: Path, bucket: Store, service: Service, expected: dict[str, str], tmp_path: Path
) -> None:
    given = words(config, bucket, service, "odd", IMAGE, "--until=extract")
    service.spoil(refuse=403)
    assert "extract stopped" in cloud.derlem(*given, store=bucket, status=1)
    service.spoil(lose_answer=True)
    cloud.derlem(*given, store=bucket)
    assert same_extract(cloud, bucket, "odd", tmp_path / "fetched", expected)
    service.spoil(twice=True)
    again = words(config, bucket, service, "twice", IMAGE, "--until=extract")
    cloud.derlem(*again, store=bucket)
    assert same_extract(cloud, bucket, "twice", tmp_path / "twice", expected)
