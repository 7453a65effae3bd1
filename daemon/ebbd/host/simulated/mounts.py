"""A mount table in memory over targets that really exist.

Mounting changes the table only: the directory stays as it is, so what a consumer writes there
lands in the plain directory and not in the volume. `Filesystems.write_file` is the way in.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from ebbd.errors import CommandFailed, InvalidInput, NotFound, WrongState
from ebbd.host.simulated import paths
from ebbd.host.simulated.device import Device
from ebbd.host.simulated.faults import Step
from ebbd.host.simulated.machine import Machine
from ebbd.host.simulated.options import check_mount_options
from ebbd.host.simulated.superblock import Superblock
from ebbd.host.values import Mount

_DEVTMPFS = (0, 5)
_PER_MOUNT = frozenset({"ro", "rw", "nosuid", "nodev", "noexec", "noatime", "nodiratime"})


class SimulatedMounts:
    """`ebbd.host.protocols.Mounts`; paths are made below `allowed` only."""

    def __init__(self, machine: Machine, allowed: Sequence[str]) -> None:
        self._machine = machine
        self._allowed = tuple(allowed)

    async def table(self) -> tuple[Mount, ...]:
        return tuple(self._machine.mounts)

    async def mount(
        self, device: str, target: str, filesystem: str, options: Sequence[str]
    ) -> None:
        await self._machine.faults.start("mount")
        await self._want(target, "directory")
        source = self._machine.device(device)
        found = source.read(0)
        if not isinstance(found, Superblock) or found.kind != filesystem:
            raise CommandFailed(
                ("mount", "-t", filesystem, device, target),
                32,
                "wrong fs type, bad option, bad superblock",
                f"{device} has {found.kind if isinstance(found, Superblock) else 'no filesystem'}",
            )
        check_mount_options(filesystem, options)
        self._refuse_twin(source, found, options)
        read_only = source.read_only or "ro" in options
        super_options = tuple(o for o in options if o not in _PER_MOUNT | {"defaults"})
        self._add(
            Mount(
                mount_id=0,
                parent_id=0,
                major=source.major,
                minor=source.minor,
                root="/",
                target=target,
                options=_per_mount(options, read_only=read_only),
                filesystem=filesystem,
                source=device,
                super_options=("ro" if read_only else "rw", *super_options),
            )
        )
        await self._machine.faults.reach("mount", Step.DONE)

    async def bind(self, source: str, target: str, *, read_only: bool) -> None:
        await self._machine.faults.start("bind")
        if source.startswith("/dev/"):
            await self._want(target, "file")
            self._machine.device(source)  # NotFound
            origin = Mount(
                0, 0, *_DEVTMPFS, source.removeprefix("/dev"), "", ("rw",), "devtmpfs", "udev", ()
            )
        else:
            kind = await asyncio.to_thread(paths.kind_of, source)
            if kind is None:
                raise NotFound(f"{source} does not exist", "stage the volume first")
            await self._want(target, kind)
            origin = self._covering(source)
        self._add(
            replace(origin, target=target, options=_per_mount(origin.options, read_only=read_only))
        )
        await self._machine.faults.reach("bind", Step.DONE)

    async def unmount(self, target: str) -> None:
        await self._machine.faults.start("unmount")
        # All that lie on one another there, the topmost first.
        for mount in reversed([m for m in self._machine.mounts if m.target == target]):
            above = any(other.parent_id == mount.mount_id for other in self._machine.mounts)
            if above or target in self._machine.busy_targets:
                raise WrongState(
                    f"{target} is in use", f"fuser -vm {target} shows by whom; stop them first"
                )
            self._machine.mounts.remove(mount)
        await self._machine.faults.reach("unmount", Step.DONE)

    async def make_directory(self, path: str) -> None:
        await asyncio.to_thread(paths.make_directory, path, self._allowed)

    async def make_file(self, path: str) -> None:
        await asyncio.to_thread(paths.make_file, path, self._allowed)

    async def exists(self, path: str) -> bool:
        if path.startswith("/dev/"):
            try:
                self._machine.device(path)
            except NotFound:
                return False
            return True
        return await asyncio.to_thread(paths.kind_of, path) is not None

    async def remove_path(self, path: str) -> None:
        if any(mount.target == path for mount in self._machine.mounts):
            raise WrongState(f"{path} is a mount point", "unmount it first")
        await asyncio.to_thread(paths.remove_path, path, self._allowed)

    async def _want(self, target: str, kind: str) -> None:
        found = await asyncio.to_thread(paths.kind_of, target)
        if found is None:
            raise WrongState(f"{target} does not exist", "make it first")
        if found != kind:
            raise InvalidInput(f"{target} is not a {kind}", f"a {kind} is mounted on a {kind}")

    def _refuse_twin(self, source: Device, found: Superblock, options: Sequence[str]) -> None:
        """Xfs and btrfs will not have two filesystems of one UUID mounted."""
        if found.kind == "ext4" or (found.kind == "xfs" and "nouuid" in options):
            return
        for mount in self._machine.mounts:
            if mount.filesystem != found.kind or (mount.major, mount.minor) == (
                source.major,
                source.minor,
            ):
                continue
            other = self._machine.device(mount.source).read(0)
            if isinstance(other, Superblock) and other.uuid == found.uuid:
                raise CommandFailed(
                    ("mount", source.path),
                    32,
                    f"{found.kind}: filesystem has duplicate UUID {found.uuid} - can't mount",
                    "renew its identity first",
                )

    def _covering(self, path: str) -> Mount:
        """The mount that `path` lies in, with the root a bind of `path` would have."""
        place = PurePosixPath(path)
        over = [m for m in self._machine.mounts if place.is_relative_to(m.target)]
        mount = max(over, key=lambda m: (len(PurePosixPath(m.target).parts), m.mount_id))
        below = place.relative_to(mount.target)
        return replace(mount, root=str(PurePosixPath(mount.root) / below))

    def _add(self, mount: Mount) -> None:
        parent = self._covering(mount.target)
        self._machine.mounts.append(
            replace(mount, mount_id=self._machine.next_mount_id, parent_id=parent.mount_id)
        )
        self._machine.next_mount_id += 1


def _per_mount(options: Sequence[str], *, read_only: bool) -> tuple[str, ...]:
    """The per-mount half of the options, access first, as mountinfo has them."""
    kept = [option for option in options if option in _PER_MOUNT - {"ro", "rw"}]
    access = "ro" if read_only or "ro" in options else "rw"
    times = [] if "noatime" in kept else ["relatime"]
    return (access, *kept, *times)
