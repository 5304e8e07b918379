"""The commands of models of quality; every heavy import happens inside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from commands.arguments import Folder
from commands.terminal import AsJson, Group, console, local, place, reported, say, shortened

app = typer.Typer(cls=Group, help="Train models that say how good a text is.", no_args_is_help=True)

Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", parser=local, help="The file to write.")
]
Column = Annotated[str, typer.Option(metavar="NAME", help="JSON lines and tables: the column of the text.")]


@app.command()
def lm(
    good: Annotated[
        list[str], typer.Argument(metavar="GOOD...", help="Files of good texts, or the folders of builds.")
    ],
    output: Output,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="BAD", help="The same of bad texts; may be repeated."),
    ] = None,
    order: Annotated[int, typer.Option(metavar="N", help="Characters of the longest n-gram, 2 to 8.")] = 5,
    sample_mb: Annotated[float, typer.Option(metavar="N", min=0.01, help="Text of each side, MiB.")] = 64.0,
    text_column: Column = "text",
) -> None:
    """Train a language model of good texts, or two: of good texts and of bad ones.

    [filter.quality] of a corpus uses the file: its value is a text's perplexity, or the standardised
    difference of the two models, which is high for good texts.
    """
    from corpus.quality.model import dump, train
    from corpus.quality.texts import sample

    with reported():
        bad = sample(against, sample_mb, text_column) if against else []
        made = train(sample(good, sample_mb, text_column), bad, order)
        write(output, dump(made))
        checks = made.checks
        say(f"held back: {checks.good_texts:,} good texts, median perplexity {checks.good_perplexity:.2f}")
        if bad:
            say(f"held back: {checks.bad_texts:,} bad texts, median perplexity {checks.bad_perplexity:.2f}")
            say(f"a good text scores above a bad one in {checks.auc:.1%} of pairs (AUC)")
        number = made.good.keys.size + (made.bad.keys.size if made.bad else 0)
        say(f"wrote {shortened(str(output))}: {number:,} n-grams of up to {order} characters")


@app.command("train")
def train_classifier(
    labels: Annotated[
        str, typer.Argument(metavar="LABELS", parser=place, help="JSON lines or a table: texts with labels.")
    ],
    output: Output,
    text_column: Column = "text",
    label_column: Annotated[str, typer.Option(metavar="NAME", help="The column of the label.")] = "label",
    as_json: AsJson = False,
) -> None:
    """Train a classifier of fastText from labelled texts, and cross-validate it.

    The file (.ftz: small, .bin: exact) is used by [filter.quality], and by whatever reads fastText's models.
    """
    from commands.render.labels import render_labels
    from corpus.errors import ConfigError
    from corpus.quality.labels import read, train

    with reported():
        if output.suffix not in (".ftz", ".bin"):
            raise ConfigError(f"{output}: expected a name that ends in .ftz or .bin")
        found = train(read(labels, text_column, label_column), output)
        if as_json:
            print(json.dumps(found.as_dict(), ensure_ascii=False))
        else:
            render_labels(found, console(stderr=False))
            say(f"wrote {shortened(str(output))}")


@app.command()
def percentiles(
    folder: Folder,
    keep_top: Annotated[
        float | None,
        typer.Option(metavar="SHARE", min=0.0, max=1.0, help="Print the limits that keep this share."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the percentiles of each model's values in a build, by source and language."""
    from commands.render.labels import render_percentiles
    from corpus import places
    from corpus.quality.percentiles import percentiles as measure

    with reported():
        places.folder(folder, "DIR")
        found = measure(folder, keep_top)
        if as_json:
            print(json.dumps([each.as_dict() for each in found], ensure_ascii=False))
        else:
            render_percentiles(found, console(stderr=False))


@app.command()
def arpa(
    model: Annotated[str, typer.Argument(metavar="MODEL", parser=place, help="A file of `quality lm`.")],
    output: Output,
    bad: Annotated[bool, typer.Option("--bad", help="The model of bad texts.")] = False,
) -> None:
    """Write a language model as an ARPA file, for other programs; characters are its words."""
    from corpus.errors import ConfigError
    from corpus.quality.model import load, write_arpa

    with reported():
        loaded = load(model)
        ngrams = loaded.bad if bad else loaded.good
        if ngrams is None:
            raise ConfigError(f"{model}: it has no model of bad texts")
        with output.open("w", encoding="utf-8") as file:
            write_arpa(ngrams, file)


def write(path: Path, data: bytes) -> None:
    """Write a whole file, or none."""
    from corpus import files

    files.write_bytes(str(path.parent), path.name, data)
