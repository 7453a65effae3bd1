"""Several real ebbd on simulated machines, over real TLS on 127.0.0.1, behind one real ebb-csi."""

import asyncio
import io
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from contract.csi.client import Csi, node_topology
from ebb_csi import logs
from ebb_csi.app import Nodes, Role, Settings, serve
from ebb_csi.credentials import TlsFiles
from ebb_csi.places import FromFile, Place, Places
from ebb_pb import csi_pb2
from ebbd.app import daemon
from ebbd.config import parse_config
from ebbd.host.simulated.build import make_host
from ebbd.host.simulated.faults import Hold, Step
from ebbd.host.simulated.machine import Machine
from grpc import StatusCode
from structlog.testing import LogCapture
from tls_site import Files, Site, free_port
from unit.api.served import logger

LOOK_EVERY_S = 0.2
SIZE_BYTES = 64 << 20


class Node:
    """One node's machine, which outlives the daemon on it."""

    def __init__(self, node_id: str, folder: Path, site: Site, key: str = "") -> None:
        self.node_id = node_id
        self.machine = Machine()
        self.port = free_port()
        self.log = LogCapture()
        self.key = key
        self.files = site.node(node_id)
        self._folder = folder
        self._site = site
        self._running: AsyncExitStack | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        run = self._folder / self.node_id
        config = parse_config(
            f"""
node: {{id: {self.node_id}, max_volumes: 4 {f", key: {self.key}" if self.key else ""}}}
api:
  socket: {run}.sock
  group: no-such-group
  listen:
    address: {self.address}
    certificate: {self.files.certificate}
    key: {self.files.key}
    client_ca: {self._site.ca_file}
run_directory: {run}
mounts: {{allowed_directories: [{run}/mounts]}}
""",
            hostname="-",
        )
        host = make_host(self.machine, allowed_directories=config.mounts.allowed_directories)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(host.lvm.close)
            await stack.enter_async_context(daemon(config, host, logger(self.log)))
            self._running = stack.pop_all()

    async def stop(self) -> None:
        if self._running is not None:
            running, self._running = self._running, None
            await running.aclose()

    def hold(self, verb: str, step: Step) -> Hold:
        """The next `verb` of LVM stops at this step until it is released."""
        return self.machine.faults.hold(verb, step)

    @property
    def volumes(self) -> int:
        return sum(len(group.volumes) for group in self.machine.groups.values())

    def calls(self, method: str) -> list[Any]:
        return [line for line in self.log.entries if line.get("method") == method]


@dataclass
class Listed:
    """Places that a test changes as it likes."""

    places: tuple[Place, ...] = ()
    complete: bool = False

    async def look(self) -> tuple[Place, ...]:
        return self.places


class Controller(Csi):
    """ebb-csi --role controller and a client of it."""

    def __init__(self, channel: grpc.aio.Channel, log: io.StringIO) -> None:
        super().__init__(channel, channel, Path("/none"))
        self._log = log

    def said(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self._log.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]

    async def create_on(
        self, name: str, *preferred: str, requisite: Sequence[str] = (), timeout_s: float = 30
    ) -> csi_pb2.Volume:
        request = self.create_request(name, required_bytes=SIZE_BYTES)
        request.accessibility_requirements.CopyFrom(
            csi_pb2.TopologyRequirement(
                preferred=[node_topology(node) for node in preferred],
                requisite=[node_topology(node) for node in requisite],
            )
        )
        return (await self.controller.CreateVolume(request, timeout=timeout_s)).volume

    async def page(self, size: int = 0, token: str = "") -> tuple[list[str], str]:
        reply = await self.controller.ListVolumes(
            csi_pb2.ListVolumesRequest(max_entries=size, starting_token=token), timeout=30
        )
        return [entry.volume.volume_id for entry in reply.entries], reply.next_token

    async def room(self, node: str = "") -> int:
        topology = node_topology(node) if node else None
        reply = await self.controller.GetCapacity(
            csi_pb2.GetCapacityRequest(accessible_topology=topology), timeout=30
        )
        return reply.available_capacity


@dataclass
class Fleet:
    folder: Path
    site: Site
    nodes: dict[str, Node] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.folder / "nodes.yaml"

    def __getitem__(self, node_id: str) -> Node:
        return self.nodes[node_id]

    def write_file(self, *node_ids: str) -> None:
        chosen = node_ids or tuple(self.nodes)
        self.file.write_text("".join(f"{it}: {self[it].address}\n" for it in chosen))

    def add(self, node_id: str, key: str = "") -> Node:
        node = self.nodes[node_id] = Node(node_id, self.folder, self.site, key)
        return node

    @asynccontextmanager
    async def controller(
        self, places: Places | None = None, client: Files | None = None
    ) -> AsyncIterator[Controller]:
        """Another one stands for a restart: nothing is remembered."""
        files = client or self.site.client("change")
        socket = Path(tempfile.mkdtemp(dir=self.folder)) / "csi.sock"
        settings = Settings(
            role=Role.CONTROLLER,
            endpoint=socket,
            ebbd=Nodes(
                places or FromFile(self.file),
                TlsFiles(files.certificate, files.key, self.site.ca_file),
                look_every_s=LOOK_EVERY_S,
            ),
            driver_name="csi.ebb.internal",
            version="1",
            grace_s=1,
        )
        log, stopping = io.StringIO(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve(settings, logs.logger("debug", log), stopping))
            try:
                async with grpc.aio.insecure_channel(
                    f"unix:{socket}", options=(("grpc.max_reconnect_backoff_ms", 50),)
                ) as channel:
                    await asyncio.wait_for(channel.channel_ready(), 30)
                    yield Controller(channel, log)
            finally:
                stopping.set()


@asynccontextmanager
async def fleet(*node_ids: str, keys: Mapping[str, str] | None = None) -> AsyncIterator[Fleet]:
    # Its own short directory: a socket's path has 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ebb-") as folder:
        made = Fleet(Path(folder), Site(Path(folder) / "tls"))
        try:
            for node_id in node_ids:
                await made.add(node_id, (keys or {}).get(node_id, "")).start()
            made.write_file()
            yield made
        finally:
            for node in made.nodes.values():
                await node.stop()


async def eventually(check: Callable[[], Awaitable[bool]], timeout_s: float = 30) -> None:
    """Until `check()` is true."""
    async with asyncio.timeout(timeout_s):
        while not await check():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.05)


async def in_time(call: Callable[[], Awaitable[object]]) -> None:
    """Until the call succeeds; before that it is UNAVAILABLE and nothing else."""

    async def tried() -> bool:
        try:
            await call()
        except grpc.aio.AioRpcError as failure:
            if failure.code() is not StatusCode.UNAVAILABLE:
                raise
            return False
        return True

    await eventually(tried)
