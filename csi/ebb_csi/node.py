"""Node: a volume of this node, staged once and published to each pod."""

from ebb_pb import csi_pb2, csi_pb2_grpc, ebb_pb2
from grpc import StatusCode

from ebb_csi import placement, translate, validate
from ebb_csi.router import Context, Router
from ebb_csi.status import Refusal
from ebb_csi.validate import Access

Capability = csi_pb2.NodeServiceCapability

CAPABILITIES = (
    Capability.RPC.STAGE_UNSTAGE_VOLUME,
    Capability.RPC.GET_VOLUME_STATS,
    Capability.RPC.EXPAND_VOLUME,
    Capability.RPC.VOLUME_CONDITION,
    Capability.RPC.SINGLE_NODE_MULTI_WRITER,
)


class Node(csi_pb2_grpc.NodeServicer):
    def __init__(self, topology_key: str, router: Router) -> None:
        self._topology_key = topology_key
        self._router = router

    async def NodeGetCapabilities(
        self, request: csi_pb2.NodeGetCapabilitiesRequest, context: Context
    ) -> csi_pb2.NodeGetCapabilitiesResponse:
        return csi_pb2.NodeGetCapabilitiesResponse(
            capabilities=[Capability(rpc=Capability.RPC(type=kind)) for kind in CAPABILITIES]
        )

    async def NodeGetInfo(
        self, request: csi_pb2.NodeGetInfoRequest, context: Context
    ) -> csi_pb2.NodeGetInfoResponse:
        [local] = await self._router.everyone(context.time_remaining())
        facts = local.facts
        return csi_pb2.NodeGetInfoResponse(
            node_id=facts.node_id,
            max_volumes_per_node=facts.max_volumes,
            accessible_topology=placement.topology(self._topology_key, facts.node_id),
        )

    async def NodeStageVolume(
        self, request: csi_pb2.NodeStageVolumeRequest, context: Context
    ) -> csi_pb2.NodeStageVolumeResponse:
        volume_id = validate.required("volume_id", request.volume_id)
        staging_path = validate.path("staging_target_path", request.staging_target_path)
        access = wanted_access(request)
        node = await self._router.owner(volume_id, context.time_remaining())
        await node.volumes.StageVolume(
            ebb_pb2.StageVolumeRequest(
                volume_id=volume_id, staging_path=staging_path, access=translate.access(access)
            ),
            timeout=context.time_remaining(),
        )
        return csi_pb2.NodeStageVolumeResponse()

    async def NodeUnstageVolume(
        self, request: csi_pb2.NodeUnstageVolumeRequest, context: Context
    ) -> csi_pb2.NodeUnstageVolumeResponse:
        volume_id = validate.required("volume_id", request.volume_id)
        staging_path = validate.path("staging_target_path", request.staging_target_path)
        node = await self._router.owner(volume_id, context.time_remaining())
        await node.volumes.UnstageVolume(
            ebb_pb2.UnstageVolumeRequest(volume_id=volume_id, staging_path=staging_path),
            timeout=context.time_remaining(),
        )
        return csi_pb2.NodeUnstageVolumeResponse()

    async def NodePublishVolume(
        self, request: csi_pb2.NodePublishVolumeRequest, context: Context
    ) -> csi_pb2.NodePublishVolumeResponse:
        volume_id = validate.required("volume_id", request.volume_id)
        target_path = validate.path("target_path", request.target_path)
        access = wanted_access(request)
        validate.not_ephemeral(request.volume_context)
        if not request.staging_target_path:
            raise Refusal(
                StatusCode.FAILED_PRECONDITION,
                "staging_target_path is missing; stage the volume, then publish it",
            )
        read_only = (
            request.readonly
            or access.read_only
            or request.publish_context.get(translate.READ_ONLY_KEY) == "true"
        )
        node = await self._router.owner(volume_id, context.time_remaining())
        await node.volumes.PublishVolume(
            ebb_pb2.PublishVolumeRequest(
                volume_id=volume_id,
                staging_path=validate.path("staging_target_path", request.staging_target_path),
                target_path=target_path,
                access=translate.access(access),
                read_only=read_only,
                consumer=translate.consumer(request.volume_context),
            ),
            timeout=context.time_remaining(),
        )
        return csi_pb2.NodePublishVolumeResponse()

    async def NodeUnpublishVolume(
        self, request: csi_pb2.NodeUnpublishVolumeRequest, context: Context
    ) -> csi_pb2.NodeUnpublishVolumeResponse:
        volume_id = validate.required("volume_id", request.volume_id)
        target_path = validate.path("target_path", request.target_path)
        node = await self._router.owner(volume_id, context.time_remaining())
        await node.volumes.UnpublishVolume(
            ebb_pb2.UnpublishVolumeRequest(volume_id=volume_id, target_path=target_path),
            timeout=context.time_remaining(),
        )
        return csi_pb2.NodeUnpublishVolumeResponse()

    async def NodeGetVolumeStats(
        self, request: csi_pb2.NodeGetVolumeStatsRequest, context: Context
    ) -> csi_pb2.NodeGetVolumeStatsResponse:
        volume_id = validate.required("volume_id", request.volume_id)
        volume_path = validate.volume_path(request.volume_path)
        node = await self._router.owner(volume_id, context.time_remaining())
        stats = await node.volumes.GetVolumeStats(
            ebb_pb2.GetVolumeStatsRequest(volume_id=volume_id, volume_path=volume_path),
            timeout=context.time_remaining(),
        )
        return csi_pb2.NodeGetVolumeStatsResponse(
            usage=translate.usage(stats), volume_condition=translate.condition(stats.condition)
        )

    async def NodeExpandVolume(
        self, request: csi_pb2.NodeExpandVolumeRequest, context: Context
    ) -> csi_pb2.NodeExpandVolumeResponse:
        """Grows the filesystem up to the volume, and the volume too where it lags behind."""
        volume_id = validate.required("volume_id", request.volume_id)
        volume_path = validate.volume_path(request.volume_path)
        sizes = validate.sizes(request.capacity_range)
        if request.HasField("volume_capability"):
            validate.access(request.volume_capability, StatusCode.INVALID_ARGUMENT)
        node = await self._router.owner(volume_id, context.time_remaining())
        reply = await node.volumes.ExpandVolume(
            ebb_pb2.ExpandVolumeRequest(
                volume_id=volume_id,
                required_bytes=sizes.required_bytes,
                limit_bytes=sizes.limit_bytes,
                volume_path=volume_path,
            ),
            timeout=context.time_remaining(),
        )
        return csi_pb2.NodeExpandVolumeResponse(capacity_bytes=reply.volume.size_bytes)


def wanted_access(
    request: csi_pb2.NodeStageVolumeRequest | csi_pb2.NodePublishVolumeRequest,
) -> Access:
    return validate.one_access(request, request.volume_capability, StatusCode.FAILED_PRECONDITION)
