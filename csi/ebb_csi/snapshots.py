"""The snapshot RPCs of the Controller service."""

import grpc
from ebb_pb import csi_pb2, csi_pb2_grpc, ebb_pb2
from grpc import StatusCode

from ebb_csi import paging, translate, validate
from ebb_csi.paging import Page, Source
from ebb_csi.router import Context, Ebbd, Located, Router, courtesy_s
from ebb_csi.status import Refusal
from ebb_csi.together import together

Entry = csi_pb2.ListSnapshotsResponse.Entry


class Snapshots(csi_pb2_grpc.ControllerServicer):
    """Half of a Controller: abstract until Controller adds the volumes."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def CreateSnapshot(
        self, request: csi_pb2.CreateSnapshotRequest, context: Context
    ) -> csi_pb2.CreateSnapshotResponse:
        name = validate.new_name(request.name)
        volume_id = validate.required("source_volume_id", request.source_volume_id)
        validate.snapshot_parameters(request.parameters)
        node = await self._router.owner(volume_id, context.time_remaining())
        await together(
            self._refuse_taken(name, other, context) for other in self._router.others(node)
        )
        reply = await node.snapshots.CreateSnapshot(
            ebb_pb2.CreateSnapshotRequest(name=name, volume_id=volume_id),
            timeout=context.time_remaining(),
        )
        return csi_pb2.CreateSnapshotResponse(snapshot=translate.snapshot(reply.snapshot))

    async def _refuse_taken(self, name: str, other: Ebbd, context: Context) -> None:
        """A snapshot of this name on another node is of another source.

        Only as far as that node answers: the same request always goes to its source's node, so
        that no node's absence need keep anybody from a snapshot.
        """
        try:
            found = await other.snapshots.GetSnapshot(
                ebb_pb2.GetSnapshotRequest(snapshot=name),
                timeout=courtesy_s(context.time_remaining()),
            )
        except grpc.aio.AioRpcError:
            return
        if found.name == name:
            raise Refusal(
                StatusCode.ALREADY_EXISTS,
                f"a snapshot named {name!r} exists, of volume {found.volume_id} on another node; "
                "use another name",
            )

    async def DeleteSnapshot(
        self, request: csi_pb2.DeleteSnapshotRequest, context: Context
    ) -> csi_pb2.DeleteSnapshotResponse:
        snapshot_id = validate.required("snapshot_id", request.snapshot_id)
        node = await self._router.owner(snapshot_id, context.time_remaining())
        await node.snapshots.DeleteSnapshot(
            ebb_pb2.DeleteSnapshotRequest(snapshot_id=snapshot_id),
            timeout=context.time_remaining(),
        )
        return csi_pb2.DeleteSnapshotResponse()

    async def GetSnapshot(
        self, request: csi_pb2.GetSnapshotRequest, context: Context
    ) -> csi_pb2.GetSnapshotResponse:
        snapshot_id = validate.required("snapshot_id", request.snapshot_id)
        node = await self._router.owner(snapshot_id, context.time_remaining())
        found = await node.snapshots.GetSnapshot(
            ebb_pb2.GetSnapshotRequest(snapshot=snapshot_id), timeout=context.time_remaining()
        )
        if found.id != snapshot_id:  # ebb.v1 takes names too, CSI does not
            raise Refusal(StatusCode.NOT_FOUND, f"there is no snapshot with the id {snapshot_id!r}")
        return csi_pb2.GetSnapshotResponse(snapshot=translate.snapshot(found))

    async def ListSnapshots(
        self, request: csi_pb2.ListSnapshotsRequest, context: Context
    ) -> csi_pb2.ListSnapshotsResponse:
        max_entries = validate.max_entries(request.max_entries)
        named = request.snapshot_id or request.source_volume_id
        if named:
            owner = await self._router.owner(named, context.time_remaining())
            nodes: tuple[Located, ...] = (
                Located(owner, await owner.facts(context.time_remaining())),
            )
        else:
            nodes = tuple(await self._router.everyone(context.time_remaining()))
        sources = [self._snapshots_of(node, request, context) for node in nodes]
        page = await paging.page(sources, request.starting_token, max_entries)
        return csi_pb2.ListSnapshotsResponse(entries=page.items, next_token=page.next_token)

    def _snapshots_of(
        self, node: Located, request: csi_pb2.ListSnapshotsRequest, context: Context
    ) -> Source[Entry]:
        async def fetch(size: int, token: str) -> Page[Entry]:
            reply = await node.ebbd.snapshots.ListSnapshots(
                ebb_pb2.ListSnapshotsRequest(
                    volume_id=request.source_volume_id,
                    snapshot_id=request.snapshot_id,
                    page_size=size,
                    page_token=token,
                ),
                timeout=context.time_remaining(),
            )
            entries = (Entry(snapshot=translate.snapshot(found)) for found in reply.snapshots)
            return Page(tuple(entries), reply.next_page_token)

        return Source(node.facts.node_key, fetch)
