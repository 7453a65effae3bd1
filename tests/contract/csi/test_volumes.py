import pytest
from contract.csi.client import (
    MIB,
    SIZE_BYTES,
    Csi,
    Mode,
    block,
    from_snapshot,
    from_volume,
    mount,
    node_topology,
    refused,
)
from ebb_pb import csi_pb2, ebb_pb2
from grpc import StatusCode


async def test_a_volume_says_what_it_is(csi: Csi) -> None:
    volume = await csi.create("pvc-1")
    info = await csi.info()
    assert volume.capacity_bytes == SIZE_BYTES
    assert list(volume.accessible_topology) == [info.accessible_topology]
    assert not volume.HasField("content_source")
    assert len(volume.volume_id.encode()) <= 128


async def test_creating_again_gives_the_same_volume(csi: Csi) -> None:
    assert await csi.create("pvc-1") == await csi.create("pvc-1")
    assert len(await csi.volumes()) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"required_bytes": 2 * SIZE_BYTES},
        {"required_bytes": 0, "limit_bytes": SIZE_BYTES - 16 * MIB},
        {"capability": block()},
        {"capability": mount(Mode.SINGLE_NODE_WRITER, "xfs")},
        {"parameters": {"read-iops": "500"}},
        {"parameters": {"mkfs-options": "-m 1"}},
    ],
)
async def test_the_same_name_with_other_arguments_already_exists(
    csi: Csi, other: dict[str, object]
) -> None:
    await csi.create("pvc-1")
    failure = await refused(csi.create("pvc-1", **other))
    assert failure.code() is StatusCode.ALREADY_EXISTS
    assert len(await csi.volumes()) == 1


async def test_the_same_name_with_a_compatible_size_is_the_same_volume(csi: Csi) -> None:
    first = await csi.create("pvc-1")
    again = await csi.create("pvc-1", required_bytes=SIZE_BYTES - MIB, limit_bytes=SIZE_BYTES)
    assert again == first


async def test_the_same_name_is_the_same_volume_whatever_was_modified_since(csi: Csi) -> None:
    first = await csi.create("pvc-1", mutable_parameters={"read-iops": "500"})
    await modify(csi, first.volume_id, read_iops="700")
    assert await csi.create("pvc-1", mutable_parameters={"read-iops": "500"}) == first
    assert await intent(csi, first.volume_id) == {"read-iops": "700"}


async def test_the_same_name_with_a_source_already_exists(csi: Csi) -> None:
    source = await csi.create("source")
    await csi.create("pvc-1")
    failure = await refused(csi.create("pvc-1", source=from_volume(source.volume_id)))
    assert failure.code() is StatusCode.ALREADY_EXISTS


@pytest.mark.parametrize("name", ["名前 with spaces/../..", "-rf *", "n" * 128, "a'b\"c;d\n"])
async def test_a_name_never_matters_to_the_machine(csi: Csi, name: str) -> None:
    volume = await csi.create(name)
    assert (await csi.create(name)).volume_id == volume.volume_id


async def test_a_name_used_again_after_deletion_is_another_volume(csi: Csi) -> None:
    first = await csi.create("pvc-1")
    kept = await csi.snapshot("kept", first.volume_id)
    await csi.delete(first.volume_id)
    await csi.create("pvc-1")
    listed = await csi.snapshots()
    assert [snapshot.snapshot_id for snapshot in listed] == [kept.snapshot_id]


async def test_sizes_that_cannot_be_met_are_out_of_range(csi: Csi) -> None:
    source = await csi.create("source", required_bytes=2 * SIZE_BYTES)
    smaller = csi.create("clone", source=from_volume(source.volume_id), limit_bytes=SIZE_BYTES)
    assert (await refused(smaller)).code() is StatusCode.OUT_OF_RANGE
    snapshot = await csi.snapshot("snap", source.volume_id)
    smaller = csi.create("restored", source=from_snapshot(snapshot.snapshot_id))
    assert (await refused(smaller)).code() is StatusCode.OUT_OF_RANGE
    unaligned = csi.create("odd", required_bytes=SIZE_BYTES + 1, limit_bytes=SIZE_BYTES + 2)
    assert (await refused(unaligned)).code() is StatusCode.OUT_OF_RANGE


async def test_a_clone_and_a_restored_volume_name_their_source_and_may_be_larger(csi: Csi) -> None:
    source = await csi.create("source")
    snapshot = await csi.snapshot("snap", source.volume_id)
    clone = await csi.create(
        "clone", source=from_volume(source.volume_id), required_bytes=2 * SIZE_BYTES
    )
    restored = await csi.create("restored", source=from_snapshot(snapshot.snapshot_id))
    assert clone.content_source == from_volume(source.volume_id)
    assert clone.capacity_bytes == 2 * SIZE_BYTES
    assert restored.content_source == from_snapshot(snapshot.snapshot_id)
    assert await csi.create("restored", source=from_snapshot(snapshot.snapshot_id)) == restored


async def test_a_source_that_is_not_there_is_not_found(csi: Csi) -> None:
    for source in (from_volume("no-such-volume"), from_snapshot("no-such-snapshot")):
        failure = await refused(csi.create("pvc-1", source=source))
        assert failure.code() is StatusCode.NOT_FOUND


async def test_more_than_the_pool_could_ever_hold_is_exhausted(csi: Csi) -> None:
    failure = await refused(csi.create("huge", required_bytes=1 << 50))
    assert failure.code() is StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("where", ["parameters", "mutable_parameters"])
async def test_an_unknown_or_bad_parameter_is_invalid_and_named(csi: Csi, where: str) -> None:
    for key, value in (("reed-iops", "500"), ("read-iops", "lots")):
        failure = await refused(csi.create("pvc-1", **{where: {key: value}}))
        assert failure.code() is StatusCode.INVALID_ARGUMENT
        assert key in (failure.details() or "")
    assert await csi.volumes() == []


async def test_the_storage_class_chooses_the_filesystem(csi: Csi) -> None:
    volume = await csi.create(
        "pvc-1",
        required_bytes=512 * MIB,
        parameters={"csi.storage.k8s.io/fstype": "xfs", "csi.storage.k8s.io/pvc/name": "data"},
    )
    found = await csi.ebbd_volumes.GetVolume(ebb_pb2.GetVolumeRequest(volume=volume.volume_id))
    assert (found.filesystem, found.claim_name) == ("xfs", "data")


async def test_a_filesystem_nobody_knows_is_invalid(csi: Csi) -> None:
    failure = await refused(csi.create("pvc-1", mount(Mode.SINGLE_NODE_WRITER, "zfs")))
    assert failure.code() is StatusCode.INVALID_ARGUMENT


async def test_the_topology_has_to_be_this_node(csi: Csi) -> None:
    here = (await csi.info()).accessible_topology
    await csi.create("here", requisite=[node_topology("elsewhere"), here])
    failure = await refused(csi.create("away", requisite=[node_topology("elsewhere")]))
    assert failure.code() is StatusCode.RESOURCE_EXHAUSTED


async def test_deleting_is_repeatable_and_never_minds_what_is_not_there(csi: Csi) -> None:
    volume = await csi.create("pvc-1")
    for volume_id in (volume.volume_id, volume.volume_id, "never-was", "../../dev/sda"):
        await csi.delete(volume_id)
    assert await csi.volumes() == []


async def test_a_staged_volume_is_not_deleted(csi: Csi) -> None:
    volume = await csi.create("pvc-1")
    await csi.stage(volume.volume_id, csi.staging_path())
    failure = await refused(csi.delete(volume.volume_id))
    assert failure.code() is StatusCode.FAILED_PRECONDITION
    assert len(await csi.volumes()) == 1


async def expand(
    csi: Csi,
    volume_id: str,
    required_bytes: int,
    capability: csi_pb2.VolumeCapability | None = None,
) -> csi_pb2.ControllerExpandVolumeResponse:
    return await csi.controller.ControllerExpandVolume(
        csi_pb2.ControllerExpandVolumeRequest(
            volume_id=volume_id,
            capacity_range=csi_pb2.CapacityRange(required_bytes=required_bytes),
            volume_capability=capability,
        )
    )


async def test_expansion_grows_once_and_never_shrinks(csi: Csi) -> None:
    volume = await csi.create("pvc-1")
    for wanted in (2 * SIZE_BYTES, 2 * SIZE_BYTES, SIZE_BYTES):
        reply = await expand(csi, volume.volume_id, wanted, mount())
        assert reply.capacity_bytes == 2 * SIZE_BYTES
        assert reply.node_expansion_required
    raw = await csi.create("raw", block())
    assert not (await expand(csi, raw.volume_id, 2 * SIZE_BYTES)).node_expansion_required


async def test_expansion_refuses_by_the_codes_of_csi(csi: Csi) -> None:
    volume = await csi.create("pvc-1")
    for call, code in (
        (expand(csi, "no-such-volume", SIZE_BYTES), StatusCode.NOT_FOUND),
        (expand(csi, volume.volume_id, 0), StatusCode.INVALID_ARGUMENT),
        (expand(csi, volume.volume_id, 1 << 50), StatusCode.RESOURCE_EXHAUSTED),
        (expand(csi, volume.volume_id, 2 * SIZE_BYTES, block()), StatusCode.INVALID_ARGUMENT),
        (
            expand(csi, volume.volume_id, 2 * SIZE_BYTES, mount(Mode.MULTI_NODE_MULTI_WRITER)),
            StatusCode.INVALID_ARGUMENT,
        ),
    ):
        assert (await refused(call)).code() is code
    assert (await csi.volumes())[0].capacity_bytes == SIZE_BYTES


async def intent(csi: Csi, volume_id: str) -> dict[str, str]:
    found = await csi.ebbd_volumes.GetVolume(ebb_pb2.GetVolumeRequest(volume=volume_id))
    return dict(found.intent)


async def modify(csi: Csi, volume_id: str, **values: str) -> None:
    parameters = {key.replace("_", "-"): value for key, value in values.items()}
    await csi.controller.ControllerModifyVolume(
        csi_pb2.ControllerModifyVolumeRequest(volume_id=volume_id, mutable_parameters=parameters)
    )


async def test_modifying_replaces_the_whole_layer_or_nothing(csi: Csi) -> None:
    volume = await csi.create("pvc-1", parameters={"write-iops": "300"})
    await modify(csi, volume.volume_id, read_iops="500")
    assert await intent(csi, volume.volume_id) == {"write-iops": "300", "read-iops": "500"}
    failure = await refused(modify(csi, volume.volume_id, read_iops="700", colour="red"))
    assert failure.code() is StatusCode.INVALID_ARGUMENT
    assert "colour" in (failure.details() or "")
    assert await intent(csi, volume.volume_id) == {"write-iops": "300", "read-iops": "500"}
    await modify(csi, volume.volume_id, read_bps="10Mi")
    assert await intent(csi, volume.volume_id) == {"write-iops": "300", "read-bps": "10Mi"}
    assert (await refused(modify(csi, "no-such-volume"))).code() is StatusCode.NOT_FOUND


async def capacity(csi: Csi, **request: object) -> int:
    reply = await csi.controller.GetCapacity(csi_pb2.GetCapacityRequest(**request))  # type: ignore[arg-type] # passed through
    return reply.available_capacity


async def test_capacity_is_zero_where_no_volume_could_be(csi: Csi) -> None:
    here = (await csi.info()).accessible_topology
    whole = await capacity(csi)
    assert whole > 0
    assert await capacity(csi, accessible_topology=here, volume_capabilities=[mount()]) == whole
    assert await capacity(csi, accessible_topology=node_topology("elsewhere")) == 0
    assert await capacity(csi, volume_capabilities=[mount(Mode.MULTI_NODE_MULTI_WRITER)]) == 0
    assert await capacity(csi, parameters={"pool": "other/pool"}) == 0


async def test_capacity_shrinks_by_what_is_promised(csi: Csi) -> None:
    whole = await capacity(csi)
    await csi.create("pvc-1", required_bytes=256 * MIB)
    assert whole - await capacity(csi) == 256 * MIB


async def confirmed(
    csi: Csi, volume_id: str, *capabilities: csi_pb2.VolumeCapability
) -> csi_pb2.ValidateVolumeCapabilitiesResponse:
    return await csi.controller.ValidateVolumeCapabilities(
        csi_pb2.ValidateVolumeCapabilitiesRequest(
            volume_id=volume_id, volume_capabilities=capabilities, parameters={"any": "thing"}
        )
    )


async def test_capabilities_are_confirmed_or_the_message_says_why_not(csi: Csi) -> None:
    volume = await csi.create("pvc-1")
    good = await confirmed(csi, volume.volume_id, mount(), mount(Mode.SINGLE_NODE_SINGLE_WRITER))
    assert len(good.confirmed.volume_capabilities) == 2
    assert not good.confirmed.parameters  # not checked, so not confirmed
    for bad, why in (
        (mount(Mode.MULTI_NODE_READER_ONLY), "MULTI_NODE_READER_ONLY is not offered"),
        (block(), "no raw block volume"),
        (mount(Mode.SINGLE_NODE_WRITER, "xfs"), "has ext4, not xfs"),
    ):
        reply = await confirmed(csi, volume.volume_id, mount(), bad)
        assert not reply.HasField("confirmed")
        assert why in reply.message
    assert (await refused(confirmed(csi, "no-such", mount()))).code() is StatusCode.NOT_FOUND
    assert (await refused(confirmed(csi, volume.volume_id))).code() is StatusCode.INVALID_ARGUMENT


async def test_a_volume_is_got_by_its_id_and_not_by_its_name(csi: Csi) -> None:
    volume = await csi.create("pvc-1")
    reply = await csi.controller.ControllerGetVolume(
        csi_pb2.ControllerGetVolumeRequest(volume_id=volume.volume_id)
    )
    assert reply.volume == volume
    assert not reply.status.volume_condition.abnormal
    assert reply.status.volume_condition.message
    by_name = csi.controller.ControllerGetVolume(
        csi_pb2.ControllerGetVolumeRequest(volume_id="pvc-1")
    )
    assert (await refused(by_name)).code() is StatusCode.NOT_FOUND
