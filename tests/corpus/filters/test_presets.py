"""Presets hold the published numbers, refuse what they do not know, and decide whole documents."""

from __future__ import annotations

import pytest

from corpus.config import Filter
from corpus.errors import ConfigError
from corpus.filters import c4, fineweb, gopher, judge, load, names, source
from corpus.filters.preset import parse
from corpus.text.view import view
from tests.corpus.filters.presets import preset

PROSE = (
    "Sabah erkenden yola çıktık ve dağın eteğindeki köye kadar yürüdük.\n"
    "Yol boyunca daha önce hiç görmediğimiz kuşlar vardı; biri çok yakınımıza kondu.\n"
    "Köyde bizi yaşlı bir kadın karşıladı, kapısını açtı ve sıcak çorba ikram etti.\n"
    "Öğleden sonra yağmur başladı, bu yüzden geceyi onun evinde geçirmeye karar verdik.\n"
    "Ertesi gün hava açıktı; teşekkür edip ayrılırken bize küçük bir kavanoz bal verdi."
)
ENGLISH = (
    "We set out early in the morning and walked to the village at the foot of the mountain.\n"
    "There were birds along the road that none of us had seen before, and one of them came close.\n"
    "An old woman met us at her door, asked us in with a smile, and gave us hot soup to eat.\n"
    "It began to rain in the afternoon, so we decided to stay the night under her roof.\n"
    "The next day was clear; we thanked her and left with a small jar of honey in our bag."
)


def test_every_preset_loads_and_says_what_it_is() -> None:
    assert set(names()) == {
        "none", "derlem-tur", "gopher", "c4-paper", "c4-tfds", "fineweb", "fineweb2-tur", "fineweb-any",
    }  # fmt: skip
    for name in names():
        assert load(name).summary


def test_the_configuration_names_presets_that_exist() -> None:
    settings = Filter()
    assert {settings.default, *settings.presets.values()} <= set(names())


def test_an_unknown_preset_is_refused_with_the_name_that_was_meant() -> None:
    with pytest.raises(ConfigError, match=r"'fineweb2-tr': unknown; did you mean 'fineweb2-tur'"):
        load("fineweb2-tr")
    with pytest.raises(ConfigError, match="there are: c4-paper, "):
        load("../../secret")


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('summary = "x"\n[gopher]\nmin_word = 5', "min_word: unknown key; did you mean 'min_words'"),
        ('summary = "x"\n[fineweb]\nshort_lines = 67', "short_lines = 67: .*less than or equal to 1"),
        ('summary = "x"\n[gopher]\ntop_9_gram_chars = 0.2', "top_9_gram_chars: unknown key"),
        ('summary = "x"\n[c4]\npolicy_phrases = ["çerez"]', "two words or more"),
        ("[c4]", "summary"),
        ("[c4", "preset 'mine'"),
    ],
)
def test_wrong_keys_and_values_are_refused(toml: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(toml, "mine")


def test_a_preset_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load("gopher").of(gopher.FAMILY).min_words = 1  # type: ignore[misc]


def test_turkish_limits_are_fineweb2s() -> None:
    preset = load("fineweb2-tur")
    limits, lines = preset.of(gopher.FAMILY), preset.of(fineweb.FAMILY)
    assert limits.duplicate_lines == 0.272
    assert [getattr(limits, f"top_{n}_gram_chars") for n in (2, 3, 4)] == [0.214, 0.168, 0.147]
    assert [getattr(limits, f"duplicate_{n}_gram_chars") for n in range(5, 11)] == [
        0.154, 0.144, 0.134, 0.124, 0.113, 0.103,
    ]  # fmt: skip
    assert limits.duplicate_paragraphs is None
    assert (limits.min_mean_word_length, limits.max_mean_word_length) == (3, 21)
    assert limits.alphabetic_words == 0.773
    assert len(set(limits.stop_words)) == 14
    assert not {"the", "yılında"} & set(limits.stop_words)
    assert lines.sentence_lines == 0.091
    assert lines.breaks_per_word == 0.222
    assert lines.duplicate_line_chars == 0.1
    assert lines.short_lines is None


def test_english_limits_are_gophers_and_fineweb_has_no_terminal_punctuation_rule() -> None:
    alone, within = load("gopher"), load("fineweb")
    assert alone.of(gopher.FAMILY) == within.of(gopher.FAMILY)
    assert not within.of(c4.FAMILY).terminal_punctuation
    assert within.of(c4.FAMILY).min_sentences == 5


def test_sources_are_shown_as_written() -> None:
    assert "arXiv 2506.20920" in source("fineweb2-tur")


@pytest.mark.parametrize(
    ("name", "text", "fate"),
    [
        ("fineweb2-tur", PROSE, None),
        ("fineweb2-tur", PROSE.upper().replace("I", "İ"), None),  # folded stop words
        ("fineweb2-tur", ENGLISH, "gopher.min_stop_words"),
        ("fineweb2-tur", PROSE.splitlines()[0], "gopher.min_words"),
        ("fineweb2-tur", "\n".join([PROSE] * 3), "gopher.duplicate_lines"),
        ("fineweb2-tur", PROSE.replace(" ", "\n"), "fineweb.sentence_lines"),
        ("fineweb", ENGLISH, None),
        ("fineweb", PROSE, "gopher.min_stop_words"),
        ("fineweb", ENGLISH + "\nvar x = {1: 2};", "c4.curly_bracket"),
        ("fineweb", ENGLISH.replace(".\n", " "), "c4.min_sentences"),
        ("gopher", ENGLISH, None),
        ("fineweb-any", PROSE, None),
        ("fineweb-any", ENGLISH, None),
        (
            "fineweb-any",
            "他今天早上去了山下的村子看见许多以前没有见过的鸟。一位老人请我们进屋喝汤，下午开始下雨，"
            "所以留下来过夜。第二天天气晴朗，我们谢过她就离开了。",
            None,
        ),
        ("fineweb-any", "1 2 3 4 5 " * 30, "gopher.alphabetic_words"),
        ("fineweb-any", "a b c d e " * 30, "gopher.top_2_gram_chars"),
        ("none", "", None),
    ],
)
def test_fate_of_whole_documents(name: str, text: str, fate: str | None) -> None:
    drop = judge(view(text), load(name)).drop
    assert (drop.rule if drop else None) == fate


def test_a_document_that_passes_is_the_view_itself_and_lines_are_gone_where_rules_took_them() -> None:
    seen = view(PROSE)
    passed = judge(seen, load("fineweb2-tur"))
    assert passed.drop is None
    assert passed.view is seen
    with_footer = view(PROSE + "\nGizlilik Politikası | Çerez Politikası")
    rest = judge(with_footer, load("fineweb2-tur"))
    assert rest.drop is None
    assert rest.view.text == PROSE
    assert rest.lines == {"c4.policy_phrases": 1}


# What datatrove 0.10.1 decides with the same limits (spacy for Turkish): x drops, by Gopher quality, Gopher
# repetition, C4 without terminal punctuation and FineWeb.
DECISIONS = {
    "prose": (PROSE, "----"),
    "english": (ENGLISH, "x---"),
    "three times": ("\n".join([PROSE] * 3), "-x-x"),
    "a word a line": (PROSE.replace(" ", "\n"), "--xx"),
    "bullets": ("- " + PROSE.replace("\n", "\n- "), "x---"),
    "trailing off": (PROSE.replace(".", "..."), "x---"),
    "hashes": (PROSE.replace(" ", " # "), "x---"),
    "dashes": (PROSE.replace(" ", " - "), "x---"),
    "no stops": (PROSE.replace(".", "").replace(";", ""), "---x"),
    "too short": (PROSE[:200], "x-x-"),
    "refrain": (PROSE + "\n" + " ".join(["su akar yolunu bulur ve gider"] * 8) + ".", "-x--"),
    "code": (PROSE + "\nfunction f() { return 1 }", "--x-"),
    "numbers": (PROSE + " " + " ".join(map(str, range(30))) + ".", "x---"),
    "copied lines": (PROSE + "\n" + PROSE.splitlines()[0], "-x-x"),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_each_family_decides_as_datatrove_does(name: str) -> None:
    text, decisions = DECISIONS[name]
    # C4 is the one of FineWeb, as datatrove has it; the other families are FineWeb2's.
    tables = {each.name: load("fineweb2-tur").of(each) for each in (gopher.FAMILY, fineweb.FAMILY)}
    chosen = preset(**tables, c4=load("fineweb").of(c4.FAMILY))
    values = judge(view(text), chosen).values
    broken = {
        bound.rule
        for bound in chosen.bounds
        if values[bound.index] > bound.high or values[bound.index] < bound.low
    }
    keys = {rule.removeprefix("gopher.") for rule in broken if rule.startswith("gopher.")}
    repeated = {key for key in keys if key.startswith(("duplicate", "top"))}
    dropped = [
        keys - repeated,
        repeated,
        {rule for rule in broken if rule.startswith("c4.")},
        {rule for rule in broken if rule.startswith("fineweb.")},
    ]
    assert "".join("x" if rules else "-" for rules in dropped) == decisions
