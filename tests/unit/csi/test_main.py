"""`ebb-csi` as a process: what it says to a wrong command line, and how it ends."""

import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from ebb_pb import csi_pb2, csi_pb2_grpc


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ebb-csi-") as made:
        yield Path(made)


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ebb_csi", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


CONTROLLER = ("--role", "controller", "--certificate", "/c", "--key", "/k", "--ca", "/a")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--endpoint", "tcp://0.0.0.0:1"), "give one like unix:///csi/csi.sock"),
        (("--endpoint", "unix:///nowhere/csi.sock"), "the folder /nowhere does not exist"),
        (("--driver-name", "no_such_name"), "'no_such_name' is no driver name"),
        (("--role", "king"), "invalid choice"),
        (("--nodes", "f", "--nodes-dns", "n:1"), "not allowed with argument"),
        (("--nodes", "f", "--ebbd", "unix:/x"), "not allowed with argument"),
        (("--nodes", "f", *CONTROLLER[2:]), "many nodes need --role controller"),
        ((*CONTROLLER[:2], "--nodes", "f", "--ca", "c"), "--certificate and --key is missing"),
        ((*CONTROLLER, "--nodes", "/none"), "cannot be read"),
        ((*CONTROLLER, "--nodes-dns", "n"), "'n' is not NAME:PORT"),
        (("--key", "k"), "--key goes with --nodes or --nodes-dns only"),
    ],
)
async def test_a_wrong_command_line_ends_with_a_reason_and_no_traceback(
    folder: Path, arguments: tuple[str, ...], said: str
) -> None:
    process = await start("--endpoint", f"{folder}/csi.sock", *arguments)
    _, stderr = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode in {1, 2}
    assert said in stderr.decode()
    assert "Traceback" not in stderr.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly_and_takes_the_socket_away(
    folder: Path, number: signal.Signals
) -> None:
    endpoint = folder / "csi.sock"
    process = await start("--endpoint", str(endpoint), "--ebbd", f"unix:{folder}/none.sock")
    async with grpc.aio.insecure_channel(
        f"unix:{endpoint}", options=[("grpc.max_reconnect_backoff_ms", 100)]
    ) as channel:
        identity = csi_pb2_grpc.IdentityStub(channel)
        info = await identity.GetPluginInfo(
            csi_pb2.GetPluginInfoRequest(), wait_for_ready=True, timeout=30
        )
    assert info.name == "csi.ebb.internal"
    process.send_signal(number)
    _, stderr = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    assert not endpoint.exists()
    events = [json.loads(line)["event"] for line in stderr.decode().splitlines()]
    assert events[0] == "serving"
    assert events[-2:] == ["stopping", "stopped"]
