"""A mixed Turkish corpus, and clean held-out text, for the price of every rule (docs/prices.md).

    python benchmarks/prices.py TEXT_TR prices
    derlem build prices/corpus.toml --until tokenize
    derlem build prices/held.toml --until tokenize
    derlem compare --filters prices/corpus.toml RULE … -o prices/price --held-out prices/held \\
      --preset prices/models.toml

The corpus has law, manuals, machine translation and law with extraction dirt, in parts as a careless crawl
has them. The held-out text is human law and manuals, which no rule has chosen, in documents that the corpus
lacks.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

import zstandard

PARTS = {
    "mevzuat": 150,
    "mevzuat-dirty-sample": 60,
    "d365-docs": 800,
    "powerbi-docs": 500,
    "libreoffice-help": 1_200,
    "cpp-docs-mt": 2_500,
}
"""Documents of each file in the corpus."""
HELD = {"mevzuat": 30, "d365-docs": 80, "powerbi-docs": 80}
"""Human documents of each file that are held out."""

CORPUS = """output = "corpus"
[[source]]
name = "{0}"
format = "jsonl"
paths = ["{0}.jsonl"]
[shard]
target_mb = 8
validation = {1}
[tokenizer]
{2}
"""

MODELS = """first = 4
most = 6
workers = 2
[sizes]
smallest = 22_000
largest = 22_000
count = 1
[tokens]
per_parameter = 10
multiples = [0.5, 1.0]
[train.model]
head = 8
[train.data]
length = 128
batch = 8
[train.optimizer]
lr = 0.06
matrix_lr = 0.04
[train.schedule]
warmup = 0.05
[train.run]
log = []
[train.evaluate]
documents = 30
"""


def documents(path: Path) -> list[dict[str, Any]]:
    """Return the documents of a file."""
    with zstandard.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def write(path: Path, texts: list[dict[str, Any]]) -> None:
    """Write documents as JSON lines."""
    rows = (
        json.dumps({"url": each.get("url", ""), "text": each["text"]}, ensure_ascii=False) for each in texts
    )
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def main() -> None:
    """Write both texts, their configurations and the models' settings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text_tr", type=Path)
    parser.add_argument("output", type=Path)
    asked = parser.parse_args()
    draw = random.Random(0)
    asked.output.mkdir(parents=True, exist_ok=True)
    mixed, held, taken = [], [], set[str]()
    for name, many in PARTS.items():
        found = documents(asked.text_tr / f"{name}.jsonl.zst")
        draw.shuffle(found)
        clean = [each for each in found if each.get("translation", "HT") == "HT"][: HELD.get(name, 0)]
        held += clean
        taken |= {each["id"] for each in clean}  # the dirty sample has laws of the same ids
        mixed += [each for each in found if each["id"] not in taken][:many]
    draw.shuffle(mixed)
    write(asked.output / "mixed.jsonl", mixed)
    write(asked.output / "human.jsonl", held)
    settings = CORPUS.format("mixed", 0.02, "vocabulary = 1_024\nsample_mb = 8")
    (asked.output / "corpus.toml").write_text(settings)
    settings = CORPUS.format("human", 0.9, 'model = "corpus/tokens/tokenizer.model"')
    filters = '[filter]\ndefault = "none"\n[filter.presets]\ntur_Latn = "none"\n'
    (asked.output / "held.toml").write_text(settings.replace('"corpus"', '"held"') + filters)
    (asked.output / "models.toml").write_text(MODELS)


if __name__ == "__main__":
    main()
