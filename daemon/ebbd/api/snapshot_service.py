"""ebb.v1.Snapshots: translation only."""

from ebb_pb import ebb_pb2 as pb
from ebb_pb.ebb_pb2_grpc import SnapshotsServicer

from ebbd.api import values
from ebbd.api.failures import Context
from ebbd.api.paging import page
from ebbd.model import Created
from ebbd.timeline.groups import Groups
from ebbd.timeline.snapshots import Snapshots


class SnapshotService(SnapshotsServicer):
    def __init__(self, snapshots: Snapshots, groups: Groups) -> None:
        self._snapshots = snapshots
        self._groups = groups

    async def CreateSnapshot(
        self, request: pb.CreateSnapshotRequest, context: Context
    ) -> pb.CreateSnapshotResponse:
        outcome = await self._snapshots.create(request.name, request.volume_id)
        return pb.CreateSnapshotResponse(
            snapshot=values.snapshot(outcome.value), created=isinstance(outcome, Created)
        )

    async def DeleteSnapshot(
        self, request: pb.DeleteSnapshotRequest, context: Context
    ) -> pb.DeleteSnapshotResponse:
        deleted = await self._snapshots.delete(request.snapshot_id)
        return pb.DeleteSnapshotResponse(deleted=deleted)

    async def GetSnapshot(self, request: pb.GetSnapshotRequest, context: Context) -> pb.Snapshot:
        return values.snapshot(await self._snapshots.find(request.snapshot))

    async def ListSnapshots(
        self, request: pb.ListSnapshotsRequest, context: Context
    ) -> pb.ListSnapshotsResponse:
        found = await self._snapshots.select(request.volume_id, request.snapshot_id)
        chosen, token = page(
            found, lambda s: s.id, "s", size=request.page_size, token=request.page_token
        )
        return pb.ListSnapshotsResponse(
            snapshots=[values.snapshot(s) for s in chosen], next_page_token=token
        )

    async def CreateSnapshotGroup(
        self, request: pb.CreateSnapshotGroupRequest, context: Context
    ) -> pb.CreateSnapshotGroupResponse:
        outcome = await self._groups.create(request.name, request.volume_ids)
        return pb.CreateSnapshotGroupResponse(
            group=values.group(outcome.value), created=isinstance(outcome, Created)
        )

    async def DeleteSnapshotGroup(
        self, request: pb.DeleteSnapshotGroupRequest, context: Context
    ) -> pb.DeleteSnapshotGroupResponse:
        deleted = await self._groups.delete(request.group_id, request.snapshot_ids)
        return pb.DeleteSnapshotGroupResponse(deleted=deleted)

    async def GetSnapshotGroup(
        self, request: pb.GetSnapshotGroupRequest, context: Context
    ) -> pb.SnapshotGroup:
        return values.group(await self._groups.find(request.group_id, request.snapshot_ids))
