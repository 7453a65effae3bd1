"""ebb.v1 on a real unix socket, in front of the engine on a simulated machine."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import structlog
from contract.volumes.engine import Engine
from ebb_pb import ebb_pb2_grpc
from ebbd.api.node_service import NodeService
from ebbd.api.server import serving
from ebbd.api.services import Services
from ebbd.api.snapshot_service import SnapshotService
from ebbd.api.timeline_service import TimelineService
from ebbd.api.volume_service import VolumeService
from ebbd.inspect.checks import Check, Status
from structlog.testing import LogCapture
from unit.volumes.rig import Rig

if TYPE_CHECKING:  # they exist for type checkers only
    from ebb_pb.ebb_pb2_grpc import (
        NodeAsyncStub,
        SnapshotsAsyncStub,
        TimelineAsyncStub,
        VolumesAsyncStub,
    )


@dataclass
class Served:
    """The daemon's end and a client's. `defects` are raised by the next Diagnose."""

    rig: Rig
    engine: Engine
    socket: Path
    log: LogCapture
    node: "NodeAsyncStub"
    volumes: "VolumesAsyncStub"
    snapshots: "SnapshotsAsyncStub"
    timeline: "TimelineAsyncStub"
    channel: grpc.aio.Channel
    defects: list[Exception] = field(default_factory=list)


def logger(capture: LogCapture) -> structlog.stdlib.BoundLogger:
    made: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        None, processors=[capture], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    return made


def services_of(engine: Engine, diagnose: Callable[[], Awaitable[Sequence[Check]]]) -> Services:
    return Services(
        NodeService(engine.store, diagnose, engine.collector),
        VolumeService(
            engine.store,
            engine.creation,
            engine.lifecycle,
            engine.attachment,
            engine.staging,
            engine.observer,
            engine.adoption,
        ),
        SnapshotService(engine.snapshots, engine.groups),
        TimelineService(engine.rewinding, engine.observer),
    )


@asynccontextmanager
async def serve(rig: Rig, directory: Path) -> AsyncIterator[Served]:
    socket, capture = directory / "ebbd.sock", LogCapture()
    defects: list[Exception] = []

    async def diagnose() -> Sequence[Check]:
        if defects:
            raise defects.pop()
        return [Check("kernel", "thin-pool", Status.WARNING, "old", "upgrade")]

    async with rig.start(max_volumes=1) as engine:
        services = services_of(engine, diagnose)
        async with (
            serving(str(socket), "no-such-group", services, logger(capture), grace_s=1.0),
            grpc.aio.insecure_channel(f"unix:{socket}") as channel,
        ):
            yield Served(
                rig,
                engine,
                socket,
                capture,
                ebb_pb2_grpc.NodeStub(channel),
                ebb_pb2_grpc.VolumesStub(channel),
                ebb_pb2_grpc.SnapshotsStub(channel),
                ebb_pb2_grpc.TimelineStub(channel),
                channel,
                defects,
            )
