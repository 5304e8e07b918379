"""A SentencePiece model trained on a seeded sample of a corpus, balanced over its languages."""

from __future__ import annotations

import io
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import sentencepiece as spm

from corpus import chain, dataset, files
from corpus.assignment import TRAIN
from corpus.config import Tokenizer as Settings
from corpus.errors import ConfigError, NotThereError
from corpus.privacy import KINDS
from corpus.tokenizer import FOLDER, MODEL, Tokenizer
from corpus.tokenizer.reserved import RESERVED

BOS, EOS = "<|begintext|>", "<|endoftext|>"
PLACEHOLDERS = tuple(f"<|{kind}|>" for kind in KINDS)

VERSION = 2
"""Goes into a model's name: raise it when the same shards and settings give another model."""

_REPORT = "report.json"
_MIB = 1 << 20
# Words end where letters and signs meet, so that no piece is `di.` or `(bkz`; but an apostrophe after a
# letter goes with what follows, so that `'nin` is a piece as `nin` is and `Türkiye'nin` costs none more.
# Combining marks do not count as signs, nor do the joiners of Persian words and of emoji.
_SIGNS = r"!-/:-@\[-^`{-~¡-©«-´¶-¹»-¿×÷،؛؟\u2010-\u2027\u2030-\u205e\u20a0-\u20cf\u2190-\u2bff\u3001-\u303f"
_SIGN, _LETTER = f"[{_SIGNS}]", rf"[^\s{_SIGNS}]"
_BETWEEN_WORDS = re.compile(
    "|".join(
        [
            *map(re.escape, PLACEHOLDERS),
            r"[\0\t\n\u2581]",  # what SentencePiece takes for signs of its own: bytes serve for them
            r"(?<=\S)(?=\s)",
            rf"(?<={_LETTER})(?={_SIGN})",
            rf"(?<={_SIGN})(?<!{_LETTER}['’])(?={_LETTER})",
        ]
    )
)

# Unigram prunes these to the vocabulary. Ten for each piece took a third less time than SentencePiece's own
# million for 32,768 pieces, and the pieces were as long.
_CANDIDATES = 10

# Not the number of cores: sums are made thread by thread, and their last bits depend on how many there are.
_THREADS = 8

# The best vocabulary grows more slowly than the rest of the model (Tao et al., arXiv 2407.13623), and the
# model that is worth training grows with the text: half the pieces for an eighth of the text.
_MOST_PIECES, _LEAST_PIECES, _ENOUGH = 32_768, 1_024, 4 << 30  # pieces, and bytes of shards

_END = "\ue000"  # an end of pieces inside what SentencePiece reads; a text that holds it has an end there


@dataclass(frozen=True, slots=True)
class Trained:
    """A model, the bytes of text that each language gave to its sample, and the pieces asked for."""

    model: bytes
    sample: dict[str, int]
    asked: int

    def summary(self, where: str) -> str:
        """Return the size of the sample and the number of pieces, in two lines."""
        sizes = ", ".join(f"{name} {size / _MIB:,.1f} MiB" for name, size in self.sample.items())
        pieces = Tokenizer(self.model).vocabulary
        few = f" of {self.asked:,} asked for: the corpus is too small for more" if pieces < self.asked else ""
        return f"sample: {sizes}\nwrote {where}: {pieces:,} pieces{few}"


def ensure(output: str, settings: Settings) -> Trained | None:
    """Train a model on a build's shards and write it below the output folder, with a report of its making.

    Return None, and change nothing, if the existing model was made from these shards and settings. Raises as
    `train` does.
    """
    home, shards = files.join(output, FOLDER), _shards(output)
    made_from = _fingerprint(shards, settings)
    if _is_done(home, made_from):
        return None
    trained = train(shards, settings)
    report = {
        "fingerprint": made_from,
        "settings": _settings(settings),
        "sample_bytes": trained.sample,
        "sha256": files.write_bytes(home, MODEL, trained.model, sweeps=True).sha256,
    }
    files.write_json(home, _REPORT, report, sweeps=True)
    return trained


def _shards(output: str) -> str:
    return files.join(output, chain.find("shard").folder)


def _settings(settings: Settings) -> dict[str, object]:
    """Return the settings that make the model."""
    other = {"model", "bos", "by_copies", "by_score", "score_repeats"}
    return settings.model_dump(mode="json", exclude=other)


def _fingerprint(shards: str, settings: Settings) -> str:
    """Name a model by what it is made from, as a stage names its units."""
    read = [(file.path, file.sha256) for file in _files(shards)]
    return files.fingerprint(FOLDER, VERSION, _settings(settings), read)


def _is_done(home: str, made_from: str) -> bool:
    try:
        report = files.read_json(home, _REPORT)
    except ValueError:  # a damaged report is none
        return False
    if not isinstance(report, dict) or report.get("fingerprint") != made_from:
        return False
    there = files.size(home, MODEL) is not None
    return there and files.sha256(files.join(home, MODEL)) == report.get("sha256")


def train(folder: str, settings: Settings) -> Trained:
    """Train a model on the shards in a folder, their train split alone.

    Raises DatasetError where there is no finished shard stage or no text, and ConfigError where the
    vocabulary that is set is too small for the letters of the sample; one that is chosen is then doubled.
    """
    asked = settings.vocabulary or chosen(sum(file.bytes for file in _files(folder)))
    while True:
        sample: dict[str, int] = {}
        texts = _counted(balanced(folder, int(settings.sample_mb * _MIB), settings.seed), sample)
        try:
            return Trained(fit(texts, settings.algorithm, asked), sample, asked)
        except ConfigError:
            if settings.vocabulary or asked >= _MOST_PIECES:
                raise
            asked *= 2  # such letters need more


def chosen(size: int) -> int:
    """Return the number of pieces for a corpus whose train shards have `size` bytes: a power of two."""
    pieces, enough = _MOST_PIECES, float(_ENOUGH)
    while pieces > _LEAST_PIECES and size < enough:
        pieces, enough = pieces // 2, enough / 8
    return pieces


def _files(folder: str) -> list[dataset.File]:
    """Return the shards of a folder that a model is trained on."""
    return [file for file in dataset.load(folder).files("shard") if file.split == TRAIN]


def _counted(texts: Iterable[tuple[str, str]], sample: dict[str, int]) -> Iterator[str]:
    for language, text in texts:
        sample[language] = sample.get(language, 0) + len(text.encode())
        yield text


def balanced(folder: str, size: int, seed: int) -> Iterator[tuple[str, str]]:
    """Draw (language, text) from the train shards in a folder until there are `size` bytes of text.

    The next text is always of the language that has given least, so that languages with enough text give
    equally much and smaller ones all that they have. Raises DatasetError where there is no text.
    """
    shards: dict[str, list[str]] = {}
    for file in _files(folder):
        shards.setdefault(file.language, []).append(file.path)
    streams = {
        language: _drawn(folder, shards[language], f"{seed} {language}") for language in sorted(shards)
    }
    given = dict.fromkeys(streams, 0)
    while streams and sum(given.values()) < size:
        language = min(streams, key=given.__getitem__)
        text = next(streams[language], None)
        if text is None:
            del streams[language]
        else:
            given[language] += len(text.encode())
            yield language, text
    if not any(given.values()):
        raise NotThereError(f"{folder} holds no text in its {TRAIN} split: there is nothing to train on")


def _drawn(folder: str, shards: list[str], seed: str) -> Iterator[str]:
    """Read texts of the shards in a seeded order: of each shard in turn one record batch, until all are read.

    Rows already are in a random order of the shard stage, so that a batch is a fair piece of its shard.
    """
    chance = random.Random(seed)
    waiting = chance.sample(shards, len(shards))
    left: dict[str, list[int]] = {}
    while waiting:
        for path in waiting.copy():
            with dataset.open_arrow(folder, path, ["text"]) as reader:
                if path not in left:
                    left[path] = chance.sample(range(reader.num_record_batches), reader.num_record_batches)
                texts = reader.get_batch(left[path].pop())["text"].to_pylist() if left[path] else []
            yield from texts
            if not left[path]:
                waiting.remove(path)


def fit(texts: Iterable[str], algorithm: str, vocabulary: int) -> bytes:
    """Train a model of at most `vocabulary` pieces; equal texts in equal order give equal bytes.

    It changes no text (no normalisation, blanks kept, no blank put in front), splits digits, falls back to
    bytes, knows the placeholders of `corpus.privacy` as one piece each, and reserves 32 pieces for programs.
    Raises ConfigError where the vocabulary is too small for the letters of the texts.
    """
    words: Counter[str] = Counter()
    for text in texts:
        words.update(_BETWEEN_WORDS.split(text))
    written = io.BytesIO()
    try:
        spm.SentencePieceTrainer.train(
            sentence_iterator=_sentences(words),
            input_format="tsv",
            model_writer=written,
            model_type=algorithm,
            vocab_size=vocabulary,
            seed_sentencepiece_size=_CANDIDATES * vocabulary,
            hard_vocab_limit=False,  # a small corpus gives as many pieces as it can
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=False,
            allow_whitespace_only_pieces=True,
            split_digits=True,
            split_by_unicode_script=False,
            pretokenization_delimiter=_END,
            byte_fallback=True,
            character_coverage=0.9999,
            user_defined_symbols=list(PLACEHOLDERS),
            control_symbols=list(RESERVED),
            bos_piece=BOS,
            eos_piece=EOS,
            max_sentence_length=1 << 30,  # longer ones are skipped without a message
            shuffle_input_sentence=False,
            num_threads=_THREADS,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise ConfigError(f"tokenizer.vocabulary = {vocabulary}: {str(error).splitlines()[0]}") from None
    return written.getvalue()


def _sentences(words: Counter[str]) -> Iterator[str]:
    """Yield each word with its count; a word seen twice or more also with the end marker.

    SentencePiece's unigram takes as candidates only what it finds twice among different words, however often
    the word occurs, with two different signs after it: without this, `Ankara` would be none.
    """
    for word, number in words.items():
        if word and number > 1:
            yield f"{word}{_END}\t1"
        if word:
            yield f"{word}\t{max(1, number - 1)}"
