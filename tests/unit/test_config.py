import re
from pathlib import Path

import pytest
from ebbd.config import Config, ConfigError, LoopConfig, PoolConfig, load_config, parse_config
from ebbd.config.parse import section_in
from ebbd.errors import InvalidInput, NotFound
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

GIB = 2**30
REFERENCE = Path(__file__).parents[2] / "docs" / "config.md"


def parse(text: str) -> Config:
    return parse_config(text, hostname="worker-1")


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "node: {}"])
def test_an_empty_file_is_the_default(text: str) -> None:
    assert parse(text) == Config.default("worker-1")


def test_the_default_is_one_sparse_loop_pool() -> None:
    config = Config.default("worker-1")
    (pool,) = config.pools
    assert (pool.vg, pool.pool, pool.full_name) == ("ebb", "pool0", "ebb/pool0")
    assert pool.loop == LoopConfig(file="/var/lib/ebb/pool.img", size=10 * GIB)
    assert (pool.overcommit_ratio, pool.metadata_size, pool.size) == (2.0, 64 * 2**20, None)
    assert (config.node.id, config.node.key, config.node.max_volumes) == ("worker-1", None, None)
    assert (config.api.socket, config.api.group) == ("/run/ebb/ebbd.sock", "ebb")
    assert (config.defaults.filesystem, config.defaults.size) == ("ext4", GIB)
    assert (config.lvm.deadline_s, config.lvm.prefix) == (60.0, ())


def test_every_kind_of_pool() -> None:
    config = parse("""
pools:
  - existing: data/fast
    overcommit_ratio: 1.5
  - {name: disks/pool0, devices: [/dev/vdb, /dev/vdc], size: 500Gi, chunk_size: 128Ki}
  - name: loops/pool0
    loop: {file: /srv/pool.img, size: 1.5Gi}
default_pool: disks/pool0
""")
    assert config.pools == (
        PoolConfig(existing="data/fast", overcommit_ratio=1.5),
        PoolConfig(
            name="disks/pool0",
            devices=("/dev/vdb", "/dev/vdc"),
            size=500 * GIB,
            chunk_size=128 * 1024,
        ),
        PoolConfig(name="loops/pool0", loop=LoopConfig(file="/srv/pool.img", size=3 * GIB // 2)),
    )
    assert [pool.full_name for pool in config.pools] == ["data/fast", "disks/pool0", "loops/pool0"]
    assert config.default_pool == "disks/pool0"


def test_a_tcp_address_comes_with_its_three_files() -> None:
    listen = parse("""
api:
  listen: {address: "[::]:7443", certificate: /t/a.crt, key: /t/a.key, client_ca: /t/ca.crt}
""").api.listen
    assert listen is not None
    assert (listen.address, listen.certificate) == ("[::]:7443", "/t/a.crt")
    assert (listen.key, listen.client_ca) == ("/t/a.key", "/t/ca.crt")
    assert problems("api: {listen: {address: '0.0.0.0:7443', certificate: /c, key: k}}") == [
        "ebbd.yaml:1: api.listen.key: 'k' is not an absolute path without ..; write it from / on",
        "ebbd.yaml:1: api.listen.client_ca: is missing; it must be given",
    ]


@pytest.mark.parametrize("address", ["", "7443", ":7443", "host:", "host:0", "host:65536", "a:b:1"])
def test_what_is_no_tcp_address_is_refused(address: str) -> None:
    [told] = problems(
        f"api:\n  listen:\n    address: {address!r}\n    certificate: /c\n    key: /k\n"
        "    client_ca: /a\n"
    )
    assert told.startswith(f"ebbd.yaml:3: api.listen.address: {address!r} is not HOST:PORT; write")


def test_all_problems_are_told_at_once_with_line_and_key() -> None:
    told = problems("""
node: {kee: abcdefgh}
api:
  sokcet: /x
pools:
  - name: ebb/pool0
    loop:
      file: /x
      size: 10Q
  - existing: data/fast
    size: 1Gi
  - name: other
log: {level: loud}
""")
    assert told == [
        "ebbd.yaml:2: node.kee: unknown key; did you mean key? allowed here: id, key, max_volumes",
        (
            "ebbd.yaml:4: api.sokcet: unknown key; did you mean socket? "
            "allowed here: socket, group, listen"
        ),
        (
            'ebbd.yaml:9: pools[0].loop.size: "10Q" is not a quantity; '
            "write a number such as 10Gi or 500M"
        ),
        "ebbd.yaml:10: pools[1]: `existing` pools are taken as they are: remove size",
        (
            "ebbd.yaml:12: pools[2].name: 'other' is not VG/POOL; "
            "write the volume group, a slash, the thin pool"
        ),
        (
            "ebbd.yaml:13: log.level: 'loud' is not right; "
            "it should be 'debug', 'info', 'warning' or 'error'"
        ),
    ]


def test_a_key_written_twice_is_told_beside_other_problems() -> None:
    told = problems("api: {group: a}\nlog: {level: 5}\napi: {group: b}\n")
    assert told == [
        (
            "ebbd.yaml:2: log.level: 5 is not right; "
            "it should be 'debug', 'info', 'warning' or 'error'"
        ),
        "ebbd.yaml:3: api: written twice (first in line 1); keep one of them",
    ]


def test_a_key_written_twice_is_an_error_by_itself() -> None:
    assert problems("log: {level: info, level: info}") == [
        "ebbd.yaml:1: log.level: written twice (first in line 1); keep one of them"
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "1: expected the node content, but found '<stream end>'; this is not valid YAML"),
        ("log: {}\nx\n", "3: could not find expected ':'; this is not valid YAML"),
        ("log: {}\n---\nlog: {}", "2: but found another document; this is not valid YAML"),
        ("? [a]\n: b", "1: a key is a plain word"),
        ("log: {level: !!int x}", "1: a tag (tag:yaml.org,2002:int) is not taken here; write"),
        ("log: {level: !!bool x}", "1: a tag (tag:yaml.org,2002:bool) is not taken here; write"),
        ("log: &a\n  level: x", "1: an anchor (&name) is not taken here; write"),
        ("log:\n  level: *a", "2: an alias (*name) is not taken here; write the value out"),
        ("log: " + "[" * 3000, "1: nested more than 16 deep; see docs/config.md"),
        ("\n".join(" " * n + "a:" for n in range(1000)), "17: nested more than 16 deep; "),
        ("#" * 2**20 + "\n", "1: more than 1048576 characters; "),
        ('"\\ud800": 1', "1: half of a surrogate pair is no character; "),
        ('node: {id: "\\udcff"}', "1: half of a surrogate pair is no character; "),
        ('"\\e[2J": 1', "1: \\x1b[2J: unknown key; "),
        ("lvm: 7", "1: lvm: is not a section; allowed here: deadline_s, prefix"),
        ("node: null", "1: node: is not a section; allowed here: id, key, max_volumes"),
        ("- a", "1: not a mapping of keys; allowed here: node, api, "),
        ("pools: []", "1: pools: the list is empty; "),
        ("pools: {}", "1: pools: this is not right; it should be a list"),
        ("pools:\n  - {}", "2: pools[0]: a pool has `existing: VG/POOL`, or a `name`"),
        ("pools:\n  - name: a/b", "2: pools[0]: give `devices: [/dev/…]` or `loop:"),
        ("pools:\n  - {name: a/b, loop: {}}", "2: pools[0].loop.file: is missing; "),
        ("pools:\n  - {name: a/b, devices: [/srv/x]}", "2: pools[0].devices[0]: '/srv/x' is not a"),
        ("pools:\n  - {name: a/b, devices: [/dev/a, /dev/a]}", "2: pools[0].devices: something"),
        ("node: {key: Abcdefgh}", "1: node.key: 'Abcdefgh' is not a node key; use 8 characters"),
        ("node: {max_volumes: 0}", "1: node.max_volumes: 0 is not right; it should be greater"),
        ("node: {max_volumes: '3'}", "1: node.max_volumes: '3' is not right; it should be a whole"),
        ("run_directory: run/ebb", "1: run_directory: 'run/ebb' is not an absolute path"),
        ("run_directory: /run/../etc", "1: run_directory: '/run/../etc' is not an absolute path"),
        (f"api: {{socket: /{'x' * 107}}}", "1: api.socket: the path is longer than the 107 bytes"),
        ("defaults: {size: -1}", '1: defaults.size: "-1" is negative; '),
        ("defaults: {size: true}", "1: defaults.size: True is not a quantity; "),
        ("mounts: {allowed_directories: [/]}", "1: mounts: `/` would allow every path; "),
        ("lvm: {deadline_s: 0}", "1: lvm.deadline_s: 0 is not right; it should be greater than or"),
        ("lvm: {deadline_s: .nan}", "1: lvm.deadline_s: nan is not right; it should be a finite"),
        ("lvm: {prefix: nsenter}", "1: lvm.prefix: 'nsenter' is not right; it should be a list"),
        ("default_pool: ebb/pool1", "1: default_pool: ebb/pool1 is not in `pools`; use one of ebb"),
    ],
)
def test_a_problem_names_its_place_and_what_is_allowed(text: str, told: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(f"ebbd.yaml:{told}"), problem


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ("{existing: ebb/pool0}", "is named twice"),
        ("{name: ebb/b, devices: [/dev/vdc], size: 1Gi}", "give both the same devices"),
        ("{name: ebb/b, devices: [/dev/vdb]}", "give each a size"),
        ("{name: other/b, devices: [/dev/vdb]}", "/dev/vdb is given to other and to ebb"),
    ],
)
def test_pools_that_cannot_both_be(second: str, told: str) -> None:
    (problem,) = problems(
        f"pools:\n  - {{name: ebb/pool0, devices: [/dev/vdb], size: 1Gi}}\n  - {second}\n"
    )
    assert problem.startswith("ebbd.yaml:3: pools[1]: ")
    assert told in problem


def test_two_pools_in_one_vg() -> None:
    config = parse("""
pools:
  - {name: ebb/a, devices: [/dev/vdb], size: 1Gi}
  - {name: ebb/b, devices: [/dev/vdb], size: 1Gi}
""")
    assert [pool.pool for pool in config.pools] == ["a", "b"]


def test_the_message_says_what_to_do_next() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("x: 1\ny: 2\n")
    assert caught.value.code == "INVALID_ARGUMENT"
    assert caught.value.message.count("\n") == 1
    assert "docs/config.md" in caught.value.remedy


def test_values_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config.default("a").run_directory = "/elsewhere"


def test_a_file_is_read_and_named(tmp_path: Path) -> None:
    path = tmp_path / "ebbd.yaml"
    path.write_text("node: {id: laptop}\n", encoding="utf-8")
    assert load_config(path).node.id == "laptop"
    path.write_text("nodes: 1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(f"{path}:1: nodes: unknown key; did you mean")):
        load_config(path)


def test_a_missing_file_is_not_the_default(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="start ebbd without --config"):
        load_config(tmp_path / "absent.yaml")
    assert load_config(None, hostname="a") == Config.default("a")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "ebbd.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_config(path)


@given(st.integers(1, 2**50))
def test_plain_sizes_are_bytes(size_bytes: int) -> None:
    assert parse(f"defaults: {{size: {size_bytes}}}").defaults.size == size_bytes


@given(st.integers(1, 1000), st.sampled_from(["Ki", "Mi", "Gi"]))
def test_sizes_have_kubernetes_suffixes(number: int, suffix: str) -> None:
    power = {"Ki": 1, "Mi": 2, "Gi": 3}[suffix]
    assert parse(f"defaults: {{size: {number}{suffix}}}").defaults.size == number * 1024**power


@given(st.text(max_size=200))
def test_any_text_gives_a_config_or_says_what_is_wrong(text: str) -> None:
    outcome: Config | ConfigError
    try:
        outcome = parse(text)
    except ConfigError as error:
        outcome = error
    if isinstance(outcome, ConfigError):
        assert outcome.problems
        assert all(problem.line >= 1 and problem.message for problem in outcome.problems)
    else:
        assert outcome.node.id


def test_the_reference_example_is_a_configuration() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", REFERENCE.read_text(encoding="utf-8"), re.DOTALL)
    config = parse(example)
    assert len(config.pools) == 3
    assert config.lvm.prefix == ("nsenter", "--target", "1", "--mount", "--ipc", "--")


def test_the_reference_names_every_key_and_no_other() -> None:
    rows = re.findall(r"^\| `([a-z_.]+)` \|", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted([*_keys(Config), *_keys(PoolConfig)])


def _keys(section: type[BaseModel], prefix: str = "") -> list[str]:
    found: list[str] = []
    for name, field in section.model_fields.items():
        below = section_in(field.annotation)
        if below is None or below is PoolConfig:
            found.append(prefix + name)
        else:
            found += _keys(below, f"{prefix}{name}.")
    return found
