"""The door to the machine: one small protocol a resource, two houses behind it.

`ebbd.host.real` talks to LVM, the kernel and the tools; `ebbd.host.simulated` keeps the same
promises in memory. No policy lives here: every method does the one thing it says, or raises from
`ebbd.errors`. tests/contract runs the same assertions against both.

Names: `vg`, `pool` and `name` are LVM's; `device` is a path below /dev.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from ebbd.host.values import (
    Consumer,
    DeviceInfo,
    Mount,
    PoolStatus,
    ToolVersion,
    Usage,
    VolumeGroup,
)


class Lvm(Protocol):
    """LVM: reads without a command, and one command line a mutation.

    Mutations on one VG are called one at a time (the caller's queue). Each returns the number of
    VG commits that it makes when nothing interferes, so that the caller can tell its own commits
    from a foreign one by the seqno. Errors: NotFound (no such VG, pool or LV), Conflict (name
    taken), NoRoom (LVM has no extents), DeadlineExceeded (the command was killed: its fate must
    be read back before anybody is answered), CommandFailed (anything else LVM refused).
    """

    @property
    def command_lines(self) -> int:
        """Every command line given to LVM so far, by process or by shell."""

    async def seqno(self, vg: str) -> int:
        """The VG's committed sequence number, from the PVs' metadata headers: no command."""

    async def read(self, vg: str) -> VolumeGroup:
        """The whole VG, parsed from the metadata area and checked by its checksum: no command."""

    async def claim(self, vg: str) -> None:
        """Hold the VG for this daemon alone until `close`, or until this process dies.

        Held by this one already: fine. Held by another: Unavailable that names it. What a daemon
        that died left running on it is waited for.
        """

    async def ensure_volume_group(
        self, vg: str, devices: Sequence[str], *, metadata_bytes: int, tags: Sequence[str]
    ) -> bool:
        """Make the VG on these devices (autoactivation off) if there is none; True if made.

        A device with a signature that is not this VG's is refused (WrongState), never wiped.
        """

    async def ensure_pool(
        self, vg: str, pool: str, *, size_bytes: int | None, chunk_bytes: int | None
    ) -> bool:
        """Make the thin pool (zeroing, error when full) if there is none; None: all free room."""

    async def activate_pool(self, vg: str, pool: str) -> None:
        """Keep the pool LV itself active, so that its status can be read with no thin LV up."""

    async def create_thin(
        self, vg: str, pool: str, name: str, *, size_bytes: int, tags: Sequence[str]
    ) -> int:
        """A new thin LV, inactive; tags in the same command."""

    async def create_snapshot(
        self, vg: str, origin: str, name: str, *, tags: Sequence[str], read_only: bool
    ) -> int:
        """A thin snapshot of a thin LV, inactive, without activation skip; tags in the same
        command. A mounted origin is suspended and its filesystem frozen by LVM itself.
        """

    async def remove(self, vg: str, names: Sequence[str]) -> int:
        """Remove thin LVs in one command (order is LVM's own). Open ones: WrongState."""

    async def extend(self, vg: str, name: str, *, size_bytes: int) -> int:
        """Grow to `size_bytes`; active or not. That large already: nothing is done, 0 commits."""

    async def change_tags(
        self, vg: str, name: str | None, *, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> int:
        """Add and remove tags of an LV (None: of the VG itself) in one commit."""

    async def rename(self, vg: str, name: str, new_name: str) -> int:
        """Give a thin LV another name in one commit; an active device changes its name with it."""

    async def activate(self, vg: str, name: str) -> None:
        """Bring the device up (also an LV with activation skip set)."""

    async def deactivate(self, vg: str, name: str) -> None:
        """Take the device down; already down is fine. Open: WrongState."""

    async def close(self) -> None:
        """Let a running command end, then leave."""


class DeviceMapper(Protocol):
    """device-mapper by ioctl: no process, no LVM command."""

    async def info(self, vg: str, name: str) -> DeviceInfo | None:
        """The LV's device, or None when it is not active."""

    async def active(self, vg: str) -> dict[str, DeviceInfo]:
        """Active devices of the VG by LV name (hidden ones such as pool_tdata included)."""

    async def pool_status(self, vg: str, pool: str) -> PoolStatus:
        """The pool's status without a flush (DM_NOFLUSH_FLAG). Inactive: NotFound."""

    async def mapped_bytes(self, vg: str, name: str) -> int:
        """What an active thin LV has mapped. Inactive: NotFound."""

    async def resume(self, vg: str, name: str) -> None:
        """Resume a device that a killed LVM left suspended."""

    async def pool_has(self, vg: str, pool: str, device_id: int) -> bool:
        """Does the pool's metadata know this thin device id?"""

    async def set_transaction_id(self, vg: str, pool: str, *, current: int, new: int) -> None:
        """The pool message of the same name."""


class ThinMetadata(Protocol):
    """A thin pool's own metadata: the thin devices that it holds, with an LV for them or without.

    The pool must be active (NotFound) and take messages: read-only or failed is WrongState.
    """

    async def devices(self, vg: str, pool: str) -> dict[int, int]:
        """Thin device ids and the bytes that each has mapped, at one instant.

        Costs a commit of the pool's metadata, since a live pool is read through a metadata
        snapshot; one that an ebbd killed here left is let go of first.
        """

    async def delete(self, vg: str, pool: str, device_id: int) -> None:
        """The pool message `delete`: the device's blocks go back to the pool, for good.

        Not there is fine; open is WrongState. LVM is not asked: the caller made sure that no LV
        stands for the id.
        """


class Filesystems(Protocol):
    """mkfs, growth, identity and trim; kinds are ext4, xfs, btrfs."""

    async def signature(self, device: str) -> str | None:
        """What libblkid finds (`ext4`, `xfs`, `dos`, `LVM2_member`, …), None on a blank device.

        An ambiguous result is an error (WrongState), never None.
        """

    async def make(
        self, device: str, kind: str, options: Sequence[str], *, overwrite: bool = False
    ) -> None:
        """mkfs; `options` are extra arguments. A device with a signature is refused (WrongState)
        unless `overwrite` says that it can only be an interrupted mkfs of ours. Refused arguments:
        InvalidInput. Smaller than the kind can be (xfs 300 MiB, btrfs 109 MiB): SizeOutOfRange.
        """

    async def grow(self, device: str, kind: str, mountpoint: str) -> bool:
        """Grow a mounted filesystem to its device; False if it already filled it."""

    async def renew_identity(self, device: str, kind: str) -> None:
        """A new UUID for a clone, unmounted; its log is replayed first. Safe to repeat."""

    async def trim(self, mountpoint: str) -> int:
        """FITRIM; bytes given back."""

    async def usage(self, mountpoint: str) -> Usage: ...


class Mounts(Protocol):
    """The mount table and paths of the mount namespace that consumers share."""

    async def table(self) -> tuple[Mount, ...]: ...

    async def mount(
        self, device: str, target: str, filesystem: str, options: Sequence[str]
    ) -> None:
        """Mount a filesystem on an existing directory. A bad option: InvalidInput."""

    async def bind(self, source: str, target: str, *, read_only: bool) -> None:
        """Bind source (directory or device node) on an existing target, read-only if asked."""

    async def unmount(self, target: str) -> None:
        """Unmount; not mounted is fine. Busy: WrongState that says who can be asked."""

    async def make_directory(self, path: str) -> None:
        """The directory (parents must exist); there already is fine, another kind: WrongState.
        A symlink anywhere in it: InvalidInput.
        """

    async def make_file(self, path: str) -> None:
        """An empty file as a target for a device node; same rules."""

    async def exists(self, path: str) -> bool: ...

    async def remove_path(self, path: str) -> None:
        """Remove an empty directory or a file target; absent is fine, not empty: WrongState."""


class Cgroups(Protocol):
    """Who uses a device, and the freezer (cgroup v2, cgroup.freeze)."""

    async def consumers(self, major: int, minor: int) -> tuple[Consumer, ...]:
        """Cgroups of processes that have the device mounted in a namespace of their own, or have
        files of it (or the device itself) open.
        """

    def frozen(
        self, paths: Sequence[str], *, watchdog_s: float
    ) -> AbstractAsyncContextManager[None]:
        """Freeze these cgroups, wait until the kernel says frozen, thaw on the way out.

        A watchdog outside this process thaws after `watchdog_s` or when this process dies.
        Cannot be frozen: WrongState, with everything thawed again.
        """


class Blockdev(Protocol):
    """Loop devices and device nodes."""

    async def ensure_loop(self, path: str, size_bytes: int) -> str:
        """The backing file (sparse, made if absent) on a loop device, direct IO where the
        filesystem can; the device's path. Attached already: that one.
        """

    async def size_bytes(self, device: str) -> int: ...

    def lv_device(self, vg: str, name: str) -> str:
        """The path of an LV's device node, active or not (pure)."""


class Probe(Protocol):
    """What this machine is able to do; read-only."""

    async def tools(self) -> tuple[ToolVersion, ...]: ...

    async def kernel(self) -> dict[str, str]:
        """release, device-mapper targets and their versions, filesystems, as `key: value`."""

    async def cgroup(self) -> dict[str, str]:
        """mount, controllers, whether io.max is there."""


@dataclass(frozen=True, slots=True)
class Host:
    """The whole machine, as the rooms above get it."""

    lvm: Lvm
    dm: DeviceMapper
    thin: ThinMetadata
    filesystems: Filesystems
    mounts: Mounts
    cgroups: Cgroups
    blockdev: Blockdev
    probe: Probe
    simulated: bool
