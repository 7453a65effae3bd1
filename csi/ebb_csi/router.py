"""Which ebbd answers for a volume, a snapshot, a group or a topology.

`Router` is all the other modules know. `OneNode` is the whole router of a plugin that stands
beside its ebbd; a plugin for many nodes reads the owner from the id, which carries the node's
key, and keeps a connection per node.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import grpc
from ebb_pb import ebb_pb2, ebb_pb2_grpc

if TYPE_CHECKING:
    from ebb_pb.ebb_pb2_grpc import NodeAsyncStub, SnapshotsAsyncStub, VolumesAsyncStub

# What a method of a service gets beside its request.
Context = grpc.aio.ServicerContext[Any, Any]

# gRPC would wait up to two minutes before it tries a daemon again that was restarted; a local
# socket can be tried every second.
CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # An unpaged list of thousands of volumes is more than gRPC's 4 MiB.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
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
        self.node: NodeAsyncStub = ebb_pb2_grpc.NodeStub(channel)
        self.volumes: VolumesAsyncStub = ebb_pb2_grpc.VolumesStub(channel)
        self.snapshots: SnapshotsAsyncStub = ebb_pb2_grpc.SnapshotsStub(channel)

    async def facts(self, timeout_s: float | None) -> NodeFacts:
        """Asked each time and never kept: an ebbd that was restarted may answer otherwise."""
        reply = await self.node.GetNode(ebb_pb2.GetNodeRequest(), timeout=timeout_s)
        return NodeFacts(reply.node_id, reply.node_key, reply.max_volumes)


class Router(Protocol):
    def owner(self, object_id: str) -> Ebbd:
        """The ebbd that owns a volume, snapshot or group, by its id.

        An id that nobody could have made still gets an ebbd, which then says NOT_FOUND or, for a
        deletion, that all is well.
        """

    def nodes(self) -> Sequence[Ebbd]:
        """Every ebbd there is, the local one first."""


@dataclass(frozen=True, slots=True)
class OneNode:
    """The router of a plugin with one ebbd: everything is its."""

    ebbd: Ebbd

    def owner(self, object_id: str) -> Ebbd:  # noqa: ARG002 - there is only one it could be
        return self.ebbd

    def nodes(self) -> Sequence[Ebbd]:
        return (self.ebbd,)
