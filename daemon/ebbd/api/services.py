"""The services of ebb.v1 as one thing: whoever serves them, on a socket or over TLS, serves all."""

from typing import NamedTuple

import grpc
from ebb_pb import ebb_pb2_grpc

from ebbd.api.node_service import NodeService
from ebbd.api.snapshot_service import SnapshotService
from ebbd.api.timeline_service import TimelineService
from ebbd.api.volume_service import VolumeService


class Services(NamedTuple):
    node: NodeService
    volumes: VolumeService
    snapshots: SnapshotService
    timeline: TimelineService

    def add_to(self, server: grpc.aio.Server) -> None:
        ebb_pb2_grpc.add_NodeServicer_to_server(self.node, server)
        ebb_pb2_grpc.add_VolumesServicer_to_server(self.volumes, server)
        ebb_pb2_grpc.add_SnapshotsServicer_to_server(self.snapshots, server)
        ebb_pb2_grpc.add_TimelineServicer_to_server(self.timeline, server)
