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


def one_pass(warc: Path) -> dict[str, float]:
    """Take the WARC through the steps of extract, then of filter; give what each took and let through."""
    extractor = Trafilatura(favour_precision=True)
    started = time.process_time()
    extracted, pages = [], 0
    # The extractor is called directly, without datatrove's sandbox process: the peer is faster so. A page
    # that fails is left out, as the sandbox does.
    for document in WarcReader(str(warc.parent), glob_pattern=warc.name)(None, 0, 1):
        pages += 1
        try:
            document.text = extractor.extract(document.text)
        except Exception:  # whatever the extractor raises, as datatrove itself catches it
            continue
        if document.text:
            extracted.append(document)
    between = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        kept = 0

        def counted(data):
            nonlocal kept
            for document in data:
                kept += 1
                yield document

        data = iter(extracted)
        for step in (
            GopherRepetitionFilter(),
            GopherQualityFilter(),
            C4QualityFilter(filter_no_terminal_punct=False),
            FineWebQualityFilter(),
        ):
            data = step(data, 0, 1)
        config = MinhashConfig(num_buckets=14, hashes_per_bucket=8)
        signatures = MinhashDedupSignature(output_folder=folder, config=config)
        for _ in signatures(counted(data), 0, 1) or ():
            pass
    ended = time.process_time()
    if not kept:
        raise SystemExit("no page came through: is lxml_html_clean there, which trafilatura needs?")
    return {
        "pages": pages,
        "texts": len(extracted),
        "kept": kept,
        "extract": between - started,
        "filter": ended - between,
    }


if __name__ == "__main__":
    logger.remove()
    logging.disable(logging.CRITICAL)
    for _ in range(2):
        found = one_pass(Path(sys.argv[1]))
    print(json.dumps(found))
