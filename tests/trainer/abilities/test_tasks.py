"""Generated items: what they ask is so, what is wrong with the wrong ones, and how many it takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import ConfigError
from trainer.abilities import tasks, turkish

VOWELS = "aeıioöuü"
BACK, FRONT = "aıou", "eiöü"


def numbers(id: str) -> tuple[int, int]:
    a, b = id.split("/")[-2:]
    return int(a), int(b)


@pytest.mark.parametrize("operation", tasks.OPERATIONS)
@pytest.mark.parametrize("digits", tasks.DIGITS)
def test_answers_are_right_and_wrong_options_are_not(operation: str, digits: int) -> None:
    for item in tasks.arithmetic(operation, digits, "tr", 50):
        a, b = numbers(item.id)
        answer = a + b if operation == "addition" else a * b
        assert item.targets == (f" {answer}",)
        assert item.options[item.gold] == f" {answer}"
        assert len(set(item.options)) == 4
        assert {len(option) for option in item.options} == {len(item.targets[0])}
        assert max(len(str(a)), len(str(b))) == digits
        assert len(item.carry) in (0, len(str(answer)))


def test_both_languages_ask_the_same_numbers_written_alike() -> None:
    turkish_items = tasks.arithmetic("addition", 5, "tr", 20, shots=0)
    english = tasks.arithmetic("addition", 5, "en", 20, shots=0)
    for one, other in zip(turkish_items, english, strict=True):
        assert numbers(one.id) == numbers(other.id)
        assert (one.targets, one.options, one.gold) == (other.targets, other.options, other.gold)
        assert [c for c in one.prompt if c.isdigit()] == [c for c in other.prompt if c.isdigit()]
    a, b = numbers(turkish_items[0].id)
    assert turkish_items[0].prompt == f"{a} artı {b} kaç eder? Cevap:"


def test_examples_are_solved_and_never_the_question() -> None:
    for item in tasks.arithmetic("multiplication", 1, "en", 100, shots=3):
        *examples, question = item.prompt.split("\n")
        assert len(examples) == 3
        for line in examples:
            a, b, answer = (int(word.strip("?")) for word in line.split() if word.strip("?").isdigit())
            assert a * b == answer
            assert sorted((a, b)) != sorted(numbers(item.id))
        assert question.endswith("Answer:")


def test_items_depend_on_the_seed_alone_and_more_begin_with_fewer() -> None:
    assert tasks.make("addition/3/tr", 30, 5) == tasks.make("addition/3/tr", 60, 5)[:30]
    assert tasks.make("addition/3/tr", 30, 5) != tasks.make("addition/3/tr", 30, 6)
    all_there_are = tasks.pairs("addition", 1, 1000)
    assert len(all_there_are) == len(set(all_there_are)) == 100
    assert all_there_are[:10] == tasks.pairs("addition", 1, 10)


@given(st.integers(0, 99_999), st.integers(0, 99_999))
def test_a_carry_comes_in_where_the_digits_before_exceed_9(a: int, b: int) -> None:
    found = tasks.carries(a, b)
    assert len(found) == len(str(a + b))
    for place, carry in enumerate(reversed(found)):
        comes = int(a % 10**place + b % 10**place >= 10**place)
        alone = max(a, b) < 10**place and comes
        assert carry == (2 if alone else comes)


def test_every_letter_is_right_equally_often_and_names_the_answer() -> None:
    items = tasks.choice("addition", 2, "tr", 40)
    assert [sum(item.gold == k for item in items) for k in range(4)] == [10] * 4
    for item in items:
        a, b = numbers(item.id)
        question = item.prompt.rsplit("\n", 1)[-1]
        assert f"{'ABCD'[item.gold]}) {a + b} " in question
        assert question.count(f" {a + b} ") == 1
        assert item.targets == (item.options[item.gold],)


def test_n_is_what_it_takes_to_see_one_right_answer_in_95_percent_of_tests() -> None:
    taken, needed = tasks.enough(0.01)
    assert needed == taken == 299
    assert 1 - 0.99**299 >= 0.95 > 1 - 0.99**298
    assert tasks.enough(0.5) == (200, 5)
    assert tasks.enough(1e-5, most=2000) == (2000, 299_572)
    with pytest.raises(ValueError, match="more than 0"):
        tasks.enough(0.0)


@pytest.mark.parametrize("name", ["addition/6/tr", "addition/2/de", "division/2/tr", "pairs/tense", "sums"])
def test_an_unknown_task_says_which_there_are(name: str) -> None:
    with pytest.raises(ConfigError):
        tasks.make(name, 5)


def test_every_named_task_can_be_made() -> None:
    for name in tasks.names():
        assert all(item.task == name for item in tasks.make(name, 4))


@pytest.mark.parametrize("phenomenon", sorted(turkish.PHENOMENA))
def test_pairs_differ_behind_their_first_word_and_their_right_ones_are_never_wrong_ones(
    phenomenon: str,
) -> None:
    made = turkish.pairs(phenomenon, 10_000)
    assert len(made) == len(set(made)) >= 90
    assert not {pair.right for pair in made} & {pair.wrong for pair in made}
    for pair in made:
        assert pair.right.split()[0] == pair.wrong.split()[0]
    for item in tasks.minimal_pairs(phenomenon, 10_000):
        assert item.prompt
        assert {item.prompt + option for option in item.options} <= {
            text for pair in made for text in (pair.right, pair.wrong)
        }


def last_vowel(word: str) -> str:
    return [letter for letter in word if letter in VOWELS][-1]


def test_right_plurals_are_in_harmony_and_wrong_ones_are_not() -> None:
    for pair in turkish.pairs("harmony", 10_000):
        for sentence, right in ((pair.right, True), (pair.wrong, False)):
            noun = sentence.split()[2]
            same = (last_vowel(noun[:-3]) in BACK) == (noun.endswith("lar"))
            assert same == right


def test_the_right_question_particle_is_in_harmony() -> None:
    matching = dict(zip(VOWELS, "ıiıiuüuü", strict=True))
    assert matching == {"a": "ı", "e": "i", "ı": "ı", "i": "i", "o": "u", "ö": "ü", "u": "u", "ü": "ü"}
    for phenomenon in ("question", "question-apart"):
        for pair in turkish.pairs(phenomenon, 10_000):
            adjective, particle = pair.right.rstrip("?").split()[2:]
            assert particle == f"m{matching[last_vowel(adjective)]}"


def test_dotted_pairs_differ_in_the_dot_of_one_letter() -> None:
    fold = str.maketrans("ıİI", "iii")
    for pair in turkish.pairs("dots", 10_000):
        assert pair.right.translate(fold) == pair.wrong.translate(fold)
        assert sum(a != b for a, b in zip(pair.right, pair.wrong, strict=True)) == 1
