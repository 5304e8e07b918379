"""Filters of an installed package: found by their entry point, versioned by the package, sent to workers."""

from __future__ import annotations

import math
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corpus.config import Filter
from corpus.filters import Document, PluginError, in_force, load_plugins
from corpus.filters.plugins import GROUP, PackageFunction
from corpus.settings import ConfigError

Install = Callable[..., None]
CODE = """
def weather(document):
    return document.text.count("hava") / max(1, document.view.words)

def verdict(document):
    return "from the sea" if "deniz" in document.url else None

not_a_function = 3
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return what installs a package with filters: a module and its metadata in a folder of the path."""
    before = set(sys.modules)

    def put(name: str = "sky-filters", version: str = "1.2", code: str = CODE, **entries: str) -> None:
        home = tmp_path / name
        module = name.replace("-", "_")
        folder = home / f"{module}-{version}.dist-info"
        shutil.rmtree(home, ignore_errors=True)  # as an upgrade does
        folder.mkdir(parents=True)
        (home / f"{module}.py").write_text(code, encoding="utf-8")
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [f"{entry} = {module}:{function}" for entry, function in entries.items()]
        (folder / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))
        monkeypatch.syspath_prepend(str(home))

    yield put
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_an_entry_point_is_a_filter_with_the_version_of_its_package(install: Install) -> None:
    install(weather="weather")
    (plugin,) = load_plugins(("weather",), Path())
    assert (plugin.name, plugin.rule, plugin.version) == ("weather", "plugin.weather", "sky-filters 1.2")
    assert isinstance(plugin.function, PackageFunction), "workers import it; nothing of it is sent"


def test_it_decides_with_the_limits_of_the_configuration_on_workers_too(install: Install) -> None:
    install(weather="weather", sea="verdict")
    limits = {"*": {"plugin.weather": {"max": 0.2}}}
    section = Filter(plugins=("weather", "sea"), default="none", presets={}, limits=limits)
    found = pickle.loads(pickle.dumps(in_force(section, Path())))
    calm = found.judge(Document("hava güzel, deniz sakin, gün uzun"))
    assert calm.drop is None
    assert calm.values[-2] == 1 / 6
    assert math.isnan(calm.values[-1]), "None is no value"
    windy = found.judge(Document("hava hava"))
    assert (windy.drop.rule, windy.drop.value, windy.drop.limit) == ("plugin.weather", 1.0, 0.2)
    at_sea = found.judge(Document("kısa", url="https://deniz.example/"))
    assert (at_sea.drop.rule, at_sea.drop.reason) == ("plugin.sea", "from the sea")


def test_another_version_of_the_package_is_another_filter(install: Install) -> None:
    section = Filter(plugins=("sea",))
    install(sea="verdict")
    before = in_force(section, Path()).content()
    install("sky-filters", "1.3", sea="verdict")
    assert in_force(section, Path()).content() != before


def test_an_unknown_entry_point_is_refused_with_those_that_are_installed(install: Install) -> None:
    install(weather="weather", sea="verdict")
    with pytest.raises(ConfigError, match=r"'wether': neither FILE\.py:FUNCTION nor .*: sea, weather"):
        load_plugins(("wether",), Path())


def test_an_entry_point_of_two_packages_is_refused(install: Install) -> None:
    install(weather="weather")
    install("rain-filters", weather="verdict")
    with pytest.raises(ConfigError, match=r"rain_filters:verdict, sky_filters:weather"):
        load_plugins(("weather",), Path())


@pytest.mark.parametrize(
    ("function", "code", "says"),
    [
        ("not_a_function", CODE, "expected a function"),
        ("absent", CODE, "cannot be loaded"),
        ("weather", "import absent_module", "absent_module"),
    ],
)
def test_an_entry_point_that_cannot_be_used_is_named(
    install: Install, function: str, code: str, says: str
) -> None:
    install(code=code, mine=function)
    with pytest.raises(ConfigError, match=f"(?s)'mine'.*{says}"):
        load_plugins(("mine",), Path())


def test_an_error_in_a_package_names_its_line_and_the_document(install: Install) -> None:
    install("broken-filters", code="def broken(document):\n    return 1 / 0\n", broken="broken")
    (plugin,) = load_plugins(("broken",), Path())
    with pytest.raises(
        PluginError, match=r"plugin\.broken failed .*broken_filters\.py, line 2: Zero.*a\.example"
    ):
        plugin.measure(Document("x", url="https://a.example/"), True)
