"""Which ebbd answers for a volume, a snapshot, a group or a topology.

`Router` is all the other modules know. `OneNode` is the whole router of a plugin that stands
beside its ebbd; a plugin for many nodes (fleet.py) reads the owner from the id, which carries the
node's key, and keeps a connection per node.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import grpc
from ebb_pb import ebb_pb2, ebb_pb2_grpc

if TYPE_CHECKING:
    from ebb_pb.ebb_pb2_grpc import NodeAsyncStub, SnapshotsAsyncStub, VolumesAsyncStub

# A node that need not be asked is not waited for long.
COURTESY_S = 3.0

# What a method of a service gets beside its request.
Context = grpc.aio.ServicerContext[Any, Any]

# An unpaged list of thousands of volumes is more than gRPC's 4 MiB.
MESSAGE_OPTIONS = (("grpc.max_receive_message_length", 64 * 1024 * 1024),)
# gRPC would wait up to two minutes before it tries a daemon again that was restarted; a local
# socket can be tried every second.
CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    *MESSAGE_OPTIONS,
)


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a node's ebbd says of itself; `max_volumes` 0: no limit stated."""

    node_id: str
    node_key: str
    max_volumes: int


class Ebbd:
    """The ebb.v1 services of one node's ebbd, over a channel that its maker closes."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.use(channel)

    def use(self, channel: grpc.aio.Channel) -> None:
        """Another channel from the next call on: whoever holds this object need not know."""
        self.node: NodeAsyncStub = ebb_pb2_grpc.NodeStub(channel)
        self.volumes: VolumesAsyncStub = ebb_pb2_grpc.VolumesStub(channel)
        self.snapshots: SnapshotsAsyncStub = ebb_pb2_grpc.SnapshotsStub(channel)

    async def facts(self, timeout_s: float | None) -> NodeFacts:
        reply = await self.node.GetNode(ebb_pb2.GetNodeRequest(), timeout=timeout_s)
        return NodeFacts(reply.node_id, reply.node_key, reply.max_volumes)


@dataclass(frozen=True, slots=True)
class Located:
    """A node that has told who it is."""

    ebbd: Ebbd
    facts: NodeFacts


@dataclass(frozen=True, slots=True)
class Survey:
    """The nodes there are, as far as that is known now.

    `missing` are nodes (by id, or by address where not even that is known) that have not told who
    they are, with the reason. `complete`: there are no others than these, so that what none of
    them has does not exist.
    """

    located: tuple[Located, ...]
    missing: Mapping[str, str]
    complete: bool


class Router(Protocol):
    async def owner(self, object_id: str, timeout_s: float | None) -> Ebbd:
        """The ebbd that owns a volume, snapshot or group, by its id.

        An id that nobody could have made still gets an ebbd, which then says NOT_FOUND or, for a
        deletion, that all is well. Raises Refusal (UNAVAILABLE) where the owner cannot be told.
        """

    async def survey(self, timeout_s: float | None) -> Survey:
        """Every ebbd there is, those included that cannot be asked."""

    async def everyone(self, timeout_s: float | None) -> Sequence[Located]:
        """Every ebbd there is; Refusal (UNAVAILABLE) where one has not told who it is."""

    def others(self, ebbd: Ebbd) -> Sequence[Ebbd]:
        """Those besides this one that can be asked now."""

    async def named(self, node_id: str, timeout_s: float | None) -> Located | None:
        """The node with this id; None: there is none. Refusal (UNAVAILABLE) as `owner`."""

    async def ready(self, timeout_s: float | None) -> bool:
        """Whether any call could be served now."""

    def readiness(self) -> AsyncIterator[bool]:
        """`ready` as it changes, without end."""

    async def run(self) -> None:
        """What there is to do while it is used; cancelled at the end."""


class OneNode:
    """The router of a plugin with one ebbd: everything is its."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._ebbd = Ebbd(channel)

    async def owner(self, object_id: str, timeout_s: float | None) -> Ebbd:  # noqa: ARG002 - there is only one it could be
        return self._ebbd

    async def survey(self, timeout_s: float | None) -> Survey:
        return Survey(tuple(await self.everyone(timeout_s)), {}, complete=True)

    async def everyone(self, timeout_s: float | None) -> Sequence[Located]:
        """Asked each time and never kept: an ebbd that was restarted may answer otherwise."""
        return (Located(self._ebbd, await self._ebbd.facts(timeout_s)),)

    def others(self, ebbd: Ebbd) -> Sequence[Ebbd]:  # noqa: ARG002 - there is only one
        return ()

    async def named(self, node_id: str, timeout_s: float | None) -> Located | None:
        [found] = await self.everyone(timeout_s)
        return found if found.facts.node_id == node_id else None

    async def ready(self, timeout_s: float | None) -> bool:
        try:
            await self._ebbd.facts(timeout_s)
        except grpc.aio.AioRpcError as failure:
            if failure.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return False
        return True

    async def readiness(self) -> AsyncIterator[bool]:
        while True:
            state = self._channel.get_state(try_to_connect=True)
            connected = connection(state)
            if connected is not None:
                yield connected
            await self._channel.wait_for_state_change(state)

    async def run(self) -> None:
        """Nothing."""


def courtesy_s(left_s: float | None) -> float:
    """How long to wait for a node that need not answer, within the time that the caller has."""
    return COURTESY_S if left_s is None else min(COURTESY_S, left_s)


def connection(state: grpc.ChannelConnectivity) -> bool | None:
    """None while nothing is known: an idle channel is about to be connected again."""
    if state is grpc.ChannelConnectivity.READY:
        return True
    if state in {grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.CONNECTING}:
        return None
    return False
