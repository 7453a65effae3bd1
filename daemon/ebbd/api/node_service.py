"""ebb.v1.Node: what this node is and how its pools stand."""

from collections.abc import Awaitable, Callable, Sequence

from ebb_pb import ebb_pb2 as pb
from ebb_pb.ebb_pb2_grpc import NodeServicer

from ebbd import __version__
from ebbd.api import values
from ebbd.api.failures import Context
from ebbd.errors import NotFound
from ebbd.inspect.checks import Check, Status
from ebbd.volumes.gc import Collector
from ebbd.volumes.sizes import MAXIMUM_BYTES, minimum_bytes
from ebbd.volumes.store import Store

_STATUS = {
    Status.OK: pb.Check.OK,
    Status.WARNING: pb.Check.WARNING,
    Status.FAILED: pb.Check.FAILED,
}


class NodeService(NodeServicer):
    def __init__(
        self,
        store: Store,
        diagnose: Callable[[], Awaitable[Sequence[Check]]],
        collector: Collector,
    ) -> None:
        self._store = store
        self._diagnose = diagnose
        self._collector = collector

    async def GetNode(self, request: pb.GetNodeRequest, context: Context) -> pb.GetNodeResponse:
        settings = self._store.settings
        return pb.GetNodeResponse(
            node_id=settings.node_id,
            node_key=self._store.naming.key,
            version=__version__,
            max_volumes=settings.max_volumes,
            simulated=self._store.host.simulated,
            lvm_command_lines=self._store.host.lvm.command_lines,
        )

    async def ListPools(
        self, request: pb.ListPoolsRequest, context: Context
    ) -> pb.ListPoolsResponse:
        states = [await self._store.pool_state(spec) for spec in self._store.pools.specs]
        return pb.ListPoolsResponse(pools=[values.pool(state) for state in states])

    async def GetCapacity(
        self, request: pb.GetCapacityRequest, context: Context
    ) -> pb.GetCapacityResponse:
        name = request.pool or request.parameters.get("pool", "")
        if not self._store.pools.has(name):
            raise NotFound(f"this node has no pool {name!r}", "'ebb pool list' shows its pools")
        spec = self._store.pools.choose(name)
        state = await self._store.pool_state(spec)
        if spec.vg in self._store.missing:
            return pb.GetCapacityResponse()
        extent = self._store.group(spec.vg).extent_bytes
        available = state.available_bytes // extent * extent
        return pb.GetCapacityResponse(
            available_bytes=available,
            maximum_volume_bytes=min(available, MAXIMUM_BYTES),
            minimum_volume_bytes=minimum_bytes("", extent),
        )

    async def Diagnose(self, request: pb.DiagnoseRequest, context: Context) -> pb.DiagnoseResponse:
        return pb.DiagnoseResponse(
            checks=[
                pb.Check(
                    subject=check.subject,
                    name=check.name,
                    status=_STATUS[check.status],
                    detail=check.detail,
                    remedy=check.remedy,
                )
                for check in await self._diagnose()
            ]
        )

    async def ListOrphans(
        self, request: pb.ListOrphansRequest, context: Context
    ) -> pb.ListOrphansResponse:
        findings = await self._collector.find()
        return pb.ListOrphansResponse(
            orphans=[values.orphan(orphan) for orphan in findings.orphans],
            unlisted=findings.unlisted,
        )

    async def RemoveOrphan(
        self, request: pb.RemoveOrphanRequest, context: Context
    ) -> pb.RemoveOrphanResponse:
        removed = await self._collector.remove(request.orphan_id)
        return pb.RemoveOrphanResponse(orphan=values.orphan(removed))
