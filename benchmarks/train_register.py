"""Train corpus/models/register-tur.ftz, and print which labels texts of sources get that it has not seen.

    python -m benchmarks.train_register DATA corpus/models/register-tur.ftz

DATA is the folder of shared samples: law (text-tr/mevzuat, by kind of act), manuals (four products), posts
(tweets), and as `other` sentences of the web, of newspapers, essays and stories, and strings of an interface.
Documents are cut into pieces of 1,000 characters, at most six of a document. Needs derlem[quality];
one thread and a seed, so equal data give equal bytes.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import random
import re
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import fasttext_new
import zstandard

from corpus import classifier
from corpus.register import CERTAIN, OTHER, register_view

SEED = 1
PIECE, MOST_PIECES, MOST_OF_SOURCE = 1_000, 6, 1_500
SETTINGS: dict[str, Any] = {
    "dim": 8, "lr": 0.3, "epoch": 8, "minCount": 20, "maxn": 0, "loss": "softmax", "thread": 1, "seed": SEED,
    "verbose": 0,
}  # fmt: skip
MANUALS = ("d365-docs", "powerbi-docs", "libreoffice-help", "cpp-docs-mt")
LAWS = {"kanun": "statute", "khk": "decree in force of law", "cbk": "presidential decree"}
POSTS = ("one half of the posts", "the other half")
ALONE = (*list(LAWS.values())[1:], *MANUALS, POSTS[1], "news", "essays", "web", "interface")
HELD_OUT = [*((name,) for name in ALONE), tuple(LAWS.values()), MANUALS, POSTS]
"""Sources that a model does not see: one of its register, or all of them."""

_TURKISH = re.compile("[ığşİ]")


class Text(NamedTuple):
    register: str
    source: str
    line: str


def rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a packed file of JSON lines."""
    data = path.read_bytes()
    packed = path.suffix == ".gz"
    lines = gzip.decompress(data) if packed else zstandard.ZstdDecompressor().stream_reader(data).read()
    yield from map(json.loads, io.BytesIO(lines))


def pieces(texts: Sequence[str], draw: random.Random) -> Iterator[str]:
    """Yield pieces of texts in random order, up to the number for a source."""
    left = MOST_OF_SOURCE
    for text in draw.sample(texts, len(texts)):
        cut = [text[at : at + PIECE] for at in range(0, max(1, len(text) - PIECE // 5), PIECE)]
        for piece in draw.sample(cut, min(len(cut), MOST_PIECES, left)):
            left -= 1
            yield piece


def runs(
    sentences: Sequence[str], draw: random.Random, number: int, length: tuple[int, int] = (4, 12)
) -> Iterator[str]:
    """Yield runs of sentences drawn at random."""
    for _ in range(number):
        yield " ".join(draw.sample(sentences, draw.randint(*length)))


def sources(data: Path, draw: random.Random) -> Iterator[tuple[str, str, Iterator[str]]]:
    """Yield register, source, and texts."""
    laws: dict[str, list[str]] = {name: [] for name in LAWS.values()}
    for row in rows(data / "text-tr/mevzuat.jsonl.zst"):
        laws[LAWS[row["id"].split(":")[1].split("-")[0]]].append(row["text"])
    for name, texts in laws.items():
        yield "law", name, pieces(texts, draw)
    for name in MANUALS:
        manual = [row["text"] for row in rows(data / f"text-tr/{name}.jsonl.zst")]
        turkish = [text for text in manual if len(_TURKISH.findall(text[:3000])) > 0.02 * len(text[:3000])]
        yield "manual", name, pieces(turkish, draw)
    tweets = [row["text"] for row in rows(data / "harm/offenseval-tr/tweets.jsonl.gz")]
    for half, name in enumerate(POSTS):
        yield "post", name, runs(tweets[half::2], draw, MOST_OF_SOURCE // 2, (1, 5))
    prose: dict[str, list[str]] = {}
    for row in rows(data / "lid/ud-turkish-boun/sentences.jsonl.gz"):
        name = "news" if row["sent_id"].startswith("news") else "essays"
        prose.setdefault(name, []).append(row["text"])
    for name, sentences in prose.items():
        yield OTHER, name, runs(sentences, draw, MOST_OF_SOURCE // 2)
    with tarfile.open(data / "lid/lingua-testdata/language-testdata.tar.gz") as tar:
        for member in tar:
            if member.name.endswith("sentences/tr.txt") and (file := tar.extractfile(member)):
                yield OTHER, "web", runs(file.read().decode().splitlines(), draw, MOST_OF_SOURCE)
    strings = [
        row["text"] for row in rows(data / "lid/mediawiki-i18n/messages.jsonl.gz") if row["code"] == "tr"
    ]
    yield OTHER, "interface", runs(strings, draw, MOST_OF_SOURCE // 2)


def train(texts: Sequence[Text], path: Path) -> None:
    """Train and write a quantised model."""
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "lines.txt"
        lines.write_text("".join(f"__label__{each.register} {each.line}\n" for each in texts), "utf-8")
        model = fasttext_new.train_supervised(input=str(lines), **SETTINGS)
        model.quantize(input=str(lines), qnorm=True, verbose=0)
        model.save_model(str(path))


def main() -> None:
    """Write the model, and print the labels of each source by a model without it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    asked = parser.parse_args()
    draw = random.Random(SEED)
    texts = [
        Text(register, source, register_view(text))
        for register, source, found in sources(asked.data, draw)
        for text in found
    ]
    train(texts, asked.output)
    data = asked.output.read_bytes()
    print(f"{len(texts):,} texts, {len(data):,} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.ftz"
        for left_out in HELD_OUT:
            train([each for each in texts if each.source not in left_out], path)
            model = classifier.load(str(path))
            asked_of = [each for each in texts if each.source in left_out]
            given: Counter[str] = Counter()
            for each in asked_of:
                found = model.predict(each.line, 1)
                given[found[0][0] if found and found[0][1] >= CERTAIN else OTHER] += 1
            shares = ", ".join(f"{label} {count / len(asked_of):.3f}" for label, count in given.most_common())
            print(f"{', '.join(left_out)} ({asked_of[0].register}, {len(asked_of):,}): {shares}", flush=True)


if __name__ == "__main__":
    main()
