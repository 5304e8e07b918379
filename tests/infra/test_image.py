"""The image of the workers: small, not root, and a build in it gives the bytes of a local one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import worker_image
from support import ROOT, final_files, write_input
from worker_image import IMAGE, Store

MOST = 1_300_000_000  # bytes

if not os.environ.get("DERLEM_INFRA_IMAGE"):
    pytest.skip("the image takes minutes to build: infra/check does it", allow_module_level=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Build the image."""
    missing = [name for name in worker_image.NEEDED if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.fail("the image needs root, buildah and mmdebstrap; or infra/check --no-image")
    cache = Path(os.environ["DERLEM_INFRA_TOOLS"])
    cache.mkdir(parents=True, exist_ok=True)
    return worker_image.build(cache, tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def container(store: Store) -> tuple[str, Path]:
    return store.container(IMAGE)


def derlem(store: Store, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the derlem that is in the image, whatever became of the checkout since."""
    return subprocess.run(
        [sys.executable, "-m", "derlem", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=store.tree,
        env={**os.environ, "PYTHONPATH": str(store.tree)},
        umask=0,
    )


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    """Run Beam's job service with two workers and yield its port; what it and they say is in `folder`/log."""
    program = [sys.executable, "-P", ROOT / "tests" / "anywhere" / "job_service.py", folder]
    found = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    with (folder / "log").open("wb") as log:
        service = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=log, text=True, env=found)
    try:
        assert service.stdout is not None
        yield int(service.stdout.readline())
    finally:
        service.kill()
        service.communicate()


def test_the_image_is_small_and_has_no_torch(container: tuple[str, Path]) -> None:
    _, root = container
    assert int(worker_image.run("du", "-sb", root).split()[0]) < MOST
    (packages,) = root.glob("opt/derlem/lib/python*/site-packages")
    installed = {path.name for path in packages.iterdir()}
    assert {"apache_beam", "gcsfs", "s3fs", "corpus", "pipelines"} <= installed
    assert {"torch", "apitools", "pytest"} & installed == set()


def test_the_image_is_not_roots_and_starts_the_worker(store: Store) -> None:
    found = json.loads(worker_image.run(*store.buildah("inspect", "--type", "image", IMAGE)))
    config = found["OCIv1"]["config"]
    assert config["User"] == "10001"
    assert config["Entrypoint"] == ["/opt/apache/beam/boot"]


def test_kernels_are_compiled_for_any_processor(container: tuple[str, Path]) -> None:
    _, root = container
    compiled = list((root / "opt" / "numba").rglob("*.nbc"))
    assert len(compiled) > 10


def test_a_build_in_the_image_gives_the_bytes_of_a_local_one(
    store: Store, container: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two workers in the image do every stage, as a user of their own; neither compiles a kernel."""
    name, root = container
    folder = tmp_path_factory.mktemp("build")
    shared = folder / "shared"
    shared.mkdir()
    config = write_input(shared)
    built = derlem(store, "build", config, "--set", f'output="{shared}/local"', "--workers", "1")
    assert built.returncode == 0, built.stderr[-3000:]
    store.start(name, shared, folder / "worker.py")
    shared.chmod(0o777)
    environment = json.dumps({"command": str(folder / "worker.py")})
    with serving(folder) as port:
        words = ["build", config, "--set", f'output="{shared}/image"', "--", "--runner=PortableRunner"]
        flags = [f"--job_endpoint=127.0.0.1:{port}", "--environment_type=PROCESS"]
        done = derlem(store, *words, *flags, f"--environment_config={environment}")
    assert done.returncode == 0, done.stderr[-3000:] + (folder / "log").read_text()[-3000:]
    assert final_files(shared / "image") == final_files(shared / "local")
    written = {path.stat().st_uid for path in (shared / "image" / "extract").rglob("extracted*.arrow")}
    assert written == {10001}
    assert [path for path in (root / "opt" / "numba").rglob("*.nbc") if path.stat().st_uid == 10001] == []
