"""A real node for a test: a VG of its own on a loop device, ebbd and ebb-csi as anywhere."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from ebb_pb import csi_pb2, csi_pb2_grpc, ebb_pb2, ebb_pb2_grpc

START_WITHIN_S = 240.0
READY_PAUSE_S = 0.3
CALL_S = 120.0
MIB = 1024 * 1024


def run(*argv: str, check: bool = True) -> str:
    """A command's stdout; a failure shows both of its outputs."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"{argv} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


@contextlib.contextmanager
def loop_disk(folder: Path, name: str, size_bytes: int, *, keep: bool = False) -> Iterator[str]:
    """A loop device on a sparse file, which stays at the end if it is to be kept."""
    backing = folder / f"{name}.img"
    with backing.open("wb") as file:
        file.truncate(size_bytes)
    device = run("losetup", "--find", "--show", str(backing)).strip()
    try:
        yield device
    finally:
        run("losetup", "--detach", device)
        if not keep:
            backing.unlink()


@dataclass(slots=True)
class RunningNode:
    """ebbd and ebb-csi on `device`; `vg` is theirs alone."""

    folder: Path
    device: str
    vg: str
    max_volumes: int = 100
    # Another way to start ebbd, such as one that dies at an appointed step.
    ebbd_command: tuple[str, ...] = ("ebbd",)
    lvm_prefix: tuple[str, ...] = ()
    # Of the configuration: more sections, and more of the pool's keys.
    settings: dict[str, object] = field(default_factory=dict)
    pool_settings: dict[str, object] = field(default_factory=dict)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _channels: dict[Path, grpc.Channel] = field(default_factory=dict)

    @property
    def mounts(self) -> Path:
        return self.folder / "mounts"

    @property
    def ebbd_socket(self) -> Path:
        return self.folder / "ebbd.sock"

    @property
    def config(self) -> Path:
        return self.folder / "ebbd.yaml"

    def configure(self) -> None:
        """Write the configuration as it is now."""
        self.mounts.mkdir(exist_ok=True)
        pool = {"name": f"{self.vg}/pool0", "devices": [self.device], **self.pool_settings}
        settings = {
            "node": {"id": "lab-node", "max_volumes": self.max_volumes},
            "api": {"socket": str(self.ebbd_socket)},
            "run_directory": str(self.folder),
            "pools": [pool],
            "mounts": {"allowed_directories": [str(self.mounts)]},
            "lvm": {"prefix": list(self.lvm_prefix)},
            **self.settings,
        }
        self.config.write_text(json.dumps(settings))  # JSON is YAML

    def start(self) -> None:
        self.configure()
        self._start("ebbd", *self.ebbd_command, "--config", str(self.config))
        self._start(
            "ebb-csi",
            *("ebb-csi", "--role", "all", "--endpoint", f"unix://{self.folder}/csi.sock"),
            *("--ebbd", f"unix://{self.ebbd_socket}"),
        )
        self._wait_ready()

    def stop(self) -> None:
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()
        for process in reversed(self._processes.values()):
            process.terminate()
        for name, process in self._processes.items():
            code = process.wait(timeout=60)
            assert code == 0, f"{name} ended with {code} on SIGTERM: {self.log(name)}"
        self._processes.clear()

    def abandon(self) -> None:
        """End whatever still runs and unmount whatever is mounted."""
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._processes.clear()
        _unmount_below(self.mounts)

    def restart_ebbd(self, how: signal.Signals) -> None:
        """End ebbd with a signal and start it again; ebb-csi stays."""
        self.end_ebbd(how)
        self.start_ebbd()

    def end_ebbd(self, how: signal.Signals) -> None:
        """End ebbd with a signal; one that has died by itself is only waited for."""
        process = self._processes.pop("ebbd")
        process.send_signal(how)
        process.wait(timeout=60)

    def start_ebbd(self) -> None:
        self._start("ebbd", *self.ebbd_command, "--config", str(self.config))
        self._wait_ready()

    def ebbd_exit_code(self, timeout_s: float) -> int:
        """Wait for ebbd to end by itself."""
        return self._processes["ebbd"].wait(timeout=timeout_s)

    @property
    def ebbd_pid(self) -> int:
        return self._processes["ebbd"].pid

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    @property
    def controller(self) -> csi_pb2_grpc.ControllerStub:
        return csi_pb2_grpc.ControllerStub(self._channel(self.folder / "csi.sock"))

    @property
    def node(self) -> csi_pb2_grpc.NodeStub:
        return csi_pb2_grpc.NodeStub(self._channel(self.folder / "csi.sock"))

    @property
    def group(self) -> csi_pb2_grpc.GroupControllerStub:
        return csi_pb2_grpc.GroupControllerStub(self._channel(self.folder / "csi.sock"))

    @property
    def ebbd(self) -> ebb_pb2_grpc.VolumesStub:
        return ebb_pb2_grpc.VolumesStub(self._channel(self.ebbd_socket))

    @property
    def ebbd_node(self) -> ebb_pb2_grpc.NodeStub:
        return ebb_pb2_grpc.NodeStub(self._channel(self.ebbd_socket))

    @property
    def ebbd_snapshots(self) -> ebb_pb2_grpc.SnapshotsStub:
        return ebb_pb2_grpc.SnapshotsStub(self._channel(self.ebbd_socket))

    def ebb(self, *arguments: str) -> object:
        """The CLI's answer as JSON."""
        told = run("ebb", "--socket", str(self.ebbd_socket), "--output", "json", *arguments)
        answer: object = json.loads(told)
        return answer

    def ebb_process(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """The CLI as it ends, whatever its exit code."""
        argv = ("ebb", "--socket", str(self.ebbd_socket), *arguments)
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    def thin_volumes(self) -> list[str]:
        """Thin LVs of the VG, as an administrator sees them."""
        told = run("lvs", "--noheadings", "-o", "lv_name", "-S", "segtype=thin", self.vg)
        return sorted(told.split())

    def pool_used_bytes(self) -> int:
        """Data blocks in use, in bytes (thin-provisioning.rst).

        Asked by target: the device is VG-pool0 while the pool is empty, VG-pool0-tpool after.
        """
        status = self._of_pool("status", "--noflush")
        blocks, block_sectors = status[5].partition("/")[0], self._of_pool("table")[5]
        return int(blocks) * int(block_sectors) * 512

    def _of_pool(self, *query: str) -> list[str]:
        for line in run("dmsetup", *query, "--target", "thin-pool").splitlines():
            name, _, rest = line.partition(": ")
            if name.removesuffix("-tpool") == f"{self.vg}-pool0":
                return rest.split()
        raise AssertionError(f"the kernel has no pool of {self.vg}")

    def _start(self, name: str, *argv: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(argv, stderr=log)

    def _channel(self, socket: Path) -> grpc.Channel:
        if socket not in self._channels:
            self._channels[socket] = grpc.insecure_channel(f"unix:{socket}")
        return self._channels[socket]

    def _wait_ready(self) -> None:
        end_s = time.monotonic() + START_WITHIN_S
        while time.monotonic() < end_s:
            for name, process in self._processes.items():
                assert process.poll() is None, f"{name} ended: {self.log(name)[-3000:]}"
            with grpc.insecure_channel(f"unix:{self.folder}/csi.sock") as channel:
                probe = csi_pb2_grpc.IdentityStub(channel).Probe
                with contextlib.suppress(grpc.RpcError):
                    reply = probe(csi_pb2.ProbeRequest(), timeout=10, wait_for_ready=True)
                    if reply.ready.value:
                        return
            # Asking without a pause would take the processor from what is being waited for.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._processes["ebbd"].wait(READY_PAUSE_S)
        raise AssertionError(f"not ready in {START_WITHIN_S} s: {self.log('ebbd')[-3000:]}")


@contextlib.contextmanager
def running_node(
    folder: Path,
    vg: str,
    size_bytes: int,
    *,
    ebbd_command: tuple[str, ...] = ("ebbd",),
    lvm_prefix: tuple[str, ...] = (),
) -> Iterator[RunningNode]:
    """A node from nothing to nothing: its VG is removed again, whatever the test left in it."""
    with (
        loop_disk(folder, vg, size_bytes) as device,
        running(
            RunningNode(folder, device, vg, ebbd_command=ebbd_command, lvm_prefix=lvm_prefix)
        ) as node,
    ):
        yield node


@contextlib.contextmanager
def running(node: RunningNode) -> Iterator[RunningNode]:
    """This node, started; stopped and its VG removed at the end."""
    try:
        node.start()
        yield node
        node.stop()
    finally:
        node.abandon()
        run("vgremove", "--force", "--force", "--yes", node.vg, check=False)
        run("pvremove", "--force", "--force", "--yes", node.device, check=False)
        shutil.rmtree(node.mounts, ignore_errors=True)


def _unmount_below(folder: Path) -> None:
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        target = line.split()[1]
        if target.startswith(f"{folder}/"):
            run("umount", target, check=False)


@dataclass(frozen=True, slots=True)
class Use:
    """A volume staged and published."""

    volume_id: str
    staging: Path
    target: Path


@dataclass(frozen=True, slots=True)
class Orchestrator:
    """A CO's calls for one kind of volume: a filesystem, or "" for raw block."""

    node: RunningNode
    filesystem: str

    def capability(self, mode: str = "SINGLE_NODE_MULTI_WRITER") -> csi_pb2.VolumeCapability:
        access = csi_pb2.VolumeCapability.AccessMode(
            mode=csi_pb2.VolumeCapability.AccessMode.Mode.Value(mode)
        )
        if not self.filesystem:
            block = csi_pb2.VolumeCapability.BlockVolume()
            return csi_pb2.VolumeCapability(block=block, access_mode=access)
        mount = csi_pb2.VolumeCapability.MountVolume(fs_type=self.filesystem)
        return csi_pb2.VolumeCapability(mount=mount, access_mode=access)

    def create(
        self,
        name: str,
        size_bytes: int,
        *,
        snapshot: str = "",
        volume: str = "",
        parameters: dict[str, str] | None = None,
    ) -> csi_pb2.Volume:
        source = None
        if snapshot:
            source = csi_pb2.VolumeContentSource(
                snapshot=csi_pb2.VolumeContentSource.SnapshotSource(snapshot_id=snapshot)
            )
        if volume:
            source = csi_pb2.VolumeContentSource(
                volume=csi_pb2.VolumeContentSource.VolumeSource(volume_id=volume)
            )
        return self.node.controller.CreateVolume(
            csi_pb2.CreateVolumeRequest(
                name=name,
                capacity_range=csi_pb2.CapacityRange(required_bytes=size_bytes),
                volume_capabilities=[self.capability()],
                volume_content_source=source,
                parameters=parameters or {},
            ),
            timeout=CALL_S,
        ).volume

    def use(self, volume_id: str, name: str) -> Use:
        staging, target = self.node.mounts / f"{name}.staged", self.node.mounts / name
        staging.mkdir()
        self.node.node.NodeStageVolume(
            csi_pb2.NodeStageVolumeRequest(
                volume_id=volume_id,
                staging_target_path=str(staging),
                volume_capability=self.capability(),
            ),
            timeout=CALL_S,
        )
        self.publish(volume_id, staging, target)
        return Use(volume_id, staging, target)

    def publish(
        self,
        volume_id: str,
        staging: Path,
        target: Path,
        *,
        mode: str = "SINGLE_NODE_MULTI_WRITER",
        read_only: bool = False,
    ) -> None:
        self.node.node.NodePublishVolume(
            csi_pb2.NodePublishVolumeRequest(
                volume_id=volume_id,
                staging_target_path=str(staging),
                target_path=str(target),
                volume_capability=self.capability(mode),
                readonly=read_only,
            ),
            timeout=CALL_S,
        )

    def unpublish(self, volume_id: str, target: Path) -> None:
        self.node.node.NodeUnpublishVolume(
            csi_pb2.NodeUnpublishVolumeRequest(volume_id=volume_id, target_path=str(target)),
            timeout=CALL_S,
        )

    def release(self, use: Use) -> None:
        self.unpublish(use.volume_id, use.target)
        self.node.node.NodeUnstageVolume(
            csi_pb2.NodeUnstageVolumeRequest(
                volume_id=use.volume_id, staging_target_path=str(use.staging)
            ),
            timeout=CALL_S,
        )

    def snapshot(self, volume_id: str, name: str) -> csi_pb2.Snapshot:
        return self.node.controller.CreateSnapshot(
            csi_pb2.CreateSnapshotRequest(source_volume_id=volume_id, name=name), timeout=CALL_S
        ).snapshot

    def expand(self, volume_id: str, size_bytes: int) -> int:
        reply = self.node.controller.ControllerExpandVolume(
            csi_pb2.ControllerExpandVolumeRequest(
                volume_id=volume_id,
                capacity_range=csi_pb2.CapacityRange(required_bytes=size_bytes),
                volume_capability=self.capability(),
            ),
            timeout=CALL_S,
        )
        return int(reply.capacity_bytes)

    def delete(self, volume_id: str) -> None:
        self.node.controller.DeleteVolume(
            csi_pb2.DeleteVolumeRequest(volume_id=volume_id), timeout=CALL_S
        )

    def delete_snapshot(self, snapshot_id: str) -> None:
        self.node.controller.DeleteSnapshot(
            csi_pb2.DeleteSnapshotRequest(snapshot_id=snapshot_id), timeout=CALL_S
        )

    def trim(self, volume_id: str) -> int:
        request = ebb_pb2.TrimVolumeRequest(volume_id=volume_id)
        return int(self.node.ebbd.TrimVolume(request, timeout=CALL_S).trimmed_bytes)

    def device_bytes(self, use: Use) -> int:
        """Room at the target: the filesystem's blocks, or the device's size."""
        if not self.filesystem:
            return int(run("blockdev", "--getsize64", str(use.target)))
        status = os.statvfs(use.target)
        return status.f_blocks * status.f_frsize
