"""Pages in Icelandic and Faroese without a charset label: how many are not read as they were written.

    python -m benchmarks.nordic ../shared/data/lid

Pages of 1, 5 and 20 sentences or paragraphs, in windows-1252; beside them what must not change: pages of
three sentences in the languages for which the detector takes them.
"""

from __future__ import annotations

import gzip
import json
import sys
import tarfile
from collections import Counter
from pathlib import Path

from corpus.text import charset

NEIGHBOURS = ("hr", "bs", "sl", "pl", "hu", "cs", "sk")


def study(name: str, lines: list[str], codec: str, number: int) -> None:
    """Print how many pages of `number` lines are read otherwise, and as what."""
    read: Counter[str] = Counter()
    for first in range(0, len(lines) - number + 1, number):
        page = "\n".join(f"<p>{line}</p>" for line in lines[first : first + number])
        try:
            payload = page.encode(codec)
        except UnicodeEncodeError:
            continue
        if not payload.isascii():
            found = charset.decode(payload)
            read["" if found.text == payload.decode(codec) else found.encoding] += 1
    pages = read.total()
    right = read.pop("", 0)
    print(f"{name:<12} {codec:<10} {number:>3} lines: {pages - right} wrong of {pages} {dict(read)}")


def main(folder: str) -> None:
    """Measure all."""
    with tarfile.open(Path(folder) / "lingua-testdata/language-testdata.tar.gz") as archive:
        found = {
            member.name.split("/sentences/")[-1]: member for member in archive if "/sentences/" in member.name
        }
        parts = {name: archive.extractfile(found[f"{name}.txt"]) for name in ("is", *NEIGHBOURS)}
        sentences = {name: part.read().decode().splitlines() for name, part in parts.items() if part}
    paragraphs: dict[str, list[str]] = {"isl": [], "fao": []}
    for line in gzip.decompress((Path(folder) / "udhr/udhr-paragraphs.jsonl.gz").read_bytes()).splitlines():
        row = json.loads(line)
        if row["iso"] in paragraphs:
            paragraphs[row["iso"]].append(row["text"])
    for number in (1, 5, 20):
        study("is", sentences["is"], "cp1252", number)
        for name, lines in paragraphs.items():
            study(f"{name}, UDHR", lines, "cp1252", number)
    for name in NEIGHBOURS:
        for codec in ("cp1250", "iso8859-2"):
            study(name, sentences[name], codec, 3)


if __name__ == "__main__":
    main(*sys.argv[1:])
