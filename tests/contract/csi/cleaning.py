"""Leaves nothing of a test behind, and fails where something cannot be removed."""

from collections.abc import Awaitable
from typing import Any

import grpc
from contract.csi.client import Csi
from ebb_pb import csi_pb2
from grpc import StatusCode


async def remove_everything(csi: Csi) -> None:
    for volume_id, target in csi.published:
        await unless_gone(csi.unpublish(volume_id, target))
    for volume_id, staging in csi.staged:
        await unless_gone(csi.unstage(volume_id, staging))
    for volume in await csi.volumes():
        await csi.detach(volume.volume_id)
        await csi.delete(volume.volume_id)
    for group_id in {snapshot.group_snapshot_id for snapshot in await csi.snapshots()} - {""}:
        await csi.groups.DeleteVolumeGroupSnapshot(
            csi_pb2.DeleteVolumeGroupSnapshotRequest(group_snapshot_id=group_id)
        )
    for snapshot in await csi.snapshots():
        await csi.delete_snapshot(snapshot.snapshot_id)
    assert await csi.volumes() == []
    assert await csi.snapshots() == []


async def unless_gone(call: Awaitable[Any]) -> None:
    """A test may have named what is not there, or a path that is not allowed."""
    try:
        await call
    except grpc.aio.AioRpcError as failure:
        if failure.code() not in {StatusCode.NOT_FOUND, StatusCode.INVALID_ARGUMENT}:
            raise
