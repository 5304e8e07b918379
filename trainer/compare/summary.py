"""The answers of a comparison as plain values: the page, its JSON twin and the terminal show nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trainer.compare.estimate import Difference, change_with_size, difference, multiplier
from trainer.compare.plan import Confounds, Power, power
from trainer.compare.results import Measure, Results, measures
from trainer.compare.runs import Answered, Planned, answered, level
from trainer.compare.sequential import BETTER, TIE, WORSE, Rule


@dataclass(frozen=True)
class Apart:
    """A difference from the first corpus in bits per byte (negative: better), with errors and interval."""

    value: float
    seed_error: float
    document_error: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True)
class Worth:
    """Tokens of the first corpus that one token of another is worth, at one size."""

    size: str
    parameters: int
    value: float
    low: float
    high: float
    reach: float


@dataclass(frozen=True)
class Compared:
    """One of the other corpora: its difference over the main sets at the largest size, and what it is worth.

    `with_size` is the difference at the largest size minus that at the smallest; None for one size.
    """

    name: str
    bits_per_byte: float
    apart: Apart
    by_size: tuple[Apart, ...]
    worth: tuple[Worth, ...]
    with_size: Apart | None


@dataclass(frozen=True)
class Row:
    """A measure at the largest size and budget: the first corpus's bits per byte, the others' differences."""

    kind: str
    name: str
    documents: int
    bits_per_byte: float
    apart: tuple[Apart, ...]


@dataclass(frozen=True)
class Curve:
    """Mean bits per byte over the main sets by training tokens, of one corpus at one size."""

    corpus: str
    size: str
    tokens: tuple[int, ...]
    bits_per_byte: tuple[float, ...]


@dataclass(frozen=True)
class Summary:
    """What a comparison found; `interval` is the level of every interval, which holds at any look."""

    corpora: tuple[str, ...]
    sizes: tuple[str, ...]
    parameters: tuple[int, ...]
    tokens: tuple[tuple[int, ...], ...]
    seeds: int
    rule: Rule
    interval: float
    main: tuple[str, ...]
    bits_per_byte: float
    others: tuple[Compared, ...]
    rows: tuple[Row, ...]
    curves: tuple[Curve, ...]
    tasks: tuple[Answered, ...]
    power: Power
    confounds: Confounds

    @property
    def order(self) -> tuple[str, ...]:
        """Return the corpora by their bits per byte, the best first."""
        values = {self.corpora[0]: self.bits_per_byte, **{o.name: o.bits_per_byte for o in self.others}}
        return tuple(sorted(values, key=lambda name: values[name]))


def summarise(planned: Planned, confounds: Confounds, results: Results) -> Summary:
    """Return the answers of finished runs."""
    bits = level(planned, results)
    rule = planned.comparison.rule(bits)
    count = len(results.corpora)
    every = measures(results.documents, planned.main)
    main = every[0]
    others = [_compared(results, main, rule, other) for other in range(1, count)]
    return Summary(
        corpora=results.corpora,
        sizes=results.sizes,
        parameters=tuple(results.parameters.tolist()),
        tokens=tuple(map(tuple, results.tokens.tolist())),
        seeds=results.seeds,
        rule=rule,
        interval=1 - rule.level(count),
        main=planned.main,
        bits_per_byte=bits,
        others=tuple(others),
        rows=tuple(_row(results, each, rule) for each in every),
        curves=tuple(_curves(results, main)),
        tasks=tuple(answered(planned, results.seeds)),
        power=power(planned, results),
        confounds=confounds,
    )


def _apart(found: Difference, rule: Rule, corpora: int) -> Apart:
    low, high = found.interval(rule.level(corpora))
    verdict = rule.verdict(found, corpora)
    return Apart(found.value, found.seed_error, found.document_error, low, high, verdict)


def _compared(results: Results, main: Measure, rule: Rule, other: int) -> Compared:
    count, sizes = len(results.corpora), range(len(results.sizes))
    by_size = [_apart(difference(results, main, other, size), rule, count) for size in sizes]
    worth = []
    for size in sizes:
        found = multiplier(results, main, other, rule.level(count), size)
        worth.append(
            Worth(
                results.sizes[size],
                int(results.parameters[size]),
                found.value,
                found.low,
                found.high,
                found.reach,
            )
        )
    turned = _apart(change_with_size(results, main, other), rule, count) if len(sizes) > 1 else None
    value = float(main.of(results.bits[other, -1, -1]).mean())
    return Compared(results.corpora[other], value, by_size[-1], tuple(by_size), tuple(worth), turned)


def _row(results: Results, measure: Measure, rule: Rule) -> Row:
    count = len(results.corpora)
    return Row(
        kind=measure.kind,
        name=measure.name,
        documents=int((measure.groups >= 0).sum()),
        bits_per_byte=float(measure.of(results.bits[0, -1, -1]).mean()),
        apart=tuple(_apart(difference(results, measure, o), rule, count) for o in range(1, count)),
    )


def _curves(results: Results, main: Measure) -> list[Curve]:
    values = main.of(results.bits).mean(-1)
    return [
        Curve(corpus, size, tuple(results.tokens[s].tolist()), tuple(values[c, s].tolist()))
        for s, size in enumerate(results.sizes)
        for c, corpus in enumerate(results.corpora)
    ]


def headline(summary: Summary) -> list[str]:
    """Return one sentence for each other corpus: its verdict, by how much, and what its tokens are worth."""
    first = summary.corpora[0]
    return [_sentence(summary, other, first) for other in summary.others]


def _sentence(summary: Summary, other: Compared, first: str) -> str:
    share = [100 * x / summary.bits_per_byte for x in (other.apart.value, other.apart.low, other.apart.high)]
    about = f"{share[0]:+.1f} % bits per byte ({share[1]:+.1f} to {share[2]:+.1f} %)"
    if other.apart.verdict in (BETTER, WORSE):
        worth = worth_text(other.worth[-1])
        return (
            f"{other.name} is {other.apart.verdict} than {first}: {about}; "
            f"one token of {other.name} is worth {worth} of {first}."
        )
    if other.apart.verdict == TIE:
        limit = 100 * summary.rule.tie / summary.bits_per_byte
        return f"{other.name} and {first} are a tie: {about}, within ± {limit:.1f} %."
    if not math.isfinite(other.apart.low):
        return f"{other.name} and {first}: not decided; one seed has no error."
    return f"{other.name} and {first}: no difference is shown; {about}."


def worth_text(worth: Worth) -> str:
    """Return a multiplier with its interval as text: "1.31 tokens (1.18 to 1.46)"."""
    if worth.value == math.inf:
        return f"more than {worth.reach:.3g} tokens"
    if worth.value == 0:
        return f"less than {1 / worth.reach:.2g} tokens"
    low = f"{worth.low:.2f}" if worth.low else f"below {1 / worth.reach:.2g}"
    high = f"{worth.high:.2f}" if worth.high < math.inf else f"above {worth.reach:.3g}"
    return f"{worth.value:.2f} tokens ({low} to {high})"


def of_size(summary: Summary, other: Compared) -> str:
    """Return whether the verdict on a corpus depends on the size, as one sentence."""
    if other.with_size is None:
        return f"{other.name}: one size was trained, so nothing is known of others."
    decided = {each.verdict for each in other.by_size} & {BETTER, WORSE}
    first = summary.corpora[0]
    if len(decided) == 2:
        told = [f"{each.verdict} at {size}" for each, size in zip(other.by_size, summary.sizes, strict=True)]
        return f"{other.name}: the order changes with size: {', '.join(told)}."
    if other.with_size.verdict in (BETTER, WORSE):
        way = "gains on" if other.with_size.verdict == BETTER else "loses against"
        return f"{other.name} {way} {first} as models grow: {other.with_size.value:+.4f} bits per byte."
    return f"{other.name}: no change with size is shown ({other.with_size.value:+.4f} bits per byte)."


def warnings(summary: Summary) -> list[str]:
    """Return what could mislead a reader, each with its number."""
    found, held = [], summary.confounds
    for a, b in held.same:
        found.append(f"{a} and {b} have the same training tokens in the same order: their runs are equal.")
    if held.mix_moved:
        found.append(
            "the mix of sources differs between corpora, so a difference may be one of the mix: "
            "see the table, and compare again with --hold-mix"
        )
    if held.held_mix:
        found.append(f"all corpora are read in the mix of {summary.corpora[0]}, not in their own")
    if again := [f"{name} {epochs:.2g} times" for name, epochs in held.epochs.items() if epochs > 1]:
        found.append(f"the largest budget reads {', '.join(again)}: repetition counts against a small corpus")
    if held.leaks.ids:
        told = ", ".join(f"{name} {len(ids)}" for name, ids in held.leaks.copied.items() if ids)
        found.append(
            f"{len(held.leaks.ids)} held-out documents have a copy in training text ({told}) and are not used"
        )
    if len(summary.main) > 1 and summary.main == summary.corpora:
        found.append(_home(summary))
    return [each for each in found if each]


def _home(summary: Summary) -> str:
    """Return where a corpus is better on its own held-out set and worse on another's."""
    rows = {row.name: row for row in summary.rows if row.kind == "set"}
    first = summary.corpora[0]
    split = []
    for number, other in enumerate(summary.others):
        own, away = rows[other.name].apart[number], rows[first].apart[number]
        if own.value < 0 < away.value:
            split.append(other.name)
    if not split:
        return ""
    return (
        f"{' and '.join(split)} and {first} are each better on their own held-out text: name a held-out set "
        "of the use that you have in mind (--held-out), which then decides alone"
    )
