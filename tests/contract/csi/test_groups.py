from collections.abc import Sequence

from contract.csi.client import Csi, refused
from ebb_pb import csi_pb2
from grpc import StatusCode


async def create(csi: Csi, name: str, volume_ids: Sequence[str]) -> csi_pb2.VolumeGroupSnapshot:
    reply = await csi.groups.CreateVolumeGroupSnapshot(
        csi_pb2.CreateVolumeGroupSnapshotRequest(name=name, source_volume_ids=volume_ids)
    )
    return reply.group_snapshot


async def get(
    csi: Csi, group_id: str, snapshot_ids: Sequence[str] = ()
) -> csi_pb2.VolumeGroupSnapshot:
    reply = await csi.groups.GetVolumeGroupSnapshot(
        csi_pb2.GetVolumeGroupSnapshotRequest(group_snapshot_id=group_id, snapshot_ids=snapshot_ids)
    )
    return reply.group_snapshot


async def delete(csi: Csi, group_id: str, snapshot_ids: Sequence[str] = ()) -> None:
    await csi.groups.DeleteVolumeGroupSnapshot(
        csi_pb2.DeleteVolumeGroupSnapshotRequest(
            group_snapshot_id=group_id, snapshot_ids=snapshot_ids
        )
    )


async def three_volumes(csi: Csi) -> list[str]:
    return [(await csi.create(f"pvc-{number}")).volume_id for number in range(3)]


async def test_a_group_has_one_snapshot_of_each_volume(csi: Csi) -> None:
    volume_ids = await three_volumes(csi)
    group = await create(csi, "group", volume_ids)
    assert group.ready_to_use
    assert group.creation_time.seconds > 1_600_000_000
    assert {member.source_volume_id for member in group.snapshots} == set(volume_ids)
    assert {member.group_snapshot_id for member in group.snapshots} == {group.group_snapshot_id}
    assert await get(csi, group.group_snapshot_id) == group


async def test_creating_a_group_again_gives_the_same_group(csi: Csi) -> None:
    volume_ids = await three_volumes(csi)
    group = await create(csi, "group", volume_ids)
    assert await create(csi, "group", list(reversed(volume_ids))) == group
    failure = await refused(create(csi, "group", volume_ids[:2]))
    assert failure.code() is StatusCode.ALREADY_EXISTS
    assert len(await csi.snapshots()) == 3


async def test_a_group_with_an_unknown_volume_makes_no_snapshot_at_all(csi: Csi) -> None:
    volume_ids = await three_volumes(csi)
    failure = await refused(create(csi, "group", [*volume_ids, "no-such-volume"]))
    assert failure.code() is StatusCode.NOT_FOUND
    assert await csi.snapshots() == []


async def test_the_listed_snapshots_have_to_be_the_groups_own(csi: Csi) -> None:
    volume_ids = await three_volumes(csi)
    group = await create(csi, "group", volume_ids)
    members = [member.snapshot_id for member in group.snapshots]
    assert await get(csi, group.group_snapshot_id, members) == group
    for wrong in (members[:2], [*members, "another"]):
        for call in (
            get(csi, group.group_snapshot_id, wrong),
            delete(csi, group.group_snapshot_id, wrong),
        ):
            assert (await refused(call)).code() is StatusCode.INVALID_ARGUMENT
    assert len(await csi.snapshots()) == 3
    await delete(csi, group.group_snapshot_id, members)
    assert await csi.snapshots() == []


async def test_deleting_a_group_is_repeatable(csi: Csi) -> None:
    group = await create(csi, "group", await three_volumes(csi))
    for group_id in (group.group_snapshot_id, group.group_snapshot_id, "never-was"):
        await delete(csi, group_id)
    assert await csi.snapshots() == []
    failure = await refused(get(csi, group.group_snapshot_id))
    assert failure.code() is StatusCode.NOT_FOUND


async def test_a_groups_arguments_are_checked(csi: Csi) -> None:
    volume_ids = await three_volumes(csi)
    for name, sources in (
        ("", volume_ids),
        ("group", []),
        ("group", [volume_ids[0], volume_ids[0]]),
    ):
        failure = await refused(create(csi, name, sources))
        assert failure.code() is StatusCode.INVALID_ARGUMENT
