"""The configuration of a corpus: its keys, their meanings, and the values that they take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from corpus import files, settings, usercode
from corpus.errors import ConfigError
from corpus.places import OptionalPlace, Place
from corpus.settings import Section

FORMATS = ("warc", "wet", "jsonl", "parquet", "arrow", "text", "pdf", "epub", "wikipedia")

Share = Annotated[float, Field(ge=0.0, le=1.0)]


def _by_rule(limits: Any) -> Any:
    """Return limits by language and by the rule's name, whether written `gopher.hashes` or in two tables."""
    if not isinstance(limits, dict):
        return limits
    return {code: _flat(table) if isinstance(table, dict) else table for code, table in limits.items()}


def _flat(table: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in table.items():  # of two values for one rule the later counts: that of --set
        if isinstance(value, dict) and "." not in name:
            found |= {f"{name}.{key}": limit for key, limit in value.items()}
        else:
            found[name] = value
    return found


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
        "filter.language.keep, so that a change there extracts again; [] keeps the main one always.",
    )
    blocked_hosts: tuple[str, ...] = Field(
        (), description="Hosts, with all their subdomains, whose pages are dropped before anything is read."
    )
    blocked_url_words: tuple[str, ...] = Field(
        (), description="URLs with one of these words are dropped before anything is read."
    )


class Language(Section):
    """The languages that are kept, and the least score of the identification."""

    keep: tuple[str, ...] = Field(
        ("tur_Latn",),
        min_length=1,
        description='Codes such as "tur_Latn"; ["*"] keeps every language that is identified.',
    )
    min_score: Share = Field(0.65, description="Documents below this identification score are dropped.")
    min_scores: dict[str, Share] = Field(
        default_factory=lambda: {"tur_Latn": 0.7}, description="Other minimum scores, language by language."
    )


class Privacy(Section):
    """Personal data that is replaced by a typed placeholder."""

    redact: tuple[Literal["email", "ip", "phone", "tckn", "vkn", "iban", "card"], ...] = Field(
        ("email", "ip", "phone", "tckn", "vkn", "iban", "card"), description="Kinds that are replaced."
    )


class Model(Section):
    """A model of quality, or a table of scores, whose number is stored for every text."""

    model: OptionalPlace = Field(
        "", description="A file of `derlem quality lm`, or a classifier of fastText (.bin, .ftz)."
    )
    value: str = Field(
        "",
        description="Which number: of a classifier the label whose probability it is; of a pair of language "
        'models "perplexity" instead of the difference.',
    )
    scores: OptionalPlace = Field(
        "", description="Instead of a model: a table (parquet, arrow, JSON lines) with a number for each URL."
    )
    column: str = Field("score", description="The table's column of the numbers; that of URLs is `url`.")

    @model_validator(mode="after")
    def _has_one_origin(self) -> Model:
        if bool(self.model) == bool(self.scores):
            raise ValueError("expected a model or scores, and not both")
        return self


def _by_model(models: Any) -> Any:
    """Return models as tables: a text alone is the place of a model."""
    if not isinstance(models, dict):
        return models
    return {name: {"model": each} if isinstance(each, str) else each for name, each in models.items()}


class EvaluationSet(Section):
    """Texts of an evaluation set, which documents should not hold."""

    paths: tuple[Place, ...] = Field(
        min_length=1, description="Tables: parquet, arrow, JSON lines (compressed or not)."
    )
    columns: tuple[str, ...] = Field(
        ("question",), min_length=1, description="Columns of questions and passages, each looked for."
    )
    answer: str = Field(
        "", description="The column of the answer: a short question counts only with its answer near by."
    )


class HarmList(Section):
    """A list of harmful words, or of hosts."""

    words: OptionalPlace = Field("", description="A file with a word or phrase a line; # starts a comment.")
    hosts: OptionalPlace = Field(
        "", description="Instead of words: a file with a host a line, whose pages have the value 1."
    )
    weak: OptionalPlace = Field(
        "", description="The same of words that count only beside others; empty takes the packaged ones."
    )

    @model_validator(mode="after")
    def _has_one_origin(self) -> HarmList:
        if bool(self.words) == bool(self.hosts):
            raise ValueError("expected words or hosts, and not both")
        return self


_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Filter(Section):
    """From texts to documents worth keeping: fast, so that a changed limit costs little."""

    presets: dict[str, str] = Field(
        default_factory=lambda: {"tur_Latn": "derlem-tur", "eng_Latn": "fineweb"},
        description="Language code to preset: a name that `derlem presets` lists, or a file of your own "
        "(my-preset.toml, from the configuration's folder).",
    )
    default: str = Field("fineweb-any", description="The preset of all other languages.")
    limits: Annotated[dict[str, dict[str, Any]], BeforeValidator(_by_rule)] = Field(
        default_factory=dict,
        description='Your own limits over the presets, by language ("*": all) and rule, as gopher.min_words; '
        "false switches a rule off. docs/filters.md lists the rules.",
    )
    plugins: tuple[str, ...] = Field(
        (),
        description="Filters of your own: my_filters.py:function, from the configuration's folder, or the "
        "name of an entry point (docs/filters.md).",
    )
    quality: Annotated[dict[_Name, Model], BeforeValidator(_by_model)] = Field(
        default_factory=dict,
        description="Models whose numbers are stored for every text and kept in shards, by name: name = "
        '"model.lm", or { model, value }. Limits: filter.limits, as quality.name = { min = 0.5 } '
        "(docs/filters.md).",
    )
    contamination: dict[_Name, EvaluationSet] = Field(
        default_factory=dict,
        description="Evaluation sets, by name: how much of one of its texts a document holds is stored, and "
        "kept in shards. Limits by the names of the rules, as contamination.name (docs/filters.md).",
    )
    harm: dict[_Name, HarmList] = Field(
        default_factory=dict,
        description="Lists of harmful words, by name: the share of a text's words that are on one is stored, "
        "and kept in shards. Limits by the names of the rules, as harm.name (docs/filters.md).",
    )
    blocked_hosts: tuple[str, ...] = Field(
        (), description="Hosts dropped with all their subdomains; settled ones are cheaper in [extract]."
    )
    blocked_url_words: tuple[str, ...] = Field(
        (), description="URLs with one of these words are dropped; settled ones are cheaper in [extract]."
    )
    language: Language = Language()
    privacy: Privacy = Privacy()


class Substrings(Section):
    """Passages of the kept documents that stand twice; one place of each is kept."""

    length: int = Field(
        0,
        ge=0,
        le=65_535,
        description="Every passage of this many bytes or more that stands twice is found, and removed but "
        "for one place, from word to word; 500 is usual, 0 leaves all.",
    )
    fill: Share = Field(
        0.95, description="Text between two removed passages goes with them where they are this share of all."
    )
    least_bytes: int = Field(
        200, ge=0, description="A document that lost passages is dropped when fewer bytes of it are left."
    )

    @field_validator("length")
    @classmethod
    def _length_is_enough(cls, length: int) -> int:
        if 0 < length < 100:
            raise ValueError("expected 0, or at least 100 bytes: shorter passages are common to most texts")
        return length


class Dedupe(Section):
    """Which documents count as copies of each other, and which copy is kept."""

    threshold: float = Field(
        0.75, ge=0.3, le=1.0, description="The least Jaccard similarity of the texts of copies."
    )
    urls: bool = Field(
        True, description="Compare all texts of one canonical URL, even if their signatures share no band."
    )
    max_cluster_share: Share = Field(
        0.05, description="Stop when one cluster has more than this share of 10,000 documents or more."
    )
    max_source_loss: Share = Field(
        1.0, description="Stop when a source of 1,000 documents or more loses more than this share to others."
    )
    max_links_in_memory: int = Field(
        50_000_000,
        ge=0,
        le=1 << 40,
        description="The most links between copies for which one worker finds the clusters.",
    )
    substrings: Substrings = Substrings()
    against: tuple[Place, ...] = Field(
        (),
        description="Output folders of finished builds: copies of documents that they keep are removed here. "
        "Their signatures are read, and texts of likely copies only.",
    )


class Shard(Section):
    """How the surviving documents are laid out in files."""

    target_mb: float = Field(
        256.0, gt=0, le=1 << 20, description="Text in one shard before compression, MiB."
    )
    group_mb: float = Field(8192.0, gt=0, le=1 << 30, description="Text of one unit of work, MiB.")
    validation: Share = Field(0.001, description="Share of clusters that go to the validation split.")
    seed: int = Field(1, ge=0, description="Seed of the order of documents.")


class Tokenizer(Section):
    """How text becomes tokens: by a SentencePiece model, trained on a sample of the shards or given."""

    model: OptionalPlace = Field(
        "",
        description="Another SentencePiece model (path from the configuration's folder, or URL); empty takes "
        "the one that `derlem tokenizer train` makes from the keys below.",
    )
    algorithm: Literal["unigram", "bpe"] = Field("unigram", description="How the pieces are found.")
    vocabulary: int = Field(
        32_768,
        ge=512,
        le=1 << 20,
        description="Pieces, 256 of them single bytes; a small corpus may give fewer.",
    )
    sample_mb: float = Field(
        64.0,
        gt=0,
        le=16_384,
        description="Text to train on, MiB, divided equally among languages where possible.",
    )
    seed: int = Field(1, ge=0, description="Seed of the sample.")
    bos: bool = Field(
        True,
        description="Start every document's tokens with the model's BOS, from which a trained model "
        "predicts its first word; all end with its EOS.",
    )
    by_copies: bool = Field(
        False,
        description="Write documents with different numbers of copies to separate files, so that a trainer "
        "can read some more often than others (data.rehydrate there).",
    )
    by_score: str = Field(
        "", description='The same by a score that shards keep, such as "quality.edu"; see score_repeats.'
    )
    score_repeats: tuple[tuple[float, Annotated[int, Field(ge=1, le=100)]], ...] = Field(
        (),
        description="By by_score: [score, times] pairs in ascending order; a document is read as often as "
        "the last pair whose score it reaches says, once below the first and where it has no score.",
    )

    @model_validator(mode="after")
    def _has_a_curve(self) -> Tokenizer:
        scores = [score for score, _ in self.score_repeats]
        if bool(self.by_score) != bool(scores) or scores != sorted(set(scores)):
            raise ValueError("by_score needs score_repeats, in ascending order of scores, and they need it")
        return self


class Run(Section):
    """How the work is run; no result depends on it."""

    runner: str = Field(
        "local", description='"local" (in-process or multi-processing by `workers`) or a Beam runner\'s name.'
    )
    workers: int | None = Field(
        None,
        ge=1,
        le=512,
        description="Local worker processes; unset: the number of processors.",
    )
    patience: float = Field(
        0,
        ge=0,
        description="Minutes without a sign of any unit until another engine's job is given up; 0: never.",
    )


class Config(Section):
    """A corpus: its sources, its stages, its output folder."""

    output: Place = Field(
        "corpus",
        description="Output folder: a path (from the configuration's folder) or fsspec URL.",
    )
    source: tuple[Source, ...] = Field(
        min_length=1, description="The inputs; of copies, the one of the earlier source is kept."
    )
    extract: Extract = Extract()
    filter: Filter = Filter()
    dedupe: Dedupe = Dedupe()
    shard: Shard = Shard()
    tokenizer: Tokenizer = Tokenizer()
    run: Run = Run()

    @model_validator(mode="after")
    def _source_names_differ(self) -> Config:
        names = [source.name for source in self.source]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"source name {twice[0]!r} is used twice; every source needs its own name")
        return self


def load(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Return the configuration in a file, with `key.path=value` overrides over it.

    Raises ConfigError naming file, key, value and what is allowed.
    """
    try:
        data = settings.read(path, overrides)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; `derlem init {path}` writes one to start from") from None
    return parse(data, str(path))


def parse(data: dict[str, Any], where: str) -> Config:
    """Turn the tables of a TOML file into a Config; ConfigError lists everything that is wrong."""
    return settings.parse(Config, data, where)


def located(config: Config, base: Path) -> Config:
    """Return the configuration with its output and models as paths from `base`, the folder of its file.

    The patterns of sources stay as they are (`corpus.sources.inputs.expand`).
    """
    extract, tokenizer = config.extract, config.tokenizer
    if model := extract.language_model:
        extract = extract.model_copy(update={"language_model": files.located(model, base)})
    if model := tokenizer.model:
        tokenizer = tokenizer.model_copy(update={"model": files.located(model, base)})
    output = files.located(config.output, base)
    against = tuple(files.located(older, base) for older in config.dedupe.against)
    dedupe = config.dedupe.model_copy(update={"against": against}) if against else config.dedupe
    made = {"output": output, "extract": extract, "dedupe": dedupe, "tokenizer": tokenizer}
    return config.model_copy(update=made)
