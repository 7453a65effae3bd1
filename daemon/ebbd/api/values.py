"""Values to messages and back: no decision is taken here."""

from collections.abc import Mapping

from ebb_pb import ebb_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from ebbd.errors import InvalidInput
from ebbd.host.values import Usage
from ebbd.model import Access, AccessMode, PoolState, Snapshot, SnapshotGroup, Volume
from ebbd.volumes.observe import Observation
from ebbd.volumes.orphans import Orphan

_MODES: Mapping[int, AccessMode] = {
    pb.SINGLE_NODE_WRITER: AccessMode.SINGLE_NODE_WRITER,
    pb.SINGLE_NODE_READER_ONLY: AccessMode.SINGLE_NODE_READER_ONLY,
    pb.SINGLE_NODE_SINGLE_WRITER: AccessMode.SINGLE_NODE_SINGLE_WRITER,
    pb.SINGLE_NODE_MULTI_WRITER: AccessMode.SINGLE_NODE_MULTI_WRITER,
}


def timestamp(milliseconds: int) -> Timestamp:
    seconds, rest = divmod(milliseconds, 1000)
    return Timestamp(seconds=seconds, nanos=rest * 1_000_000)


def condition(problem: str, fine: str) -> pb.Condition:
    return pb.Condition(abnormal=bool(problem), message=problem or fine)


def access(message: pb.Access) -> Access:
    """How to use a volume; a mode that is not stated is an error, not a guess."""
    mode = _MODES.get(message.mode)
    if mode is None:
        raise InvalidInput("the access mode is missing", f"use one of {', '.join(AccessMode)}")
    return Access(mode, message.block, message.filesystem, tuple(message.mount_flags))


def volume(value: Volume, seen: Observation) -> pb.Volume:
    is_snapshot = value.source.startswith("s-")
    return pb.Volume(
        id=value.id,
        name=value.name,
        pool=f"{value.vg}/{value.pool}",
        size_bytes=value.size_bytes,
        filesystem=value.filesystem,
        generation=value.generation,
        created=timestamp(value.created_ms),
        source_snapshot_id=value.source if is_snapshot else "",
        source_volume_id="" if is_snapshot else value.source,
        intent=value.intent,
        mkfs_options=value.mkfs_options,
        mount_options=value.mount_options,
        blank=value.prepare == "format",
        active=seen.active,
        open_count=seen.open_count,
        allocated_bytes=seen.allocated_bytes,
        mount_paths=seen.mount_paths,
        attached=bool(value.attached),
        attached_read_only=value.attached == "ro",
        condition=condition(seen.problem, "volume is healthy"),
        incarnation=value.incarnation,
        claim_namespace=value.claim_namespace,
        claim_name=value.claim_name,
        device=seen.device,
        head_of=value.head_of,
    )


def snapshot(value: Snapshot) -> pb.Snapshot:
    return pb.Snapshot(
        id=value.id,
        name=value.name,
        volume_id=value.volume_id,
        size_bytes=value.size_bytes,
        created=timestamp(value.created_ms),
        ready=True,
        group_id=value.group,
        pool=f"{value.vg}/{value.pool}",
        filesystem=value.filesystem,
        volume_name=value.volume_name,
    )


def group(value: SnapshotGroup) -> pb.SnapshotGroup:
    return pb.SnapshotGroup(
        id=value.id,
        name=value.name,
        snapshots=[snapshot(s) for s in value.snapshots],
        created=timestamp(value.created_ms),
        ready=True,
    )


def pool(value: PoolState) -> pb.Pool:
    return pb.Pool(
        name=value.name,
        size_bytes=value.size_bytes,
        used_bytes=value.used_bytes,
        metadata_size_bytes=value.metadata_size_bytes,
        metadata_used_bytes=value.metadata_used_bytes,
        virtual_bytes=value.virtual_bytes,
        overcommit_ratio=value.overcommit_ratio,
        available_bytes=value.available_bytes,
        chunk_bytes=value.chunk_bytes,
        volumes=value.volumes,
        snapshots=value.snapshots,
        condition=condition(value.problem, "pool is healthy"),
    )


def stats(used: Usage, problem: str) -> pb.GetVolumeStatsResponse:
    return pb.GetVolumeStatsResponse(
        total_bytes=used.total_bytes,
        used_bytes=used.used_bytes,
        available_bytes=used.available_bytes,
        total_inodes=used.total_inodes,
        used_inodes=used.used_inodes,
        available_inodes=used.available_inodes,
        condition=condition(problem, "volume is healthy"),
    )


def orphan(value: Orphan) -> pb.Orphan:
    return pb.Orphan(
        id=value.id,
        kind=value.kind,
        subject=value.subject,
        reason=value.reason,
        action=value.action,
        remedy=value.remedy,
        allocated_bytes=value.allocated_bytes,
    )
