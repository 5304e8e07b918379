"""An upgrade of a library that decides bytes is told by its versions."""

from __future__ import annotations

from importlib import metadata

from corpus import versions


def test_the_version_is_that_which_is_installed() -> None:
    assert versions.of("ftfy", "no-such-library") == {
        "ftfy": metadata.version("ftfy"),
        "no-such-library": "",
    }


def test_what_changed_is_told_with_both_versions() -> None:
    before = {versions.KEY: {"ftfy": "6.3.1", "lxml": "5.0", "resiliparse": "2.0"}}
    now = {versions.KEY: {"ftfy": "6.4.0", "lxml": "5.0", "trafilatura": "2.0"}}
    assert versions.changed(before, now) == "ftfy 6.3.1 → 6.4.0"


def test_a_library_that_is_gone_is_told_as_absent() -> None:
    assert versions.changed({versions.KEY: {"a": "1"}}, {versions.KEY: {"a": ""}}) == "a 1 → absent"


def test_settings_without_versions_have_no_upgrade() -> None:
    assert versions.changed({}, {versions.KEY: {"ftfy": "6.4.0"}}) == ""
    assert versions.changed({versions.KEY: {"ftfy": "6.4.0"}}, {versions.KEY: {"ftfy": "6.4.0"}}) == ""
