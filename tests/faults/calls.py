"""A CO's calls that may be repeated, as a CO repeats them."""

import os
from pathlib import Path

from ebb_pb import csi_pb2
from lab.volumes.running import CALL_S, Orchestrator, Use


class Calls(Orchestrator):
    """Names are the test's; what is staged and published as NAME is at two paths made of it."""

    def where(self, name: str) -> Use:
        mounts = self.node.mounts
        return Use("", mounts / f"{name}.staged", mounts / name)

    def stage(self, volume_id: str, name: str) -> None:
        path = self.where(name).staging
        path.mkdir(exist_ok=True)
        self.node.node.NodeStageVolume(
            csi_pb2.NodeStageVolumeRequest(
                volume_id=volume_id,
                staging_target_path=str(path),
                volume_capability=self.capability(),
            ),
            timeout=CALL_S,
        )

    def publish_as(self, volume_id: str, name: str) -> Path:
        at = self.where(name)
        self.publish(volume_id, at.staging, at.target)
        return at.target

    def unpublish_as(self, volume_id: str, name: str) -> None:
        self.unpublish(volume_id, self.where(name).target)

    def unstage(self, volume_id: str, name: str) -> None:
        self.node.node.NodeUnstageVolume(
            csi_pb2.NodeUnstageVolumeRequest(
                volume_id=volume_id, staging_target_path=str(self.where(name).staging)
            ),
            timeout=CALL_S,
        )

    def put_to_use(self, volume_id: str, name: str) -> Path:
        self.stage(volume_id, name)
        return self.publish_as(volume_id, name)

    def put_away(self, volume_id: str, name: str) -> None:
        """Unpublished and unstaged, its staging directory removed as a CO does."""
        self.unpublish_as(volume_id, name)
        self.unstage(volume_id, name)
        staging = self.where(name).staging
        if staging.exists():
            staging.rmdir()

    def group(self, name: str, volume_ids: list[str]) -> csi_pb2.VolumeGroupSnapshot:
        return self.node.group.CreateVolumeGroupSnapshot(
            csi_pb2.CreateVolumeGroupSnapshotRequest(name=name, source_volume_ids=volume_ids),
            timeout=CALL_S,
        ).group_snapshot

    def delete_group(self, group_id: str) -> None:
        self.node.group.DeleteVolumeGroupSnapshot(
            csi_pb2.DeleteVolumeGroupSnapshotRequest(group_snapshot_id=group_id), timeout=CALL_S
        )

    def modify(self, volume_id: str, intent: dict[str, str]) -> None:
        self.node.controller.ControllerModifyVolume(
            csi_pb2.ControllerModifyVolumeRequest(volume_id=volume_id, mutable_parameters=intent),
            timeout=CALL_S,
        )

    def attach(self, volume_id: str) -> None:
        self.node.controller.ControllerPublishVolume(
            csi_pb2.ControllerPublishVolumeRequest(
                volume_id=volume_id, node_id="lab-node", volume_capability=self.capability()
            ),
            timeout=CALL_S,
        )

    def detach(self, volume_id: str) -> None:
        self.node.controller.ControllerUnpublishVolume(
            csi_pb2.ControllerUnpublishVolumeRequest(volume_id=volume_id, node_id="lab-node"),
            timeout=CALL_S,
        )

    def is_mounted(self, name: str) -> bool:
        return os.path.ismount(self.where(name).target)
