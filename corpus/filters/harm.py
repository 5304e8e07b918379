"""Lists of harm as filters: the share of a text's words that are on a list, or whether its host is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from corpus import files
from corpus.config import HarmList
from corpus.errors import ConfigError
from corpus.filters.document import Document
from corpus.filters.found import Found
from corpus.filters.url import host_of
from corpus.harm.words import WordList

_SHOWN = 5  # entries of a reason


@dataclass(frozen=True, slots=True)
class ListFunction:
    """The share of a text's words that are on a list, which goes to the workers; `version` is its content."""

    words: str
    weak: str
    version: str

    def load(self) -> Callable[[Document], Found]:
        """Return the function."""
        known = WordList.of(self.words.splitlines(), self.weak.splitlines())

        def share(document: Document) -> Found:
            value, found = known.density(document.text)
            return Found(value, ", ".join(dict.fromkeys(found[:_SHOWN])))

        return share


@dataclass(frozen=True, slots=True)
class HostsFunction:
    """Whether a text's host, or a domain above it, is on a list; workers read the file (of `version`)."""

    where: str  # in the configuration, for messages
    path: str
    version: str

    def load(self) -> Callable[[Document], Found]:
        """Return the function, whose value is 1 for a host on the list, and the reason its entry."""
        lines = (line.partition("#")[0].split() for line in _text(self.path, self.where).splitlines())
        hosts = frozenset(words[-1].lower().strip(".") for words in lines if words)  # also "0.0.0.0 host"

        def listed(document: Document) -> Found:
            labels = host_of(document.url).split(".")
            names = (".".join(labels[first:]) for first in range(len(labels)))
            entry = next((name for name in names if name in hosts), "")
            return Found(float(bool(entry)), entry)

        return listed


def load_lists(lists: Mapping[str, HarmList], base: Path) -> dict[str, ListFunction | HostsFunction]:
    """Return the lists that a configuration in the folder `base` names; ConfigError for one without words."""
    found: dict[str, ListFunction | HostsFunction] = {}
    for name, settings in lists.items():
        where = f"filter.harm.{name}"
        if settings.hosts:
            path = files.located(settings.hosts, base)
            found[name] = HostsFunction(where, path, files.fingerprint(_text(path, where)))
            continue
        words = _text(files.located(settings.words, base), where)
        if not WordList.of(words.splitlines()).stems:
            raise ConfigError(f"{where}: {settings.words} has no words; expected one a line")
        packaged = resources.files("corpus.harm") / "weak-tur.txt"
        weak = (
            _text(files.located(settings.weak, base), where)
            if settings.weak
            else packaged.read_text(encoding="utf-8")
        )
        found[name] = ListFunction(words, weak, files.fingerprint(words, weak))
    return found


def _text(path: str, where: str) -> str:
    try:
        with files.open_bytes(path) as file:
            return file.read().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ConfigError(f"{where}: {path} cannot be read: {cause}") from None
