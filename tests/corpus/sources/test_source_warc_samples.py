"""What the readers make of the shared WARC samples: the same payloads as warcio, and stated counts."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pack
from archives import counted, kinds
from warcio.archiveiterator import ArchiveIterator

from corpus.config import Source
from corpus.items import Item, RawDocument, Rejected
from corpus.sources import read

SharedData = Callable[[str], Path]


def items(path: Path) -> list[Item]:
    kind = "wet" if ".wet" in path.name else "warc"
    return list(read(Source(name="t", format=kind, paths=(str(path),)), str(path)))  # type: ignore[arg-type]


COUNTS = {
    "aut/example.warc.gz": "warcinfo 1 dns 38 text 36 request 261 metadata 261 html 94 media 84 status 47",
    "aut/example.docs.warc.gz": "warcinfo 3 media 9 request 9",
    "aut/example.txt.warc.gz": "warcinfo 2 media 1 request 2 text 1",
    "aut/issue-493.warc": "warcinfo 2 status 1 request 15 media 5 revisit 5 html 4",
    "aut/issue-514.warc": "warcinfo 1 request 2 status 1 html 1 metadata 3",
    "aut/badexample.arc.gz": "warcinfo 1 dns 1 text 1 !not-arc 1 !truncated 2",
    "aut/example.arc.gz": "warcinfo 1 dns 38 text 36 html 94 media 84 status 47",
    "derived-tr/libreoffice-help-tr.warc.gz": "warcinfo 1 request 235 html 233 status 2",
    "derived-tr/libreoffice-help-tr.truncated.warc.gz": "warcinfo 1 request 90 html 90 !truncated 1",
    "dolma/sample-0000.warc.gz": "warcinfo 1 request 22 html 22 metadata 3",
    "jwat/1-1-20110922131213-00000-svc-VirtualBox.arc": "warcinfo 1 dns 5 status 69 html 12 media 14 text 1",
    "jwat/invalid-compression.gz": "?bad-gzip-member 1",
    "jwat/invalid-magic.gz": "?bad-gzip-member 1",
    "jwat/invalid-warcfile-contenttype-recommended.warc": (
        "warcinfo 1 request 1 dns 1 metadata 1 media 1 conversion 1 revisit 1"
    ),
    "jwat/invalid-warcfile-digest-fields.warc": "html 4",
    "jwat/invalid-warcfile-encoding-headers.warc.gz": "warcinfo 1 html 2 media 1",
    "jwat/invalid-warcfile-fields-invalidformat.warc": "!bad-header 1",
    "jwat/invalid-warcfile-lonely-continuation.warc": "!bad-header 1",
    "jwat/invalid-warcfile-lonely-request-response-resource-conversion.warc": "!bad-header 4",
    "jwat/invalid-warcfile-lonely-warcinfo-metadata.warc": "!bad-header 2",
    "jwat/invalid-warcfile-segment-number-continuation.warc": "continuation 2",
    "jwat/sample.txt.gz": "?not-warc 1",
    "jwat/small_BNF.arc": "warcinfo 1 html 3 media 2",
    "jwat/test-arc-1.0-invalid-fields.arc": "!not-arc 1 !bad-length 1",
    "jwat/three-files.gz": "?not-warc 1",
    "jwat/valid-warcfile-contenttype-continuation.warc": "continuation 1",
    "jwat/valid-warcfile-fields-continuation.warc": "continuation 1",
    "jwat/valid-warcfile-fields-warcinfo.warc": "warcinfo 1",
    "jwat/valid-warcfile-upper-lower-case.warc": "warcinfo 1 dns 4",
    "warcio/bad.arc": "!not-arc 2 !bad-http-header 1",
    "warcio/example-bad-non-chunked.warc.gz": "warcinfo 2 html 1 request 2 revisit 1",
    "warcio/example-bad.warc.gz.bad": "warcinfo 1 html 1 request 2 revisit 1 status 1",
    "warcio/example-digest.warc": "request 4",
    "warcio/example-iana.org-chunked.warc": "warcinfo 1 html 1 request 1",
    "warcio/example-resource.warc.gz": "warcinfo 2 html 1",
    "warcio/example-space-in-target-uri.warc.gz": "warcinfo 1 media 1",
    "warcio/example-space-in-url.arc": "warcinfo 1 !truncated 1",
    "warcio/example-trunc.warc": "warcinfo 2 !bad-length 1 request 1",
    "warcio/example-wget-bad-target-uri.warc.gz": "warcinfo 1 request 1 html 1 metadata 3",
    "warcio/example-wrong-chunks.warc.gz": "html 1 request 1",
    "warcio/example.arc": "warcinfo 1 html 1",
    "warcio/example.arc.gz": "warcinfo 1 html 1",
    "warcio/example.warc": "warcinfo 2 html 1 request 2 revisit 1",
    "warcio/example.warc.gz": "warcinfo 2 html 1 request 2 revisit 1",
    "warcio/post-test.warc.gz": "media 3 request 3",
    "webarchive-commons/IAH-20080430204825-00000-blackbook-truncated.arc": (
        "warcinfo 1 dns 1 text 1 html 2 media 4"
    ),
    "webarchive-commons/abcd.gz": "?not-warc 1",
    "webarchive-commons/double-single-inflate-error.gz": "?bad-gzip-member 1",
    "webarchive-commons/empty.gz": "?empty 1",
    "webarchive-commons/hi-2.gz": "?not-warc 1",
    "webarchive-commons/hi.gz": "?not-warc 1",
    "webarchive-commons/mutliple-headers.warc": "html 1",
    "whirlwind-python/whirlwind.warc": "warcinfo 1 request 1 html 1 metadata 1",
    "whirlwind-python/whirlwind.warc.gz": "warcinfo 1 request 1 html 1 metadata 1",
    "whirlwind-python/whirlwind.warc.wat": "warcinfo 1 metadata 1",
    "whirlwind-python/whirlwind.warc.wat.gz": "warcinfo 1 metadata 1",
    "whirlwind-python/whirlwind.warc.wet": "warcinfo 1 text 1",
    "whirlwind-python/whirlwind.warc.wet.gz": "warcinfo 1 text 1",
}


def test_every_sample_holds_what_is_known_of_it(shared_data: SharedData) -> None:
    folder = shared_data("warc")
    found = {name: kinds(items(folder / name)) for name in COUNTS}
    assert found == {name: counted(line) for name, line in COUNTS.items()}


def test_every_payload_of_the_turkish_pages_matches_its_manifest(shared_data: SharedData) -> None:
    folder = shared_data("warc") / "derived-tr"
    with gzip.open(folder / "libreoffice-help-tr.manifest.jsonl.gz") as lines:
        manifest = {row["url"]: row["payload_sha1"] for row in map(json.loads, lines) if row["status"] == 200}
    documents = [
        item for item in items(folder / "libreoffice-help-tr.warc.gz") if isinstance(item, RawDocument)
    ]
    assert len(documents) == len(manifest) == 233
    assert {
        item.url: hashlib.sha1(
            bytes(item.content, "utf-8") if isinstance(item.content, str) else item.content
        ).hexdigest()
        for item in documents
    } == manifest


# warcio raises on the whole-file members of example-bad*, on the records cut into members of wrong-chunks,
# and on ARC files that are damaged.
UNREAD = ("example-bad", "wrong-chunks", "badexample", "truncated.arc")
READ_BY_WARCIO = [
    name
    for name, counts in COUNTS.items()
    if ("html" in counts or "text" in counts) and not any(part in name for part in UNREAD)
]


def read_by_warcio(path: Path) -> dict[str, list[bytes]]:
    """Return the payloads of a file's records by address, as warcio decodes them."""
    found: dict[str, list[bytes]] = {}
    with path.open("rb") as file:
        for record in ArchiveIterator(file, arc2warc=True):
            url = (record.rec_headers.get_header("WARC-Target-URI") or "").strip("<>")
            found.setdefault(url, []).append(record.content_stream().read())
    return found


def test_documents_are_what_warcio_decodes(shared_data: SharedData) -> None:
    folder = shared_data("warc")
    different, without = [], []
    for name in READ_BY_WARCIO:
        theirs = read_by_warcio(folder / name)
        documents = [item for item in items(folder / name) if isinstance(item, RawDocument)]
        without += [] if documents else [name]
        for item in documents:
            content = item.content.encode() if isinstance(item.content, str) else item.content
            if content not in theirs[item.url]:
                different.append((name, item.url))
    assert (different, without) == ([], [])


def test_a_member_flipped_in_a_whole_crawl_costs_one_record(tmp_path: Path) -> None:
    path = tmp_path / "site.warc.gz"
    pack.write_warc(path)
    whole = items(path)
    hit = [item for item in whole if isinstance(item, RawDocument)][5]
    data = bytearray(path.read_bytes())
    data[hit.offset + 400] ^= 0x55
    path.write_bytes(data)
    found = items(path)
    assert [item for item in found if item.offset != hit.offset] == [
        item for item in whole if item is not hit
    ]
    assert [type(item) for item in found if item.offset == hit.offset] == [Rejected]
