"""Signatures of 4 KB documents a second of processor time: derlem beside datasketch and rensa, in one run.

Every side starts from the same words, split and folded beforehand, and ends with 112 values a document over
shingles of five words:

- derlem, from words: joining them into bytes, finding the words' places, the signature;
- derlem, from a view: the signature alone, as the filter stage calls it (filters have made the view before);
- derlem, from text: the view (lines, words, folding) and the signature, which the others do not include;
- datasketch: shingles as bytes, `MinHash.bulk` with xxh32 (its sketches equal ours bit for bit: checked);
- rensa: shingles as strings, its fastest call (`RMinHash.digest_matrix_from_token_sets`); its values are of
  another algorithm and comparable with nothing else.

"Given shingles" leaves out the time in which Python joins words into shingles for the peers; derlem never
makes them, so those rows stand beside the view, which is made for the filters anyway.

    pip install datasketch rensa && python -m benchmarks.signatures
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import xxhash
from datasketch import MinHash
from numpy.typing import NDArray
from rensa import RMinHash

from corpus.dedup.signature import signature
from corpus.schema import PERMUTATIONS
from corpus.text.view import view

DOCUMENTS, BYTES, REPEATS = 400, 4096, 5
LETTERS = np.array(list("aaabcçdeeefgğhiiiklmnoöprsştuüvyz"))
SPACE = 32
SIDE_BY_SIDE = (
    ("derlem, from a view", "from words"),
    ("derlem, from words", "from words"),
    ("derlem, from a view", "given shingles"),
)


def documents() -> list[list[str]]:
    """Words of word lengths and letters near those of Turkish, 4 KB a document."""
    random = np.random.default_rng(1)
    vocabulary = ["".join(random.choice(LETTERS, size)) for size in random.integers(2, 12, 20_000)]
    made = []
    for _ in range(DOCUMENTS):
        words: list[str] = []
        size = 0
        while size < BYTES:
            words.append(vocabulary[int(random.integers(len(vocabulary)))])
            size += len(words[-1].encode()) + 1
        made.append(words)
    return made


def from_words(words: Sequence[str]) -> NDArray[np.uint32]:
    folded = np.frombuffer(bytearray(" ".join(words).encode()), dtype=np.uint8)
    spaces = np.flatnonzero(folded == SPACE)
    return signature(folded, np.concatenate([[0], spaces + 1]), np.append(spaces, folded.size))


def shingles(words: Sequence[str]) -> list[str]:
    return [" ".join(words[i : i + 5]) for i in range(len(words) - 4)]


def encoded(words: Sequence[str]) -> list[bytes]:
    return [shingle.encode() for shingle in shingles(words)]


def by_datasketch(shingled: Iterable[list[bytes]]) -> NDArray[np.uint32]:
    sketches = MinHash.bulk(shingled, num_perm=PERMUTATIONS, seed=1, hashfunc=xxhash.xxh32_intdigest)
    return np.stack([sketch.hashvalues for sketch in sketches])


def by_rensa(shingled: Iterable[list[str]]) -> object:
    return RMinHash.digest_matrix_from_token_sets(shingled, PERMUTATIONS, 1)


def main() -> None:
    texts = documents()
    joined = [" ".join(words) for words in texts]
    views = [view(text) for text in joined]
    strings, bytestrings = [shingles(words) for words in texts], [encoded(words) for words in texts]
    sides: dict[str, Callable[[], object]] = {
        "derlem, from a view": lambda: [signature(v.folded, v.word_starts, v.word_ends) for v in views],
        "derlem, from words": lambda: [from_words(words) for words in texts],
        "derlem, from text": lambda: [
            signature(v.folded, v.word_starts, v.word_ends) for v in map(view, joined)
        ],
        "rensa, given shingles": lambda: by_rensa(strings),
        "rensa, from words": lambda: by_rensa(map(shingles, texts)),
        "datasketch, given shingles": lambda: by_datasketch(bytestrings),
        "datasketch, from words": lambda: by_datasketch(map(encoded, texts)),
    }
    if not np.array_equal(np.stack([from_words(words) for words in texts]), by_datasketch(bytestrings)):
        sys.exit("signatures differ from datasketch's")
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(REPEATS + 1):
        for name, side in sides.items():
            start = time.process_time()
            side()
            if repeat:  # the first round compiles and warms up
                seconds[name].append(time.process_time() - start)
    rates = {name: DOCUMENTS / statistics.median(times) for name, times in seconds.items()}
    print(f"{'':28}{'documents/s':>12}")
    for name, rate in rates.items():
        print(f"{name:28}{rate:12,.0f}")
    for ours, theirs in SIDE_BY_SIDE:
        ratios = [
            f"{rates[ours] / rates[f'{peer}, {theirs}']:.1f} x {peer}" for peer in ("datasketch", "rensa")
        ]
        print(f"{ours}: {', '.join(ratios)} {theirs}")


if __name__ == "__main__":
    main()
