from contract.csi.client import SIZE_BYTES, Csi, refused
from ebb_pb import csi_pb2
from grpc import StatusCode


async def get(csi: Csi, snapshot_id: str) -> csi_pb2.Snapshot:
    reply = await csi.controller.GetSnapshot(csi_pb2.GetSnapshotRequest(snapshot_id=snapshot_id))
    return reply.snapshot


async def test_a_snapshot_says_what_it_is(csi: Csi) -> None:
    volume = await csi.create("pvc-1")
    snapshot = await csi.snapshot("snap", volume.volume_id)
    assert snapshot.source_volume_id == volume.volume_id
    assert snapshot.size_bytes == SIZE_BYTES
    assert snapshot.ready_to_use
    assert snapshot.creation_time.seconds > 1_600_000_000
    assert snapshot.group_snapshot_id == ""
    assert await get(csi, snapshot.snapshot_id) == snapshot


async def test_snapshotting_again_gives_the_same_snapshot(csi: Csi) -> None:
    volume = await csi.create("pvc-1")
    first = await csi.snapshot("snap", volume.volume_id)
    assert await csi.snapshot("snap", volume.volume_id) == first
    other = await csi.create("pvc-2")
    failure = await refused(csi.snapshot("snap", other.volume_id))
    assert failure.code() is StatusCode.ALREADY_EXISTS


async def test_a_snapshot_outlives_its_volume(csi: Csi) -> None:
    volume = await csi.create("pvc-1")
    snapshot = await csi.snapshot("snap", volume.volume_id)
    await csi.delete(volume.volume_id)
    assert await get(csi, snapshot.snapshot_id) == snapshot
    await csi.delete_snapshot(snapshot.snapshot_id)
    assert (await refused(get(csi, snapshot.snapshot_id))).code() is StatusCode.NOT_FOUND


async def test_a_snapshot_is_got_by_its_id_and_not_by_its_name(csi: Csi) -> None:
    volume = await csi.create("pvc-1")
    await csi.snapshot("snap", volume.volume_id)
    assert (await refused(get(csi, "snap"))).code() is StatusCode.NOT_FOUND


async def test_deleting_a_snapshot_is_repeatable(csi: Csi) -> None:
    volume = await csi.create("pvc-1")
    snapshot = await csi.snapshot("snap", volume.volume_id)
    for snapshot_id in (snapshot.snapshot_id, snapshot.snapshot_id, "never-was"):
        await csi.delete_snapshot(snapshot_id)
    assert await csi.snapshots() == []
    assert len(await csi.volumes()) == 1


async def test_the_source_has_to_be_there_and_parameters_have_to_be_none(csi: Csi) -> None:
    failure = await refused(csi.snapshot("snap", "no-such-volume"))
    assert failure.code() is StatusCode.NOT_FOUND
    volume = await csi.create("pvc-1")
    call = csi.controller.CreateSnapshot(
        csi_pb2.CreateSnapshotRequest(
            name="snap", source_volume_id=volume.volume_id, parameters={"speed": "9"}
        )
    )
    failure = await refused(call)
    assert failure.code() is StatusCode.INVALID_ARGUMENT
    assert "'speed'" in (failure.details() or "")


async def test_a_volume_is_no_snapshot_and_a_snapshot_no_volume(csi: Csi) -> None:
    volume = await csi.create("pvc-1")
    snapshot = await csi.snapshot("snap", volume.volume_id)
    await csi.delete(snapshot.snapshot_id)
    await csi.delete_snapshot(volume.volume_id)
    assert len(await csi.volumes()) == 1
    assert len(await csi.snapshots()) == 1
    assert (await refused(get(csi, volume.volume_id))).code() is StatusCode.NOT_FOUND
