"""mkfs and its kin over simulated devices, with the refusals of the real tools.

A signature is whatever lies in chunk 0: a `Superblock`, or a string that a test stamped there.
"""

from collections.abc import Sequence
from dataclasses import replace

from ebbd.errors import CommandFailed, InvalidInput, NoRoom, NotFound, SizeOutOfRange, WrongState
from ebbd.host.mkfs_options import check_mkfs_options
from ebbd.host.simulated.device import Device
from ebbd.host.simulated.faults import Step
from ebbd.host.simulated.machine import Machine
from ebbd.host.simulated.superblock import Superblock
from ebbd.host.values import Usage

_MIB = 1024 * 1024
# What is refused below: ext4 too small for a journal, mkfs.xfs since xfsprogs 5.19, mkfs.btrfs.
_MINIMUM_BYTES = {"ext4": 2 * _MIB, "xfs": 300 * _MIB, "btrfs": 109 * _MIB}
# The share of a new filesystem that mkfs writes: superblock copies, group tables, part of a log.
_WRITTEN_SHARE = {"ext4": 64, "xfs": 128, "btrfs": 256}  # one chunk in so many
_BYTES_AN_INODE = {"ext4": 16384, "xfs": 2048}  # btrfs has no fixed number: statvfs says 0


class SimulatedFilesystems:
    """`ebbd.host.protocols.Filesystems` in memory, and files to tell contents apart."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    async def signature(self, device: str) -> str | None:
        found = self._machine.device(device).read(0)
        disk = self._machine.disks.get(device)
        if disk is not None and disk.group is not None:
            return "LVM2_member"
        if isinstance(found, Superblock):
            return found.kind
        return found if isinstance(found, str) else None

    async def make(
        self, device: str, kind: str, options: Sequence[str], *, overwrite: bool = False
    ) -> None:
        if kind not in _MINIMUM_BYTES:
            raise InvalidInput(f"there is no mkfs.{kind} here", "use ext4, xfs or btrfs")
        check_mkfs_options(kind, options)
        await self._machine.faults.start("make")
        target = self._machine.device(device)
        if (found := await self.signature(device)) is not None and not overwrite:
            raise WrongState(f"{device} has a {found} signature already", "nothing was written")
        if self._opened(target):
            raise WrongState(f"{device} is in use", "unmount it first")
        if target.size_bytes < _MINIMUM_BYTES[kind]:
            raise SizeOutOfRange(
                f"{device} has {target.size_bytes} bytes, too few for {kind}",
                f"{kind} needs at least {_MINIMUM_BYTES[kind]} bytes",
            )
        metadata_chunks = max(2, target.size_bytes // target.chunk_bytes // _WRITTEN_SHARE[kind])
        target.write(1, metadata_chunks - 1, "metadata")
        await self._machine.faults.reach("make", Step.HALF)
        superblock = Superblock(
            kind, self._machine.new_id(), target.size_bytes, target.chunk_bytes, metadata_chunks
        )
        target.write(0, 1, superblock)
        await self._machine.faults.reach("make", Step.DONE)

    async def grow(self, device: str, kind: str, mountpoint: str) -> bool:
        await self._machine.faults.start("grow")
        target, superblock = self._writable(mountpoint)
        if (target.path, superblock.kind) != (device, kind) and not self._same(target, device):
            raise WrongState(f"{mountpoint} is not {device} with {kind}", "stage the volume again")
        if superblock.size_bytes == target.size_bytes:
            return False
        target.write(0, 1, replace(superblock, size_bytes=target.size_bytes))
        await self._machine.faults.reach("grow", Step.DONE)
        return True

    async def renew_identity(self, device: str, kind: str) -> None:
        await self._machine.faults.start("renew_identity")
        target = self._machine.device(device)
        superblock = self._superblock(target)
        if superblock.kind != kind:
            raise WrongState(
                f"{device} has {superblock.kind}, not {kind}", "give its own filesystem"
            )
        if self._opened(target):
            raise WrongState(f"{device} is mounted", "unmount it first")
        target.write(0, 1, replace(superblock, uuid=self._machine.new_id(), clean=True))
        await self._machine.faults.reach("renew_identity", Step.DONE)

    async def trim(self, mountpoint: str) -> int:
        await self._machine.faults.start("trim")
        target, superblock = self._writable(mountpoint)
        return sum(target.discard(first, count) for first, count in superblock.free_runs())

    async def usage(self, mountpoint: str) -> Usage:
        _, superblock = self._mounted(mountpoint)
        total = (superblock.chunks - superblock.metadata_chunks) * superblock.chunk_bytes
        used = superblock.used_chunks * superblock.chunk_bytes
        inodes = 0
        if superblock.kind in _BYTES_AN_INODE:
            inodes = superblock.size_bytes // _BYTES_AN_INODE[superblock.kind]
        used_inodes = len(superblock.files) + 11 if inodes else 0  # ext4 reserves the first 11
        return Usage(total, used, total - used, inodes, used_inodes, inodes - used_inodes)

    # ---- a consumer's own doing ----

    def write_file(self, mountpoint: str, name: str, size_bytes: int, content: object) -> None:
        """What a consumer writes. NoRoom: the filesystem, or the pool, is full."""
        target, superblock = self._writable(mountpoint)
        grown = superblock.with_file(name, size_bytes, content)
        if grown is None:
            raise NoRoom(f"{mountpoint} is full", "grow the volume")
        file = grown.file(name)
        for first, count in file.runs if file else ():
            target.write(first, count, content)
        target.write(0, 1, replace(grown, clean=False))

    def read_file(self, mountpoint: str, name: str) -> object | None:
        """The file's content as its chunks have it; None: there is no such file."""
        target, superblock = self._mounted(mountpoint)
        file = superblock.file(name)
        if file is None:
            return None
        stamps = {target.read(c) for first, n in file.runs for c in range(first, first + n)}
        if stamps - {file.content}:
            raise CommandFailed(("cat", name), 1, f"{name} is torn: {stamps!r}")
        return file.content

    def remove_file(self, mountpoint: str, name: str) -> None:
        """Space comes back to the filesystem, to the pool only after a trim."""
        target, superblock = self._writable(mountpoint)
        target.write(0, 1, superblock.without_file(name))

    def _mounted(self, mountpoint: str) -> tuple[Device, Superblock]:
        mounts = [mount for mount in self._machine.mounts if mount.target == mountpoint]
        if not mounts:
            raise NotFound(f"nothing is mounted at {mountpoint}", "stage the volume again")
        target = self._machine.device(mounts[-1].source)
        return target, self._superblock(target)

    def _writable(self, mountpoint: str) -> tuple[Device, Superblock]:
        found = self._mounted(mountpoint)
        mount = [mount for mount in self._machine.mounts if mount.target == mountpoint][-1]
        if "ro" in mount.options or "ro" in mount.super_options:
            raise CommandFailed(("write", mountpoint), 1, "Read-only file system")
        return found

    def _superblock(self, target: Device) -> Superblock:
        found = target.read(0)
        if not isinstance(found, Superblock):
            raise WrongState(f"{target.path} has no filesystem", "make one first")
        return found

    def _opened(self, target: Device) -> bool:
        return target.node is not None and self._machine.open_count(target.node) > 0

    def _same(self, target: Device, device: str) -> bool:
        other = self._machine.device(device)
        return (other.major, other.minor) == (target.major, target.minor)
