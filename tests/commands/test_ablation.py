"""A rule that a build is without is off for every language; what is not a rule is refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from commands.ablation import NEAR, _link, without
from corpus import filters
from corpus.config import Config, parse
from corpus.errors import ConfigError


def config(**limits: dict[str, object]) -> Config:
    source = {"name": "web", "format": "text", "paths": ["a.txt"]}
    return parse({"source": [source], "filter": {"limits": limits}}, "test")


def rules(asked: Config, language: str) -> set[str]:
    """The rules that drop documents of a language."""
    return {bound.rule for bound in filters.in_force(asked.filter, Path()).preset(language).bounds}


@pytest.mark.parametrize("name", ["gopher", "c4", "fineweb"])
def test_a_family_left_out_drops_nothing_in_any_language(name: str) -> None:
    asked = without(config(tur_Latn={"gopher.min_words": 30}), name)
    for language in ("tur_Latn", "eng_Latn", "kmr_Latn"):
        found = rules(asked, language)
        assert found
        assert not [rule for rule in found if rule.startswith(f"{name}.")]


def test_one_rule_left_out_leaves_the_others() -> None:
    left = rules(without(config(), "gopher.min_words"), "tur_Latn")
    assert rules(config(), "tur_Latn") - left == {"gopher.min_words"}


def test_near_copies_stay_and_exact_ones_do_not() -> None:
    found = without(config(), NEAR).dedupe
    assert (found.threshold, found.urls) == (1.0, False)


def test_what_is_not_a_rule_is_refused_with_what_is() -> None:
    with pytest.raises(ConfigError, match=r"'gophers' is not a rule: expected a family .gopher, c4"):
        without(config(), "gophers")


def test_links_take_no_space_and_are_made_once(tmp_path: Path) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "a" / "deep" / "file").write_text("text")
    for _ in range(2):
        _link(tmp_path / "a", tmp_path / "b")
    assert os.path.samefile(tmp_path / "a" / "deep" / "file", tmp_path / "b" / "deep" / "file")
