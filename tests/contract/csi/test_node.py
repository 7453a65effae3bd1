from pathlib import Path

import pytest
from contract.csi.client import SIZE_BYTES, Csi, Mode, block, mount, refused
from ebb_pb import csi_pb2
from grpc import StatusCode

FAILED_PRECONDITION = StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize("capability", [mount(), block()], ids=["mount", "block"])
async def test_the_life_of_a_volume_on_a_node_each_step_twice(
    csi: Csi, capability: csi_pb2.VolumeCapability
) -> None:
    volume_id = (await csi.create("pvc-1", capability)).volume_id
    staging, target = csi.staging_path(), csi.target_path()
    for _ in range(2):
        await csi.stage(volume_id, staging, capability)
    for _ in range(2):
        await csi.publish(volume_id, staging, target, capability)
    for _ in range(2):
        await csi.unpublish(volume_id, target)
    for _ in range(2):
        await csi.unstage(volume_id, staging)
    await csi.delete(volume_id)


@pytest.mark.parametrize("mode", [Mode.SINGLE_NODE_SINGLE_WRITER, Mode.SINGLE_NODE_WRITER])
async def test_a_single_writer_has_one_target(csi: Csi, mode: Mode.Mode.ValueType) -> None:
    once = mount(mode)
    volume_id = (await csi.create("pvc-1", once)).volume_id
    staging, first, second = csi.staging_path(), csi.target_path(), csi.target_path()
    await csi.stage(volume_id, staging, once)
    await csi.publish(volume_id, staging, first, once)
    assert (
        await refused(csi.publish(volume_id, staging, second, once))
    ).code() is FAILED_PRECONDITION
    await csi.unpublish(volume_id, first)
    await csi.publish(volume_id, staging, second, once)


async def test_a_multi_writer_has_many_targets(csi: Csi) -> None:
    many = mount(Mode.SINGLE_NODE_MULTI_WRITER)
    volume_id = (await csi.create("pvc-1", many)).volume_id
    staging = csi.staging_path()
    await csi.stage(volume_id, staging, many)
    for _ in range(3):
        await csi.publish(volume_id, staging, csi.target_path(), many)


async def test_publishing_otherwise_at_the_same_target_already_exists(csi: Csi) -> None:
    volume_id = (await csi.create("pvc-1")).volume_id
    staging, target = csi.staging_path(), csi.target_path()
    await csi.stage(volume_id, staging)
    await csi.publish(volume_id, staging, target)
    failure = await refused(csi.publish(volume_id, staging, target, readonly=True))
    assert failure.code() is StatusCode.ALREADY_EXISTS


async def test_what_is_beyond_the_volume_is_a_failed_precondition(csi: Csi) -> None:
    volume_id = (await csi.create("pvc-1")).volume_id
    staging, target = csi.staging_path(), csi.target_path()
    for capability in (
        mount(Mode.MULTI_NODE_MULTI_WRITER),
        mount(Mode.MULTI_NODE_READER_ONLY),
        mount(Mode.SINGLE_NODE_WRITER, "xfs"),
        block(),
    ):
        call = csi.stage(volume_id, staging, capability)
        assert (await refused(call)).code() is FAILED_PRECONDITION, capability
    nowhere = csi.publish(volume_id, csi.mounts / "never-made", target)
    assert (await refused(nowhere)).code() is FAILED_PRECONDITION
    await csi.stage(volume_id, staging)
    without_staging = csi.node.NodePublishVolume(
        csi_pb2.NodePublishVolumeRequest(
            volume_id=volume_id, target_path=str(target), volume_capability=mount()
        )
    )
    assert (await refused(without_staging)).code() is FAILED_PRECONDITION


async def test_a_staging_mount_that_went_away_is_mended_by_publishing(csi: Csi) -> None:
    volume_id = (await csi.create("pvc-1")).volume_id
    staging, target = csi.staging_path(), csi.target_path()
    await csi.stage(volume_id, staging)
    await csi.unstage(volume_id, staging)
    await csi.publish(volume_id, staging, target)
    for path in (staging, target):
        assert (await stats(csi, volume_id, path)).usage


async def test_unstaging_under_a_published_volume_does_not_take_it_away(csi: Csi) -> None:
    volume_id = (await csi.create("pvc-1")).volume_id
    staging, target = csi.staging_path(), csi.target_path()
    await csi.stage(volume_id, staging)
    await csi.publish(volume_id, staging, target)
    await csi.unstage(volume_id, staging)
    assert (await stats(csi, volume_id, target)).usage
    assert (await refused(csi.delete(volume_id))).code() is FAILED_PRECONDITION


@pytest.mark.parametrize("path", ["/etc/ebb", "relative/path", "{mounts}/../outside"])
async def test_a_path_outside_the_mount_directories_is_invalid(csi: Csi, path: str) -> None:
    volume_id = (await csi.create("pvc-1")).volume_id
    staging = csi.staging_path()
    outside = Path(path.format(mounts=csi.mounts))
    assert (await refused(csi.stage(volume_id, outside))).code() is StatusCode.INVALID_ARGUMENT
    await csi.stage(volume_id, staging)
    call = csi.publish(volume_id, staging, outside)
    assert (await refused(call)).code() is StatusCode.INVALID_ARGUMENT


async def test_a_volume_that_is_not_there_is_not_found(csi: Csi) -> None:
    staging, target = csi.staging_path(), csi.target_path()
    for call in (
        csi.stage("no-such-volume", staging),
        csi.publish("no-such-volume", staging, target),
    ):
        assert (await refused(call)).code() is StatusCode.NOT_FOUND


async def stats(csi: Csi, volume_id: str, path: Path) -> csi_pb2.NodeGetVolumeStatsResponse:
    return await csi.node.NodeGetVolumeStats(
        csi_pb2.NodeGetVolumeStatsRequest(volume_id=volume_id, volume_path=str(path))
    )


async def test_stats_of_a_filesystem_count_bytes_and_inodes(csi: Csi) -> None:
    volume_id = (await csi.create("pvc-1")).volume_id
    staging, target = csi.staging_path(), csi.target_path()
    await csi.stage(volume_id, staging)
    await csi.publish(volume_id, staging, target)
    for path in (staging, target):
        reply = await stats(csi, volume_id, path)
        usage = {entry.unit: entry for entry in reply.usage}
        assert set(usage) == {csi_pb2.VolumeUsage.BYTES, csi_pb2.VolumeUsage.INODES}
        in_bytes = usage[csi_pb2.VolumeUsage.BYTES]
        assert 0 < in_bytes.available <= in_bytes.total <= SIZE_BYTES
        assert not reply.volume_condition.abnormal
    elsewhere = stats(csi, volume_id, csi.target_path())
    assert (await refused(elsewhere)).code() is StatusCode.NOT_FOUND
    assert (await refused(stats(csi, "no-such", target))).code() is StatusCode.NOT_FOUND


async def test_stats_of_a_raw_volume_are_its_size(csi: Csi) -> None:
    volume_id = (await csi.create("raw", block())).volume_id
    staging, target = csi.staging_path(), csi.target_path()
    await csi.stage(volume_id, staging, block())
    await csi.publish(volume_id, staging, target, block())
    (usage,) = (await stats(csi, volume_id, target)).usage
    assert (usage.unit, usage.total) == (csi_pb2.VolumeUsage.BYTES, SIZE_BYTES)


async def test_a_filesystem_grows_while_it_is_published(csi: Csi) -> None:
    volume_id = (await csi.create("pvc-1")).volume_id
    staging, target = csi.staging_path(), csi.target_path()
    await csi.stage(volume_id, staging)
    await csi.publish(volume_id, staging, target)
    before = (await stats(csi, volume_id, target)).usage[0].total
    bigger = csi_pb2.CapacityRange(required_bytes=2 * SIZE_BYTES)
    await csi.controller.ControllerExpandVolume(
        csi_pb2.ControllerExpandVolumeRequest(volume_id=volume_id, capacity_range=bigger)
    )
    for _ in range(2):
        reply = await csi.node.NodeExpandVolume(
            csi_pb2.NodeExpandVolumeRequest(
                volume_id=volume_id, volume_path=str(target), capacity_range=bigger
            )
        )
        assert reply.capacity_bytes == 2 * SIZE_BYTES
    assert (await stats(csi, volume_id, target)).usage[0].total > before * 1.8


async def test_expanding_where_the_volume_is_not_is_not_found(csi: Csi) -> None:
    volume_id = (await csi.create("pvc-1")).volume_id
    call = csi.node.NodeExpandVolume(
        csi_pb2.NodeExpandVolumeRequest(volume_id=volume_id, volume_path=str(csi.target_path()))
    )
    assert (await refused(call)).code() is StatusCode.NOT_FOUND


async def test_an_inline_ephemeral_volume_is_refused_with_the_way_out(csi: Csi) -> None:
    call = csi.node.NodePublishVolume(
        csi_pb2.NodePublishVolumeRequest(
            volume_id="csi-0123",
            target_path=str(csi.target_path()),
            volume_capability=mount(),
            volume_context={"csi.storage.k8s.io/ephemeral": "true"},
        )
    )
    failure = await refused(call)
    assert failure.code() is StatusCode.INVALID_ARGUMENT
    assert "volumeClaimTemplate" in (failure.details() or "")
