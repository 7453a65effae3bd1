"""ebb.v1's messages as CSI's, and CSI's as ebb.v1's. Pure, and without an opinion."""

from collections.abc import Mapping

from ebb_pb import csi_pb2, ebb_pb2

from ebb_csi.validate import FILESYSTEM_KEY, Access, Mode, Shape, Sizes

# ControllerPublishVolume's `readonly`, handed to the node in the publish context.
READ_ONLY_KEY = "ebb/read-only"

MODES = {
    Mode.SINGLE_NODE_WRITER: ebb_pb2.SINGLE_NODE_WRITER,
    Mode.SINGLE_NODE_READER_ONLY: ebb_pb2.SINGLE_NODE_READER_ONLY,
    Mode.SINGLE_NODE_SINGLE_WRITER: ebb_pb2.SINGLE_NODE_SINGLE_WRITER,
    Mode.SINGLE_NODE_MULTI_WRITER: ebb_pb2.SINGLE_NODE_MULTI_WRITER,
}


def create_volume(
    request: csi_pb2.CreateVolumeRequest, shape: Shape, sizes: Sizes
) -> ebb_pb2.CreateVolumeRequest:
    parameters = {key: value for key, value in request.parameters.items() if key != FILESYSTEM_KEY}
    wanted = ebb_pb2.CreateVolumeRequest(
        name=request.name,
        required_bytes=sizes.required_bytes,
        limit_bytes=sizes.limit_bytes,
        filesystem=shape.filesystem,
        block=shape.block,
        parameters=parameters,
        mutable_parameters=request.mutable_parameters,
    )
    source = request.volume_content_source
    match source.WhichOneof("type"):
        case "snapshot":
            wanted.source_snapshot_id = source.snapshot.snapshot_id
        case "volume":
            wanted.source_volume_id = source.volume.volume_id
        case None:
            pass
    return wanted


def access(wanted: Access) -> ebb_pb2.Access:
    return ebb_pb2.Access(
        mode=MODES[wanted.mode],
        block=wanted.block,
        filesystem=wanted.filesystem,
        mount_flags=wanted.mount_flags,
    )


def volume(found: ebb_pb2.Volume, topology: csi_pb2.Topology) -> csi_pb2.Volume:
    return csi_pb2.Volume(
        volume_id=found.id,
        capacity_bytes=found.size_bytes,
        content_source=content_source(found),
        accessible_topology=[topology],
    )


def content_source(found: ebb_pb2.Volume) -> csi_pb2.VolumeContentSource | None:
    source = csi_pb2.VolumeContentSource
    if found.source_snapshot_id:
        return source(snapshot=source.SnapshotSource(snapshot_id=found.source_snapshot_id))
    if found.source_volume_id:
        return source(volume=source.VolumeSource(volume_id=found.source_volume_id))
    return None


def listed_volume(
    found: ebb_pb2.Volume, topology: csi_pb2.Topology, node_id: str
) -> csi_pb2.ListVolumesResponse.Entry:
    return csi_pb2.ListVolumesResponse.Entry(
        volume=volume(found, topology),
        status=csi_pb2.ListVolumesResponse.VolumeStatus(
            published_node_ids=published(found, node_id),
            volume_condition=condition(found.condition),
        ),
    )


def volume_with_status(
    found: ebb_pb2.Volume, topology: csi_pb2.Topology, node_id: str
) -> csi_pb2.ControllerGetVolumeResponse:
    return csi_pb2.ControllerGetVolumeResponse(
        volume=volume(found, topology),
        status=csi_pb2.ControllerGetVolumeResponse.VolumeStatus(
            published_node_ids=published(found, node_id),
            volume_condition=condition(found.condition),
        ),
    )


def published(found: ebb_pb2.Volume, node_id: str) -> tuple[str, ...]:
    """Where ControllerPublishVolume put it; being staged without that step does not count."""
    return (node_id,) if found.attached else ()


def condition(found: ebb_pb2.Condition) -> csi_pb2.VolumeCondition:
    """CSI wants a message in any case."""
    return csi_pb2.VolumeCondition(
        abnormal=found.abnormal, message=found.message or "nothing is wrong"
    )


def snapshot(found: ebb_pb2.Snapshot) -> csi_pb2.Snapshot:
    return csi_pb2.Snapshot(
        snapshot_id=found.id,
        source_volume_id=found.volume_id,
        size_bytes=found.size_bytes,
        creation_time=found.created,
        ready_to_use=found.ready,
        group_snapshot_id=found.group_id,
    )


def group(found: ebb_pb2.SnapshotGroup) -> csi_pb2.VolumeGroupSnapshot:
    return csi_pb2.VolumeGroupSnapshot(
        group_snapshot_id=found.id,
        snapshots=[snapshot(member) for member in found.snapshots],
        creation_time=found.created,
        ready_to_use=found.ready,
    )


def usage(found: ebb_pb2.GetVolumeStatsResponse) -> list[csi_pb2.VolumeUsage]:
    """Bytes always; inodes where the filesystem counts any (a raw volume and btrfs do not)."""
    unit = csi_pb2.VolumeUsage
    entries = [
        unit(
            unit=unit.BYTES,
            total=found.total_bytes,
            used=found.used_bytes,
            available=found.available_bytes,
        )
    ]
    if found.total_inodes:
        entries.append(
            unit(
                unit=unit.INODES,
                total=found.total_inodes,
                used=found.used_inodes,
                available=found.available_inodes,
            )
        )
    return entries


def consumer(volume_context: Mapping[str, str]) -> dict[str, str]:
    """Whose pod it is, where the orchestrator says so (podInfoOnMount)."""
    prefix = "csi.storage.k8s.io/"
    wanted = (f"{prefix}pod.", f"{prefix}serviceAccount.name")
    return {key: value for key, value in volume_context.items() if key.startswith(wanted)}
