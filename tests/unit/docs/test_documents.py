"""The documents and the code say the same, where that can be told cheaply."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from ebbd.config import parse_config
from ebbd.inspect.pool_checks import Thresholds
from ebbd.intent import KEYS as INTENT_KEYS
from ebbd.model import Parameters, Prepare
from ebbd.volumes import records, tags
from ebbd.volumes.catalog import group_tag
from ebbd.volumes.names import parse_head_lv, parse_snapshot_lv
from ebbd.volumes.parameters import CO_PREFIX, OWN_KEYS, parse_parameters
from ebbd.volumes.records import Birth, read_birth, snapshot_tags, volume_tags
from ebbd.volumes.sizes import MIB, MINIMUM_BYTES
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("deploy/*/README.md"),
        *ROOT.glob("bench/*.md"),
    ]
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
HASH = "juotjosf6rbvyk5d"


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose(document: Path) -> str:
    return FENCED.sub("", document.read_text(encoding="utf-8"))


def fenced(name: str, language: str) -> list[str]:
    return [body for kind, body in FENCED.findall(text(name)) if kind == language]


def anchors(document: Path) -> set[str]:
    """GitHub's: small letters, blanks to hyphens, punctuation dropped."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(prose(document))
    }


def broken_links(document: Path) -> Iterator[str]:
    for link in LINK.findall(prose(document)):
        path, _, anchor = unquote(link).partition("#")
        if "://" in link:
            continue
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_every_relative_link_and_its_anchor_resolves(document: Path) -> None:
    assert list(broken_links(document)) == []


def test_every_decision_is_in_the_index_under_its_own_title() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(
        r"^(\d+)\. \[(.+)\]\((.+)\)$", text("docs/decisions/README.md"), re.MULTILINE
    )
    titles = {
        page.name: HEADING.findall(page.read_text(encoding="utf-8"))[0]
        for page in folder.glob("[0-9]*.md")
    }
    assert {page: f"{number}. {title}" for number, title, page in listed} == titles


def test_every_make_target_that_is_named_exists() -> None:
    targets = {
        target
        for line in re.findall(r"^([a-z][a-z -]*):", text("Makefile"), re.MULTILINE)
        for target in line.split()
    }
    named = {
        target
        for document in DOCUMENTS
        for target in re.findall(
            r"(?:^|`)make ([a-z][a-z-]*)", document.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert named
    assert named <= targets


def every_fact() -> set[str]:
    """All keys that the code writes, by writing a volume and a snapshot that have everything."""
    parameters = Parameters(
        mkfs_options=("-q",),
        mount_options=("noatime",),
        claim_namespace="shop",
        claim_name="db",
        intent={"priority": "gold"},
    )
    birth = Birth(
        name="db",
        incarnation="4819fc74",
        filesystem="ext4",
        created_ms=1,
        size_bytes=1,
        prepare=Prepare.FORMAT,
        source="v-3sago6ct-y2wy7hbdrl435hkf",
        parameters=parameters,
        attributes={"iops": "500"},
    )
    written = {
        *tags.read(volume_tags(birth)),
        *tags.read(snapshot_tags(birth, "v-3sago6ct-y2wy7hbdrl435hkf", "db", HASH)),
    }
    constants = {
        value for name, value in vars(records).items() if name.isupper() and isinstance(value, str)
    }
    [commit] = tags.read([group_tag(HASH, "nightly", 1)])
    return written | constants | {commit.replace(HASH, "<hash>")}


def test_the_tag_table_has_every_fact_and_no_other() -> None:
    architecture = text("docs/architecture.md")
    table = re.findall(rf"^\| `{re.escape(tags.PREFIX)}(\S+)` \|", architecture, re.MULTILINE)
    assert len(table) == len(set(table))
    assert set(table) == every_fact()
    assert f"### The tag schema, version {tags.SCHEMA}\n" in architecture


def test_the_tags_that_are_shown_are_read_as_a_volume_and_a_snapshot() -> None:
    [shown] = [block for block in fenced("docs/architecture.md", "text") if "ebb.v=" in block]
    [volume, snapshot] = [line.split(" ") for line in shown.splitlines()]
    facts = tags.read(volume[1].split(","))
    birth = read_birth(facts, volume[0])
    assert parse_head_lv(volume[0])
    assert birth.parameters.mkfs_options == ("-m", "reflink=1")
    assert sorted(volume_tags(birth)) == volume[1].split(",")
    facts = tags.read(snapshot[1].split(","))
    birth = read_birth(facts, snapshot[0])
    assert parse_snapshot_lv(snapshot[0])
    again = snapshot_tags(birth, facts["of"], tags.unescape(facts["of-name"]), "")
    assert sorted(again) == snapshot[1].split(",")


def test_the_storage_class_has_every_parameter_and_the_parser_takes_it() -> None:
    [manifest] = [block for block in fenced("README.md", "yaml") if "StorageClass" in block]
    parameters = YAML(typ="safe").load(manifest)["parameters"]
    assert {key for key in parameters if not key.startswith(CO_PREFIX)} == OWN_KEYS | INTENT_KEYS
    found = parse_parameters(parameters)
    assert found.intent.keys() == INTENT_KEYS
    assert found.mount_options == ("noatime", "discard")


@pytest.mark.parametrize("name", ["README.md", "docs/tutorial.md"])
def test_the_configuration_of_the_quickstart_is_right(name: str) -> None:
    found = re.search(r"^cat > \S+ <<END\n(.*?)^END$", text(name), re.MULTILINE | re.DOTALL)
    assert found
    config = parse_config(found[1].replace("$HOME", "/home/me"), hostname="other")
    assert config.node.id == "laptop"


def test_the_configuration_of_the_runbook_is_right() -> None:
    [example] = fenced("docs/operations.md", "yaml")
    assert parse_config(example, hostname="other").pools[0].full_name == "ebb/pool0"


def test_the_layers_are_told_as_they_are_held() -> None:
    contracts = tomllib.loads(text("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    every = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    [layers] = [layers for layers in every if "ebbd.app" in layers]
    told = re.search(r"imports go down: ([^.]*)\.", text("docs/architecture.md"))
    assert told
    assert re.findall(r"`(\w+)`", told[1]) == [layer.removeprefix("ebbd.") for layer in layers]
    _, _, after = text("docs/architecture.md").partition("import-linter holds these contracts\n")
    numbered = re.findall(r"^(\d)\. ", after.partition("\nBesides")[0], re.MULTILINE)
    assert [int(number) for number in numbered] == list(range(1, len(contracts) + 1))


def test_the_thresholds_of_doctor_are_those_of_the_runbook() -> None:
    told = dict(
        re.findall(
            r"^\| pool: (data|metadata) \| (.*?; .*?) \|", text("docs/operations.md"), re.MULTILINE
        )
    )
    fill = Thresholds()
    assert told == {
        "data": f"{fill.data_warning} % used: warning; {fill.data_failed} %: failed",
        "metadata": f"{fill.metadata_warning} % used: warning; {fill.metadata_failed} %: failed",
    }


def test_the_smallest_sizes_are_told() -> None:
    told = re.findall(r"(ext4|xfs|btrfs) (\d+) MiB", text("docs/limitations.md"))
    assert {kind: int(size) * MIB for kind, size in told} | {"": 1} == MINIMUM_BYTES
