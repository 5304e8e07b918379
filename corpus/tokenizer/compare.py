"""The cost of tokenizers on the same texts: bytes per token and tokens per word, by language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from corpus import dataset, tokenizer
from corpus.assignment import VALIDATION
from corpus.errors import NotThereError

TIKTOKEN = "tiktoken:"  # before the name of an encoding of the tiktoken package

_LIMIT = 16 << 20  # bytes of text of one language; more moves no digit that is printed


@dataclass(slots=True)
class Cost:
    """The result of one model on the texts of one language."""

    model: str
    language: str
    vocabulary: int
    documents: int = 0
    exact: int = 0  # documents that decode to the same text
    bytes: int = 0
    words: int = 0
    tokens: int = 0

    @property
    def bytes_per_token(self) -> float:
        """Return the mean length of a token; more is cheaper."""
        return self.bytes / max(1, self.tokens)

    @property
    def tokens_per_word(self) -> float:
        """Return the fertility; words are those of the corpus's `words` column."""
        return self.tokens / max(1, self.words)

    def as_dict(self) -> dict[str, object]:
        """Return everything as plain values, ready for JSON."""
        rates = {"bytes_per_token": self.bytes_per_token, "tokens_per_word": self.tokens_per_word}
        return asdict(self) | {name: round(rate, 4) for name, rate in rates.items()}


@dataclass(frozen=True, slots=True)
class _Model:
    name: str
    vocabulary: int
    encode: Callable[[str], list[int]]
    decode: Callable[[list[int]], str]


def compare(folder: str, models: list[str]) -> list[Cost]:
    """Encode the validation documents of the shards in a folder with each model, up to 16 MiB a language.

    A model is the path or URL of a SentencePiece model, or `tiktoken:NAME`. Return the costs by language,
    then model, as named. Raises DatasetError for a model that cannot be read, and where there is no
    document.
    """
    opened = [_open(name) for name in models]
    shards: dict[str, list[str]] = {}
    for file in dataset.load(folder).files("shard"):
        if file.split == VALIDATION:
            shards.setdefault(file.language, []).append(file.path)
    if not shards:
        raise NotThereError(f"{folder} has no {VALIDATION} split to measure on: raise shard.validation")
    return [
        cost for language in sorted(shards) for cost in _measure(folder, language, shards[language], opened)
    ]


def _measure(folder: str, language: str, paths: list[str], models: list[_Model]) -> list[Cost]:
    costs = [Cost(model.name, language, model.vocabulary) for model in models]
    for path in paths:
        for batch in dataset.batches(folder, path, ["text", "bytes", "words"]):
            if costs[0].bytes >= _LIMIT:
                return costs
            texts, sizes, words = (column.to_pylist() for column in batch.columns)
            for cost, model in zip(costs, models, strict=True):
                encoded = [model.encode(text) for text in texts]
                cost.documents += len(texts)
                cost.exact += sum(model.decode(ids) == text for ids, text in zip(encoded, texts, strict=True))
                cost.bytes += sum(sizes)
                cost.words += sum(words)
                cost.tokens += sum(map(len, encoded))
    return costs


def _open(name: str) -> _Model:
    if name.startswith(TIKTOKEN):
        return _tiktoken(name)
    opened = tokenizer.load(name)
    return _Model(name, opened.vocabulary, opened.encode, opened.decode)


def _tiktoken(name: str) -> _Model:
    try:
        import tiktoken
    except ImportError:
        raise NotThereError(f"{name}: the package tiktoken is not installed: pip install tiktoken") from None
    try:
        encoding = tiktoken.get_encoding(name.removeprefix(TIKTOKEN))
    except ValueError as error:
        raise NotThereError(f"{name}: {str(error).splitlines()[0]}") from None
    return _Model(name, encoding.n_vocab, encoding.encode_ordinary, encoding.decode)
