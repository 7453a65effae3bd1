"""Controller: volumes as the orchestrator manages them. Snapshots are in snapshots.py."""

from collections.abc import Sequence

import grpc
from ebb_pb import csi_pb2, ebb_pb2
from google.protobuf.wrappers_pb2 import Int64Value
from grpc import StatusCode

from ebb_csi import paging, placement, translate, validate
from ebb_csi.paging import Page, Source
from ebb_csi.router import Context, Ebbd, Located, NodeFacts, Router
from ebb_csi.siting import Siting
from ebb_csi.snapshots import Snapshots
from ebb_csi.status import Refusal, invalid
from ebb_csi.together import together
from ebb_csi.validate import Access

Capability = csi_pb2.ControllerServiceCapability

CAPABILITIES = (
    Capability.RPC.CREATE_DELETE_VOLUME,
    Capability.RPC.PUBLISH_UNPUBLISH_VOLUME,
    Capability.RPC.LIST_VOLUMES,
    Capability.RPC.GET_CAPACITY,
    Capability.RPC.CREATE_DELETE_SNAPSHOT,
    Capability.RPC.LIST_SNAPSHOTS,
    Capability.RPC.CLONE_VOLUME,
    Capability.RPC.PUBLISH_READONLY,
    Capability.RPC.EXPAND_VOLUME,
    Capability.RPC.LIST_VOLUMES_PUBLISHED_NODES,
    Capability.RPC.VOLUME_CONDITION,
    Capability.RPC.GET_VOLUME,
    Capability.RPC.SINGLE_NODE_MULTI_WRITER,
    Capability.RPC.MODIFY_VOLUME,
    Capability.RPC.GET_SNAPSHOT,
)


class Controller(Snapshots):
    def __init__(self, topology_key: str, router: Router) -> None:
        super().__init__(router)
        self._topology_key = topology_key
        self._siting = Siting(topology_key, router)

    async def ControllerGetCapabilities(
        self, request: csi_pb2.ControllerGetCapabilitiesRequest, context: Context
    ) -> csi_pb2.ControllerGetCapabilitiesResponse:
        return csi_pb2.ControllerGetCapabilitiesResponse(
            capabilities=[Capability(rpc=Capability.RPC(type=kind)) for kind in CAPABILITIES]
        )

    async def CreateVolume(
        self, request: csi_pb2.CreateVolumeRequest, context: Context
    ) -> csi_pb2.CreateVolumeResponse:
        validate.new_name(request.name)
        accesses = validate.accesses(request.volume_capabilities, StatusCode.INVALID_ARGUMENT)
        shape = validate.shape(accesses, request.parameters)
        sizes = validate.sizes(request.capacity_range)
        validate.content_source(request)
        volume, facts = await self._siting.create(
            translate.create_volume(request, shape, sizes),
            request.accessibility_requirements,
            context,
        )
        return csi_pb2.CreateVolumeResponse(volume=translate.volume(volume, self._topology(facts)))

    async def DeleteVolume(
        self, request: csi_pb2.DeleteVolumeRequest, context: Context
    ) -> csi_pb2.DeleteVolumeResponse:
        volume_id = validate.required("volume_id", request.volume_id)
        node = await self._router.owner(volume_id, context.time_remaining())
        await node.volumes.DeleteVolume(
            ebb_pb2.DeleteVolumeRequest(volume_id=volume_id), timeout=context.time_remaining()
        )
        return csi_pb2.DeleteVolumeResponse()

    async def ControllerPublishVolume(
        self, request: csi_pb2.ControllerPublishVolumeRequest, context: Context
    ) -> csi_pb2.ControllerPublishVolumeResponse:
        volume_id = validate.required("volume_id", request.volume_id)
        node_id = validate.required("node_id", request.node_id)
        access = validate.one_access(
            request, request.volume_capability, StatusCode.FAILED_PRECONDITION
        )
        read_only = request.readonly or access.read_only
        node = await self._router.owner(volume_id, context.time_remaining())
        await node.volumes.AttachVolume(
            ebb_pb2.AttachVolumeRequest(volume_id=volume_id, node_id=node_id, read_only=read_only),
            timeout=context.time_remaining(),
        )
        return csi_pb2.ControllerPublishVolumeResponse(
            publish_context={translate.READ_ONLY_KEY: "true"} if read_only else {}
        )

    async def ControllerUnpublishVolume(
        self, request: csi_pb2.ControllerUnpublishVolumeRequest, context: Context
    ) -> csi_pb2.ControllerUnpublishVolumeResponse:
        volume_id = validate.required("volume_id", request.volume_id)
        node = await self._router.owner(volume_id, context.time_remaining())
        await node.volumes.DetachVolume(
            ebb_pb2.DetachVolumeRequest(volume_id=volume_id, node_id=request.node_id),
            timeout=context.time_remaining(),
        )
        return csi_pb2.ControllerUnpublishVolumeResponse()

    async def ValidateVolumeCapabilities(
        self, request: csi_pb2.ValidateVolumeCapabilitiesRequest, context: Context
    ) -> csi_pb2.ValidateVolumeCapabilitiesResponse:
        volume_id = validate.required("volume_id", request.volume_id)
        if not request.volume_capabilities:
            raise invalid("volume_capabilities is missing; at least one is required")
        volume = await self._volume(volume_id, context)
        try:
            for capability in request.volume_capabilities:
                access = validate.access(capability, StatusCode.FAILED_PRECONDITION)
                validate.fits(access, volume.filesystem, StatusCode.FAILED_PRECONDITION)
        except Refusal as refusal:
            if refusal.code is not StatusCode.FAILED_PRECONDITION:
                raise
            return csi_pb2.ValidateVolumeCapabilitiesResponse(message=refusal.message)
        # Parameters are left out: what was not checked is not confirmed.
        return csi_pb2.ValidateVolumeCapabilitiesResponse(
            confirmed=csi_pb2.ValidateVolumeCapabilitiesResponse.Confirmed(
                volume_context=request.volume_context,
                volume_capabilities=request.volume_capabilities,
            )
        )

    async def ListVolumes(
        self, request: csi_pb2.ListVolumesRequest, context: Context
    ) -> csi_pb2.ListVolumesResponse:
        max_entries = validate.max_entries(request.max_entries)
        sources = [
            self._volumes_of(node, context)
            for node in await self._router.everyone(context.time_remaining())
        ]
        page = await paging.page(sources, request.starting_token, max_entries)
        return csi_pb2.ListVolumesResponse(entries=page.items, next_token=page.next_token)

    async def ControllerGetVolume(
        self, request: csi_pb2.ControllerGetVolumeRequest, context: Context
    ) -> csi_pb2.ControllerGetVolumeResponse:
        volume_id = validate.required("volume_id", request.volume_id)
        volume = await self._volume(volume_id, context)
        owner = await self._router.owner(volume_id, context.time_remaining())
        facts = await owner.facts(context.time_remaining())
        return translate.volume_with_status(volume, self._topology(facts), facts.node_id)

    async def GetCapacity(
        self, request: csi_pb2.GetCapacityRequest, context: Context
    ) -> csi_pb2.GetCapacityResponse:
        """Zero, not an error, where no volume as asked for could be: the scheduler reads this."""
        try:
            for capability in request.volume_capabilities:
                validate.access(capability, StatusCode.FAILED_PRECONDITION)
        except Refusal as refusal:
            if refusal.code is not StatusCode.FAILED_PRECONDITION:
                raise
            return csi_pb2.GetCapacityResponse(available_capacity=0)
        nodes = await self._within(request.accessible_topology, context)
        found = await together(self._capacity_of(node.ebbd, request, context) for node in nodes)
        counted = [capacity for capacity in found if capacity is not None]
        if not counted:
            return csi_pb2.GetCapacityResponse(available_capacity=0)
        return csi_pb2.GetCapacityResponse(
            available_capacity=sum(capacity.available_bytes for capacity in counted),
            maximum_volume_size=Int64Value(
                value=max(capacity.maximum_volume_bytes for capacity in counted)
            ),
            minimum_volume_size=Int64Value(
                value=min(capacity.minimum_volume_bytes for capacity in counted)
            ),
        )

    async def ControllerExpandVolume(
        self, request: csi_pb2.ControllerExpandVolumeRequest, context: Context
    ) -> csi_pb2.ControllerExpandVolumeResponse:
        volume_id = validate.required("volume_id", request.volume_id)
        sizes = validate.new_size(request.capacity_range)
        if request.HasField("volume_capability"):
            access = validate.access(request.volume_capability, StatusCode.INVALID_ARGUMENT)
            await self._fits(volume_id, access, context)
        node = await self._router.owner(volume_id, context.time_remaining())
        reply = await node.volumes.ExpandVolume(
            ebb_pb2.ExpandVolumeRequest(
                volume_id=volume_id,
                required_bytes=sizes.required_bytes,
                limit_bytes=sizes.limit_bytes,
            ),
            timeout=context.time_remaining(),
        )
        # ebbd has grown a mounted filesystem already; the node's call then verifies it, and the
        # claim shows the new size only when a filesystem really has it.
        return csi_pb2.ControllerExpandVolumeResponse(
            capacity_bytes=reply.volume.size_bytes,
            node_expansion_required=bool(reply.volume.filesystem),
        )

    async def ControllerModifyVolume(
        self, request: csi_pb2.ControllerModifyVolumeRequest, context: Context
    ) -> csi_pb2.ControllerModifyVolumeResponse:
        volume_id = validate.required("volume_id", request.volume_id)
        node = await self._router.owner(volume_id, context.time_remaining())
        await node.volumes.ModifyVolume(
            ebb_pb2.ModifyVolumeRequest(
                volume_id=volume_id, mutable_parameters=request.mutable_parameters
            ),
            timeout=context.time_remaining(),
        )
        return csi_pb2.ControllerModifyVolumeResponse()

    async def _within(self, accessible: csi_pb2.Topology, context: Context) -> Sequence[Located]:
        """The nodes of a topology; an empty one means everywhere."""
        if not accessible.segments:
            return await self._router.everyone(context.time_remaining())
        node_id = accessible.segments.get(self._topology_key)
        if node_id is None:
            return ()
        found = await self._router.named(node_id, context.time_remaining())
        return () if found is None else (found,)

    def _topology(self, facts: NodeFacts) -> csi_pb2.Topology:
        return placement.topology(self._topology_key, facts.node_id)

    async def _volume(self, volume_id: str, context: Context) -> ebb_pb2.Volume:
        """By id, never by name, which ebb.v1 would take too."""
        node = await self._router.owner(volume_id, context.time_remaining())
        found = await node.volumes.GetVolume(
            ebb_pb2.GetVolumeRequest(volume=volume_id), timeout=context.time_remaining()
        )
        if found.id != volume_id:
            raise Refusal(StatusCode.NOT_FOUND, f"there is no volume with the id {volume_id!r}")
        return found

    async def _fits(self, volume_id: str, access: Access, context: Context) -> None:
        volume = await self._volume(volume_id, context)
        validate.fits(access, volume.filesystem, StatusCode.INVALID_ARGUMENT)

    def _volumes_of(
        self, node: Located, context: Context
    ) -> Source[csi_pb2.ListVolumesResponse.Entry]:
        async def fetch(size: int, token: str) -> Page[csi_pb2.ListVolumesResponse.Entry]:
            reply = await node.ebbd.volumes.ListVolumes(
                ebb_pb2.ListVolumesRequest(page_size=size, page_token=token),
                timeout=context.time_remaining(),
            )
            topology = self._topology(node.facts)
            return Page(
                tuple(
                    translate.listed_volume(volume, topology, node.facts.node_id)
                    for volume in reply.volumes
                ),
                reply.next_page_token,
            )

        return Source(node.facts.node_key, fetch)

    async def _capacity_of(
        self, node: Ebbd, request: csi_pb2.GetCapacityRequest, context: Context
    ) -> ebb_pb2.GetCapacityResponse | None:
        """None where the node has no pool of that name."""
        try:
            return await node.node.GetCapacity(
                ebb_pb2.GetCapacityRequest(parameters=request.parameters),
                timeout=context.time_remaining(),
            )
        except grpc.aio.AioRpcError as failure:
            if failure.code() is StatusCode.NOT_FOUND:
                return None
            raise
