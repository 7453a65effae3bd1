"""ebb-csi in front of ebbd on a simulated machine, both in this process, spoken to over sockets."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import structlog
from ebb_csi.app import Role, Settings
from ebb_csi.app import serve as serve_csi
from ebb_pb import ebb_pb2 as pb
from ebb_pb import ebb_pb2_grpc
from ebbd.app import daemon
from ebbd.config import parse_config
from ebbd.host.simulated.build import make_host
from ebbd.host.simulated.machine import Machine
from grpc import StatusCode
from structlog.testing import LogCapture

TIMEOUT_S = 30
NODE_ID = "hostile-node"
# What a request may be answered with. INTERNAL and UNKNOWN would be defects, DEADLINE_EXCEEDED and
# UNAVAILABLE a daemon that hangs or died.
REFUSALS = frozenset(
    {
        StatusCode.INVALID_ARGUMENT,
        StatusCode.NOT_FOUND,
        StatusCode.ALREADY_EXISTS,
        StatusCode.OUT_OF_RANGE,
        StatusCode.RESOURCE_EXHAUSTED,
        StatusCode.FAILED_PRECONDITION,
        StatusCode.ABORTED,
    }
)


@dataclass(frozen=True, slots=True)
class Answer:
    """`code` OK or a failure's, with its details."""

    code: StatusCode
    details: str = ""


class Served:
    """The two sockets, and the machine behind them to look at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mounts = folder / "mounts"
        self.machine = Machine()
        self.logs = LogCapture()
        self._csi = grpc.insecure_channel(f"unix:{folder}/csi.sock")
        self._ebbd = grpc.insecure_channel(f"unix:{folder}/ebbd.sock")
        self.volumes = ebb_pb2_grpc.VolumesStub(self._ebbd)
        self.snapshots = ebb_pb2_grpc.SnapshotsStub(self._ebbd)

    def call(self, path: str, request: bytes) -> Answer:
        """One RPC with exactly these bytes."""
        channel = self._csi if path.startswith("/csi.") else self._ebbd
        try:
            channel.unary_unary(path, _as_it_is, _as_it_is)(request, timeout=TIMEOUT_S)
        except grpc.RpcError as refused:
            code, details = refused.code(), refused.details()
            return Answer(code, details or "")
        return Answer(StatusCode.OK)

    def pool(self) -> str:
        """All that a refused request must leave as it is: LVs with their tags, mounts, files."""
        groups = {name: repr(group) for name, group in self.machine.groups.items()}
        return f"{groups} {self.machine.mounts} {self.files()}"

    def volumes_and_mounts(self) -> str:
        """As `pool`, but for tags and activation, which a failed staging may leave further on."""
        sizes = {
            (vg, name): volume.size_bytes
            for vg, group in self.machine.groups.items()
            for name, volume in group.volumes.items()
        }
        return f"{sizes} {self.machine.mounts}"

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))

    def defects(self) -> list[object]:
        """What the logs of both tell of a request that nobody thought of."""
        return [
            entry
            for entry in self.logs.entries
            if entry["event"] == "defect" or entry.get("exc_info")
        ]

    def remove_everything(self) -> None:
        """All that is listed, by what the lists say of it; fails where something cannot go."""
        for volume in self.volumes.ListVolumes(pb.ListVolumesRequest()).volumes:
            for path in volume.mount_paths:
                self.volumes.UnpublishVolume(
                    pb.UnpublishVolumeRequest(volume_id=volume.id, target_path=path)
                )
            self.volumes.UnstageVolume(
                pb.UnstageVolumeRequest(volume_id=volume.id, staging_path=f"{self.mounts}/none")
            )
            self.volumes.DeleteVolume(pb.DeleteVolumeRequest(volume_id=volume.id))
        snapshots = self.snapshots.ListSnapshots(pb.ListSnapshotsRequest()).snapshots
        for group_id in {snapshot.group_id for snapshot in snapshots} - {""}:
            self.snapshots.DeleteSnapshotGroup(pb.DeleteSnapshotGroupRequest(group_id=group_id))
        for snapshot in snapshots:
            if not snapshot.group_id:
                self.snapshots.DeleteSnapshot(pb.DeleteSnapshotRequest(snapshot_id=snapshot.id))

    def close(self) -> None:
        self._csi.close()
        self._ebbd.close()


def _as_it_is(raw: bytes) -> bytes:
    return raw


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Both up, in a thread with a loop of its own; both stopped on the way out."""
    made = Served(folder)
    made.mounts.mkdir()
    loop = asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            loop.run_until_complete(_serve(made, ready, stop))
        except BaseException as failure:  # noqa: BLE001 - told in the test's own thread
            failures.append(failure)
            ready.set()
        finally:
            loop.close()

    thread = threading.Thread(target=run, name="served")
    thread.start()
    ready.wait()
    try:
        assert failures == []
        yield made
    finally:
        made.close()
        if not failures:
            loop.call_soon_threadsafe(stop.set)
        thread.join()
    assert failures == []


async def _serve(made: Served, ready: threading.Event, stop: asyncio.Event) -> None:
    config = parse_config(
        f"node: {{id: {NODE_ID}, max_volumes: 2}}\napi: {{socket: {made.folder}/ebbd.sock}}\n"
        f"run_directory: {made.folder}/run\nmounts: {{allowed_directories: [{made.mounts}]}}\n"
        f"pools:\n  - name: ebbtest/pool0\n    loop: {{file: {made.folder}/pool.img, size: 8Gi}}\n",
        hostname="unused",
    )
    host = make_host(made.machine, allowed_directories=config.mounts.allowed_directories)
    log = structlog.wrap_logger(
        None, processors=[made.logs], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    settings = Settings(
        role=Role.ALL,
        endpoint=made.folder / "csi.sock",
        ebbd=f"unix:{made.folder}/ebbd.sock",
        driver_name="csi.ebb.internal",
        version="1",
        grace_s=1.0,
    )
    try:
        async with daemon(config, host, log), asyncio.TaskGroup() as tasks:
            tasks.create_task(serve_csi(settings, log, stop))
            while not settings.endpoint.exists():  # noqa: ASYNC110 - a socket has no event
                await asyncio.sleep(0.01)
            ready.set()
    finally:
        await host.lvm.close()
