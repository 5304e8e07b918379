"""The wheel built from the tree installs, runs, and carries the data files that the code reads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and install it, without its dependencies, into an environment that borrows ours."""
    folder = tmp_path_factory.mktemp("wheel")
    # Built from a copy: what an earlier build left in the checkout would go into the wheel.
    tree = folder / "tree"
    shutil.copytree(
        ROOT, tree, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info", "demo", "__pycache__")
    )
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(tree)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("derlem-*.whl")
    home = folder / "env"
    venv.create(home, with_pip=False)
    (packages,) = home.glob("lib/python*/site-packages")
    python = home / "bin" / "python"
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--no-deps",
        "--no-index",
        wheel,
    ]
    subprocess.run([str(part) for part in install], check=True, capture_output=True)
    # After the wheel's own files, so that the checkout's editable install cannot answer for them; an
    # environment may itself borrow another's packages, which are then on the path and no place of its own.
    borrowed = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (packages / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    return home / "bin" / "derlem"


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=clean, check=False)


def test_the_installed_command_answers(installed: Path, tmp_path: Path) -> None:
    answer = run([str(installed), "--help"], tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "build" in answer.stdout
    assert "inspect" in answer.stdout


def test_the_wheel_carries_presets_prices_and_the_neighbour_model(installed: Path, tmp_path: Path) -> None:
    code = (
        "import corpus; print(corpus.__file__)\n"
        "from corpus import filters, language, prices\n"
        "print('fineweb2-tur' in filters.names())\n"
        "print('dataflow' in prices.load().workers)\n"
        "print(language.identify('Kitaplıkta bugün yeni gelen kitapları raflara yerleştirdik.').code)\n"
    )
    answer = run([str(installed.parent / "python"), "-c", code], tmp_path)
    assert answer.returncode == 0, answer.stderr
    where, presets, priced, code = answer.stdout.split()
    assert Path(where).is_relative_to(installed.parents[1])
    assert (presets, priced, code) == ("True", "True", "tur_Latn")
