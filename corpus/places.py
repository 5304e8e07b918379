"""Paths and URLs that a user names, checked before any work starts."""

from __future__ import annotations

import os
from typing import Annotated

import fsspec
from fsspec.utils import get_protocol
from pydantic import AfterValidator

from corpus import files
from corpus.errors import ConfigError

_LONGEST = 255  # bytes of a name, on all usual file systems
_READ_ONLY = ("http", "https")
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcp", "gcs": "gcp"}
"""Protocols whose file system is in an extra of this package."""


def usable(place: str) -> str:
    """Return a path or URL that a file system here can open; ValueError for any other."""
    if not place.strip():
        raise ValueError("empty; expected a path or a URL")
    if "\0" in place:
        raise ValueError("expected a path or a URL without NUL characters")
    try:
        place.encode()
    except UnicodeEncodeError:
        raise ValueError("expected a path or a URL in UTF-8") from None
    scheme, colon, rest = place.partition(":")
    if (
        colon and not rest.startswith(("//", ":")) and scheme in fsspec.available_protocols()
    ):  # "::" joins URLs
        raise ValueError(f"neither a path nor a URL; a URL starts with {scheme}://")
    if place.startswith("://") or place == "file://":
        raise ValueError("a URL without a protocol or a path")
    if place.startswith("~") and os.path.expanduser(place) == place:
        raise ValueError("no user of this name; write the folder's whole path")
    if not files.is_local(place):
        _installed(get_protocol(place))
    elif any(len(os.fsencode(name)) > _LONGEST for name in place.split("/")):
        raise ValueError(f"no file system takes a name of more than {_LONGEST} bytes")
    return place


def usable_or_none(place: str) -> str:
    """Return a place as `usable` does, and an empty text, which names none, as it is."""
    return usable(place) if place else place


def _installed(protocol: str) -> None:
    """Load the file system of a protocol, or raise ValueError with what is missing."""
    if protocol not in fsspec.available_protocols():
        raise ValueError(
            f"unknown protocol {protocol!r}; expected a path, or a URL such as gs://, s3://, https://"
        )
    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        raise ValueError(missing_extra(extra, f"{protocol}:// URLs") if extra else str(error)) from None


def extra_of(module: str) -> str | None:
    """Return the extra of this package that brings a module; None for any other."""
    brought = {
        "train": ("torch", "safetensors"),
        "view": ("duckdb", "jinja2", "markupsafe", "starlette", "uvicorn"),
        "quality": ("fasttext_new",),
    }
    root = module.partition(".")[0]
    return next((extra for extra, modules in brought.items() if root in modules), None)


def missing_extra(extra: str, purpose: str) -> str:
    """Return the advice to install an extra of this package, for a plural `purpose` that needs it."""
    return f"{purpose} need packages that are not installed: {installs(extra)}"


def installs(extra: str) -> str:
    """Return the command that installs an extra of this package, from an index or in a clone."""
    return f"pip install 'derlem[{extra}]', or in a clone: pip install -c constraints.txt '.[{extra}]'"


Place = Annotated[str, AfterValidator(usable)]
"""A path or a URL in a configuration."""
OptionalPlace = Annotated[str, AfterValidator(usable_or_none)]
"""A path or a URL in a configuration, or nothing."""


def writable(place: str, name: str) -> None:
    """Raise ConfigError unless `place`, which the user gave as `name`, is or can become a folder to write to.

    Nothing is written; a remote store is only asked for its file system.
    """
    usable_as(place, name)
    if not files.is_local(place):
        if (protocol := get_protocol(place)) in _READ_ONLY:
            raise ConfigError(f"{name} = {place!r}: {protocol}:// can only be read; name a folder or a store")
        try:
            files.filesystem(place)
        except (
            OSError,
            ValueError,
            TypeError,
            ImportError,
        ) as error:  # whatever the file system of a URL raises
            raise ConfigError(
                f"{name} = {place!r}: cannot be opened: {error}; name a folder or a store"
            ) from None
        return
    above = folder = _local(place)
    while not os.path.lexists(above) and os.path.dirname(above) != above:
        above = os.path.dirname(above)
    if not os.path.isdir(above):
        raise ConfigError(f"{name} = {place!r}: {above} is not a folder; name another folder")
    if not os.access(above, os.W_OK | os.X_OK):
        what = "folder" if above == folder else "folder above it"
        is_read_only = os.statvfs(above).f_flag & os.ST_RDONLY
        why = "a read-only file system holds the" if is_read_only else "no permission to write in the"
        raise ConfigError(f"{name} = {place!r}: {why} {what}, {above}; name another folder")


def folder(place: str, name: str) -> None:
    """Raise ConfigError unless `place`, which the user gave as `name`, is a folder (unless it is remote)."""
    usable_as(place, name)
    if not files.is_local(place):
        return
    path = _local(place)
    if not os.path.exists(path):
        raise ConfigError(f"{name} {place!r}: no such folder")
    if not os.path.isdir(path):
        raise ConfigError(f"{name} {place!r}: a file; expected a folder")


def usable_as(place: str, name: str) -> None:
    """Raise ConfigError unless a file system here can open `place`, which the user gave as `name`."""
    try:
        usable(place)
    except ValueError as error:
        raise ConfigError(f"{name} = {place!r}: {error}") from None


def _local(place: str) -> str:
    return os.path.abspath(files.located(place))
