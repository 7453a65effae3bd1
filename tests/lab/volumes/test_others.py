"""Other administrators and other VGs: what they do is seen, what is theirs is not touched."""

import hashlib
import time
from pathlib import Path

import pytest
from ebb_pb import ebb_pb2
from lab.volumes.running import MIB, Orchestrator, RunningNode, loop_disk, run

pytestmark = pytest.mark.timeout(300)
SEEN_WITHIN_S = 2.0


def _listed(node: RunningNode) -> set[str]:
    """Volume names as ebbd has them; one call, so that the time is ebbd's and not the CLI's."""
    return {v.name for v in node.ebbd.ListVolumes(ebb_pb2.ListVolumesRequest()).volumes}


def test_a_foreign_lvremove_and_lvcreate_are_seen_at_once(node: RunningNode) -> None:
    cluster = Orchestrator(node, "ext4")
    volume = cluster.create("theirs", 32 * MIB)
    [lv] = node.thin_volumes()
    tags = run("lvs", "--noheadings", "-o", "lv_tags", f"{node.vg}/{lv}").strip()
    assert _listed(node) == {"theirs"}

    run("lvremove", "--force", f"{node.vg}/{lv}")
    began = time.monotonic()
    assert _listed(node) == set()
    assert time.monotonic() - began < SEEN_WITHIN_S

    run(
        *("lvcreate", "--quiet", "-V", "32m", "--thinpool", "pool0", "--name", lv),
        *(word for tag in tags.split(",") for word in ("--addtag", tag)),
        node.vg,
    )
    began = time.monotonic()
    assert _listed(node) == {"theirs"}
    assert time.monotonic() - began < SEEN_WITHIN_S
    assert "theirs" in run("ebb", "--socket", str(node.ebbd_socket), "volume", "list")
    cluster.delete(volume.volume_id)
    assert node.thin_volumes() == []


def test_a_foreign_thin_volume_is_left_alone(node: RunningNode) -> None:
    run("lvcreate", "--quiet", "-V", "32m", "--thinpool", "pool0", "--name", "precious", node.vg)
    cluster = Orchestrator(node, "ext4")
    volume = cluster.create("mine", 32 * MIB)
    assert _listed(node) == {"mine"}
    cluster.delete(volume.volume_id)
    assert node.thin_volumes() == ["precious"]
    run("lvremove", "--force", f"{node.vg}/precious")


def test_another_vg_is_untouched_byte_for_byte(node: RunningNode) -> None:
    with loop_disk(Path("/var/tmp"), "stranger", 96 * MIB) as device:
        run("vgcreate", "--quiet", "stranger", device)
        run("lvcreate", "--quiet", "--yes", "-L", "32m", "-n", "data", "stranger")
        run("vgchange", "--quiet", "-an", "stranger")
        before = _device_digest(device)
        cluster = Orchestrator(node, "ext4")
        volume = cluster.create("beside", 32 * MIB)
        use = cluster.use(volume.volume_id, "beside")
        snapshot = cluster.snapshot(volume.volume_id, "beside-snapshot")
        cluster.expand(volume.volume_id, 64 * MIB)
        cluster.release(use)
        cluster.delete(volume.volume_id)
        cluster.delete_snapshot(snapshot.snapshot_id)
        assert node.ebb("doctor")
        assert _device_digest(device) == before
        run("vgremove", "--force", "--yes", "stranger")
        run("pvremove", "--yes", device)


def _device_digest(device: str) -> str:
    run("blockdev", "--flushbufs", device)
    return hashlib.sha256(Path(device).read_bytes()).hexdigest()
