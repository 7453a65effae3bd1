"""ebb.v1.Volumes: translation only."""

from ebb_pb import ebb_pb2 as pb
from ebb_pb.ebb_pb2_grpc import VolumesServicer

from ebbd.api import values
from ebbd.api.failures import Context
from ebbd.api.paging import page
from ebbd.errors import NotFound
from ebbd.model import Created, Volume
from ebbd.volumes.adoption import Adoption
from ebbd.volumes.attachment import Attachment
from ebbd.volumes.creation import Creation, VolumeRequest
from ebbd.volumes.lifecycle import Lifecycle
from ebbd.volumes.observe import Observer
from ebbd.volumes.staging import Staging
from ebbd.volumes.store import Store


class VolumeService(VolumesServicer):
    def __init__(
        self,
        store: Store,
        creation: Creation,
        lifecycle: Lifecycle,
        attachment: Attachment,
        staging: Staging,
        observer: Observer,
        adoption: Adoption,
    ) -> None:
        self._store = store
        self._creation = creation
        self._lifecycle = lifecycle
        self._attachment = attachment
        self._staging = staging
        self._observer = observer
        self._adoption = adoption

    async def CreateVolume(
        self, request: pb.CreateVolumeRequest, context: Context
    ) -> pb.CreateVolumeResponse:
        outcome = await self._creation.create(
            VolumeRequest(
                name=request.name,
                required_bytes=request.required_bytes,
                limit_bytes=request.limit_bytes,
                filesystem=request.filesystem,
                block=request.block,
                parameters=dict(request.parameters),
                mutable_parameters=dict(request.mutable_parameters),
                source=request.source_snapshot_id or request.source_volume_id,
            )
        )
        return pb.CreateVolumeResponse(
            volume=await self._shown(outcome.value), created=isinstance(outcome, Created)
        )

    async def DeleteVolume(
        self, request: pb.DeleteVolumeRequest, context: Context
    ) -> pb.DeleteVolumeResponse:
        return pb.DeleteVolumeResponse(deleted=await self._lifecycle.delete(request.volume_id))

    async def AdoptVolume(
        self, request: pb.AdoptVolumeRequest, context: Context
    ) -> pb.AdoptVolumeResponse:
        outcome = await self._adoption.adopt(request.lv, request.name, block=request.block)
        return pb.AdoptVolumeResponse(
            volume=await self._shown(outcome.value), adopted=isinstance(outcome, Created)
        )

    async def ReleaseVolume(
        self, request: pb.ReleaseVolumeRequest, context: Context
    ) -> pb.ReleaseVolumeResponse:
        return pb.ReleaseVolumeResponse(released=await self._adoption.release(request.volume_id))

    async def GetVolume(self, request: pb.GetVolumeRequest, context: Context) -> pb.Volume:
        found = await (
            self._store.settled_volume(request.name)
            if request.name
            else self._store.find_volume(request.volume)
        )
        if found is None:
            raise NotFound(
                f"there is no volume {(request.name or request.volume)!r}",
                "'ebb volume list' shows those there are",
            )
        return await self._shown(found)

    async def ListVolumes(
        self, request: pb.ListVolumesRequest, context: Context
    ) -> pb.ListVolumesResponse:
        volumes = sorted((await self._store.catalog()).whole().volumes.values(), key=lambda v: v.id)
        chosen, token = page(
            volumes, lambda v: v.id, "v", size=request.page_size, token=request.page_token
        )
        seen = await self._observer.observe(chosen)
        return pb.ListVolumesResponse(
            volumes=[values.volume(v, o) for v, o in zip(chosen, seen, strict=True)],
            next_page_token=token,
        )

    async def ExpandVolume(
        self, request: pb.ExpandVolumeRequest, context: Context
    ) -> pb.ExpandVolumeResponse:
        if request.volume_path:  # before anything grows: a refusal must have changed nothing
            await self._observer.require_mount(request.volume_id, request.volume_path)
        outcome = await self._lifecycle.expand(
            request.volume_id, request.required_bytes, request.limit_bytes
        )
        await self._observer.grow(request.volume_id, request.volume_path)
        return pb.ExpandVolumeResponse(
            volume=await self._shown(outcome.value), expanded=isinstance(outcome, Created)
        )

    async def ModifyVolume(
        self, request: pb.ModifyVolumeRequest, context: Context
    ) -> pb.ModifyVolumeResponse:
        outcome = await self._lifecycle.modify(request.volume_id, dict(request.mutable_parameters))
        return pb.ModifyVolumeResponse(
            volume=await self._shown(outcome.value), changed=isinstance(outcome, Created)
        )

    async def AttachVolume(
        self, request: pb.AttachVolumeRequest, context: Context
    ) -> pb.AttachVolumeResponse:
        await self._attachment.attach(
            request.volume_id, request.node_id, read_only=request.read_only
        )
        return pb.AttachVolumeResponse()

    async def DetachVolume(
        self, request: pb.DetachVolumeRequest, context: Context
    ) -> pb.DetachVolumeResponse:
        await self._attachment.detach(request.volume_id, request.node_id)
        return pb.DetachVolumeResponse()

    async def StageVolume(
        self, request: pb.StageVolumeRequest, context: Context
    ) -> pb.StageVolumeResponse:
        device = await self._staging.stage(
            request.volume_id, request.staging_path, values.access(request.access)
        )
        return pb.StageVolumeResponse(device=device)

    async def UnstageVolume(
        self, request: pb.UnstageVolumeRequest, context: Context
    ) -> pb.UnstageVolumeResponse:
        await self._staging.unstage(request.volume_id, request.staging_path)
        return pb.UnstageVolumeResponse()

    async def PublishVolume(
        self, request: pb.PublishVolumeRequest, context: Context
    ) -> pb.PublishVolumeResponse:
        await self._staging.publish(
            request.volume_id,
            request.staging_path,
            request.target_path,
            values.access(request.access),
            read_only=request.read_only,
        )
        return pb.PublishVolumeResponse()

    async def UnpublishVolume(
        self, request: pb.UnpublishVolumeRequest, context: Context
    ) -> pb.UnpublishVolumeResponse:
        await self._staging.unpublish(request.volume_id, request.target_path)
        return pb.UnpublishVolumeResponse()

    async def GetVolumeStats(
        self, request: pb.GetVolumeStatsRequest, context: Context
    ) -> pb.GetVolumeStatsResponse:
        used, problem = await self._observer.usage(request.volume_id, request.volume_path)
        return values.stats(used, problem)

    async def TrimVolume(
        self, request: pb.TrimVolumeRequest, context: Context
    ) -> pb.TrimVolumeResponse:
        return pb.TrimVolumeResponse(trimmed_bytes=await self._observer.trim(request.volume_id))

    async def _shown(self, volume: Volume) -> pb.Volume:
        [seen] = await self._observer.observe([volume])
        return values.volume(volume, seen)
