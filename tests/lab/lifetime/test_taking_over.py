"""What was there before ebb, what comes after it, and the versions in between."""

import json
import subprocess
from pathlib import Path

import pytest
from ebb_pb import ebb_pb2
from lab.lifetime.runbook import follow
from lab.volumes import contents
from lab.volumes.running import CALL_S, MIB, Orchestrator, RunningNode, Use, run
from unit.volumes import schema_one

pytestmark = pytest.mark.timeout(900)


def tags_of(node: RunningNode) -> dict[str, list[str]]:
    told = run(
        "lvs", "--reportformat", "json", "-o", "lv_name,lv_tags", "-S", "segtype=thin", node.vg
    )
    rows = json.loads(told)["report"][0]["lv"]
    return {row["lv_name"]: row["lv_tags"].split(",") for row in rows}


def migrate(node: RunningNode, schema: int) -> list[str]:
    """What ebbd says it migrated; ebbd is stopped."""
    argv = ("ebbd", "--config", str(node.folder / "ebbd.yaml"), "--migrate-tags", str(schema))
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert said[-1]["event"] == "tags are readable"
    return [it["what"] for it in said if it["event"] == "migrated"]


def by_hand(node: RunningNode, lv: str) -> Use:
    """The LV mounted by plain LVM and mount."""
    place = node.folder / "by-hand"
    place.mkdir(exist_ok=True)
    run("lvchange", "--activate", "y", "--ignoreactivationskip", f"{node.vg}/{lv}")
    run("mount", f"/dev/{node.vg}/{lv}", str(place))
    return Use("", place, place)


def put_away(node: RunningNode, lv: str) -> None:
    run("umount", str(node.folder / "by-hand"))
    run("udevadm", "settle")
    run("lvchange", "--activate", "n", f"{node.vg}/{lv}")


@pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
def test_an_lv_from_before_ebb_over_two_versions_and_back(
    node: RunningNode, filesystem: str
) -> None:
    lv = f"theirs-{filesystem}"
    run("lvcreate", "--quiet", "-V", "320m", "--thinpool", "pool0", "--name", lv, node.vg)
    run("lvchange", "--addtag", "backup", f"{node.vg}/{lv}")
    run(f"mkfs.{filesystem}", "-q", f"/dev/{node.vg}/{lv}")
    use = by_hand(node, lv)
    contents.write(use, filesystem, 3)
    before = contents.digest(use, filesystem)
    busy = ebb_pb2.AdoptVolumeRequest(lv=f"{node.vg}/{lv}", name="db")
    with pytest.raises(Exception, match="in use"):
        node.ebbd.AdoptVolume(busy, timeout=CALL_S)
    put_away(node, lv)
    uuid = run("lvs", "--noheadings", "-o", "lv_uuid", f"{node.vg}/{lv}")

    node.ebb("volume", "adopt", f"{node.vg}/{lv}", "--name", "db")
    assert node.ebb("volume", "adopt", f"{node.vg}/{lv}", "--name", "db")["adopted"] is False  # type: ignore[index] # JSON
    cluster = Orchestrator(node, filesystem)
    found = node.ebbd.GetVolume(ebb_pb2.GetVolumeRequest(volume="db"), timeout=CALL_S)
    assert (found.filesystem, found.blank) == (filesystem, False)
    used = cluster.use(found.id, lv)
    assert contents.digest(used, filesystem) == before
    cluster.release(used)
    cluster.create("ordinary", 64 * MIB)
    ordinary = node.ebbd.GetVolume(ebb_pb2.GetVolumeRequest(volume="ordinary"), timeout=CALL_S)

    node.stop()
    at_two = tags_of(node)
    assert "db" not in schema_one.volumes(at_two), "one version back would not see it"
    assert [it.partition(" ")[0] for it in migrate(node, 1)] == ["renamed", "retagged"]
    assert schema_one.volumes(tags_of(node)).keys() == {"db", "ordinary"}
    assert migrate(node, 1) == []
    renamed = schema_one.volumes(tags_of(node))["db"]
    assert contents.digest(by_hand(node, renamed), filesystem) == before
    put_away(node, renamed)
    assert [it.partition(" ")[0] for it in migrate(node, 2)] == ["retagged", "renamed"]
    assert tags_of(node) == at_two
    node.start()

    used = cluster.use(found.id, f"{lv}-again")
    assert contents.digest(used, filesystem) == before
    cluster.release(used)
    node.ebb("volume", "release", "db")
    assert tags_of(node)[lv] == ["backup"]
    assert run("lvs", "--noheadings", "-o", "lv_uuid", f"{node.vg}/{lv}") == uuid
    assert contents.digest(by_hand(node, lv), filesystem) == before
    put_away(node, lv)
    cluster.delete(ordinary.id)
    run("lvremove", "--force", "--yes", f"{node.vg}/{lv}")


def test_a_disk_is_added_under_a_running_daemon(node: RunningNode, second_disk: str) -> None:
    cluster = Orchestrator(node, "ext4")
    volume = cluster.create("before", 64 * MIB)
    use = cluster.use(volume.volume_id, "before")
    contents.write(use, "ext4", 4)
    digest, size = contents.digest(use, "ext4"), pool_bytes(node)
    follow("Adding a disk", VG=node.vg, POOL="pool0", DEVICE=second_disk, SIZE="+512m")
    assert pool_bytes(node) == size + 512 * MIB
    other = cluster.create("after", 64 * MIB)
    node.stop()  # the configuration still names one device
    node.start()
    assert pool_bytes(node) == size + 512 * MIB
    assert contents.digest(use, "ext4") == digest
    cluster.release(use)
    cluster.delete(volume.volume_id)
    cluster.delete(other.volume_id)


def pool_bytes(node: RunningNode) -> int:
    answer = node.ebb("pool", "list")
    assert isinstance(answer, dict)
    [pool] = answer["pools"]
    return int(pool["size_bytes"])


def test_uninstalled_it_leaves_plain_lvs_and_nothing_else(node: RunningNode) -> None:
    cluster = Orchestrator(node, "ext4")
    volume = cluster.create("stays", 64 * MIB)
    use = cluster.use(volume.volume_id, "stays")
    contents.write(use, "ext4", 5)
    before = contents.digest(use, "ext4")
    cluster.release(use)
    node.stop()
    limits = [it for it in Path("/sys/fs/cgroup").rglob("io.max") if it.read_text().strip()]
    assert limits == []
    [lv] = node.thin_volumes()
    assert contents.digest(by_hand(node, lv), "ext4") == before
    put_away(node, lv)

    node.start()  # installed again
    use = cluster.use(volume.volume_id, "stays-again")
    assert contents.digest(use, "ext4") == before
    cluster.release(use)
    node.stop()

    follow("Uninstall", VG=node.vg)
    assert "ebb." not in run("vgs", "--noheadings", "-o", "vg_tags", node.vg)
    assert not [tag for tags in tags_of(node).values() for tag in tags if tag]
    assert contents.digest(by_hand(node, lv), "ext4") == before
    put_away(node, lv)
    run("lvremove", "--force", "--yes", f"{node.vg}/{lv}")
    node.start()
