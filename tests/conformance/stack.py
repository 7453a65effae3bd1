"""ebbd and ebb-csi as two real processes on sockets of their own, for tests to talk to."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from tls_site import free_port

START_TIMEOUT_S = 300  # under emulation ebbd makes a pool after a minute of imports
STOP_TIMEOUT_S = 60
NODE_ID = "conformance-node"
DRIVER_NAME = "csi.ebb.internal"
# A server that is about to listen is tried again at once, not after gRPC's usual second.
CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.default_authority", "localhost"),
)


@dataclass(frozen=True, slots=True)
class Pool:
    """What ebbd's pool is made on: a device, a file that becomes a loop device, or nothing real."""

    vg: str = "ebbtest"
    device: str = ""
    file: str = ""
    size: str = "8Gi"  # of the file

    @property
    def simulated(self) -> bool:
        return not self.device and not self.file

    def yaml(self, folder: Path) -> str:
        if self.device:
            return f"    devices: [{self.device}]"
        return f"    loop: {{file: {self.file or folder / 'pool.img'}, size: {self.size}}}"


@dataclass(frozen=True, slots=True)
class Stack:
    """A running pair; `mounts` is the folder below which ebbd may mount.

    `controller_socket` is the plugin's own where it has every role.
    """

    csi_socket: Path
    controller_socket: Path
    ebbd_socket: Path
    mounts: Path
    ebbd_pid: int
    csi_pid: int

    @property
    def csi_target(self) -> str:
        return f"unix:{self.csi_socket}"


class StackError(Exception):
    """A process did not come up, or went away; the message ends with its log."""


@asynccontextmanager
async def running(folder: Path, pool: Pool, *, max_volumes: int = 8) -> AsyncIterator[Stack]:
    """Both processes up and connected; both stopped with SIGTERM on the way out.

    `folder` takes sockets, logs and mounts; its path must be short enough for a socket's (107
    bytes). Raises StackError.
    """
    mounts = folder / "mounts"
    mounts.mkdir()
    config = folder / "ebbd.yaml"
    config.write_text(configuration(folder, mounts, pool, max_volumes))
    ebbd_socket, csi_socket = folder / "ebbd.sock", folder / "csi.sock"
    simulate = ["--simulate"] if pool.simulated else []
    async with AsyncExitStack() as stack:
        ebbd = await stack.enter_async_context(
            process(folder, ebbd_socket, ["ebbd", "--config", str(config), *simulate])
        )
        csi = await stack.enter_async_context(
            process(
                folder,
                csi_socket,
                [
                    *("ebb_csi", "--role", "all", "--driver-name", DRIVER_NAME),
                    *("--endpoint", f"unix://{csi_socket}", "--ebbd", f"unix:{ebbd_socket}"),
                    *("--log-level", "debug"),
                ],
            )
        )
        yield Stack(csi_socket, csi_socket, ebbd_socket, mounts, ebbd.pid, csi.pid)


@asynccontextmanager
async def routed(folder: Path, *, max_volumes: int = 8) -> AsyncIterator[Stack]:
    """As a cluster has it: the node's plugin beside its ebbd, the controller's a TLS line away, and
    a second node that the controller asks too. On simulated hosts. csi-sanity names no topology and
    uses its volumes on the first node: the second has less room, so that none is put there.
    """
    mounts = folder / "mounts"
    mounts.mkdir()
    certificates = folder / "tls"
    await finished("ebb_cli", "certs", "init", str(certificates), "--node", NODE_ID, "--node", "b")
    places = {node: f"127.0.0.1:{free_port()}" for node in (NODE_ID, "b")}
    (folder / "nodes.yaml").write_text("".join(f"{it}: {at}\n" for it, at in places.items()))
    async with AsyncExitStack() as stack:
        processes = []
        for node_id, address in places.items():
            own = folder / node_id
            own.mkdir()
            config = own / "ebbd.yaml"
            pool = Pool() if node_id == NODE_ID else Pool(size="1Gi")
            written = configuration(own, mounts, pool, max_volumes)
            written = written.replace(f"id: {NODE_ID}", f"id: {node_id}")
            listen = (
                f"{{address: '{address}', client_ca: {certificates}/ca.crt, "
                f"certificate: {certificates}/nodes/{node_id}.crt, "
                f"key: {certificates}/nodes/{node_id}.key}}"
            )
            config.write_text(written.replace("ebbd.sock}", f"ebbd.sock, listen: {listen}}}"))
            command = ["ebbd", "--config", str(config), "--simulate"]
            processes.append(
                await stack.enter_async_context(process(own, own / "ebbd.sock", command))
            )
        socket, controller_socket = folder / "csi.sock", folder / "controller.sock"
        ebbd_socket = folder / NODE_ID / "ebbd.sock"
        common = ("--driver-name", DRIVER_NAME, "--log-level", "debug", "--endpoint")
        node = ("--role", "node", "--ebbd", f"unix:{ebbd_socket}")
        controller = (
            *("--role", "controller", "--nodes", str(folder / "nodes.yaml")),
            *("--certificate", str(certificates / "clients/controller.crt")),
            *("--key", str(certificates / "clients/controller.key")),
            *("--ca", str(certificates / "ca.crt")),
        )
        csi = await stack.enter_async_context(
            process(folder, socket, ["ebb_csi", *node, *common, f"unix://{socket}"])
        )
        (folder / "controller").mkdir()
        await stack.enter_async_context(
            process(
                folder / "controller",
                controller_socket,
                ["ebb_csi", *controller, *common, f"unix://{controller_socket}"],
            )
        )
        yield Stack(socket, controller_socket, ebbd_socket, mounts, processes[0].pid, csi.pid)


async def finished(*module: str) -> None:
    """`python -m MODULE…`, which has to succeed."""
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *module),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await started.communicate()
    if started.returncode:
        raise StackError(f"{' '.join(module)} ended with {started.returncode}:\n{told.decode()}")


def configuration(folder: Path, mounts: Path, pool: Pool, max_volumes: int) -> str:
    return f"""\
node: {{id: {NODE_ID}, max_volumes: {max_volumes}}}
api: {{socket: {folder}/ebbd.sock}}
run_directory: {folder}/run
pools:
  - name: {pool.vg}/pool0
{pool.yaml(folder)}
mounts: {{allowed_directories: [{mounts}]}}
"""


@asynccontextmanager
async def process(
    folder: Path, socket: Path, module: Sequence[str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m MODULE…` once it answers on its socket; it logs to FOLDER/MODULE.log."""
    log = folder / f"{module[0]}.log"
    with log.open("wb") as output:
        started = await asyncio.create_subprocess_exec(
            *(sys.executable, "-X", "faulthandler", "-m", *module),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        await answering(started, socket, log)
        yield started
        if started.returncode is not None:
            raise StackError(f"{module[0]} ended by itself, {ending(started, log)}")
    finally:
        await stop(started)


async def answering(started: asyncio.subprocess.Process, socket: Path, log: Path) -> None:
    """Return when the process takes calls; raise StackError if it ends or takes too long."""
    async with grpc.aio.insecure_channel(f"unix:{socket}", options=CHANNEL_OPTIONS) as channel:
        ready = asyncio.ensure_future(channel.channel_ready())
        ended = asyncio.ensure_future(started.wait())
        try:
            await asyncio.wait(
                (ready, ended), timeout=START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
            )
            if not ready.done():
                told = ending(started, log) if ended.done() else await where_it_hangs(started, log)
                raise StackError(f"{socket} never answered, {told}")
        finally:
            ready.cancel()
            ended.cancel()


async def where_it_hangs(process: asyncio.subprocess.Process, log: Path) -> str:
    """Its stacks, which the interpreter's faulthandler writes when it is aborted."""
    process.send_signal(signal.SIGABRT)
    await process.wait()
    return f"it hung and was aborted, {ending(process, log)}"


def ending(process: asyncio.subprocess.Process, log: Path) -> str:
    tail = "\n".join(log.read_text().splitlines()[-60:])
    state = "still runs" if process.returncode is None else f"ended with {process.returncode}"
    return f"the process {state}; its log {log} ends:\n{tail}"


async def stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise StackError(
            f"process {process.pid} did not stop within {STOP_TIMEOUT_S} s of SIGTERM"
        ) from None
