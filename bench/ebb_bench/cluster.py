"""A CO's part: the CSI calls that are timed and counted, as kubelet and the sidecars make them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import grpc
from ebb_pb import csi_pb2 as csi
from ebb_pb import csi_pb2_grpc

_CALL_TIMEOUT_S = 300.0
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Used:
    """A volume that is staged and published."""

    volume_id: str
    staging: Path
    target: Path


class Cluster:
    """Calls on the CSI socket behind `channel`; volumes are staged and published below `mounts`."""

    def __init__(self, channel: grpc.Channel, mounts: Path) -> None:
        self._controller = csi_pb2_grpc.ControllerStub(channel)
        self._node = csi_pb2_grpc.NodeStub(channel)
        self._mounts = mounts
        self._capability = csi.VolumeCapability(
            mount=csi.VolumeCapability.MountVolume(fs_type="ext4"),
            access_mode=csi.VolumeCapability.AccessMode(
                mode=csi.VolumeCapability.AccessMode.SINGLE_NODE_MULTI_WRITER
            ),
        )

    def create(self, name: str, size_mib: int) -> str:
        request = self._create_request(name, size_mib)
        return self._controller.CreateVolume(request, timeout=_CALL_TIMEOUT_S).volume.volume_id

    def _create_request(self, name: str, size_mib: int) -> csi.CreateVolumeRequest:
        return csi.CreateVolumeRequest(
            name=name,
            capacity_range=csi.CapacityRange(required_bytes=size_mib * _MIB),
            volume_capabilities=[self._capability],
        )

    def create_together(self, names: Iterable[str], size_mib: int) -> list[str]:
        """All asked for before any is waited for."""
        calls = [
            self._controller.CreateVolume.future(
                self._create_request(name, size_mib), timeout=_CALL_TIMEOUT_S
            )
            for name in names
        ]
        return [call.result().volume.volume_id for call in calls]

    def delete(self, volume_id: str) -> None:
        request = csi.DeleteVolumeRequest(volume_id=volume_id)
        self._controller.DeleteVolume(request, timeout=_CALL_TIMEOUT_S)

    def snapshot(self, volume_id: str, name: str) -> str:
        request = csi.CreateSnapshotRequest(source_volume_id=volume_id, name=name)
        reply = self._controller.CreateSnapshot(request, timeout=_CALL_TIMEOUT_S)
        return reply.snapshot.snapshot_id

    def delete_snapshot(self, snapshot_id: str) -> None:
        request = csi.DeleteSnapshotRequest(snapshot_id=snapshot_id)
        self._controller.DeleteSnapshot(request, timeout=_CALL_TIMEOUT_S)

    def expand(self, volume_id: str, size_mib: int) -> None:
        request = csi.ControllerExpandVolumeRequest(
            volume_id=volume_id,
            capacity_range=csi.CapacityRange(required_bytes=size_mib * _MIB),
            volume_capability=self._capability,
        )
        self._controller.ControllerExpandVolume(request, timeout=_CALL_TIMEOUT_S)

    def used(self, volume_id: str, name: str) -> Used:
        """Where it will be; the staging directory is made, as kubelet makes it."""
        staging = self._mounts / f"{name}.staged"
        staging.mkdir(exist_ok=True)
        return Used(volume_id, staging, self._mounts / name)

    def stage(self, used: Used) -> None:
        request = csi.NodeStageVolumeRequest(
            volume_id=used.volume_id,
            staging_target_path=str(used.staging),
            volume_capability=self._capability,
        )
        self._node.NodeStageVolume(request, timeout=_CALL_TIMEOUT_S)

    def publish(self, used: Used) -> None:
        request = csi.NodePublishVolumeRequest(
            volume_id=used.volume_id,
            staging_target_path=str(used.staging),
            target_path=str(used.target),
            volume_capability=self._capability,
        )
        self._node.NodePublishVolume(request, timeout=_CALL_TIMEOUT_S)

    def unpublish(self, used: Used) -> None:
        request = csi.NodeUnpublishVolumeRequest(
            volume_id=used.volume_id, target_path=str(used.target)
        )
        self._node.NodeUnpublishVolume(request, timeout=_CALL_TIMEOUT_S)

    def unstage(self, used: Used) -> None:
        request = csi.NodeUnstageVolumeRequest(
            volume_id=used.volume_id, staging_target_path=str(used.staging)
        )
        self._node.NodeUnstageVolume(request, timeout=_CALL_TIMEOUT_S)

    def ready(self, name: str, size_mib: int) -> Used:
        """A new volume, made, staged and published."""
        used = self.used(self.create(name, size_mib), name)
        self.stage(used)
        self.publish(used)
        return used

    def release(self, used: Used) -> None:
        self.unpublish(used)
        self.unstage(used)

    def stats(self, used: Used) -> None:
        request = csi.NodeGetVolumeStatsRequest(
            volume_id=used.volume_id,
            volume_path=str(used.target),
            staging_target_path=str(used.staging),
        )
        self._node.NodeGetVolumeStats(request, timeout=_CALL_TIMEOUT_S)

    def list_volumes(self) -> list[str]:
        reply = self._controller.ListVolumes(csi.ListVolumesRequest(), timeout=_CALL_TIMEOUT_S)
        return [entry.volume.volume_id for entry in reply.entries]

    def capacity(self) -> int:
        reply = self._controller.GetCapacity(csi.GetCapacityRequest(), timeout=_CALL_TIMEOUT_S)
        return reply.available_capacity
