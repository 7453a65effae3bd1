"""ebb.v1 from a client's side: what goes in comes out, who may connect, and how it stops."""

import asyncio
import os
import stat
import tempfile
from pathlib import Path

import grpc
import pytest
from contract.volumes.engine import MIB
from ebb_pb import ebb_pb2 as pb
from ebbd.api import values
from ebbd.errors import HostFailure, InvalidInput
from ebbd.host.simulated.faults import Step
from grpc_health.v1 import health_pb2, health_pb2_grpc
from unit.api.served import Served, serve
from unit.volumes.rig import POOL, VG, Rig

WRITER = pb.Access(mode=pb.SINGLE_NODE_WRITER)


async def code_of(call: object) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as told:
        await call  # type: ignore[misc] # a call of grpc.aio
    return told.value.code().name


async def test_a_story(served: Served) -> None:
    volumes, snapshots, rig = served.volumes, served.snapshots, served.rig
    made = await volumes.CreateVolume(
        pb.CreateVolumeRequest(
            name="a",
            required_bytes=64 * MIB,
            parameters={"iops": "500", "mount-options": "noatime"},
            mutable_parameters={"priority": "gold"},
        )
    )
    assert made.created
    volume = made.volume
    assert (volume.name, volume.size_bytes, volume.filesystem) == ("a", 64 * MIB, "ext4")
    assert dict(volume.intent) == {"iops": "500", "priority": "gold"}
    assert volume.blank
    assert not volume.active
    assert volume.pool == f"{VG}/{POOL}"
    assert volume.created.ToMilliseconds() >= 1_700_000_000_000
    again = await volumes.CreateVolume(
        pb.CreateVolumeRequest(name="a", parameters={"iops": "500", "mount-options": "noatime"})
    )
    assert not again.created
    staging, target = f"{rig.directory}/staging", f"{rig.directory}/target"
    staged = await volumes.StageVolume(
        pb.StageVolumeRequest(volume_id=volume.id, staging_path=staging, access=WRITER)
    )
    assert staged.device.startswith("/dev/")
    await volumes.PublishVolume(
        pb.PublishVolumeRequest(
            volume_id=volume.id, staging_path=staging, target_path=target, access=WRITER
        )
    )
    rig.files.write_file(target, "f", MIB, "x")
    shown = await volumes.GetVolume(pb.GetVolumeRequest(volume="a"))
    assert set(shown.mount_paths) == {staging, target}
    assert (shown.active, shown.open_count, shown.blank) == (True, 1, False)
    assert not shown.condition.abnormal
    snapshot = (
        await snapshots.CreateSnapshot(pb.CreateSnapshotRequest(name="s", volume_id=volume.id))
    ).snapshot
    assert (snapshot.ready, snapshot.volume_name) == (True, "a")
    assert (await snapshots.GetSnapshot(pb.GetSnapshotRequest(snapshot="s"))) == snapshot
    restored = (
        await volumes.CreateVolume(pb.CreateVolumeRequest(name="r", source_snapshot_id=snapshot.id))
    ).volume
    assert (restored.source_snapshot_id, restored.source_volume_id) == (snapshot.id, "")
    clone = (
        await volumes.CreateVolume(pb.CreateVolumeRequest(name="c", source_volume_id=volume.id))
    ).volume
    assert (clone.source_snapshot_id, clone.source_volume_id) == ("", volume.id)
    grown = await volumes.ExpandVolume(
        pb.ExpandVolumeRequest(volume_id=volume.id, required_bytes=128 * MIB, volume_path=target)
    )
    assert (grown.expanded, grown.volume.size_bytes) == (True, 128 * MIB)
    stats = await volumes.GetVolumeStats(
        pb.GetVolumeStatsRequest(volume_id=volume.id, volume_path=target)
    )
    assert stats.total_bytes > 120 * MIB
    assert stats.used_bytes == MIB
    trimmed = await volumes.TrimVolume(pb.TrimVolumeRequest(volume_id=volume.id))
    assert trimmed.trimmed_bytes == 0
    changed = await volumes.ModifyVolume(
        pb.ModifyVolumeRequest(volume_id=volume.id, mutable_parameters={"bps": "1Mi"})
    )
    assert changed.changed
    assert dict(changed.volume.intent) == {"iops": "500", "bps": "1Mi"}
    group = (
        await snapshots.CreateSnapshotGroup(
            pb.CreateSnapshotGroupRequest(name="g", volume_ids=[volume.id, clone.id])
        )
    ).group
    assert {s.group_id for s in group.snapshots} == {group.id}
    found = await snapshots.GetSnapshotGroup(pb.GetSnapshotGroupRequest(group_id=group.id))
    assert found == group
    listed = await snapshots.ListSnapshots(pb.ListSnapshotsRequest(volume_id=volume.id))
    assert len(listed.snapshots) == 2
    assert (
        await snapshots.DeleteSnapshotGroup(pb.DeleteSnapshotGroupRequest(group_id=group.id))
    ).deleted
    await volumes.UnpublishVolume(
        pb.UnpublishVolumeRequest(volume_id=volume.id, target_path=target)
    )
    await volumes.UnstageVolume(pb.UnstageVolumeRequest(volume_id=volume.id, staging_path=staging))
    assert (await volumes.DeleteVolume(pb.DeleteVolumeRequest(volume_id=volume.id))).deleted
    assert not (await volumes.DeleteVolume(pb.DeleteVolumeRequest(volume_id=volume.id))).deleted
    assert (
        await snapshots.DeleteSnapshot(pb.DeleteSnapshotRequest(snapshot_id=snapshot.id))
    ).deleted


async def test_a_rewind_and_its_undoing(served: Served) -> None:
    made = await served.volumes.CreateVolume(pb.CreateVolumeRequest(name="a"))
    volume_id = made.volume.id
    point = (
        await served.snapshots.CreateSnapshot(
            pb.CreateSnapshotRequest(name="s", volume_id=volume_id)
        )
    ).snapshot
    request = pb.RewindVolumeRequest(volume_id=volume_id, snapshot_id=point.id, from_generation=1)
    moved = await served.timeline.RewindVolume(request)
    assert (moved.moved, moved.volume.generation, moved.volume.head_of) == (True, 2, point.id)
    again = await served.timeline.RewindVolume(request)
    assert (again.moved, again.volume) == (False, moved.volume)
    undone = await served.timeline.UndoRewind(pb.UndoRewindRequest(volume_id=volume_id))
    assert (undone.moved, undone.volume.generation, undone.volume.head_of) == (True, 3, "1")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await served.timeline.UndoRewind(
            pb.UndoRewindRequest(volume_id=volume_id, from_generation=-1)
        )
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_node(served: Served) -> None:
    node = await served.node.GetNode(pb.GetNodeRequest())
    assert (node.node_id, node.max_volumes, node.simulated) == ("node-1", 1, True)
    volume = (await served.volumes.CreateVolume(pb.CreateVolumeRequest(name="a"))).volume
    assert volume.id.startswith(f"v-{node.node_key}-")
    after = await served.node.GetNode(pb.GetNodeRequest())
    assert after.lvm_command_lines == node.lvm_command_lines + 1
    [pool] = (await served.node.ListPools(pb.ListPoolsRequest())).pools
    assert (pool.name, pool.volumes, pool.virtual_bytes) == (f"{VG}/{POOL}", 1, 64 * MIB)
    room = await served.node.GetCapacity(pb.GetCapacityRequest())
    assert room.available_bytes == pool.available_bytes // (4 * MIB) * (4 * MIB)
    assert room.minimum_volume_bytes == 4 * MIB
    fits = pb.CreateVolumeRequest(name="b", required_bytes=room.maximum_volume_bytes)
    await served.volumes.CreateVolume(fits)
    assert (await served.node.GetCapacity(pb.GetCapacityRequest())).available_bytes == 0
    assert await code_of(served.node.GetCapacity(pb.GetCapacityRequest(pool="x/y"))) == (
        "NOT_FOUND"
    )
    [check] = (await served.node.Diagnose(pb.DiagnoseRequest())).checks
    assert (check.status, check.remedy) == (pb.Check.WARNING, "upgrade")


async def test_an_lv_is_adopted_and_given_back(served: Served) -> None:
    lvm = served.rig.administrator
    await lvm.create_thin(VG, POOL, "data", size_bytes=64 * MIB, tags=[])
    request = pb.AdoptVolumeRequest(lv=f"{VG}/data", name="db", block=True)
    made = await served.volumes.AdoptVolume(request)
    assert (made.adopted, made.volume.name, made.volume.filesystem) == (True, "db", "")
    assert not (await served.volumes.AdoptVolume(request)).adopted
    for bad in (
        pb.AdoptVolumeRequest(),
        pb.AdoptVolumeRequest(lv="/", name="x"),
        pb.AdoptVolumeRequest(lv=f"{VG}/../x/y", name="\0"),
    ):
        assert await code_of(served.volumes.AdoptVolume(bad)) == "INVALID_ARGUMENT"
    gone = pb.ReleaseVolumeRequest(volume_id=made.volume.id)
    assert (await served.volumes.ReleaseVolume(gone)).released
    assert not (await served.volumes.ReleaseVolume(gone)).released
    assert not (await served.volumes.ReleaseVolume(pb.ReleaseVolumeRequest())).released


async def test_orphans_are_listed_and_removed_one_by_one(served: Served) -> None:
    rig = served.rig
    assert not (await served.node.ListOrphans(pb.ListOrphansRequest())).orphans
    rig.machine.pool(VG, POOL).store.create(900)
    listed = await served.node.ListOrphans(pb.ListOrphansRequest())
    [orphan] = listed.orphans
    assert not listed.unlisted
    assert (orphan.kind, orphan.subject) == ("thin-device", f"{VG}/{POOL}#900")
    assert orphan.action
    removed = await served.node.RemoveOrphan(pb.RemoveOrphanRequest(orphan_id=orphan.id))
    assert removed.orphan == orphan
    again = served.node.RemoveOrphan(pb.RemoveOrphanRequest(orphan_id=orphan.id))
    assert await code_of(again) == "NOT_FOUND"
    for rubbish in ("", "../..", "x" * 4000):
        request = pb.RemoveOrphanRequest(orphan_id=rubbish)
        assert await code_of(served.node.RemoveOrphan(request)) == "NOT_FOUND"


async def test_attach_and_its_limit(served: Served) -> None:
    ids = [
        (await served.volumes.CreateVolume(pb.CreateVolumeRequest(name=name))).volume.id
        for name in "ab"
    ]
    attach = [pb.AttachVolumeRequest(volume_id=i, node_id="node-1", read_only=True) for i in ids]
    await served.volumes.AttachVolume(attach[0])
    assert await code_of(served.volumes.AttachVolume(attach[1])) == "RESOURCE_EXHAUSTED"
    shown = await served.volumes.GetVolume(pb.GetVolumeRequest(volume=ids[0]))
    assert (shown.attached, shown.attached_read_only) == (True, True)
    await served.volumes.DetachVolume(pb.DetachVolumeRequest(volume_id=ids[0]))
    await served.volumes.AttachVolume(attach[1])


async def test_lists_in_pages(served: Served) -> None:
    for name in "abcde":
        volume = (await served.volumes.CreateVolume(pb.CreateVolumeRequest(name=name))).volume
        await served.snapshots.CreateSnapshot(
            pb.CreateSnapshotRequest(name=name, volume_id=volume.id)
        )
    seen, token = [], ""
    while True:
        part = await served.volumes.ListVolumes(
            pb.ListVolumesRequest(page_size=2, page_token=token)
        )
        seen += [v.id for v in part.volumes]
        token = part.next_page_token
        if not token:
            break
    assert len(seen) == 5
    assert seen == sorted(set(seen))
    first = await served.snapshots.ListSnapshots(pb.ListSnapshotsRequest(page_size=4))
    rest = await served.snapshots.ListSnapshots(
        pb.ListSnapshotsRequest(page_size=4, page_token=first.next_page_token)
    )
    assert [len(first.snapshots), len(rest.snapshots)] == [4, 1]
    for bad in ("nonsense", seen[0]):
        asked = pb.ListSnapshotsRequest(page_token=bad)
        assert await code_of(served.snapshots.ListSnapshots(asked)) == "ABORTED"


async def test_an_access_mode_that_is_not_stated(served: Served) -> None:
    asked = pb.StageVolumeRequest(volume_id="v", staging_path=f"{served.rig.directory}/s")
    assert await code_of(served.volumes.StageVolume(asked)) == "INVALID_ARGUMENT"
    with pytest.raises(InvalidInput):
        values.access(pb.Access())


async def test_names_that_do_not_exist(served: Served) -> None:
    assert await code_of(served.volumes.GetVolume(pb.GetVolumeRequest(volume="x"))) == "NOT_FOUND"
    assert (
        await code_of(served.snapshots.GetSnapshot(pb.GetSnapshotRequest(snapshot="x")))
        == "NOT_FOUND"
    )
    listed = await served.snapshots.ListSnapshots(pb.ListSnapshotsRequest(snapshot_id="x"))
    assert not listed.snapshots


async def test_a_caller_who_leaves_does_not_stop_the_command(served: Served) -> None:
    held = served.rig.hold("create_thin", Step.LISTED)
    call = served.volumes.CreateVolume(pb.CreateVolumeRequest(name="a"))
    waiting = asyncio.ensure_future(call)
    await held.reached.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    held.release.set()
    made = await served.volumes.CreateVolume(pb.CreateVolumeRequest(name="a"))
    assert not made.created, "the first one's command went on to its end"
    served.rig.assert_sound()


# ---- the socket ----


async def test_only_root_and_the_group_may_connect(served: Served) -> None:
    mode = served.socket.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660
    assert [p.name for p in served.socket.parent.iterdir()] == ["ebbd.sock"]
    assert any(entry.get("group") == "no-such-group" for entry in served.log.entries)


async def test_it_is_never_open_to_others_not_even_under_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    real = Path.chmod

    def seen(self: Path, mode: int) -> None:
        modes.append(stat.S_IMODE(self.stat().st_mode))
        real(self, mode)

    monkeypatch.setattr(Path, "chmod", seen)
    former = os.umask(0)
    try:
        with tempfile.TemporaryDirectory() as directory:
            async with serve(Rig(tmp_path / "mounts"), Path(directory)):
                pass
    finally:
        os.umask(former)
    assert modes
    assert not [oct(mode) for mode in modes if mode & 0o117]


async def test_health_and_reflection(served: Served) -> None:
    health = health_pb2_grpc.HealthStub(served.channel)
    for name in ("", "ebb.v1.Node", "ebb.v1.Volumes", "ebb.v1.Snapshots"):
        told = await health.Check(health_pb2.HealthCheckRequest(service=name))
        assert told.status == health_pb2.HealthCheckResponse.SERVING
    assert (
        await code_of(health.Check(health_pb2.HealthCheckRequest(service="ebb.v1.Other")))
        == "NOT_FOUND"
    )


async def test_a_running_call_ends_before_it_stops(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as directory:
        rig = Rig(tmp_path / "mounts")
        async with serve(rig, Path(directory)) as served:
            held = rig.hold("create_thin", Step.LISTED)
            asked = pb.CreateVolumeRequest(name="a")
            call = asyncio.ensure_future(served.volumes.CreateVolume(asked))
            await held.reached.wait()
            asyncio.get_running_loop().call_later(0.05, held.release.set)
        assert not served.socket.exists()
        assert len(rig.machine.group(VG).volumes) == 1
        rig.assert_sound()
        await asyncio.wait({call})


async def test_a_socket_of_a_daemon_started_later_is_left(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with serve(Rig(tmp_path / "mounts"), Path(directory)) as served:
            served.socket.unlink()
            served.socket.write_text("another's")
        assert served.socket.exists()


async def test_a_socket_that_cannot_be_made_is_an_error_in_words(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 200)
    with pytest.raises(HostFailure, match="cannot listen"):
        async with serve(Rig(tmp_path / "mounts"), directory):
            pass


async def test_a_name_is_told_of_once_what_is_under_way_has_ended(served: Served) -> None:
    held = served.rig.hold("create_thin", Step.LISTED)
    by_name = pb.GetVolumeRequest(name="a")
    assert await code_of(served.volumes.GetVolume(by_name)) == "NOT_FOUND"
    creating = asyncio.ensure_future(served.volumes.CreateVolume(pb.CreateVolumeRequest(name="a")))
    await held.reached.wait()
    assert await code_of(served.volumes.GetVolume(pb.GetVolumeRequest(volume="a"))) == "NOT_FOUND"
    asked = asyncio.ensure_future(served.volumes.GetVolume(by_name))
    await asyncio.sleep(0.1)
    assert not asked.done()
    held.release.set()
    assert (await asked).id == (await creating).volume.id
    # A name, even where it has the form of an id.
    by_id = pb.GetVolumeRequest(name=(await creating).volume.id)
    assert await code_of(served.volumes.GetVolume(by_id)) == "NOT_FOUND"
