"""Print the plan of a study of mixes, and what it found."""

from __future__ import annotations

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console

from commands.render.tables import Table
from corpus.plural import plural
from trainer.mix.advice import Advice
from trainer.mix.swarm import Swarm
from trainer.page.formatting import around, count, ends, percent


def plan(planned: Swarm, console: Console) -> None:
    """Print the streams with their shares in the mixes, and what will be trained."""
    table = _table("stream", "tokens", "share", "least in a mix", "most in a mix")
    for n, name in enumerate(planned.streams):
        shares = planned.mixes[:, n]
        ends_of = (planned.natural[n], shares.min(), shares.max())
        table.add_row(name, f"{planned.held[n]:,}", *(percent(float(each)) for each in ends_of))
    console.print(table)
    data, documents = planned.mix.train.data, planned.sample.documents.bytes.size
    console.print(
        f"{planned.mix.runs} mixes to fit and {planned.mix.test} to test, {count(data.tokens)} tokens each; "
        f"judged on {documents:,} held-out documents of {plural(len(planned.domains), 'domain')}",
        soft_wrap=True,
    )


def found(advice: Advice, console: Console) -> None:
    """Print the best mix, its worth, and the test of the law."""
    table = _table("stream", "tokens", "share by tokens", "best mix", "epochs")
    for each in advice.streams:
        shares = percent(each.natural), percent(each.best)
        table.add_row(each.name, f"{each.tokens:,}", *shares, f"{each.epochs:.2f}")
    console.print(table)
    test = advice.test
    sure = advice.gain.lower is not None and advice.gain.lower > 0
    gain = f"{percent(advice.gain.estimate)} ({ends(advice.gain, 'percent')})"
    lines: tuple[str, ...] = (
        f"bits per byte: {around(advice.best)} in the best mix, {around(advice.natural)} in the natural one",
        f"the best mix lowers it by {gain}"
        if sure
        else f"no mix is shown to be better than the natural one: {gain}",
        f"test on {test.mixes} other mixes: rank correlation {test.rank:.2f}, {percent(test.inside)} inside "
        f"intervals of {percent(test.level)}, median error {percent(test.error)} where losses differ by "
        f"{percent(test.spread)}",
    )
    for name, told, measured in (
        ("best", advice.best, advice.best_measured),
        ("natural", advice.natural, advice.natural_measured),
    ):
        where = "inside" if told.holds(measured) else "outside"
        lines += (
            f"trained on the {name} mix: {measured:.4f} bits per byte, {around(told)} predicted ({where})",
        )
    lower = 1 - advice.best_measured / advice.natural_measured
    lines += (f"of these two runs the best mix's is {percent(lower)} lower",)
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    if np.isnan(test.rank) or test.rank < 0.5:
        console.print("the law does not rank mixes that it has not seen: train more, or longer runs")


def _table(*heads: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for head in heads:
        table.add_column(head, justify="left" if head == "stream" else "right")
    return table
