"""The image of the workers, built for real and without a registry, and a worker in it for a job service.

The bases that the Dockerfile names are made here, under these names: a small Debian with its Python, and in
place of Beam's image the program that starts a worker (anywhere/boot.py). The rest is as a user builds it.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "infra" / "docker" / "worker.Dockerfile"
IMAGE = "localhost/derlem-worker:test"
NEEDED = ("buildah", "mmdebstrap")

# What the official image of Python on Debian has beside Python, and what makes an environment there.
_DEBIAN = "ca-certificates,netbase,tzdata,python3.11-minimal,python3.11-venv"
_PYTHON = "FROM scratch\nADD base.tar /\nRUN ln -s /usr/bin/python3.11 /usr/local/bin/python\n"
_BEAM = "FROM scratch\nCOPY boot /opt/apache/beam/boot\n"
_PIP = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check"]


def run(*command: str | Path) -> str:
    """Run a command and return what it wrote; fail with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (
        f"{shlex.join(map(str, command))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    )
    return done.stdout.strip()


@dataclass(frozen=True, slots=True)
class Store:
    """A store of images in a folder of its own."""

    folder: Path

    @property
    def tree(self) -> Path:
        """Return the sources that are in the image."""
        return self.folder.parent / "tree"

    def buildah(self, *words: str | Path) -> tuple[str | Path, ...]:
        """Return a command of buildah on this store."""
        places = ("--root", self.folder / "root", "--runroot", self.folder / "run")
        return ("buildah", "--storage-driver", "vfs", *places, *words)

    def make(self, name: str, dockerfile: Path, context: Path) -> None:
        """Build an image whose bases are in the store."""
        options = ("--isolation", "chroot", "--pull-never", "--tag", name, "--file", dockerfile)
        run(*self.buildah("build-using-dockerfile", *options, context))

    def container(self, image: str) -> tuple[str, Path]:
        """Make a container; return its name and the folder that is its root."""
        name = run(*self.buildah("from", "--pull-never", image))
        return name, Path(run(*self.buildah("mount", name)))

    def start(self, container: str, shared: Path, program: Path) -> None:
        """Write a program of Python that starts the image's entry point, with a folder in common."""
        words = ("run", "--isolation", "chroot", "--volume", f"{shared}:{shared}", container)
        command = [str(word) for word in self.buildah(*words, "/opt/apache/beam/boot")]
        # The driver and the image's user share files here as in a bucket, where nobody owns a folder.
        text = f"import os, sys\nos.umask(0)\nos.execvp('buildah', {command!r} + sys.argv[1:])\n"
        program.write_text(text, encoding="utf-8")


def bases() -> dict[str, str]:
    """Return the names of the bases in the Dockerfile, by argument."""
    return dict(re.findall(r"(?m)^ARG (PYTHON|BEAM)=(\S+)", DOCKERFILE.read_text(encoding="utf-8")))


def build(cache: Path, folder: Path) -> Store:
    """Build the image in a store below `folder`; the base and the wheels of dependencies stay in `cache`."""
    store = Store(folder / "store")
    boot = folder / "boot"
    program = (ROOT / "tests" / "anywhere" / "boot.py").read_text(encoding="utf-8")
    boot.write_text(f"#!/opt/derlem/bin/python\n{program}", encoding="utf-8")
    boot.chmod(0o755)
    for argument, text, content in (("PYTHON", _PYTHON, _debian(cache)), ("BEAM", _BEAM, boot)):
        context = folder / argument.lower()
        context.mkdir()
        (context / "Dockerfile").write_text(text, encoding="utf-8")
        shutil.copy(content, context)
        store.make(bases()[argument], context / "Dockerfile", context)
    tree = store.tree
    # Without what an earlier build left in the checkout, which would go into the wheel.
    leftovers = shutil.ignore_patterns(".*", "build", "wheels", "*.egg-info", "demo", "__pycache__")
    shutil.copytree(ROOT, tree, ignore=leftovers)
    shutil.copytree(_wheels(cache, tree), tree / "wheels")
    run(*_PIP, "--no-deps", "--wheel-dir", tree / "wheels", tree)
    store.make(IMAGE, DOCKERFILE, tree)
    return store


def _debian(cache: Path) -> Path:
    """Return an archive of a Debian with Python, made once."""
    base = cache / "base.tar"
    if not base.exists():
        part = cache / "part.tar"
        run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={_DEBIAN}", "bookworm", part)
        part.rename(base)
    return base


def _wheels(cache: Path, tree: Path) -> Path:
    """Return a folder of the wheels of all dependencies, made once for each set of them."""
    asked = b"".join((ROOT / name).read_bytes() for name in ("constraints.txt", "pyproject.toml"))
    folder = cache / f"wheels-{hashlib.sha256(asked).hexdigest()[:16]}"
    if not folder.exists():
        part = cache / "part"
        shutil.rmtree(part, ignore_errors=True)
        run(*_PIP, "--wheel-dir", part, "-c", ROOT / "constraints.txt", tree, "gcsfs", "s3fs")
        (wheel,) = part.glob("derlem-*.whl")
        wheel.unlink()
        part.rename(folder)
    return folder
