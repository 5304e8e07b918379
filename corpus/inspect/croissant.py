"""The description of a finished corpus as Croissant 1.0 (MLCommons), which loaders read."""

from __future__ import annotations

import json
from typing import Any

from corpus.inspect.card import Card, licence_of

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_FORMAT = "application/vnd.apache.arrow.file"
_TYPES = {"float": "sc:Float", "double": "sc:Float", "uint32": "sc:Integer", "uint64": "sc:Integer"}


def croissant(found: Card) -> str:
    """Return croissant.json: each shard with its checksum, and the columns of each language."""
    languages = dict.fromkeys(file.language for file in found.shards)
    described = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": found.name,
        "description": f"{found.documents:,} documents in {len(found.languages):,} languages, by derlem.",
        "license": licence_of(found),
        "inLanguage": [each.language for each in found.languages],
        "distribution": [_file(file.path, file.bytes, file.sha256) for file in found.shards],
        "recordSet": [
            _records(found, file.language, file.path)
            for language in languages
            for file in [next(each for each in found.shards if each.language == language)]
        ],
    }
    return json.dumps(described, ensure_ascii=False, indent=1) + "\n"


def _file(path: str, size: int, sha256: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "contentUrl": f"shards/{path}",
        "contentSize": f"{size} B",
        "encodingFormat": _FORMAT,
        "sha256": sha256,
    }


def _records(found: Card, language: str, path: str) -> dict[str, Any]:
    """Return the columns of a language, as its first shard has them; all its shards have the same."""
    return {
        "@type": "cr:RecordSet",
        "@id": language,
        "name": language,
        "description": f"Documents in {language}; every file below shards/{language} has these columns.",
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{language}/{name}",
                "name": name,
                "description": meaning,
                "dataType": "sc:DateTime" if kind.startswith("timestamp") else _TYPES.get(kind, "sc:Text"),
                **({"repeated": True} if kind.startswith("list") else {}),
                "source": {"fileObject": {"@id": path}, "extract": {"column": name}},
            }
            for name, kind, meaning in found.columns
        ],
    }
