"""C4's rules take out lines and drop pages, in the order of the reference code."""

from __future__ import annotations

import pytest

from corpus.filters import Drop, Judgement, judge, load, rule_names
from corpus.filters.c4 import C4, FAMILY, find_lines
from corpus.text.view import view
from tests.corpus.filters.presets import preset


def judged(text: str, rules: C4) -> Judgement:
    return judge(view(text), preset(c4=rules))


def rest(text: str, rules: C4) -> str:
    found = judged(text, rules)
    assert found.drop is None
    return found.view.text


def test_a_page_that_loses_nothing_is_the_same_view() -> None:
    seen = view("Bir satır.\n  İkinci satır.")
    rules = C4(terminal_punctuation=True, min_words_per_line=2, remove_citations=True)
    found = judge(seen, preset(c4=rules))
    assert found.view is seen
    assert found.lines == {}


@pytest.mark.parametrize(
    ("rules", "line", "stays"),
    [
        (C4(terminal_punctuation=True), "Geldi.", True),
        (C4(terminal_punctuation=True), "“Geldi”", True),
        (C4(terminal_punctuation=True), "Geldi mi?", True),
        (C4(terminal_punctuation=True), "Geldi", False),
        (C4(terminal_punctuation=True), "Geldi...", False),
        (C4(min_words_per_line=3), "bir iki üç", True),
        (C4(min_words_per_line=3), "bir iki!", False),
        (C4(max_word_length=5), "/abcd abcde", True),
        (C4(max_word_length=5), "/abcde", False),
        (C4(javascript=True), "Java ve Script", True),
        (C4(javascript=True), "JAVASCRİPT'i açın", False),
        (C4(policy_phrases=("use cookies",)), "We USE cookies-here", False),
        (C4(policy_phrases=("use cookies",)), "We reuse cookies", True),
        (C4(policy_phrases=("use cookies",)), "We use\ncookies", True),
    ],
)
def test_lines_that_stay_and_go(rules: C4, line: str, stays: bool) -> None:
    text = f"Önce geldi ve.\n{line}\nSonra gitti ve."
    if rules.max_word_length:
        text = text.replace("Önce", "Ön").replace("Sonra", "Son")
    assert (line in rest(text, rules)) is stays


@pytest.mark.parametrize(
    ("rules", "text", "drop"),
    [
        (C4(max_characters=5), "abcdef", Drop("c4.max_characters", 6, 5)),
        (C4(lorem_ipsum=0), "Lorem Ipsum dolor", Drop("c4.lorem_ipsum", 1, 0)),
        (C4(curly_bracket=0), "a { b\nc {{", Drop("c4.curly_bracket", 3, 0)),
        (C4(min_words_per_line=3, min_lines=1), "bir\niki", Drop("c4.min_lines", 0, 1)),
        (C4(min_sentences=3), "Geldi. 15. yüzyıl bitti.", Drop("c4.min_sentences", 2, 3)),
    ],
)
def test_pages_that_are_dropped(rules: C4, text: str, drop: Drop) -> None:
    assert judged(text, rules).drop == drop


def test_pages_at_the_limit_stay() -> None:
    assert rest("abcde", C4(max_characters=5)) == "abcde"
    assert rest("lorem, then ipsum.\nipsum", C4(lorem_ipsum=0)).startswith("lorem")
    assert rest("Geldi. Gitti.\nDöndü", C4(min_sentences=3)).endswith("Döndü")


def test_a_line_already_taken_out_does_not_drop_the_page() -> None:
    text = "function() {\nlorem ipsum\nBu satır bir cümledir."
    rules = C4(min_words_per_line=3, curly_bracket=0, lorem_ipsum=0)
    assert rest(text, rules) == "Bu satır bir cümledir."
    without = rules.model_copy(update={"min_words_per_line": None})
    assert judged(text, without).drop == Drop("c4.lorem_ipsum", 1, 0)


def test_citations_go_before_line_ends_are_looked_at() -> None:
    rules = C4(remove_citations=True, terminal_punctuation=True)
    assert rest("Geldi.[12]\nGitti[citation needed].\n[not] kaldı.", rules) == "Geldi.\nGitti.\n[not] kaldı."


def test_paragraphs_and_indentation_outlive_removed_lines() -> None:
    text = "a b c\n\nx\n  d e f\nx\n\n\n\tg h i\nx"
    assert rest(text, C4(min_words_per_line=2)) == "a b c\n\n  d e f\n\n\tg h i"


def test_each_removed_line_is_counted_once_under_its_first_rule() -> None:
    seen = view("Kısa.\nJavascript ve javascript bu satırda\nBu satır kalır işte.\nuse cookies here now.")
    found = find_lines(
        seen,
        C4(
            terminal_punctuation=True,
            min_words_per_line=3,
            javascript=True,
            policy_phrases=("use cookies",),
        ),
    )
    assert {rule: lines.tolist() for rule, lines in found.removed.items()} == {
        "c4.terminal_punctuation": [1],
        "c4.min_words_per_line": [0],
        "c4.policy_phrases": [3],
    }
    assert judge(seen, preset(c4=C4(javascript=True))).lines == {"c4.javascript": 1}


def test_values_are_measured_whatever_the_limits_are() -> None:
    text = "Geldi { ve gitti. Sonra döndü.\nlorem ipsum {\nSon satır."
    without, strict = C4(), C4(max_characters=1, curly_bracket=0, lorem_ipsum=0)
    for rules, drop in ((without, None), (strict, Drop("c4.max_characters", len(text), 1))):
        found = judged(text, rules)
        assert found.drop == drop
        values = dict(zip(rule_names(preset()), found.values.tolist(), strict=True))
        assert {name: value for name, value in values.items() if name.startswith("c4.")} == {
            "c4.max_characters": len(text),
            "c4.lorem_ipsum": 1,
            "c4.curly_bracket": 2,
            "c4.min_lines": 3,
            "c4.min_sentences": 4,
        }


def test_what_was_taken_out_of_a_page_that_stays_is_counted() -> None:
    text = "Geldi.[1][2]\nGitti.\nKaldı[3] ve\nİyi günler geçirdi.[4]"
    found = judged(text, C4(terminal_punctuation=True, min_words_per_line=2, remove_citations=True))
    assert found.view.text == "İyi günler geçirdi."
    assert found.lines == {
        "c4.remove_citations": 3,
        "c4.terminal_punctuation": 1,
        "c4.min_words_per_line": 2,
    }


def test_the_two_published_variants_differ_in_words_and_sentences() -> None:
    four_words = "\n".join(f"Sentence number {n} stays." for n in "abcde")
    five_words = "\n".join(f"Sentence number {n} stays here." for n in "abc")
    paper, tfds = load("c4-paper").of(FAMILY), load("c4-tfds").of(FAMILY)
    assert rest(four_words, paper) == four_words
    assert judged(four_words, tfds).drop == Drop("c4.min_lines", 0, 1)
    assert rest(five_words, tfds) == five_words
    assert judged(five_words, paper).drop == Drop("c4.min_sentences", 3, 5)


@pytest.mark.parametrize(
    ("line", "stays"),
    [
        ("GİZLİLİK POLİTİKASI | ÇEREZ POLİTİKASI | İLETİŞİM", False),
        ("Kullanım koşullarını okudum", False),
        ("© 2024 Örnek Dernek. Tüm hakları saklıdır.", False),
        (
            "Gizlilik politikası, bir derneğin kişisel verileri nasıl topladığını anlatan metindir.",
            True,
        ),
        ("Belediye meclisi gizlilik sözleşmesini dün akşam oy birliğiyle kabul etti", True),
        ("Derneğin hakları saklıdır", True),
        ("Politika ve gizlilik üzerine", True),
    ],
)
def test_turkish_policy_lines_go_only_where_they_are_short_and_hold_little_else(
    line: str, stays: bool
) -> None:
    rules = load("fineweb2-tur").of(FAMILY)
    assert (line in rest(f"Önceki satır.\n{line}\nSonraki satır.", rules)) is stays
