"""The crawler begins only with a client that has all that it relies on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from rich.console import Console

from corpus.crawl.config import Crawl
from corpus.crawl.fetching import connection
from corpus.errors import ConfigError
from corpus.web.agent import Agent
from pipelines import crawl
from pipelines.options import Runner

USED = [(kind, name) for kind, names in connection.PRIVATE.items() for name in names]


def lacking(kind: type[Any], name: str) -> type[Any]:
    """Return a class as another version of the client may have it: without an attribute."""

    class Other(kind):  # type: ignore[misc]
        is_made = False

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            Other.is_made = True

        def __getattribute__(self, asked: str) -> Any:
            if asked == name and Other.is_made:
                raise AttributeError(name)
            return super().__getattribute__(asked)

        def __del__(self, *arguments: Any) -> None:
            """Complain of nothing that was not closed."""

    return Other


def test_the_client_that_is_installed_has_all() -> None:
    connection.check_client()


@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")
@pytest.mark.parametrize(("kind", "name"), USED)
def test_what_a_client_lacks_is_named_before_anything_is_fetched(
    kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = connection if kind == "ResponseHandler" else aiohttp
    monkeypatch.setattr(owner, kind, lacking(getattr(owner, kind), name))
    settings = Crawl(agent=Agent(contact="https://example.org/tarama"))
    with pytest.raises(ConfigError, match=rf"no {kind}\.{name}, which the crawler relies on: install"):
        crawl.run(str(tmp_path / "c"), settings, ["http://a.test/"], Runner(), Console(quiet=True))
    assert not (tmp_path / "c").exists()
