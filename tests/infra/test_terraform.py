"""Terraform's files: their form, their attributes as the provider has them, and what the driver's flags mean.

The provider itself is not asked: its schema is read from the bindings that are generated from it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "infra" / "terraform" / "gcp"
FILES = sorted(FOLDER.glob("*.tf"))
META = {"count", "for_each", "depends_on", "lifecycle", "provider", "provisioner", "connection", "timeouts"}
"""What Terraform itself adds to every resource."""

Types = dict[str, Any]


def run(command: list[str | Path], **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


def test_terraform_would_format_nothing(tool: Callable[[str], str]) -> None:
    assert FILES
    quiet = {**os.environ, "TF_CLI_CONFIG_FILE": os.devnull}
    found = run([tool("terraform"), "fmt", "-check", "-diff", FOLDER], env=quiet)
    assert (found.returncode, found.stdout) == (0, "")


def test_checkov_finds_nothing_and_each_skip_has_a_reason(tool: Callable[[str], str]) -> None:
    found = run([tool("checkov"), "-d", ROOT / "infra", "--skip-download", "--quiet", "-o", "json"])
    reports = json.loads(found.stdout)
    by_kind = {each["check_type"]: each for each in (reports if isinstance(reports, list) else [reports])}
    assert by_kind["terraform"]["summary"]["passed"] > 30
    failed = [
        (each["check_id"], each["resource"])
        for report in by_kind.values()
        for each in report["results"]["failed_checks"]
    ]
    assert failed == []
    for path in (*FILES, *(ROOT / "infra" / "docker").iterdir()):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "checkov:skip" in line:
                assert re.fullmatch(r" *#checkov:skip=CKV_[A-Z]+_\d+:.{20,}", line), f"{path.name}: {line}"


@pytest.fixture(scope="module")
def schema(tool: Callable[[str], str]) -> Types:
    """Return the types of the bindings of the provider that versions.tf asks for."""
    bindings = "lib/python*/site-packages/cdktf_cdktf_provider_google/_jsii/*.tgz"
    (found,) = Path(tool("hcl2tojson")).parents[1].glob(bindings)
    with tarfile.open(found) as archive:
        member = archive.extractfile("package/.jsii")
        assert member is not None
        types: Types = json.load(member)["types"]
    return types


@pytest.fixture(scope="module")
def parsed(tool: Callable[[str], str]) -> dict[str, Any]:
    """Return the parsed files by name."""
    return {path.name: json.loads(run([tool("hcl2tojson"), path]).stdout) for path in FILES}


def resources(parsed: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield kind, name and content of every resource."""
    for content in parsed.values():
        for each in content.get("resource", []):
            for kind, named in each.items():
                for name, body in named.items():
                    yield kind, name, body


def fqn(kind: str) -> str:
    """Return the name of the type that holds a resource's configuration."""
    words = kind.removeprefix("google_").split("_")
    upper = "".join(word.capitalize() for word in words)
    lower = upper[0].lower() + upper[1:]
    return f"@cdktf/provider-google.{lower}.{upper}Config"


def inner(kind: Any) -> str | None:
    """Return the type of a nested block, None where a property is a value."""
    if "fqn" in kind:
        return kind["fqn"] if kind["fqn"].startswith("@cdktf/") else None
    if "collection" in kind:
        return inner(kind["collection"]["elementtype"]) if kind["collection"]["kind"] == "array" else None
    if "union" in kind:
        return next((found for each in kind["union"]["types"] if (found := inner(each))), None)
    return None


def faults(types: Types, name: str, body: dict[str, Any], where: str) -> list[str]:
    """Return what a block has that its type does not know, or lacks that it asks for."""
    known = {snake(each["name"]): each for each in types[name]["properties"]}
    given = {key: value for key, value in body.items() if not key.startswith("__")}
    dynamic = {key: blocks for each in given.pop("dynamic", []) for key, blocks in each.items()}
    found = [f"{where}: unknown {key}" for key in {*given, *dynamic} - known.keys() - META]
    found += [
        f"{where}: {key} is missing"
        for key, each in known.items()
        if not each.get("optional") and key not in given and key not in dynamic
    ]
    blocks = [(key, block) for key, value in given.items() for block in value if isinstance(block, dict)]
    blocks += [(key, block) for key, each in dynamic.items() for block in each["content"]]
    for key, block in blocks:
        if key in known and (kind := inner(known[key]["type"])) is not None:
            found += faults(types, kind, block, f"{where}.{key}")
    return found


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def test_every_block_is_as_the_provider_has_it(parsed: dict[str, Any], schema: Types) -> None:
    found = list(resources(parsed))
    assert len(found) > 20
    assert [
        fault for kind, name, body in found for fault in faults(schema, fqn(kind), body, f"{kind}.{name}")
    ] == []


def test_an_unknown_and_a_missing_attribute_are_found(schema: Types) -> None:
    name = fqn("google_storage_bucket")
    body = {"name": ["a"], "locaton": ["b"], "lifecycle_rule": [{"action": [{"typ": ["Delete"]}]}]}
    assert faults(schema, name, body, "x") == [
        "x: unknown locaton",
        "x: location is missing",
        "x.lifecycle_rule: condition is missing",
        "x.lifecycle_rule.action: unknown typ",
        "x.lifecycle_rule.action: type is missing",
    ]


def code() -> str:
    """Return all files without their comments."""
    lines = (line for path in FILES for line in path.read_text(encoding="utf-8").splitlines())
    return "\n".join(re.sub(r"(^|\s)#.*", "", line) for line in lines)


def test_every_reference_is_declared() -> None:
    declared = {f"var.{name}" for name in re.findall(r'(?m)^variable "(\w+)"', code())}
    declared |= {f"{kind}.{name}" for kind, name in re.findall(r'(?m)^resource "(\w+)" "(\w+)"', code())}
    for block in re.findall(r"(?ms)^locals \{\n(.*?)^\}", code()):
        declared |= {f"local.{name}" for name in re.findall(r"(?m)^  (\w+) +=", block)}
    used = set(re.findall(r"\b((?:var|local|google_\w+)\.\w+)", code()))
    assert len(used) > 30
    assert used - declared == set()
    assert {name for name in declared if name.startswith(("var.", "local."))} - used == set()


def test_every_attribute_that_is_read_is_one_of_its_resource(schema: Types) -> None:
    read = set(re.findall(r"\b(google_\w+)\.\w+(?:\[0\])?\.(\w+)", code()))
    assert len(read) > 8
    for kind, attribute in read:
        properties = schema[fqn(kind).removesuffix("Config")]["properties"]
        assert attribute in {snake(each["name"]) for each in properties}, f"{kind}.{attribute}"


def test_the_schema_is_of_the_provider_that_is_asked_for() -> None:
    """The bindings of infra/check are generated from version 6.50 of the provider."""
    assert 'version = "~> 6.50"' in (FOLDER / "versions.tf").read_text(encoding="utf-8")
    assert "cdktf-cdktf-provider-google==16.12.1" in (ROOT / "infra" / "check").read_text(encoding="utf-8")


def driver_arguments() -> list[str]:
    """Return the arguments of the driver's job, a word for each that Terraform would put in."""
    text = (FOLDER / "driver.tf").read_text(encoding="utf-8")
    block = re.search(r"args = \[\n(.*?)\n *\]", text, re.DOTALL)
    assert block is not None
    words = re.findall(r'^ *"(.*)",(?: *#.*)?$', block[1], re.MULTILINE)
    numbers = [re.sub(r"\$\{var\.workers\.(most|disk_gb)\}", "7", each) for each in words]
    return [re.sub(r"\$\{[^}]*\}", "word", each) for each in numbers]


def test_the_drivers_arguments_are_those_of_the_command_and_of_beam(monkeypatch: pytest.MonkeyPatch) -> None:
    from corpus.config import Run
    from pipelines import options

    words = driver_arguments()
    assert words[0] == "build"
    monkeypatch.setattr(options, "_has_dataflow", lambda: True)
    flags = tuple(words[words.index("--") + 1 :])
    assert len(flags) > 10
    assert options.choose(Run(), None, flags).name == options.DATAFLOW


def test_no_machine_has_a_public_address() -> None:
    assert "--no_use_public_ips" in driver_arguments()
    text = "".join(path.read_text(encoding="utf-8") for path in FILES)
    assert "access_config {" not in text
    assert "allUsers" not in text


def test_every_role_has_its_reason_beside_it() -> None:
    lines = (FOLDER / "accounts.tf").read_text(encoding="utf-8").splitlines()
    project = [line for line in lines if re.match(r' +"roles/', line)]
    buckets = [line for line in lines if re.search(r'= \["\w+", "\w+", "roles/', line)]
    assert len(project) >= 5
    assert len(buckets) >= 7
    for line in project:
        assert re.search(r'= "[^"]{15,}"$', line), line
    for line in buckets:
        assert re.search(r', "[^"]{15,}"\],?$', line), line
    for broad in ("roles/owner", "roles/editor", "roles/viewer", "storage.admin", "storage.objectAdmin"):
        assert not any(broad in line for line in lines), broad
