"""`ebb` against the real `ebbd --simulate`: every verb, every outcome a script can tell apart."""

from pathlib import Path

import pytest
from contract.cli.process import CalledEbb, Ebb, ProcessEbb
from contract.cli.simulated import Simulated

MIB = 2**20
GIB = 2**30
VOLUME_FIELDS = {
    "id", "name", "pool", "size_bytes", "filesystem", "generation", "created",
    "source_snapshot_id", "source_volume_id", "intent", "mkfs_options", "mount_options", "blank",
    "active", "open_count", "allocated_bytes", "mount_paths", "attached", "attached_read_only",
    "condition", "incarnation", "claim_namespace", "claim_name", "device",
    "head_of",
}  # fmt: skip


@pytest.fixture
def ebb(daemon: Simulated, monkeypatch: pytest.MonkeyPatch) -> Ebb:
    monkeypatch.setenv("EBB_STAGING", str(daemon.mounts / "staging"))
    (daemon.mounts / "staging").mkdir(exist_ok=True)
    return CalledEbb(daemon.socket)


def test_a_volumes_life_as_a_user_types_it(daemon: Simulated) -> None:
    ebb = ProcessEbb(daemon.socket)
    ebb.environment["EBB_STAGING"] = str(daemon.mounts)
    path = str(daemon.mounts / "life")
    volume_id = ebb.ok("volume", "create", "life", "--size", "300Mi", "--quiet").out.strip()
    ebb.ok("volume", "mount", "life", path)
    assert ebb.json("volume", "show", volume_id)["mount_paths"][-1] == path
    assert ebb("volume", "delete", "life", "--yes").exit_code == 7
    assert ebb.ok("volume", "unmount", "life").out.endswith(f"{path}\n")


def test_a_new_volume_is_what_was_asked_for(ebb: Ebb) -> None:
    made = ebb.json("volume", "create", "new", "-s", "512Mi", "-f", "xfs", "--pool", "ebb2/slow")
    assert made["created"] is True
    volume = made["volume"]
    assert volume.keys() == VOLUME_FIELDS
    assert (volume["size_bytes"], volume["filesystem"], volume["pool"], volume["blank"]) == (
        512 * MIB, "xfs", "ebb2/slow", True,
    )  # fmt: skip
    assert ebb.json("volume", "show", "new") == volume
    assert ebb.json("volume", "show", volume["id"]) == volume


def test_asking_again_changes_nothing_and_differently_is_a_conflict(ebb: Ebb) -> None:
    first = ebb.json("volume", "create", "again", "-s", "64Mi")
    second = ebb.json("volume", "create", "again", "-s", "64Mi")
    assert (first["created"], second["created"]) == (True, False)
    assert first["volume"]["id"] == second["volume"]["id"]
    outcome = ebb("volume", "create", "again", "-s", "128Mi")
    assert outcome.exit_code == 4
    assert outcome.err.startswith("Error: ")
    assert "\nNext:  " in outcome.err


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (("volume", "show", "nothing"), 3),
        (("snapshot", "show", "nothing"), 3),
        (("group", "show", "g-nothing"), 3),
        (("pool", "show", "nothing"), 3),
        (("volume", "delete", "nothing", "--yes"), 3),
        (("volume", "create", "much", "--size", "1Pi"), 6),
        (("volume", "create", "odd", "-s", "64Mi", "-f", "ntfs"), 2),
        (("volume", "create", "odd", "-s", "64Mi", "--pool", "a/b"), 2),
        (("volume", "create", "odd", "-s", "64Mi", "-p", "no-such-key=1"), 2),
        (("volume", "create", "odd", "-s", "64Mi", "-p", "read-iops=fast"), 2),
    ],
)
def test_what_fails_says_why_and_what_to_do(
    ebb: Ebb, arguments: tuple[str, ...], exit_code: int
) -> None:
    outcome = ebb(*arguments)
    assert (outcome.exit_code, outcome.out) == (exit_code, "")
    assert outcome.err.startswith("Error: ")
    assert "\nNext:  " in outcome.err


def test_the_list_has_every_volume_by_name(ebb: Ebb) -> None:
    for name in ("list-b", "list-a"):
        ebb.ok("volume", "create", name, "-s", "64Mi")
    ebb.ok("volume", "create", "list-c", "-s", "64Mi", "--pool", "ebb2/slow")
    listed = [it for it in ebb.json("volume", "list")["volumes"] if it["name"].startswith("list-")]
    assert [it["name"] for it in listed] == ["list-a", "list-b", "list-c"]
    assert all(it.keys() == VOLUME_FIELDS for it in listed)
    table = ebb.ok("volume", "list").out.splitlines()
    (row,) = [line.split() for line in table if line.startswith("list-a ")]
    assert row[:6] == ["list-a", "ebb/fast", "64Mi", "-", "ext4", "new"]
    assert listed[0]["id"] in ebb.ok("volume", "list", "-o", "wide").out
    in_slow = ebb.ok("volume", "list", "--pool", "ebb2/slow", "--quiet").out.split()
    assert listed[2]["id"] in in_slow
    assert listed[0]["id"] not in in_slow


def test_a_filesystem_is_mounted_measured_trimmed_and_unmounted(
    ebb: Ebb, daemon: Simulated
) -> None:
    volume = ebb.json("volume", "create", "mounted", "-s", "256Mi")["volume"]
    paths = [str(daemon.mounts / "m1"), str(daemon.mounts / "m2")]
    assert ebb.json("volume", "mount", "mounted", paths[0])["path"] == paths[0]
    ebb.ok("volume", "mount", "mounted", paths[1], "--read-only")
    shown = ebb.json("volume", "show", "mounted")
    staged = str(daemon.mounts / "staging" / volume["id"])
    assert shown["mount_paths"] == [staged, *paths]
    assert (shown["active"], shown["blank"]) == (True, False)
    assert 0 < ebb.json("volume", "stats", "mounted")["total_bytes"] <= 256 * MIB
    assert ebb.json("volume", "trim", "mounted")["volume_id"] == volume["id"]
    assert ebb("volume", "delete", "mounted", "--yes").exit_code == 7
    ebb.ok("volume", "unmount", "mounted", paths[1])
    assert ebb.json("volume", "show", "mounted")["mount_paths"] == [staged, paths[0]]
    assert ebb.json("volume", "unmount", "mounted")["paths"] == [paths[0]]
    after = ebb.json("volume", "show", "mounted")
    assert (after["mount_paths"], after["active"]) == ([], False)
    assert ebb.ok("volume", "unmount", "mounted").out == "Volume mounted was not mounted\n"
    assert ebb("volume", "stats", "mounted").exit_code == 7


def test_a_raw_volume_is_a_device_at_the_path(ebb: Ebb, daemon: Simulated) -> None:
    path = str(daemon.mounts / "raw-device")
    assert (
        ebb.json("volume", "create", "raw", "-s", "64Mi", "--block")["volume"]["filesystem"] == ""
    )
    assert ebb("volume", "mount", "raw", path).exit_code == 2
    ebb.ok("volume", "mount", "raw", path, "--block")
    assert ebb.json("volume", "stats", "raw")["total_bytes"] == 64 * MIB
    unnamed = ebb("volume", "unmount", "raw")
    assert unnamed.exit_code == 7
    assert "name the PATH" in unnamed.err
    ebb.ok("volume", "unmount", "raw", path)
    assert ebb.json("volume", "show", "raw")["active"] is False


def test_a_volume_is_rewound_and_the_rewind_undone(ebb: Ebb) -> None:
    ebb.ok("volume", "create", "moved", "-s", "64Mi")
    point = ebb.json("snapshot", "create", "moved", "point")["snapshot"]
    assert "back with: ebb undo moved" in ebb.ok("rewind", "moved", "point").out
    shown = ebb.json("volume", "show", "moved")
    assert (shown["generation"], shown["head_of"]) == (2, point["id"])
    undone = ebb.json("undo", "moved")
    assert (undone["moved"], undone["volume"]["head_of"]) == (True, "1")
    assert "generation 1" in ebb.ok("volume", "show", "moved").out
    ebb.ok("volume", "create", "unmoved", "-s", "64Mi")
    assert ebb("undo", "unmoved").exit_code == 7
    assert ebb("rewind", "unmoved", "point").exit_code == 2
    assert ebb("rewind", "unmoved", "nothing").exit_code == 3


def test_a_mount_that_is_not_allowed_leaves_nothing_behind(ebb: Ebb, tmp_path: Path) -> None:
    ebb.ok("volume", "create", "outside", "-s", "64Mi")
    outcome = ebb("volume", "mount", "outside", str(tmp_path / "x"))
    assert outcome.exit_code == 2
    assert "allowed_directories" in outcome.err
    shown = ebb.json("volume", "show", "outside")
    assert (shown["mount_paths"], shown["active"]) == ([], False)


def test_volumes_grow_and_never_shrink(ebb: Ebb) -> None:
    ebb.ok("volume", "create", "grown", "-s", "64Mi")
    grown = ebb.json("volume", "grow", "grown", "128Mi")
    assert (grown["expanded"], grown["volume"]["size_bytes"]) == (True, 128 * MIB)
    assert ebb.ok("volume", "grow", "grown", "100Mi").out == "Volume grown already has 128Mi\n"
    assert ebb("volume", "grow", "grown", "1Ti").exit_code == 6
    assert ebb("volume", "grow", "grown", "1Ei").exit_code == 2


def test_intent_replaces_its_whole_layer(ebb: Ebb) -> None:
    ebb.ok("volume", "create", "tuned", "-s", "64Mi", "-p", "iops=500")
    changed = ebb.json("volume", "modify", "tuned", "read-iops=1k", "write-iops=2k")
    assert changed["changed"] is True
    kept = ebb.json("volume", "modify", "tuned", "write-iops=2k")["volume"]["intent"]
    assert "read-iops" not in kept
    assert "write-iops" in kept
    assert ebb("volume", "modify", "tuned", "wishes=3").exit_code == 2
    cleared = ebb.json("volume", "modify", "tuned", "--clear")["volume"]["intent"]
    assert set(cleared) == {"iops"}


def test_a_snapshot_is_taken_shown_restored_and_deleted(ebb: Ebb) -> None:
    volume = ebb.json("volume", "create", "snapped", "-s", "64Mi")["volume"]
    taken = ebb.json("snapshot", "create", "snapped", "moment")
    assert taken["created"] is True
    assert ebb.json("snapshot", "create", volume["id"], "moment")["created"] is False
    snapshot = ebb.json("snapshot", "show", "moment")
    assert snapshot == taken["snapshot"]
    assert (snapshot["volume_id"], snapshot["ready"]) == (volume["id"], True)
    assert ebb.json("snapshot", "list", "snapped") == {"snapshots": [snapshot]}
    assert snapshot["id"] in ebb.ok("snapshot", "list", "-q").out.split()
    restored = ebb.json("snapshot", "restore", "moment", "restored", "-s", "128Mi")["volume"]
    assert (restored["source_snapshot_id"], restored["size_bytes"]) == (snapshot["id"], 128 * MIB)
    assert ebb("snapshot", "restore", "moment", "small", "-s", "4Mi").exit_code == 2
    deleted = ebb.json("snapshot", "delete", "moment", "--yes")
    assert deleted == {"snapshots": [{"id": snapshot["id"], "name": "moment", "deleted": True}]}
    assert ebb.json("snapshot", "delete", "moment", "--yes", "--missing-ok") == {"snapshots": []}


@pytest.mark.parametrize("kind", [("--block",), ("--filesystem", "btrfs")])
def test_a_clone_is_of_its_sources_kind(ebb: Ebb, kind: tuple[str, ...]) -> None:
    name = f"source{kind[-1]}"
    source = ebb.json("volume", "create", name, "-s", "256Mi", *kind)["volume"]
    clone = ebb.json("volume", "clone", name, f"clone-of-{name}")["volume"]
    assert clone["source_volume_id"] == source["id"]
    assert (clone["filesystem"], clone["size_bytes"]) == (source["filesystem"], 256 * MIB)


def test_a_group_is_one_instant_of_several_volumes(ebb: Ebb) -> None:
    ids = {
        ebb.json("volume", "create", f"group-{n}", "-s", "64Mi")["volume"]["id"] for n in range(3)
    }
    group = ebb.json("group", "create", "instant", "group-0", "group-1", "group-2")["group"]
    assert {it["volume_id"] for it in group["snapshots"]} == ids
    assert ebb.json("group", "show", group["id"]) == group
    assert ebb("group", "delete", group["id"]).exit_code == 2
    assert ebb.json("group", "delete", group["id"], "--yes") == {"id": group["id"], "deleted": True}
    assert ebb.json("snapshot", "list", "group-0") == {"snapshots": []}
    gone = ebb.json("group", "delete", group["id"], "--yes", "--missing-ok")
    assert gone == {"id": group["id"], "deleted": False}


def test_pools_are_told_by_fill_and_room(ebb: Ebb) -> None:
    pools = {it["name"]: it for it in ebb.json("pool", "list")["pools"]}
    assert pools.keys() == {"ebb/fast", "ebb2/slow"}
    fast = pools["ebb/fast"]
    assert 3 * GIB < fast["size_bytes"] < 4 * GIB
    assert fast["overcommit_ratio"] == 1.5
    assert fast["available_bytes"] == int(fast["size_bytes"] * 1.5) - fast["virtual_bytes"]
    assert ebb.json("pool", "show", "ebb/fast")["name"] == "ebb/fast"
    assert ebb.json("pool", "show", "slow")["name"] == "ebb2/slow"
    assert ebb.ok("pool", "list").out.splitlines()[0].split()[:3] == ["POOL", "SIZE", "DATA"]


def test_the_node_says_who_it_is(ebb: Ebb) -> None:
    node = ebb.json("node", "show")
    assert (node["node_id"], node["max_volumes"], node["simulated"]) == ("node-1", 8, True)
    assert ebb.ok("node", "show", "--quiet").out == "node-1\n"


def test_the_doctor_finds_nothing_broken_in_a_simulation(ebb: Ebb) -> None:
    outcome = ebb("doctor", "--output", "json")
    assert outcome.exit_code == 0, outcome
    checks = outcome.document["checks"]
    assert not [it for it in checks if it["status"] == "FAILED"]
    assert {it["subject"] for it in checks} >= {"client", "kernel", "cgroup", "tools", "pool"}
    assert all(bool(it["remedy"]) == (it["status"] != "OK") for it in checks)


def test_a_name_that_is_hostile_to_terminals_stays_a_name(ebb: Ebb) -> None:
    name = "[red]gr\u202eün 大"
    volume = ebb.json("volume", "create", name, "-s", "64Mi")["volume"]
    assert volume["name"] == name
    assert "[red]gr\\u202eün 大" in ebb.ok("volume", "list").out
    assert ebb.json("volume", "show", name)["id"] == volume["id"]
    assert ebb.ok("volume", "delete", name, "--yes").out == "Deleted [red]gr\\u202eün 大\n"
