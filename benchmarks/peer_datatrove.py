"""datatrove's side of benchmarks/clean.py; run by a Python that has datatrove, never imported by ours."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from pathlib import Path

from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.readers import WarcReader
from loguru import logger


def one_pass(warc: Path) -> tuple[int, int, float]:
    """Run the steps over the WARC; give documents read, documents that reached the signature, seconds."""
    with tempfile.TemporaryDirectory() as folder:
        counted = {"read": 0, "kept": 0}

        def count(name: str):
            def step(data, rank=0, world_size=1):
                for document in data:
                    counted[name] += 1
                    yield document

            return step

        extractor = Trafilatura(favour_precision=True)

        def extract(data, rank=0, world_size=1):
            # Called directly, without datatrove's sandbox process: the peer is faster so. A page that fails
            # is left out, as the sandbox does.
            for document in data:
                try:
                    document.text = extractor.extract(document.text)
                except Exception:  # whatever the extractor raises, as datatrove itself catches it
                    continue
                if document.text:
                    yield document

        steps = [
            WarcReader(str(warc.parent), glob_pattern=warc.name),
            count("read"),
            extract,
            GopherRepetitionFilter(),
            GopherQualityFilter(),
            C4QualityFilter(filter_no_terminal_punct=False),
            FineWebQualityFilter(),
            count("kept"),
            MinhashDedupSignature(
                output_folder=folder, config=MinhashConfig(num_buckets=14, hashes_per_bucket=8)
            ),
        ]
        started = time.perf_counter()
        data = None
        for step in steps:
            data = step(data, 0, 1)
        if data is not None:
            for _ in data:
                pass
        if not counted["kept"]:
            raise SystemExit("no page came through: is lxml_html_clean there, which trafilatura needs?")
        return counted["read"], counted["kept"], time.perf_counter() - started


if __name__ == "__main__":
    logger.remove()
    logging.disable(logging.CRITICAL)
    path = Path(sys.argv[1])
    for _ in range(2):
        read, kept, seconds = one_pass(path)
    print(json.dumps({"pages": read, "kept": kept, "seconds": seconds}))
