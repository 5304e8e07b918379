"""Word lists: the share of harmful words is stored, and drops a text only by a limit, with the words."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from corpus.config import Config, Filter
from corpus.errors import ConfigError
from corpus.filters import Document, in_force
from corpus.settings import parse


def section(limits: dict[str, object], **lists: object) -> Filter:
    table = {"harm": lists, "presets": {}, "default": "none", "limits": {"*": limits}}
    return parse(
        Config, {"source": [{"name": "a", "format": "text", "paths": ["a"]}], "filter": table}, "x"
    ).filter


def test_a_text_is_marked_or_dropped_with_the_words_found(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("budala\nallah # weak by the packaged list\n", encoding="utf-8")
    lists = {"rude": {"words": "list.txt"}}
    rude, pious = Document("Budalasınız, budalalar!"), Document("Allah sabır versin, başınız sağ olsun.")
    marked = pickle.loads(pickle.dumps(in_force(section({}, **lists), tmp_path)))
    assert [marked.judge(each).values[-1] for each in (rude, pious)] == [1.0, 0.0]
    assert marked.judge(rude).drop is None
    dropping = in_force(section({"harm.rude": {"max": 0.01}}, **lists), tmp_path)
    drop = dropping.judge(rude).drop
    assert drop is not None
    assert (drop.rule, drop.value, drop.limit, drop.reason) == ("harm.rude", 1.0, 0.01, "budala")
    assert dropping.judge(pious).drop is None


def test_a_list_that_cannot_be_used_is_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"filter.harm.rude: .*list.txt cannot be read"):
        in_force(section({}, rude={"words": "list.txt"}), tmp_path)
    (tmp_path / "list.txt").write_text("# nothing\n")
    with pytest.raises(ConfigError, match=r"filter.harm.rude: list.txt has no words"):
        in_force(section({}, rude={"words": "list.txt"}), tmp_path)


def test_a_list_of_hosts_takes_their_subdomains(tmp_path: Path) -> None:
    (tmp_path / "hosts.txt").write_text("# a comment\nbad.example\n0.0.0.0 Worse.example # another\n")
    dropping = in_force(section({"harm.adult": {"max": 0}}, adult={"hosts": "hosts.txt"}), tmp_path)
    urls = ["http://bad.example/", "https://www.worse.example/a", "http://notbad.example/", ""]
    drops = [dropping.judge(Document("Bir söz.", url=url)).drop for url in urls]
    assert [drop and drop.reason for drop in drops] == ["bad.example", "worse.example", None, None]


def test_a_list_has_words_or_hosts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected words or hosts, and not both"):
        section({}, rude={"words": "a.txt", "hosts": "b.txt"})
