"""A CO's part: real CSI calls, each measured, as kubelet and the sidecars make them."""

from dataclasses import dataclass
from pathlib import Path

import grpc
from ebb_pb import csi_pb2 as csi
from ebb_pb import csi_pb2_grpc

from ebb_demo.node import MOUNTS
from ebb_demo.telling import Telling

CALL_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Mounted:
    """A volume in use: its id and where its files are."""

    volume_id: str
    staging: Path
    target: Path


class Orchestrator:
    """The few calls that the story needs."""

    def __init__(self, channel: grpc.Channel, telling: Telling) -> None:
        self._controller = csi_pb2_grpc.ControllerStub(channel)
        self._node = csi_pb2_grpc.NodeStub(channel)
        self._telling = telling
        self._capability = csi.VolumeCapability(
            mount=csi.VolumeCapability.MountVolume(fs_type="ext4"),
            access_mode=csi.VolumeCapability.AccessMode(
                mode=csi.VolumeCapability.AccessMode.SINGLE_NODE_MULTI_WRITER
            ),
        )

    def create(self, name: str, size_bytes: int, *, snapshot_id: str = "") -> csi.Volume:
        source = csi.VolumeContentSource(
            snapshot=csi.VolumeContentSource.SnapshotSource(snapshot_id=snapshot_id)
        )
        request = csi.CreateVolumeRequest(
            name=name,
            capacity_range=csi.CapacityRange(required_bytes=size_bytes),
            volume_capabilities=[self._capability],
            volume_content_source=source if snapshot_id else None,
        )
        call = "CreateVolume from a snapshot" if snapshot_id else "CreateVolume"
        with self._telling.measured(call):
            return self._controller.CreateVolume(request, timeout=CALL_TIMEOUT_S).volume

    def use(self, volume_id: str, name: str) -> Mounted:
        """Stage and publish."""
        staging, target = MOUNTS / f"{name}.staged", MOUNTS / name
        staging.mkdir()
        stage = csi.NodeStageVolumeRequest(
            volume_id=volume_id,
            staging_target_path=str(staging),
            volume_capability=self._capability,
        )
        with self._telling.measured("NodeStageVolume"):
            self._node.NodeStageVolume(stage, timeout=CALL_TIMEOUT_S)
        publish = csi.NodePublishVolumeRequest(
            volume_id=volume_id,
            staging_target_path=str(staging),
            target_path=str(target),
            volume_capability=self._capability,
        )
        with self._telling.measured("NodePublishVolume"):
            self._node.NodePublishVolume(publish, timeout=CALL_TIMEOUT_S)
        return Mounted(volume_id, staging, target)

    def release(self, mounted: Mounted) -> None:
        """Unpublish and unstage."""
        with self._telling.measured("NodeUnpublishVolume"):
            self._node.NodeUnpublishVolume(
                csi.NodeUnpublishVolumeRequest(
                    volume_id=mounted.volume_id, target_path=str(mounted.target)
                ),
                timeout=CALL_TIMEOUT_S,
            )
        with self._telling.measured("NodeUnstageVolume"):
            self._node.NodeUnstageVolume(
                csi.NodeUnstageVolumeRequest(
                    volume_id=mounted.volume_id, staging_target_path=str(mounted.staging)
                ),
                timeout=CALL_TIMEOUT_S,
            )

    def snapshot(self, volume_id: str, name: str) -> csi.Snapshot:
        with self._telling.measured("CreateSnapshot of a mounted volume"):
            return self._controller.CreateSnapshot(
                csi.CreateSnapshotRequest(source_volume_id=volume_id, name=name),
                timeout=CALL_TIMEOUT_S,
            ).snapshot

    def grow(self, mounted: Mounted, size_bytes: int) -> int:
        """Grow a volume in use; the size it has then."""
        with self._telling.measured("ControllerExpandVolume"):
            reply = self._controller.ControllerExpandVolume(
                csi.ControllerExpandVolumeRequest(
                    volume_id=mounted.volume_id,
                    capacity_range=csi.CapacityRange(required_bytes=size_bytes),
                    volume_capability=self._capability,
                ),
                timeout=CALL_TIMEOUT_S,
            )
        return reply.capacity_bytes

    def delete_volume(self, volume_id: str) -> None:
        with self._telling.measured("DeleteVolume"):
            self._controller.DeleteVolume(
                csi.DeleteVolumeRequest(volume_id=volume_id), timeout=CALL_TIMEOUT_S
            )

    def delete_snapshot(self, snapshot_id: str) -> None:
        with self._telling.measured("DeleteSnapshot"):
            self._controller.DeleteSnapshot(
                csi.DeleteSnapshotRequest(snapshot_id=snapshot_id), timeout=CALL_TIMEOUT_S
            )

    def list_volumes(self) -> list[str]:
        reply = self._controller.ListVolumes(csi.ListVolumesRequest(), timeout=CALL_TIMEOUT_S)
        return [entry.volume.volume_id for entry in reply.entries]
