"""A list of harmful words on labelled tweets, on clean documents, and on sentences of a test of grammar.

    python -m benchmarks.harm LIST TWEETS TEXT_TR TURBLIMP [--limit 0.01]

LIST has a word a line, TWEETS is `tweets.jsonl.gz` with `label` OFF or NOT, TEXT_TR the sample texts in
Turkish (law, manuals, help), TURBLIMP `base.jsonl.gz`, whose sentences are clean. The weak words are those
packaged, which were chosen by looking at hits in TEXT_TR and in the tweets.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from importlib import resources
from pathlib import Path

import zstandard

from corpus.harm.words import WordList


def main() -> None:
    """Print precision, recall, false alarms and the time it takes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("list", "tweets", "text_tr", "turblimp"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--limit", type=float, default=0.01)
    asked = parser.parse_args()
    weak = (resources.files("corpus.harm") / "weak-tur.txt").read_text(encoding="utf-8")
    words = WordList.of(asked.list.read_text(encoding="utf-8").splitlines(), weak.splitlines())
    with gzip.open(asked.tweets, "rt", encoding="utf-8") as lines:
        tweets = [json.loads(line) for line in lines]
    found = [tweet["label"] for tweet in tweets if words.density(tweet["text"])[0] > asked.limit]
    offensive = sum(tweet["label"] == "OFF" for tweet in tweets)
    right = found.count("OFF")
    print(f"tweets: precision {right / len(found):.3f}, recall {right / offensive:.3f} of {offensive:,}")
    documents = wrong = size = 0
    spent = 0.0
    for path in sorted(asked.text_tr.glob("*.jsonl.zst")):
        with zstandard.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                text = json.loads(line)["text"]
                start = time.process_time()
                wrong += words.density(text)[0] > asked.limit
                spent += time.process_time() - start
                documents, size = documents + 1, size + len(text.encode())
    print(f"clean documents: {wrong} of {documents:,} found, {spent * 4096e6 / size:.0f} µs for 4 KB")
    with gzip.open(asked.turblimp, "rt", encoding="utf-8") as lines:
        sentences = [json.loads(line)["good_sentence"] for line in lines]
    wrong = sum(words.density(sentence)[0] > asked.limit for sentence in sentences)
    print(f"sentences: {wrong} of {len(sentences):,} found")


if __name__ == "__main__":
    main()
