"""The settings of sources and of extraction."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from corpus import usercode
from corpus.places import OptionalPlace, Place
from corpus.settings import Section, Share

FORMATS = ("warc", "wet", "jsonl", "parquet", "arrow", "text", "pdf", "epub", "wikipedia")


class Source(Section):
    """Files of one format and origin, read in the order in which the sources are listed."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$", description="Short name, carried by every document.")
    format: str = Field(
        description="How the files are read: warc (ARC too), wet, jsonl, parquet, arrow, text, pdf, epub, "
        'wikipedia, or a function of your own as "my_reader.py:read" (docs/sources.md). All but tables, PDF '
        "and EPUB may be compressed: gzip, zstd, LZ4, bzip2, xz."
    )
    paths: tuple[Place, ...] = Field(
        min_length=1, description="Files or globs: paths (from the configuration's folder) or fsspec URLs."
    )
    text_column: str = Field("text", description="jsonl, parquet, arrow: the column that holds the text.")
    url_column: str = Field("url", description="jsonl, parquet, arrow: the URL; may be absent.")
    date_column: str = Field("date", description="jsonl, parquet, arrow: when fetched; may be absent.")
    text_unit: Literal["file", "line"] = Field("file", description="text: a document is a file, or a line.")
    licence: str = Field(
        "", description='Licence of the source, for `derlem card`: an SPDX name such as "CC-BY-4.0".'
    )
    max_record_mb: float = Field(
        32.0, gt=0, le=1024, description="A record whose body is larger than this (MiB) is rejected."
    )

    @field_validator("format")
    @classmethod
    def _format_is_known(cls, text: str) -> str:
        if text not in FORMATS and not usercode.is_spec(text):
            known = f"{', '.join(map(repr, FORMATS[:-1]))} or {FORMATS[-1]!r}"
            raise ValueError(f"expected {known}, or a function of your own as 'my_reader.py:read'")
        return text


class Extract(Section):
    """From raw records to texts: slow, done once. A changed key extracts everything again."""

    extractor: Literal["derlem", "trafilatura"] = Field(
        "derlem",
        description="The extractor of the main text of HTML; trafilatura is slower and loses more.",
    )
    extractor_timeout_s: float = Field(
        5.0, gt=0, le=3600, description="trafilatura: seconds until a page is rejected."
    )
    record_timeout_s: float = Field(
        30.0,
        gt=0,
        le=86_400,
        description="Seconds of processor time after which a record is rejected as `timeout`; they are "
        "checked after each step.",
    )
    max_rejected: Share = Field(
        0.5,
        description="An input file (or group of small ones, or piece of a large one) of 100 records or more "
        "with a larger unreadable share stops the stage.",
    )
    max_unreadable_files: Share = Field(
        0.0, description="A larger share of input files that cannot be read at all stops the build."
    )
    unit_mb: float = Field(
        64.0,
        gt=0,
        le=1 << 20,
        description="Input of one unit of work, MiB; a larger file is cut where that is possible.",
    )
    language_model: OptionalPlace = Field(
        "",
        description="Another fastText model, by its path from the configuration's folder; "
        "empty takes the packaged lid.176.",
    )
    separate_languages: bool = Field(
        True,
        description="Of a text in several languages, keep the paragraphs in one of them; where they "
        "cannot be separated, its score is at most the main one's share.",
    )
    languages: tuple[str, ...] | None = Field(
        None,
        description="Which one: the largest of these, else the main one. Where it is not set those of "
        "filter.language.keep, and a change there extracts files again in which it cuts texts otherwise; [] "
        "keeps the main one always.",
    )
    blocked_hosts: tuple[str, ...] = Field(
        (), description="Hosts, with all their subdomains, whose pages are dropped before anything is read."
    )
    blocked_url_words: tuple[str, ...] = Field(
        (), description="URLs with one of these words are dropped before anything is read."
    )
