"""What was acknowledged, and the proof that it is still there and nothing half-made beside it.

Nothing here asks ebbd for what it could look up itself: the VG is read from the metadata area, the
kernel by ioctl, bytes through throw-away thin devices on the pool.
"""

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ebb_pb import ebb_pb2
from ebbd.host.real.dm import RealDeviceMapper
from ebbd.host.real.metadata_reader import MetadataReader
from ebbd.host.values import ThinVolume, VolumeGroup
from lab.volumes.contents import digest
from lab.volumes.running import RunningNode, Use, run

POOL = "pool0"
SECTOR_BYTES = 512
_PIECE = 1 << 20


@dataclass(slots=True)
class Witness:
    """`mounted` are contents by target path, `lvs` those of LVs that nobody may write to;
    `cgroups` are consumers.
    """

    node: RunningNode
    mounted: dict[Path, str] = field(default_factory=dict)
    lvs: dict[str, str] = field(default_factory=dict)
    cgroups: list[Path] = field(default_factory=list)

    def saw_mounted(self, target: Path) -> None:
        self.mounted[target] = contents(target)

    def saw_lv(self, lv_name: str) -> None:
        self.lvs[lv_name] = self.lv_digest(lv_name)

    def group(self) -> VolumeGroup:
        reading = MetadataReader().read(self.node.vg, [self.node.device])
        assert reading is not None, f"there is no VG {self.node.vg} on {self.node.device}"
        return reading.metadata.group

    def check(self) -> int:
        """Everything that must hold whenever ebbd answers; how many volumes and snapshots it was
        seen of.
        """
        group = self.group()
        self._check_agreement(group)
        self._check_nothing_half_made(group)
        self._check_doctor()
        for cgroup in self.cgroups:
            assert "frozen 0" in (cgroup / "cgroup.events").read_text(), f"{cgroup} is frozen"
        for target, was in self.mounted.items():
            assert contents(target) == was, f"{target} has other contents"
        for name, was in self.lvs.items():
            assert name in group.volumes, f"{name} is gone"
            assert self.lv_digest(name, group) == was, f"{name} has other bytes"
        return len(self.mounted) + len(self.lvs)

    def _check_agreement(self, group: VolumeGroup) -> None:
        """LVM's transaction id is the kernel's, and nothing is suspended or left by a probe."""
        pool = group.pools[POOL]
        kernel = asyncio.run(RealDeviceMapper().pool_status(group.name, POOL))
        assert kernel.mode == "rw", kernel
        ahead = pool.transaction_id - kernel.transaction_id
        # A removal that was written down is LVM's own to finish, with its next command.
        assert ahead == 0 or (ahead == 1 and pool.pending_removals), (pool, kernel)
        active = asyncio.run(RealDeviceMapper().active(group.name))
        assert not [name for name, info in active.items() if info.suspended]
        names = run("dmsetup", "ls")
        assert "ebb-probe" not in names, names

    def _check_nothing_half_made(self, group: VolumeGroup) -> None:
        """Every LV is of something that ebbd lists, and the pool knows the VG's LVs and no more."""
        volumes = self.node.ebbd.ListVolumes(ebb_pb2.ListVolumesRequest()).volumes
        snapshots = self.node.ebbd_snapshots.ListSnapshots(ebb_pb2.ListSnapshotsRequest()).snapshots
        told = {hash_of(v.id) for v in volumes} | {hash_of(s.id) for s in snapshots}
        listed = {
            name.removeprefix("ebb.s.").removeprefix("ebb.").split(".")[0] for name in group.volumes
        }
        assert told == listed, f"ebbd lists {told}, the VG has {listed}"
        leaving = set(group.pools[POOL].pending_removals)
        known = {lv.device_id for lv in group.volumes.values()}
        there = self._thin_ids()
        assert known <= there, f"LVs without a thin device: {known - there}"
        assert there <= known | leaving, f"thin devices of no LV: {there - known - leaving}"

    def _thin_ids(self) -> set[int | None]:
        pool = f"/dev/mapper/{self.pool_device()}"
        run("dmsetup", "message", pool, "0", "reserve_metadata_snap")
        try:
            told = run(
                *("thin_ls", "--metadata-snap", "--no-headers", "--format", "DEV"),
                f"/dev/mapper/{self.node.vg}-{POOL}_tmeta",
            )
        finally:
            run("dmsetup", "message", pool, "0", "release_metadata_snap")
        return {int(word) for word in told.split()}

    def _check_doctor(self) -> None:
        checks = self.node.ebbd_node.Diagnose(ebb_pb2.DiagnoseRequest()).checks
        failed = [f"{c.name}: {c.detail}" for c in checks if c.status == ebb_pb2.Check.FAILED]
        assert not failed, failed

    def pool_device(self) -> str:
        """While no thin LV is active the pool bears its plain name."""
        names = run("dmsetup", "ls", "--target", "thin-pool").split()
        [found] = [name for name in names if name.startswith(f"{self.node.vg}-{POOL}")]
        return found

    @contextmanager
    def reading(self, lv: ThinVolume) -> Iterator[Path]:
        """A read-only device of its own on this LV, active or not, without LVM."""
        name = "campaign-reading"
        sectors = lv.size_bytes // SECTOR_BYTES
        table = f"0 {sectors} thin /dev/mapper/{self.pool_device()} {lv.device_id}"
        run("dmsetup", "create", name, "--readonly", "--table", table)
        try:
            yield Path(f"/dev/mapper/{name}")
        finally:
            run("dmsetup", "remove", "--retry", name)

    def lv_digest(self, lv_name: str, group: VolumeGroup | None = None) -> str:
        whole = hashlib.sha256()
        lv = (group or self.group()).volumes[lv_name]
        with self.reading(lv) as device, device.open("rb") as file:
            while piece := file.read(_PIECE):
                whole.update(piece)
        return whole.hexdigest()

    def lv_contents(self, lv_name: str) -> str:
        """Of the ext4 on it, its journal left alone: the writer was synced or frozen."""
        at = self.node.folder / "witness"
        at.mkdir(exist_ok=True)
        with self.reading(self.group().volumes[lv_name]) as device:
            run("mount", "-t", "ext4", "-o", "ro,noload", str(device), str(at))
            try:
                return contents(at)
            finally:
                run("umount", str(at))


def contents(target: Path) -> str:
    return digest(Use("", target, target), "ext4")


def hash_of(identity: str) -> str:
    return identity.rpartition("-")[2]


def head_of(volume_id: str) -> str:
    return f"ebb.{hash_of(volume_id)}.1"


def snapshot_lv_of(snapshot_id: str) -> str:
    return f"ebb.s.{hash_of(snapshot_id)}"
