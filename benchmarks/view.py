"""Times of the viewer on a generated build of many documents: python -m benchmarks.view DIR [DOCUMENTS].

Prints the seconds of the index, of the first page, of each facet, order and search, and the peak memory. The
build is made in DIR if it is not there; its texts are short, its columns are as long as those of a crawl.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus import dataset, filters, schema
from corpus.config import Filter
from corpus.counts import Counts
from corpus.dataset import Manifest, Unit
from corpus.filters import RULES
from corpus.inspect.build import open_build
from corpus.inspect.texts import Texts
from corpus.view import index, pages
from corpus.view.pages import Viewer
from corpus.view.questions import FACETS, Questions, Selection
from corpus.whatif import what_if

ROWS = 100_000  # of a unit
HOSTS = 200_000
LANGUAGES = ("tur_Latn", "eng_Latn", "azj_Latn", "deu_Latn", "kmr_Latn")
DROPS = ("", "", "", "gopher.min_words", "gopher.alphabetic_words", "c4.curly_bracket", "language.score")


def main(folder: Path, documents: int) -> None:
    """Make the build where it is not there, then ask it."""
    if not (folder / "filter" / dataset.MANIFEST).exists():
        make(folder, documents)
    texts = Texts(open_build(str(folder)))
    said("index made" if not index.path(texts).exists() else "index opened", lambda: index.open_index(texts))
    questions = Questions(texts, index.open_index(texts))
    viewer = Viewer(questions)
    said("first page", lambda: pages.funnel_page(viewer))
    for name in FACETS:
        said(f"facet {name}", lambda name=name: questions.facet(name, Selection(state="dropped")))
    said("table of documents", lambda: pages.documents_page(viewer, Selection()))
    said("random sample", lambda: questions.page(Selection(order="random", seed="7")))
    said("longest first", lambda: questions.page(Selection(order="-words")))
    said("by a rule's values", lambda: questions.page(Selection(order="-gopher.min_words")))
    said("again", lambda: questions.page(Selection(order="gopher.min_words", language="tur_Latn")))
    said("hosts", lambda: pages.groups_page(viewer, "host"))
    said("one document", lambda: pages.document_page(viewer, documents // 2, Selection(), False))
    drawn = Selection(order="random", seed="7")
    number = questions.page(drawn).rows[0].n
    said("first next in a random order", lambda: questions.beside(drawn, number, 1))
    following = questions.beside(drawn, number, 1) or 0
    said("next document to label", lambda: pages.document_page(viewer, following, drawn, False))
    limit = ['filter.limits.tur_Latn."gopher.min_words"=40']
    said("what-if", lambda: what_if(str(folder), limit, examples=20))
    said("search of an address", lambda: questions.page(Selection(address="https://site7.example/yok")))
    said("search of rare words", lambda: questions.page(Selection(find="no text has this")))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


def said(what: str, ask: Callable[[], object]) -> None:
    """Print how long an answer took, by the clock and by the processor."""
    started, spent = time.perf_counter(), time.process_time()
    ask()
    lasted, spent = time.perf_counter() - started, time.process_time() - spent
    print(f"{what:30} {lasted:7.2f} s {spent:7.2f} s of processor time", flush=True)


def make(folder: Path, documents: int) -> None:
    """Write the extracted and filtered files of a build, without its other files."""
    rng = np.random.default_rng(0)
    extracted, filtered = [], []
    for number, first in enumerate(range(0, documents, ROWS)):
        rows = min(ROWS, documents - first)
        host = (HOSTS * rng.random(rows) ** 3).astype(np.int64)  # few hosts have many pages
        numbers = np.arange(first, first + rows)
        pairs = zip(host.tolist(), numbers.tolist(), strict=True)
        url = pa.array([f"https://site{h}.example/sayfa/{n}" for h, n in pairs])
        text = pa.array([f"{n}. sayfanın metni burada durur." for n in numbers.tolist()])
        language = pa.array(np.array(LANGUAGES)[(len(LANGUAGES) * rng.random(rows) ** 2).astype(int)])
        words = rng.lognormal(5.5, 1.0, rows).astype(np.uint32)
        rule = np.array(DROPS)[rng.integers(0, len(DROPS), rows)]
        known = {
            "text": text, "url": url, "source": pa.array(np.full(rows, "crawl")), "language": language,
            "bytes": pa.array(words * 7), "language_score": pa.array(rng.random(rows)),
            "words": pa.array(words), "rule": pa.array(rule), "offset": pa.array(numbers.astype(np.uint64)),
            "fetched": pa.array((1_700_000_000_000 + numbers * 1000).astype("datetime64[ms]")),
        }  # fmt: skip
        values = {each.name: pa.array(rng.random(rows)) for each in RULES} | {
            "gopher.min_words": pa.array(words.astype(np.float64))
        }
        columns = [schema.Column(name, pa.float64(), "") for name in values]
        stamp = f"{number:016x}"
        texts = write(folder / "extract", f"extracted/{number:05}.arrow", schema.EXTRACTED, stamp, known)
        kind = schema.MEASURED.with_columns(columns)
        measured = write(folder / "filter", f"measured/{number:05}.arrow", kind, stamp, known | values)
        kept = pa.array(rule == "")
        parts = [
            write(folder / "filter", f"{name}/{number:05}.arrow", one, stamp, only(known, mask))
            for name, one, mask in (
                ("documents", schema.DOCUMENTS, kept),
                ("dropped", schema.DROPPED, pc.invert(kept)),
            )
        ]
        inputs = (dataset.Input(name=texts.path, checksum=texts.sha256),)
        counts = Counts(seen=rows, kept=int((rule == "").sum()))
        for name in DROPS[3:]:
            counts.dropped[name] = int((rule == name).sum())
        extracted.append(unit(stamp, (), [texts], Counts(seen=rows, kept=rows)))
        filtered.append(unit(stamp, inputs, [measured, *parts], counts))
    section = Filter()
    in_force = filters.in_force(section, Path())
    settings = in_force.as_settings({}) | {"in_force": in_force.content()}
    for stage, made, own in (("extract", extracted, {}), ("filter", filtered, settings)):
        dataset.save(str(folder / stage), Manifest(stage=stage, version=1, settings=own, units=tuple(made)))


def only(known: dict[str, pa.Array], mask: pa.Array) -> dict[str, pa.Array]:
    """Return some rows of all columns."""
    return {name: column.filter(mask) for name, column in known.items()}


def unit(stamp: str, inputs: tuple[dataset.Input, ...], files: list[dataset.File], counts: Counts) -> Unit:
    """Return a unit."""
    return Unit(name=stamp, fingerprint=stamp, inputs=inputs, files=tuple(files), counts=counts)


def write(folder: Path, path: str, kind: schema.Kind, stamp: str, known: dict[str, pa.Array]) -> dataset.File:
    """Write a file of a kind; columns that are not known are empty."""
    wanted = kind.schema(stamp)
    rows = len(known["url"])
    arrays = [
        known[field.name].cast(field.type) if field.name in known else _empty(field, rows) for field in wanted
    ]
    table = pa.Table.from_arrays(arrays, schema=wanted)
    with dataset.create(str(folder), path, kind, stamp) as slot:
        for start in range(0, rows, 10_000):
            slot.arrow.write(table.slice(start, 10_000).combine_chunks())
    assert slot.file is not None
    return slot.file


def _empty(field: pa.Field, rows: int) -> pa.Array:
    if pa.types.is_string(field.type):
        return pa.array([""] * rows)
    return (
        pa.array(np.zeros(rows), field.type)
        if pa.types.is_integer(field.type)
        else pa.nulls(rows, field.type)
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10_000_000)
