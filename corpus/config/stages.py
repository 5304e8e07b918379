"""The settings of the stages after filter, and of the run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from corpus.places import OptionalPlace, Place
from corpus.settings import Section, Share, WrongValueError


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


class Paragraphs(Section):
    """Paragraphs of the kept documents that many have; some keep theirs (as in CCNet)."""

    most: int = Field(
        0,
        ge=0,
        description="A paragraph stays in this many documents, the preferred ones, and is removed from all "
        "others; 0 leaves all. A paragraph is a line; case and digits do not count.",
    )
    count: Literal["documents", "hosts"] = Field(
        "documents", description="What `most` counts; all pages of a host that is counted keep theirs."
    )
    length: int = Field(100, ge=1, description="Shorter paragraphs, in bytes, stay.")
    least_bytes: int = Field(
        200, ge=0, description="A document that lost paragraphs is dropped when fewer bytes of it are left."
    )


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
    paragraphs: Paragraphs = Paragraphs()
    against: tuple[Place, ...] = Field(
        (),
        description="Output folders of finished builds: copies of what they keep, whole documents, passages "
        "and paragraphs, are removed here. Hashes that they store are read, and texts of likely copies only.",
    )


class Shard(Section):
    """How the surviving documents are laid out in files."""

    target_mb: float = Field(
        256.0, gt=0, le=1 << 20, description="Text in one shard before compression, MiB."
    )
    group_mb: float = Field(8192.0, gt=0, le=1 << 30, description="Text of one unit of work, MiB.")
    validation: Share | None = Field(
        None,
        description="Share of documents that go to the validation split. Where it is not set, the least of "
        "0.001 to 0.1 that gives 200 documents.",
    )
    seed: int = Field(1, ge=0, description="Seed of the order of documents.")


class Tokenizer(Section):
    """How text becomes tokens: by a SentencePiece model, trained on a sample of the shards or given."""

    model: OptionalPlace = Field(
        "",
        description="Another SentencePiece model (path from the configuration's folder, or URL); empty takes "
        "the one that `derlem tokenizer train` makes from the keys below.",
    )
    algorithm: Literal["unigram", "bpe"] = Field("unigram", description="How the pieces are found.")
    vocabulary: int | None = Field(
        None,
        ge=512,
        le=1 << 20,
        description="Pieces, 256 of them single bytes; a small corpus may give fewer. Where it is not set, "
        "32,768 for 4 GiB of shards and more, half as many for an eighth of that, and so on, at least 1,024.",
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
            raise WrongValueError(
                self, "by_score", "it needs score_repeats, in ascending order of scores, and they need it"
            )
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
