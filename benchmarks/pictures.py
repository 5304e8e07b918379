"""Make the pictures of docs/extraction.md: three pages with what is kept of them in green, the rest in red.

python -m benchmarks.pictures docs/pictures     # needs chromium
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from corpus.text.maintext import markup
from corpus.text.maintext.judgement import judge
from corpus.text.maintext.lines import FIRST, LAST

PAGES = Path(__file__).parent / "data" / "pages"


def marked(page: str) -> bytes:
    """Return a page with each of its lines in the colour of its judgement."""
    data, read = markup.read(page)
    kept = judge(data, read).kept
    runs = [
        (start, end, b"kept" if is_kept else b"dropped")
        for line, is_kept in zip(read.lines, kept.tolist(), strict=True)
        for start, end in read.pieces[line[FIRST] : line[LAST]].tolist()
    ]
    for start, end, name in sorted(runs, reverse=True):
        data = data[:start] + b"<span class=" + name + b">" + data[start:end] + b"</span>" + data[end:]
    return data


def main() -> None:
    folder = Path(sys.argv[1])
    for page in sorted(PAGES.glob("*.html")):
        with tempfile.TemporaryDirectory() as place:
            file = Path(place) / "page.html"
            file.write_bytes(marked(page.read_text(encoding="utf-8")))
            command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
            picture = f"--screenshot={folder.absolute()}/extraction-{page.stem}.png"
            subprocess.run([*command, "--window-size=720,560", picture, file.as_uri()], check=True)


if __name__ == "__main__":
    main()
