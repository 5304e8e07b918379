"""A corpus in numbers: totals, languages, lengths, scores, hosts, sources, and the funnel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from corpus import chain, dataset
from corpus.counts import Counts
from corpus.inspect.build import Build, Stage, open_build
from corpus.inspect.funnel import Funnel, funnel
from corpus.inspect.tokens import TokenTotals
from corpus.inspect.tokens import totals as token_totals

F64: TypeAlias = NDArray[np.float64]

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
SAMPLE = 1 << 21  # rows kept for quantiles: three columns of 8 bytes, 48 MiB
ORIGINS = 1 << 17  # hosts counted at a time; the web has more than a laptop's memory

_COLUMNS = ["url", "source", "language", "language_score", "bytes", "words", "redactions"]
_HOST = r"^[A-Za-z][A-Za-z0-9+.\-]*://(?:[^/?#@]*@)?(?P<host>\[[^\]/]*\]|[^/?#:]*)"


@dataclass(frozen=True, slots=True)
class LanguageTotals:
    """The documents of one language; `disk_bytes` is estimated where files mix languages."""

    language: str
    documents: int
    words: int
    bytes: int
    disk_bytes: int
    mean_score: float
    train: int
    validation: int


@dataclass(frozen=True, slots=True)
class Overview:
    """What `overview` found; all sizes are bytes, `bytes` of UTF-8 text and `disk_bytes` of Arrow files.

    The numbers are those of `stage`, the last one that holds documents ("" if there is none). `quantiles`
    maps a column to {"0.5": median, …}, taken from every `quantiles_every`-th document. `hosts` may miss up
    to `hosts_uncertain` documents of a host (0 unless the corpus has very many hosts). `tokens` counts the
    token shards, where there are any.
    """

    root: str
    stage: str
    documents: int
    words: int
    bytes: int
    disk_bytes: int
    files: int
    languages: tuple[LanguageTotals, ...]
    quantiles: Mapping[str, Mapping[str, float]]
    quantiles_every: int
    hosts: tuple[tuple[str, int], ...]
    hosts_total: int
    hosts_uncertain: int
    sources: tuple[tuple[str, int], ...]
    redactions: int
    redacted_documents: int
    noted: Mapping[str, Mapping[str, int]]
    tokens: tuple[TokenTotals, ...]
    funnel: Funnel

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        return asdict(self)


def overview(root: str, top: int = 10) -> Overview:
    """Look over a build's output folder, or one stage of it, with its `top` hosts and sources.

    Reads the narrow columns only, never the text, in memory that does not grow with the corpus. Raises
    DatasetError where there is no finished stage.
    """
    build = open_build(root)
    stage, kind = _documents_of(build)
    scan = _Scan()
    files = stage.manifest.files(kind) if stage is not None else []
    for file in files:
        assert stage is not None
        columns = [*_COLUMNS, "copies"] if kind == "shard" else _COLUMNS
        before = {language: total.bytes for language, total in scan.languages.items()}
        for batch in dataset.batches(stage.folder, file.path, columns):
            scan.add(batch, file.split)
        scan.share_out(file.bytes, before)
    return Overview(
        root=root,
        stage=stage.name if stage is not None else "",
        documents=sum(total.documents for total in scan.languages.values()),
        words=sum(total.words for total in scan.languages.values()),
        bytes=sum(total.bytes for total in scan.languages.values()),
        disk_bytes=sum(file.bytes for file in files),
        files=len(files),
        languages=scan.totals(),
        quantiles=scan.sample.quantiles(),
        quantiles_every=scan.sample.stride,
        hosts=tuple(scan.hosts.most_common(top)),
        hosts_total=len(scan.hosts),
        hosts_uncertain=scan.hosts_uncertain,
        sources=tuple(scan.sources.most_common(top)),
        redactions=scan.redactions,
        redacted_documents=scan.redacted_documents,
        noted=_noted(build),
        tokens=token_totals(tokens) if (tokens := build.get("tokenize")) is not None else (),
        funnel=funnel(build, scan.copies if kind == "shard" else None),
    )


def hosts_of(urls: pa.Array | pa.ChunkedArray) -> Any:
    """Return the host of each URL in lower case, empty where there is none."""
    found = pc.struct_field(pc.extract_regex(urls, pattern=_HOST), "host")
    return pc.ascii_lower(pc.fill_null(found, ""))


def _noted(build: Build) -> dict[str, dict[str, int]]:
    """Return what the stages up to the parts noted by topic."""
    total = Counts()
    for stage in dict.fromkeys(row.name for kind in ("rejected", "dropped") for row in chain.writes(kind)):
        if found := build.get(stage):
            total.add(found.manifest.counts())
    return total.noted


def _documents_of(build: Build) -> tuple[Stage | None, str]:
    shards = build.last("shard")
    return (shards, "shard") if shards is not None else (build.last("documents"), "documents")


@dataclass(slots=True)
class _Total:
    documents: int = 0
    words: int = 0
    bytes: int = 0
    disk_bytes: float = 0.0
    score: float = 0.0
    train: int = 0
    validation: int = 0


@dataclass(slots=True)
class _Sample:
    """Rows for quantiles, all of them up to `limit`; beyond it every second is forgotten, again and again."""

    limit: int = SAMPLE
    stride: int = 1
    seen: int = 0
    held: int = 0
    pieces: list[F64] = field(default_factory=list)
    names: tuple[str, ...] = ("bytes", "words", "language_score")

    def add(self, batch: pa.RecordBatch) -> None:
        rows = np.column_stack([batch.column(name).to_numpy(zero_copy_only=False) for name in self.names])
        taken = rows[-self.seen % self.stride :: self.stride].astype(np.float64)
        self.seen += len(rows)
        self.pieces.append(taken)
        self.held += len(taken)
        while self.held > self.limit:
            kept = np.concatenate(self.pieces)[::2]
            self.pieces, self.held, self.stride = [kept], len(kept), 2 * self.stride

    def quantiles(self) -> dict[str, dict[str, float]]:
        if not self.held:
            return {}
        values = np.quantile(np.concatenate(self.pieces), QUANTILES, axis=0, method="inverted_cdf")
        return {
            name: {f"{q:g}": round(float(value), 4) for q, value in zip(QUANTILES, values[:, n], strict=True)}
            for n, name in enumerate(self.names)
        }


@dataclass(slots=True)
class _Scan:
    """The running sums of one pass over the narrow columns."""

    languages: dict[str, _Total] = field(default_factory=dict)
    hosts: Counter[str] = field(default_factory=Counter)
    hosts_uncertain: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    redactions: int = 0
    redacted_documents: int = 0
    copies: int = 0
    sample: _Sample = field(default_factory=_Sample)

    def add(self, batch: pa.RecordBatch, split: str) -> None:
        """Add a batch of documents that belong to a split ("" where there is none yet)."""
        sums = (
            pa.Table.from_batches([batch])
            .group_by("language")
            .aggregate([("words", "sum"), ("bytes", "sum"), ("language_score", "sum"), ("words", "count")])
        )
        for row in sums.to_pylist():
            total = self.languages.setdefault(row["language"], _Total())
            total.documents += row["words_count"]
            total.words += row["words_sum"]
            total.bytes += row["bytes_sum"]
            total.score += row["language_score_sum"]
            total.train += row["words_count"] if split == "train" else 0
            total.validation += row["words_count"] if split == "validation" else 0
        _count(self.sources, batch.column("source"))
        _count(self.hosts, hosts_of(batch.column("url")))
        self._forget_hosts()
        redactions = batch.column("redactions").to_numpy(zero_copy_only=False)
        self.redactions += int(redactions.sum(dtype=np.int64))
        self.redacted_documents += int(np.count_nonzero(redactions))
        if "copies" in batch.schema.names:
            self.copies += int(batch.column("copies").to_numpy(zero_copy_only=False).sum(dtype=np.int64))
        self.sample.add(batch)

    def share_out(self, length: int, before: Mapping[str, int]) -> None:
        """Share a file's length among its languages by their bytes of text; exact where there is one."""
        added = {name: total.bytes - before.get(name, 0) for name, total in self.languages.items()}
        whole = sum(added.values())
        for name, part in added.items():
            self.languages[name].disk_bytes += length * part / whole if whole else 0.0

    def _forget_hosts(self) -> None:
        if len(self.hosts) > 2 * ORIGINS:
            ranked = self.hosts.most_common()
            self.hosts_uncertain += ranked[ORIGINS][1]
            self.hosts = Counter(dict(ranked[:ORIGINS]))

    def totals(self) -> tuple[LanguageTotals, ...]:
        """Return the languages, the one with the most text first."""
        ranked = sorted(self.languages.items(), key=lambda item: (-item[1].bytes, item[0]))
        return tuple(
            LanguageTotals(
                language=name,
                documents=total.documents,
                words=total.words,
                bytes=total.bytes,
                disk_bytes=round(total.disk_bytes),
                mean_score=round(total.score / total.documents, 4),
                train=total.train,
                validation=total.validation,
            )
            for name, total in ranked
        )


def _count(counter: Counter[str], values: Any) -> None:
    for pair in pc.value_counts(values).to_pylist():
        counter[pair["values"] or ""] += pair["counts"]
