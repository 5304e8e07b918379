"""The order of the sources decides in dedupe, and in no stage before it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from corpus import dataset
from corpus.config import Config, parse
from corpus.teller import SILENT
from pipelines import build
from pipelines.options import Runner

TEXT = """Bahçede ekilen domatesler bu yıl erken olgunlaştı ve komşular sepetlerini doldurup eve götürdü.
Yağmur geç geldiği için kuyudan su çekmek gerekti, ama toprak yine de bol ürün verdi.
Akşamları çocuklar ağaçların altında oynarken büyükler çay içip eski günlerden söz ediyordu.
Köyün okulu da yeni bir kitaplık kazandı; raflarda masallar, atlaslar ve bilim dergileri duruyor.
Öğretmen her hafta bir kitabı sınıfta okuyor, sonra herkes en sevdiği bölümü anlatıyor."""
OWN = """{} kaynağında yalnız bu belge vardır ve denizden, rüzgârdan, balıkçıların sabah işinden söz açar.
Tekneler gün doğmadan limandan ayrılır, ağlar açıkta bırakılır ve öğleye doğru geri dönülür.
Pazarda satılan balığın fiyatı havaya göre değişir; fırtınalı günlerde tezgâhlar boş kalır.
Limanın yanındaki küçük kahvede haritalar asılıdır, yaşlı kaptanlar orada yolculuklarını anlatır.
Gençler ise motor onarmayı öğrenmek için kasabadaki atölyeye gidip akşam otobüsüyle eve döner."""


def config(folder: Path, *names: str) -> Config:
    for name in names:
        rows = [{"text": TEXT}, {"text": OWN.format(name)}]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    sources = [{"name": name, "format": "jsonl", "paths": [f"{name}.jsonl"]} for name in names]
    return parse({"output": str(folder / "out"), "source": sources}, "test")


def run(folder: Path, *names: str) -> dict[str, dataset.Manifest]:
    output = build.run(config(folder, *names), folder, Runner(), SILENT, "dedupe")
    return {path.parent.name: dataset.load(str(path.parent)) for path in Path(output).glob("*/manifest.json")}


def units(manifests: dict[str, dataset.Manifest]) -> dict[str, set[str]]:
    return {
        name: {unit.fingerprint for unit in manifest.units}
        for name, manifest in manifests.items()
        if name not in ("furniture", "dedupe")  # of the whole corpus
    }


def removed_from(folder: Path, manifest: dataset.Manifest) -> set[Any]:
    rows = [
        dataset.table(str(folder / "out" / "dedupe"), file.path).to_pylist()
        for file in manifest.files("removed")
    ]
    return {row["survivor_part"] for each in rows for row in each if row["kind"] == "exact"}


def test_a_source_put_before_others_leaves_every_unit_before_dedupe(tmp_path: Path) -> None:
    first = run(tmp_path, "a", "b")
    second = run(tmp_path, "b", "a")
    third = run(tmp_path, "c", "b", "a")
    assert units(first) == units(second)
    assert all(units(second)[name] < found for name, found in units(third).items())


def test_the_document_of_the_earlier_source_stays(tmp_path: Path) -> None:
    first = removed_from(tmp_path, run(tmp_path, "a", "b")["dedupe"])
    second = removed_from(tmp_path, run(tmp_path, "b", "a")["dedupe"])
    assert first
    assert second
    assert first.isdisjoint(second)
