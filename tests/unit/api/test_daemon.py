"""`ebbd --simulate` as a process: up, answering, and down again in order."""

import asyncio
import os
import signal
import socket as sockets
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from ebb_pb import ebb_pb2 as pb
from ebb_pb import ebb_pb2_grpc

CONFIG = """
node: {{id: here}}
run_directory: {run}
api: {{socket: {socket}}}
mounts: {{allowed_directories: [{run}/mounts]}}
log: {{format: json}}
"""


@pytest.fixture
def run_directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:  # short: a socket's path has 107 bytes
        yield Path(directory)


def configured(run: Path, socket: Path) -> Path:
    file = run / "ebbd.yaml"
    file.write_text(CONFIG.format(run=run, socket=socket))
    return file


@asynccontextmanager
async def ebbd(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ebbd", *arguments, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def until_ready(process: asyncio.subprocess.Process) -> None:
    assert process.stderr is not None
    async for line in process.stderr:
        if b'"ready"' in line:
            return
    raise AssertionError("it ended without being ready")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_up_and_down(run_directory: Path, number: signal.Signals) -> None:
    socket = run_directory / "deep" / "ebbd.sock"
    file = configured(run_directory, socket)
    async with ebbd("--simulate", "--config", str(file)) as process:
        await until_ready(process)
        async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
            node = ebb_pb2_grpc.NodeStub(channel)
            told = await node.GetNode(pb.GetNodeRequest())
            assert (told.node_id, told.simulated) == ("here", True)
            volumes = ebb_pb2_grpc.VolumesStub(channel)
            made = (await volumes.CreateVolume(pb.CreateVolumeRequest(name="a"))).volume
            assert (run_directory / "mounts").is_dir()
            staged = pb.StageVolumeRequest(
                volume_id=made.id,
                staging_path=f"{run_directory}/mounts/a",
                access=pb.Access(mode=pb.SINGLE_NODE_WRITER),
            )
            await volumes.StageVolume(staged)
            [*checks] = (await node.Diagnose(pb.DiagnoseRequest())).checks
            assert checks
        process.send_signal(number)
        _, rest = await process.communicate()
        assert process.returncode == 0, rest
        assert b"Traceback" not in rest
        assert not socket.exists()


async def test_what_cannot_be_listened_on_is_one_line(run_directory: Path) -> None:
    blocked = run_directory / "file"
    blocked.write_text("in the way")
    file = configured(run_directory, blocked / "ebbd.sock")
    async with ebbd("--simulate", "--config", str(file)) as process:
        _, said = await process.communicate()
    assert process.returncode == 1
    assert b"Traceback" not in said
    assert said.strip().splitlines()[-1].startswith(b"ebbd: ")


async def test_an_unwritable_socket_is_one_line(run_directory: Path) -> None:
    """The failure comes from inside of everything that was opened before it."""
    socket = run_directory / "ebbd.sock"
    file = configured(run_directory, socket)
    socket.mkdir()
    async with ebbd("--simulate", "--config", str(file)) as process:
        _, said = await process.communicate()
    assert process.returncode == 1
    assert b"Traceback" not in said
    assert said.strip().splitlines()[-1].startswith(b"ebbd: ")


async def test_a_service_manager_hears_when_it_is_ready_and_when_it_stops(
    run_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = run_directory / "notify"
    file = configured(run_directory, run_directory / "ebbd.sock")
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_DGRAM) as manager:
        manager.bind(os.fspath(address))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", os.fspath(address))
        loop = asyncio.get_running_loop()
        async with ebbd("--simulate", "--config", str(file)) as process:
            assert await loop.sock_recv(manager, 64) == b"READY=1"
            assert (run_directory / "ebbd.sock").is_socket()
            process.terminate()
            assert await loop.sock_recv(manager, 64) == b"STOPPING=1"
            await process.communicate()
            assert process.returncode == 0


async def test_the_command_line_names_the_node(run_directory: Path) -> None:
    socket = run_directory / "ebbd.sock"
    file = configured(run_directory, socket)
    async with ebbd("--simulate", "--config", str(file), "--node-id", "worker-7") as process:
        await until_ready(process)
        async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
            told = await ebb_pb2_grpc.NodeStub(channel).GetNode(pb.GetNodeRequest())
    assert told.node_id == "worker-7"


@pytest.mark.parametrize("name", ["", "  ", "n" * 257])
async def test_a_name_that_no_node_can_have_is_refused(name: str) -> None:
    async with ebbd("--simulate", "--node-id", name) as process:
        _, said = await process.communicate()
    assert process.returncode == 2
    assert b"is not a node id; use 1 to 256 bytes" in said


@pytest.mark.parametrize(("schema", "code"), [("1", 0), ("2", 0), ("3", 1)])
async def test_tags_are_migrated_instead_of_serving(
    run_directory: Path, schema: str, code: int
) -> None:
    socket = run_directory / "ebbd.sock"
    file = configured(run_directory, socket)
    async with ebbd("--simulate", "--config", str(file), "--migrate-tags", schema) as process:
        _, said = await process.communicate()
    assert process.returncode == code, said
    assert b"Traceback" not in said
    assert (b"tags are readable" in said) == (code == 0)
    assert not socket.exists()
