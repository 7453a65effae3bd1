"""How a volume may be used: access modes, read-only, stats, and a mount that went stale."""

import errno
import os

import grpc
import pytest
from ebb_pb import csi_pb2
from lab.volumes.running import CALL_S, MIB, Orchestrator, RunningNode, run

pytestmark = pytest.mark.timeout(300)


def test_a_single_writer_gets_one_target_only(node: RunningNode) -> None:
    cluster = Orchestrator(node, "ext4")
    volume = cluster.create("single", 32 * MIB)
    use = cluster.use(volume.volume_id, "single")
    other = node.mounts / "single-other"
    with pytest.raises(grpc.RpcError) as refused:
        cluster.publish(volume.volume_id, use.staging, other, mode="SINGLE_NODE_SINGLE_WRITER")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert not other.exists() or not os.path.ismount(other)
    cluster.publish(volume.volume_id, use.staging, other)
    assert os.path.ismount(other)
    cluster.unpublish(volume.volume_id, other)
    cluster.release(use)
    cluster.delete(volume.volume_id)


def test_a_read_only_target_refuses_writes_and_the_other_does_not(node: RunningNode) -> None:
    cluster = Orchestrator(node, "ext4")
    volume = cluster.create("shared", 32 * MIB)
    use = cluster.use(volume.volume_id, "shared")
    (use.target / "file").write_text("from the writer")
    reader = node.mounts / "shared-reader"
    cluster.publish(volume.volume_id, use.staging, reader, read_only=True)
    assert (reader / "file").read_text() == "from the writer"
    with pytest.raises(OSError, match="Read-only") as refused:
        (reader / "file").write_text("from the reader")
    assert refused.value.errno == errno.EROFS
    (use.target / "file").write_text("still writable")
    cluster.unpublish(volume.volume_id, reader)
    cluster.release(use)
    cluster.delete(volume.volume_id)


def test_a_volume_in_use_is_not_deleted(node: RunningNode) -> None:
    cluster = Orchestrator(node, "ext4")
    volume = cluster.create("busy", 32 * MIB)
    use = cluster.use(volume.volume_id, "busy")
    (use.target / "file").write_text("kept")
    with pytest.raises(grpc.RpcError) as refused:
        cluster.delete(volume.volume_id)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert (use.target / "file").read_text() == "kept"
    cluster.release(use)
    cluster.delete(volume.volume_id)


def test_publishing_mends_a_staged_mount_that_is_gone(node: RunningNode) -> None:
    cluster = Orchestrator(node, "ext4")
    volume = cluster.create("mended", 32 * MIB)
    use = cluster.use(volume.volume_id, "mended")
    (use.target / "file").write_text("kept")
    run("umount", str(use.target))
    run("umount", str(use.staging))
    cluster.publish(volume.volume_id, use.staging, use.target)
    assert (use.target / "file").read_text() == "kept"
    assert os.path.ismount(use.staging)
    cluster.release(use)
    cluster.delete(volume.volume_id)


def test_stats_are_those_of_the_filesystem(node: RunningNode) -> None:
    cluster = Orchestrator(node, "ext4")
    volume = cluster.create("stats", 64 * MIB)
    use = cluster.use(volume.volume_id, "stats")
    (use.target / "file").write_bytes(b"x" * 8 * MIB)
    run("sync", "--file-system", str(use.target))
    reply = node.node.NodeGetVolumeStats(
        csi_pb2.NodeGetVolumeStatsRequest(volume_id=volume.volume_id, volume_path=str(use.target)),
        timeout=CALL_S,
    )
    status = os.statvfs(use.target)
    usage = {entry.unit: entry for entry in reply.usage}
    space = usage[csi_pb2.VolumeUsage.BYTES]
    assert space.total == status.f_blocks * status.f_frsize
    assert space.used >= 8 * MIB
    assert usage[csi_pb2.VolumeUsage.INODES].total == status.f_files
    assert not reply.volume_condition.abnormal
    cluster.release(use)
    cluster.delete(volume.volume_id)


def test_a_group_snapshot_restores_every_member(node: RunningNode) -> None:
    cluster = Orchestrator(node, "ext4")
    uses = []
    for name in ("data", "wal"):
        volume = cluster.create(f"group-{name}", 32 * MIB)
        use = cluster.use(volume.volume_id, f"group-{name}")
        (use.target / "file").write_text(name)
        uses.append(use)
    reply = node.group.CreateVolumeGroupSnapshot(
        csi_pb2.CreateVolumeGroupSnapshotRequest(
            name="instant", source_volume_ids=[use.volume_id for use in uses]
        ),
        timeout=CALL_S,
    )
    group = reply.group_snapshot
    assert group.ready_to_use
    assert {s.source_volume_id for s in group.snapshots} == {use.volume_id for use in uses}
    for number, snapshot in enumerate(group.snapshots):
        restored = cluster.create(
            f"group-restored-{number}", 32 * MIB, snapshot=snapshot.snapshot_id
        )
        back = cluster.use(restored.volume_id, f"group-restored-{number}")
        origin = next(use for use in uses if use.volume_id == snapshot.source_volume_id)
        assert (back.target / "file").read_text() == (origin.target / "file").read_text()
        cluster.release(back)
        cluster.delete(restored.volume_id)
    node.group.DeleteVolumeGroupSnapshot(
        csi_pb2.DeleteVolumeGroupSnapshotRequest(group_snapshot_id=group.group_snapshot_id),
        timeout=CALL_S,
    )
    for use in uses:
        cluster.release(use)
        cluster.delete(use.volume_id)
    assert node.thin_volumes() == []
