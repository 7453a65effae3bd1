from contract.csi.client import ATTACH_LIMIT, Csi, Mode, mount, refused
from ebb_pb import csi_pb2
from grpc import StatusCode


async def published_nodes(csi: Csi, volume_id: str) -> list[str]:
    reply = await csi.controller.ControllerGetVolume(
        csi_pb2.ControllerGetVolumeRequest(volume_id=volume_id)
    )
    return list(reply.status.published_node_ids)


async def test_attaching_and_detaching_are_repeatable_and_listed(csi: Csi) -> None:
    here = (await csi.info()).node_id
    volume = await csi.create("pvc-1")
    assert await published_nodes(csi, volume.volume_id) == []
    for _ in range(2):
        await csi.attach(volume.volume_id, here)
        assert await published_nodes(csi, volume.volume_id) == [here]
    for node_id in (here, here, ""):
        await csi.detach(volume.volume_id, node_id)
        assert await published_nodes(csi, volume.volume_id) == []


async def test_another_node_or_volume_is_not_found(csi: Csi) -> None:
    here = (await csi.info()).node_id
    volume = await csi.create("pvc-1")
    assert (await refused(csi.attach(volume.volume_id, "elsewhere"))).code() is StatusCode.NOT_FOUND
    assert (await refused(csi.attach("no-such-volume", here))).code() is StatusCode.NOT_FOUND


async def test_attaching_otherwise_already_exists(csi: Csi) -> None:
    here = (await csi.info()).node_id
    volume = await csi.create("pvc-1")
    await csi.attach(volume.volume_id, here)
    failure = await refused(csi.attach(volume.volume_id, here, readonly=True))
    assert failure.code() is StatusCode.ALREADY_EXISTS


async def test_a_mode_of_many_nodes_is_beyond_the_volume(csi: Csi) -> None:
    here = (await csi.info()).node_id
    volume = await csi.create("pvc-1")
    call = csi.controller.ControllerPublishVolume(
        csi_pb2.ControllerPublishVolumeRequest(
            volume_id=volume.volume_id,
            node_id=here,
            volume_capability=mount(Mode.MULTI_NODE_MULTI_WRITER),
        )
    )
    assert (await refused(call)).code() is StatusCode.FAILED_PRECONDITION


async def test_the_attach_limit_holds_and_a_detached_volume_makes_room(csi: Csi) -> None:
    info = await csi.info()
    assert info.max_volumes_per_node == ATTACH_LIMIT
    volumes = [await csi.create(f"pvc-{number}") for number in range(ATTACH_LIMIT + 1)]
    for volume in volumes[:-1]:
        await csi.attach(volume.volume_id, info.node_id)
    failure = await refused(csi.attach(volumes[-1].volume_id, info.node_id))
    assert failure.code() is StatusCode.RESOURCE_EXHAUSTED
    await csi.attach(volumes[0].volume_id, info.node_id)  # it is attached already
    await csi.detach(volumes[0].volume_id)
    await csi.attach(volumes[-1].volume_id, info.node_id)


async def test_a_read_only_attachment_makes_every_publishing_read_only(csi: Csi) -> None:
    here = (await csi.info()).node_id
    volume = await csi.create("pvc-1")
    context = (await csi.attach(volume.volume_id, here, readonly=True)).publish_context
    staging, target = csi.staging_path(), csi.target_path()
    await csi.stage(volume.volume_id, staging)
    await csi.publish(volume.volume_id, staging, target, publish_context=context)
    # The same target, this time asked for as what it has become: no change, so it was read-only.
    await csi.publish(volume.volume_id, staging, target, readonly=True)
    failure = await refused(csi.publish(volume.volume_id, staging, target))
    assert failure.code() is StatusCode.ALREADY_EXISTS
