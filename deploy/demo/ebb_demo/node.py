"""A node brought up for the story: ebbd and ebb-csi as they run anywhere, on a real disk."""

import subprocess  # noqa: TID251 - the demo starts the real daemons
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
from ebb_pb import csi_pb2, csi_pb2_grpc

FOLDER = Path("/run/ebb-demo")
EBBD_SOCKET = FOLDER / "ebbd.sock"
CSI_SOCKET = FOLDER / "csi.sock"
MOUNTS = FOLDER / "mounts"
CONFIG = """\
node: {{id: demo-node}}
api: {{socket: {socket}}}
run_directory: {folder}
pools: [{{name: ebb/pool0, devices: ["{device}"]}}]
mounts: {{allowed_directories: [{mounts}]}}
"""
START_WITHIN_S = 60.0
READY_PAUSE_S = 0.3


class NodeError(RuntimeError):
    """The node did not come up; the message has the end of the daemon's log."""


@dataclass(frozen=True, slots=True)
class Node:
    """A channel to the CSI socket, and the processes behind it."""

    channel: grpc.Channel
    ebbd_pid: int
    plugin_pid: int


@contextmanager
def node(device: str) -> Iterator[Node]:
    """Ebbd owning a pool on `device` and ebb-csi before it, both up until this is left."""
    MOUNTS.mkdir(parents=True)
    config = FOLDER / "ebbd.yaml"
    config.write_text(
        CONFIG.format(socket=EBBD_SOCKET, folder=FOLDER, device=device, mounts=MOUNTS)
    )
    with (
        _daemon("ebbd", ["ebbd", "--config", str(config)]) as ebbd,
        _daemon(
            "ebb-csi",
            [
                *("ebb-csi", "--role", "all", "--endpoint", f"unix://{CSI_SOCKET}"),
                *("--ebbd", f"unix://{EBBD_SOCKET}"),
            ],
        ) as plugin,
        grpc.insecure_channel(f"unix:{CSI_SOCKET}") as channel,
    ):
        _wait_until_ready(channel, {"ebbd": ebbd, "ebb-csi": plugin})
        yield Node(channel, ebbd.pid, plugin.pid)


@contextmanager
def _daemon(name: str, argv: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with (FOLDER / f"{name}.log").open("wb") as log, subprocess.Popen(argv, stderr=log) as process:
        try:
            yield process
        finally:
            process.terminate()


def _wait_until_ready(channel: grpc.Channel, daemons: dict[str, subprocess.Popen[bytes]]) -> None:
    identity = csi_pb2_grpc.IdentityStub(channel)
    end_s = time.monotonic() + START_WITHIN_S
    while time.monotonic() < end_s:
        for name, process in daemons.items():
            if process.poll() is not None:
                log = (FOLDER / f"{name}.log").read_text()[-2000:]
                raise NodeError(f"{name} ended with {process.returncode}:\n{log}")
        try:
            probe = identity.Probe(csi_pb2.ProbeRequest(), timeout=5, wait_for_ready=True)
        except grpc.RpcError:
            continue
        if probe.ready.value:
            return
        # Asking without a pause would take the processor from what is being waited for.
        with suppress(subprocess.TimeoutExpired):
            daemons["ebbd"].wait(READY_PAUSE_S)
    raise NodeError(f"the plugin was not ready within {START_WITHIN_S:.0f} s")
