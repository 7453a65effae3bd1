"""GroupController: snapshots of several volumes at one instant, all of them or none."""

from collections.abc import Sequence

from ebb_pb import csi_pb2, csi_pb2_grpc, ebb_pb2
from grpc import StatusCode

from ebb_csi import translate, validate
from ebb_csi.router import Context, Ebbd, Router
from ebb_csi.status import Refusal


class GroupController(csi_pb2_grpc.GroupControllerServicer):
    def __init__(self, router: Router) -> None:
        self._router = router

    async def GroupControllerGetCapabilities(
        self, request: csi_pb2.GroupControllerGetCapabilitiesRequest, context: Context
    ) -> csi_pb2.GroupControllerGetCapabilitiesResponse:
        capability = csi_pb2.GroupControllerServiceCapability
        groups = capability.RPC(type=capability.RPC.CREATE_DELETE_GET_VOLUME_GROUP_SNAPSHOT)
        return csi_pb2.GroupControllerGetCapabilitiesResponse(capabilities=[capability(rpc=groups)])

    async def CreateVolumeGroupSnapshot(
        self, request: csi_pb2.CreateVolumeGroupSnapshotRequest, context: Context
    ) -> csi_pb2.CreateVolumeGroupSnapshotResponse:
        name = validate.new_name(request.name)
        sources = validate.group_sources(request.source_volume_ids)
        validate.snapshot_parameters(request.parameters)
        owner = await self._one_owner(sources, context)
        reply = await owner.snapshots.CreateSnapshotGroup(
            ebb_pb2.CreateSnapshotGroupRequest(name=name, volume_ids=sources),
            timeout=context.time_remaining(),
        )
        return csi_pb2.CreateVolumeGroupSnapshotResponse(
            group_snapshot=translate.group(reply.group)
        )

    async def DeleteVolumeGroupSnapshot(
        self, request: csi_pb2.DeleteVolumeGroupSnapshotRequest, context: Context
    ) -> csi_pb2.DeleteVolumeGroupSnapshotResponse:
        group_id = validate.required("group_snapshot_id", request.group_snapshot_id)
        owner = await self._router.owner(group_id, context.time_remaining())
        await owner.snapshots.DeleteSnapshotGroup(
            ebb_pb2.DeleteSnapshotGroupRequest(
                group_id=group_id, snapshot_ids=request.snapshot_ids
            ),
            timeout=context.time_remaining(),
        )
        return csi_pb2.DeleteVolumeGroupSnapshotResponse()

    async def GetVolumeGroupSnapshot(
        self, request: csi_pb2.GetVolumeGroupSnapshotRequest, context: Context
    ) -> csi_pb2.GetVolumeGroupSnapshotResponse:
        group_id = validate.required("group_snapshot_id", request.group_snapshot_id)
        owner = await self._router.owner(group_id, context.time_remaining())
        found = await owner.snapshots.GetSnapshotGroup(
            ebb_pb2.GetSnapshotGroupRequest(group_id=group_id, snapshot_ids=request.snapshot_ids),
            timeout=context.time_remaining(),
        )
        return csi_pb2.GetVolumeGroupSnapshotResponse(group_snapshot=translate.group(found))

    async def _one_owner(self, volume_ids: Sequence[str], context: Context) -> Ebbd:
        """One instant can be had on one node only."""
        owners = [
            await self._router.owner(volume_id, context.time_remaining())
            for volume_id in volume_ids
        ]
        if len(set(owners)) == 1:
            return owners[0]
        # A volume that is not there is NOT_FOUND, wherever the others are.
        for owner, volume_id in zip(owners, volume_ids, strict=True):
            await owner.volumes.GetVolume(
                ebb_pb2.GetVolumeRequest(volume=volume_id), timeout=context.time_remaining()
            )
        raise Refusal(
            StatusCode.FAILED_PRECONDITION,
            "the volumes live on different nodes, which have no instant in common; make one "
            "group per node",
        )
