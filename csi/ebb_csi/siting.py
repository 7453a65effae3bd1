"""CreateVolume over all nodes: one name, one volume, however often and wherever it is asked for.

The same name makes another id on another node, so no node can see alone that a volume is there
already. Therefore: equal names wait for each other; every node that might have the volume is
asked first, and waits with its answer for what is under way; a creation whose end was not heard of
is remembered, and its node must be asked before another is chosen.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import grpc
from ebb_pb import csi_pb2, ebb_pb2
from grpc import StatusCode

from ebb_csi import placement
from ebb_csi.router import Context, Located, NodeFacts, Router, Survey, courtesy_s
from ebb_csi.status import Refusal
from ebb_csi.together import together

# With these ebbd has refused: nothing was made, and nothing will be.
REFUSED = frozenset(
    {
        StatusCode.INVALID_ARGUMENT,
        StatusCode.NOT_FOUND,
        StatusCode.ALREADY_EXISTS,
        StatusCode.OUT_OF_RANGE,
        StatusCode.RESOURCE_EXHAUSTED,
        StatusCode.FAILED_PRECONDITION,
        StatusCode.ABORTED,
        StatusCode.PERMISSION_DENIED,
    }
)


class Siting:
    def __init__(self, topology_key: str, router: Router) -> None:
        self._topology_key = topology_key
        self._router = router
        self._turns: dict[str, tuple[asyncio.Lock, int]] = {}
        self._doubts: dict[str, str] = {}  # name: id of the node that was not heard of again

    async def create(
        self,
        request: ebb_pb2.CreateVolumeRequest,
        requirement: csi_pb2.TopologyRequirement,
        context: Context,
    ) -> tuple[ebb_pb2.Volume, NodeFacts]:
        """The volume, made or found, and its node.

        Raises Refusal: UNAVAILABLE (a node that might have it cannot be asked), ALREADY_EXISTS (it
        is where the requirement does not want it), RESOURCE_EXHAUSTED (no node is allowed); and
        what ebbd says.
        """
        async with self._turn(request.name):
            survey = await self._router.survey(context.time_remaining())
            chosen = await self._choose(request, requirement, survey, context)
            self._doubts[request.name] = chosen.facts.node_id
            try:
                reply = await chosen.ebbd.volumes.CreateVolume(
                    request, timeout=context.time_remaining()
                )
            except grpc.aio.AioRpcError as failure:
                if failure.code() in REFUSED:
                    del self._doubts[request.name]
                raise
            del self._doubts[request.name]
            return reply.volume, chosen.facts

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[None]:
        lock, users = self._turns.get(name, (asyncio.Lock(), 0))
        self._turns[name] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._turns.pop(name)
            if users > 1:
                self._turns[name] = (lock, users - 1)

    async def _choose(
        self,
        request: ebb_pb2.CreateVolumeRequest,
        requirement: csi_pb2.TopologyRequirement,
        survey: Survey,
        context: Context,
    ) -> Located:
        key = self._topology_key
        nodes = {located.facts.node_id: located for located in survey.located}
        source_id = request.source_snapshot_id or request.source_volume_id
        if source_id:  # a copy can only be where its source is
            owner = await self._router.owner(source_id, context.time_remaining())
            fitting = tuple(node_id for node_id, it in nodes.items() if it.ebbd is owner)
            must = set(fitting)
        else:
            fitting = tuple(nodes)
            must = self._might_have_it(requirement, survey)
        if len(nodes) == 1 and survey.complete and not survey.missing:
            return nodes[placement.choose(fitting, requirement, key)]
        if doubt := self._doubts.get(request.name):
            must |= {doubt} & (nodes.keys() | survey.missing.keys())
        found = await self._where(request.name, nodes.values(), must, context)
        self._doubts.pop(request.name, None)
        if found:
            return nodes[placement.existing(request.name, found, fitting, requirement, key)]
        if not placement.decides(fitting, requirement, key):
            fitting = await self._roomiest_first(
                [nodes[node_id] for node_id in fitting], request, context
            )
        return nodes[placement.choose(fitting, requirement, key)]

    def _might_have_it(self, requirement: csi_pb2.TopologyRequirement, survey: Survey) -> set[str]:
        """The ids of the nodes on which an earlier try may have made the volume: those that are
        allowed. Refuses where one of them cannot be asked.
        """
        ids = {located.facts.node_id for located in survey.located}
        allowed = placement.requisite(requirement, self._topology_key)
        if allowed is None:
            missing = dict(survey.missing)
        else:
            why = "it has not been seen yet"
            missing = {
                node_id: survey.missing.get(node_id, why)
                for node_id in allowed - ids
                if node_id in survey.missing or not survey.complete
            }
        if missing or not (survey.located or survey.complete):
            told = ", ".join(f"{name} ({why})" for name, why in sorted(missing.items()))
            raise Refusal(
                StatusCode.UNAVAILABLE,
                f"a volume of this name may be on a node that cannot be asked: "
                f"{told or 'no node is known yet'}; try again when it can",
            )
        return ids if allowed is None else ids & allowed

    async def _where(
        self, name: str, nodes: Iterable[Located], must: set[str], context: Context
    ) -> tuple[str, ...]:
        """The ids of the nodes that have a volume of this name. Those in `must` have to answer."""

        async def has_it(node: Located) -> bool:
            needed = node.facts.node_id in must
            left_s = context.time_remaining()
            timeout_s = left_s if needed else courtesy_s(left_s)
            try:
                await node.ebbd.volumes.GetVolume(
                    ebb_pb2.GetVolumeRequest(name=name), timeout=timeout_s
                )
            except grpc.aio.AioRpcError as failure:
                if needed and failure.code() is not StatusCode.NOT_FOUND:
                    raise
                return False
            return True

        asked = tuple(nodes)
        answers = await together(has_it(node) for node in asked)
        return tuple(node.facts.node_id for node, has in zip(asked, answers, strict=True) if has)

    async def _roomiest_first(
        self, nodes: Sequence[Located], request: ebb_pb2.CreateVolumeRequest, context: Context
    ) -> tuple[str, ...]:
        """Where nobody says where: the node with the most room; one without such a pool is last."""

        async def room(node: Located) -> int:
            try:
                found = await node.ebbd.node.GetCapacity(
                    ebb_pb2.GetCapacityRequest(parameters=request.parameters),
                    timeout=context.time_remaining(),
                )
            except grpc.aio.AioRpcError as failure:
                if failure.code() is StatusCode.NOT_FOUND:
                    return -1
                raise
            return found.available_bytes

        rooms = await together(room(node) for node in nodes)
        ordered = sorted(
            zip(rooms, nodes, strict=True), key=lambda it: (-it[0], it[1].facts.node_id)
        )
        return tuple(node.facts.node_id for _, node in ordered)
