"""A short way to make CSI calls in tests."""

import tempfile
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from ebb_pb import csi_pb2, csi_pb2_grpc, ebb_pb2_grpc

Mode = csi_pb2.VolumeCapability.AccessMode
MIB = 1 << 20
SIZE_BYTES = 64 * MIB
ATTACH_LIMIT = 4
TOPOLOGY_KEY = "topology.csi.ebb.internal/node"


def mount(
    mode: Mode.Mode.ValueType = Mode.SINGLE_NODE_WRITER, filesystem: str = "", *flags: str
) -> csi_pb2.VolumeCapability:
    return csi_pb2.VolumeCapability(
        mount=csi_pb2.VolumeCapability.MountVolume(fs_type=filesystem, mount_flags=flags),
        access_mode=Mode(mode=mode),
    )


def block(mode: Mode.Mode.ValueType = Mode.SINGLE_NODE_WRITER) -> csi_pb2.VolumeCapability:
    return csi_pb2.VolumeCapability(
        block=csi_pb2.VolumeCapability.BlockVolume(), access_mode=Mode(mode=mode)
    )


def node_topology(node_id: str) -> csi_pb2.Topology:
    return csi_pb2.Topology(segments={TOPOLOGY_KEY: node_id})


def from_snapshot(snapshot_id: str) -> csi_pb2.VolumeContentSource:
    source = csi_pb2.VolumeContentSource
    return source(snapshot=source.SnapshotSource(snapshot_id=snapshot_id))


def from_volume(volume_id: str) -> csi_pb2.VolumeContentSource:
    source = csi_pb2.VolumeContentSource
    return source(volume=source.VolumeSource(volume_id=volume_id))


async def refused(call: Awaitable[Any]) -> grpc.aio.AioRpcError:
    """The failure of a call that has to fail."""
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call
    return failure.value


class Csi:
    """All of ebb-csi's services, and ebbd's own API to look behind them."""

    def __init__(self, channel: grpc.aio.Channel, ebbd: grpc.aio.Channel, mounts: Path) -> None:
        self.identity = csi_pb2_grpc.IdentityStub(channel)
        self.controller = csi_pb2_grpc.ControllerStub(channel)
        self.groups = csi_pb2_grpc.GroupControllerStub(channel)
        self.node = csi_pb2_grpc.NodeStub(channel)
        self.ebbd_volumes = ebb_pb2_grpc.VolumesStub(ebbd)
        self.mounts = mounts
        self.staged: set[tuple[str, Path]] = set()
        self.published: set[tuple[str, Path]] = set()

    def create_request(
        self,
        name: str,
        capability: csi_pb2.VolumeCapability | None = None,
        required_bytes: int = SIZE_BYTES,
        limit_bytes: int = 0,
        parameters: Mapping[str, str] | None = None,
        mutable_parameters: Mapping[str, str] | None = None,
        source: csi_pb2.VolumeContentSource | None = None,
        requisite: Sequence[csi_pb2.Topology] = (),
    ) -> csi_pb2.CreateVolumeRequest:
        return csi_pb2.CreateVolumeRequest(
            name=name,
            volume_capabilities=[capability or mount()],
            capacity_range=csi_pb2.CapacityRange(
                required_bytes=required_bytes, limit_bytes=limit_bytes
            ),
            parameters=parameters or {},
            mutable_parameters=mutable_parameters or {},
            volume_content_source=source,
            accessibility_requirements=csi_pb2.TopologyRequirement(requisite=requisite),
        )

    async def create(self, name: str, *args: Any, **kwargs: Any) -> csi_pb2.Volume:  # noqa: ANN401 - as create_request
        reply = await self.controller.CreateVolume(self.create_request(name, *args, **kwargs))
        return reply.volume

    async def delete(self, volume_id: str) -> None:
        await self.controller.DeleteVolume(csi_pb2.DeleteVolumeRequest(volume_id=volume_id))

    async def snapshot(self, name: str, volume_id: str) -> csi_pb2.Snapshot:
        reply = await self.controller.CreateSnapshot(
            csi_pb2.CreateSnapshotRequest(name=name, source_volume_id=volume_id)
        )
        return reply.snapshot

    async def delete_snapshot(self, snapshot_id: str) -> None:
        await self.controller.DeleteSnapshot(csi_pb2.DeleteSnapshotRequest(snapshot_id=snapshot_id))

    async def attach(
        self, volume_id: str, node_id: str, *, readonly: bool = False
    ) -> csi_pb2.ControllerPublishVolumeResponse:
        return await self.controller.ControllerPublishVolume(
            csi_pb2.ControllerPublishVolumeRequest(
                volume_id=volume_id, node_id=node_id, volume_capability=mount(), readonly=readonly
            )
        )

    async def detach(self, volume_id: str, node_id: str = "") -> None:
        await self.controller.ControllerUnpublishVolume(
            csi_pb2.ControllerUnpublishVolumeRequest(volume_id=volume_id, node_id=node_id)
        )

    async def info(self) -> csi_pb2.NodeGetInfoResponse:
        return await self.node.NodeGetInfo(csi_pb2.NodeGetInfoRequest())

    def staging_path(self) -> Path:
        """A new staging directory, made as the orchestrator makes it."""
        return Path(tempfile.mkdtemp(prefix="staging-", dir=self.mounts))

    def target_path(self) -> Path:
        """A path to publish at, which only its parent has to exist for."""
        return Path(tempfile.mkdtemp(prefix="pod-", dir=self.mounts)) / "target"

    async def stage(
        self, volume_id: str, staging: Path, capability: csi_pb2.VolumeCapability | None = None
    ) -> None:
        self.staged.add((volume_id, staging))
        await self.node.NodeStageVolume(
            csi_pb2.NodeStageVolumeRequest(
                volume_id=volume_id,
                staging_target_path=str(staging),
                volume_capability=capability or mount(),
            )
        )

    async def unstage(self, volume_id: str, staging: Path) -> None:
        await self.node.NodeUnstageVolume(
            csi_pb2.NodeUnstageVolumeRequest(volume_id=volume_id, staging_target_path=str(staging))
        )

    async def publish(
        self,
        volume_id: str,
        staging: Path,
        target: Path,
        capability: csi_pb2.VolumeCapability | None = None,
        *,
        readonly: bool = False,
        publish_context: Mapping[str, str] | None = None,
    ) -> None:
        self.published.add((volume_id, target))
        await self.node.NodePublishVolume(
            csi_pb2.NodePublishVolumeRequest(
                volume_id=volume_id,
                staging_target_path=str(staging),
                target_path=str(target),
                volume_capability=capability or mount(),
                readonly=readonly,
                publish_context=publish_context or {},
            )
        )

    async def unpublish(self, volume_id: str, target: Path) -> None:
        await self.node.NodeUnpublishVolume(
            csi_pb2.NodeUnpublishVolumeRequest(volume_id=volume_id, target_path=str(target))
        )

    async def volumes(self) -> list[csi_pb2.Volume]:
        reply = await self.controller.ListVolumes(csi_pb2.ListVolumesRequest())
        return [entry.volume for entry in reply.entries]

    async def snapshots(self) -> list[csi_pb2.Snapshot]:
        reply = await self.controller.ListSnapshots(csi_pb2.ListSnapshotsRequest())
        return [entry.snapshot for entry in reply.entries]
