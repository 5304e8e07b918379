"""Lists of harmful words as filters: the share of a text's words that are on a list, and which ones."""

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


def load_lists(lists: Mapping[str, HarmList], base: Path) -> dict[str, ListFunction]:
    """Return the lists that a configuration in the folder `base` names; ConfigError for one without words."""
    found: dict[str, ListFunction] = {}
    for name, settings in lists.items():
        where = f"filter.harm.{name}"
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
