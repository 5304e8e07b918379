"""Make a report of runs, and write it: one page that opens from disk, and its JSON twin."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path

from corpus import files
from corpus.plural import plural
from corpus.tokenizer.lost import TOO_LOW
from trainer.page.formatting import count, listed, unit
from trainer.records import plain
from trainer.scaling.checks import checklist
from trainer.scaling.git_commit import git_commit
from trainer.scaling.report.answers import better, headline
from trainer.scaling.report.measured import Measured, measure
from trainer.scaling.report.page import render
from trainer.scaling.report.report_model import Report
from trainer.scaling.report.sections import sections
from trainer.scaling.source import Asked, load
from trainer.scaling.uncertainty import RESAMPLES


def report(path: Path, asked: Asked | None = None, resamples: int = RESAMPLES, seed: int = 0) -> Report:
    """Return a report of a study's runs, or a table's; RunsError if they cannot be fitted."""
    m = measure(load(path, asked or Asked()), resamples, seed)
    return compose(m, path.resolve().name, resamples, seed)


def compose(m: Measured, name: str, resamples: int = RESAMPLES, seed: int = 0) -> Report:
    """Return the report of the measurements on the runs of a table of this name."""
    compared = tuple(map(better, m.comparisons))
    return Report(
        title="What one more token is worth",
        about=_about(m),
        input={
            "name": name,
            "blake2b": m.source.digest,
            "corpus": m.source.about or "one, without a name",
            "loss": unit(m.loss),
            "resamples": str(resamples),
            "seed": str(seed),
        },
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in ("derlem", "numpy", "scipy")},
            "code": git_commit() or "not from a checkout",
        },
        headline=headline(m),
        corpora=compared,
        checklist=checklist(m.source, m.analysis),
        sections=sections(m, compared),
        analysis=m.analysis,
        more=m.as_dict(),
    )


def write(found: Report, page: Path) -> Path:
    """Write the page, and its twin with the suffix .json in the same folder; return the twin's path."""
    twin = page.with_suffix(".json")
    text = json.dumps(plain(found), ensure_ascii=False, indent=1, allow_nan=False)
    folder = str(page.parent)
    files.write_bytes(folder, twin.name, f"{text}\n".encode(), sweeps=True)
    files.write_bytes(folder, page.name, render(found, twin.name).encode(), sweeps=True)
    return twin


def _about(m: Measured) -> str:
    sizes = m.runs.columns.get("params")
    tokens = m.runs.columns.get("tokens")
    models, branched = len(m.runs.loss), m.analysis.clusters
    said = plural(models, "run") if models == branched else f"{models} models of {plural(branched, 'run')}"
    if m.source.about:
        said += f" on {m.source.about}"
    if sizes is not None:
        said += f", {count(float(sizes.min()))} to {count(float(sizes.max()))} parameters"
    if tokens is not None:
        said += f", {count(float(tokens.min()))} to {count(float(tokens.max()))} tokens"
    if recipe := m.here.recipe:
        said += f"; answers are for {listed([f'{name} {value:g}' for name, value in recipe.items()])}"
    if not m.source.exact:
        said += f"; bits per byte are {TOO_LOW}"
    return said
