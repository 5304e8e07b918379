"""An environment is kept while the packages in it have the versions that constraints.txt asks for."""

from __future__ import annotations

from anywhere.environments import holds, pins

MADE = ["s3fs==2026.9.0", "typing-extensions==4.15.0", "dask=="]


def test_an_environment_outlives_a_change_of_what_is_not_in_it() -> None:
    assert holds(MADE, pins(["# notes", "s3fs==2026.9.0", "typing_extensions==4.15.0", "torch==2.9.1"]))


def test_another_version_of_what_is_in_it_ends_an_environment() -> None:
    assert not holds(MADE, pins(["s3fs==2026.9.0", "typing_extensions==4.16.0"]))
    assert not holds(MADE, pins(["s3fs==2026.9.0", "typing_extensions==4.15.0", "dask==2026.8.0"]))
