"""Generated tasks: sums, products, multiple choice and minimal pairs, each item a pure function of a seed."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from corpus.errors import ConfigError
from trainer.abilities import turkish

LANGUAGES = ("tr", "en")
OPERATIONS = ("addition", "multiplication")
DIGITS = range(1, 6)
LETTERS = "ABCD"

# Both languages name the operation by a word and write numbers alike: ASCII digits without thousands
# separators (which differ), so that a difference between languages is not one of notation.
_ASK = {
    ("addition", "tr"): "{a} artı {b} kaç eder? Cevap:",
    ("addition", "en"): "What is {a} plus {b}? Answer:",
    ("multiplication", "tr"): "{a} çarpı {b} kaç eder? Cevap:",
    ("multiplication", "en"): "What is {a} times {b}? Answer:",
}
_CHOOSE = {
    ("addition", "tr"): "{a} artı {b} kaç eder? {options} Cevap:",
    ("addition", "en"): "What is {a} plus {b}? {options} Answer:",
    ("multiplication", "tr"): "{a} çarpı {b} kaç eder? {options} Cevap:",
    ("multiplication", "en"): "What is {a} times {b}? {options} Answer:",
}


@dataclass(frozen=True, slots=True)
class Item:
    """A prompt and possible continuations; options and targets are whole continuations with their blank.

    `targets` are all right answers; options[gold] is one of them, the other options are wrong. `chance` is
    the share of exact matches by guessing (of right choices, if the options are the whole task). `carry`
    holds what comes into each digit of a sum (see `carries`).
    """

    task: str
    id: str
    prompt: str
    targets: tuple[str, ...]
    options: tuple[str, ...]
    gold: int
    chance: float
    generates: bool
    carry: tuple[int, ...] = ()


def arithmetic(
    operation: str, digits: int, language: str, n: int, seed: int = 0, shots: int = 2
) -> list[Item]:
    """Return n different sums or products of two numbers of `digits` digits, after solved examples.

    Returns all of them if there are fewer than n. Each has three wrong options with as many digits as the
    answer. The numbers are the same in both languages. Raises ConfigError for an unknown task.
    """
    _known(operation, digits, language)
    task = f"{operation}/{digits}/{language}"
    drawn = pairs(operation, digits, n, seed)
    made = []
    for number, (a, b) in enumerate(drawn):
        chance = _random(f"{seed} {operation} {digits} {number} more")
        answer = solve(operation, a, b)
        options, gold = _options(operation, a, b, chance)
        ask = _ASK[operation, language]
        examples = _examples(operation, digits, chance, shots, (a, b))
        prompt = "".join(f"{ask.format(a=x, b=y)} {solve(operation, x, y)}\n" for x, y in examples)
        carry = carries(a, b) if operation == "addition" else ()
        made.append(
            Item(
                task=task,
                id=f"{task}/{a}/{b}",
                prompt=prompt + ask.format(a=a, b=b),
                targets=(f" {answer}",),
                options=tuple(f" {option}" for option in options),
                gold=gold,
                chance=1 / _numbers(len(str(answer))),
                generates=True,
                carry=carry,
            )
        )
    return made


def choice(operation: str, digits: int, language: str, n: int, seed: int = 0, shots: int = 2) -> list[Item]:
    """Return n sums or products with four lettered answers, of which the letter is to be named.

    Each letter is right equally often (except for a rest of n / 4). Raises ConfigError for an unknown task.
    """
    _known(operation, digits, language)
    task = f"choice-{operation}/{digits}/{language}"
    order = [number % len(LETTERS) for number in range(n)]
    _random(f"{seed} {operation} {digits} letters").shuffle(order)
    made = []
    for number, (a, b) in enumerate(pairs(operation, digits, n, seed)):
        chance = _random(f"{seed} {operation} {digits} {number} choice")
        prompt = ""
        for x, y in _examples(operation, digits, chance, shots, (a, b)):
            right = chance.randrange(len(LETTERS))
            prompt += f"{_lettered(operation, language, x, y, right, chance)} {LETTERS[right]}\n"
        gold = order[number]
        made.append(
            Item(
                task=task,
                id=f"{task}/{a}/{b}",
                prompt=prompt + _lettered(operation, language, a, b, gold, chance),
                targets=(f" {LETTERS[gold]}",),
                options=tuple(f" {letter}" for letter in LETTERS),
                gold=gold,
                chance=1 / len(LETTERS),
                generates=False,
            )
        )
    return made


def minimal_pairs(phenomenon: str, n: int, seed: int = 0) -> list[Item]:
    """Return up to n pairs of Turkish sentences, one with an error; which is likelier to the model?

    The options start where the two sentences' words differ, so that what is scored has a context. Raises
    ConfigError for an unknown phenomenon.
    """
    task = f"pairs/{phenomenon}"
    made = []
    for number, pair in enumerate(turkish.pairs(phenomenon, n, seed)):
        right, wrong = pair.right.split(" "), pair.wrong.split(" ")
        same = 0
        while right[same] == wrong[same]:
            same += 1
        if not same:
            raise ValueError(f"{pair}: the first words differ, so nothing precedes what is scored")
        options = tuple("".join(f" {word}" for word in words[same:]) for words in (right, wrong))
        made.append(
            Item(
                task=task,
                id=f"{task}/{number}",
                prompt=" ".join(right[:same]),
                targets=options[:1],
                options=options,
                gold=0,
                chance=0.5,
                generates=False,
            )
        )
    return made


def make(task: str, n: int, seed: int = 0, shots: int = 2) -> list[Item]:
    """Return the items of a task by its name, such as addition/3/tr, choice-addition/2/en, pairs/harmony."""
    name, *rest = task.split("/")
    if name == "pairs" and len(rest) == 1:
        return minimal_pairs(rest[0], n, seed)
    if len(rest) == 2 and rest[0].isdigit():
        digits, language = int(rest[0]), rest[1]
        if name.startswith("choice-"):
            return choice(name.removeprefix("choice-"), digits, language, n, seed, shots)
        return arithmetic(name, digits, language, n, seed, shots)
    raise ConfigError(f"{task!r}: unknown task; expected one of {', '.join(names())}")


def names() -> list[str]:
    """Return the names of all tasks."""
    sums = [f"{o}/{d}/{language}" for o in OPERATIONS for d in DIGITS for language in LANGUAGES]
    choices = [f"choice-{o}/2/{language}" for o in OPERATIONS for language in LANGUAGES]
    return [*sums, *choices, *(f"pairs/{name}" for name in turkish.PHENOMENA)]


def pairs(operation: str, digits: int, n: int, seed: int = 0) -> list[tuple[int, int]]:
    """Draw n different pairs of numbers of `digits` digits; return all if there are fewer.

    With the same seed a smaller set is the first part of a larger one.
    """
    low = 0 if digits == 1 else 10 ** (digits - 1)
    span = 10**digits - low
    draw = _random(f"{seed} {operation} {digits}")
    codes: dict[int, None] = {}
    while len(codes) < min(n, span * span):
        codes[draw.randrange(span * span)] = None
    return [(low + code // span, low + code % span) for code in codes]


def solve(operation: str, a: int, b: int) -> int:
    """Return the answer."""
    return a + b if operation == "addition" else a * b


def carries(a: int, b: int) -> tuple[int, ...]:
    """Return for each digit of a + b, as written, whether a carry (1) or none (0) comes into it.

    2 if the digit is nothing but the carry: a leading 1, which is not a sum of digits.
    """
    into, carry = [], 0
    for _ in str(a + b):
        into.append(2 if a == b == 0 and carry else carry)
        carry = int(a % 10 + b % 10 + carry > 9)
        a, b = a // 10, b // 10
    return tuple(reversed(into))


def enough(expected: float, least: int = 200, most: int = 5000, sure: float = 0.95) -> tuple[int, int]:
    """Return (n to take, n needed) to see a model with this probability of a right answer be right.

    Needed is the smallest n with at least one right answer in `sure` of all tests: 1 - (1 - expected)^n.
    With fewer, a zero says nothing. Taken is that number, clipped to [least, most].
    """
    if not 0 < expected <= 1:
        raise ValueError(f"expected score {expected}: expected more than 0 and at most 1")
    needed = 1 if expected == 1 else math.ceil(math.log(1 - sure) / math.log1p(-expected))
    return min(max(needed, least), most), needed


def _known(operation: str, digits: int, language: str) -> None:
    if operation not in OPERATIONS or digits not in DIGITS or language not in LANGUAGES:
        raise ConfigError(
            f"{operation}/{digits}/{language}: unknown task; expected {' or '.join(OPERATIONS)}, 1 to 5 "
            f"digits, {' or '.join(LANGUAGES)}"
        )


def _numbers(digits: int) -> int:
    """Return the number of numbers with this many digits."""
    return 10 if digits == 1 else 9 * 10 ** (digits - 1)


def _examples(
    operation: str, digits: int, chance: random.Random, shots: int, asked: tuple[int, int]
) -> Iterator[tuple[int, int]]:
    """Draw solved examples other than the question, also with its numbers exchanged."""
    low = 0 if digits == 1 else 10 ** (digits - 1)
    while shots:
        a, b = chance.randrange(low, 10**digits), chance.randrange(low, 10**digits)
        if sorted((a, b)) != sorted(asked):
            shots -= 1
            yield a, b


def _options(operation: str, a: int, b: int, chance: random.Random) -> tuple[list[int], int]:
    """Return four numbers with as many digits, in seeded order, and which of them is the answer.

    Wrong ones come from typical mistakes (a carry forgotten or too many, a digit off), then neighbours.
    """
    answer = solve(operation, a, b)
    size = len(str(answer))
    mistakes = [answer + sign * 10**place for place in range(size) for sign in (1, -1)]
    chance.shuffle(mistakes)
    near = (answer + step for distance in range(2, 10) for step in (distance, -distance))
    wrong: list[int] = []
    for number in (*mistakes, *near):
        if number >= 0 and len(str(number)) == size and number not in (answer, *wrong):
            wrong.append(number)
        if len(wrong) == len(LETTERS) - 1:
            break
    gold = chance.randrange(len(LETTERS))
    return [*wrong[:gold], answer, *wrong[gold:]], gold


def _lettered(operation: str, language: str, a: int, b: int, right: int, chance: random.Random) -> str:
    """Return a question with its lettered answers, the right one at its place."""
    numbers, gold = _options(operation, a, b, chance)
    numbers[gold], numbers[right] = numbers[right], numbers[gold]
    listed = " ".join(f"{letter}) {number}" for letter, number in zip(LETTERS, numbers, strict=True))
    return _CHOOSE[operation, language].format(a=a, b=b, options=listed)


def _random(name: str) -> random.Random:
    """Return a generator that depends on a name alone, the same on every machine."""
    return random.Random(hashlib.sha256(name.encode()).digest())
