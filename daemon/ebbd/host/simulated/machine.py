"""The machine that the simulated parts share: disks, VGs, active devices, mounts, consumers.

Besides looking things up it has what a test needs to act behind ebbd's back: another disk, a
consumer that opens a device, a pool that fills, a reboot.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from ebbd.errors import NotFound
from ebbd.host.simulated.device import Device
from ebbd.host.simulated.faults import Faults
from ebbd.host.simulated.pool import ThinStore
from ebbd.host.simulated.state import DISK_CHUNK_BYTES, Disk, Group, Node, PoolRecord
from ebbd.host.values import Consumer, Mount

DM_MAJOR = 253
LOOP_MAJOR = 7
DISK_MAJOR = 252
_BALLAST = 2**24 - 1  # the highest thin device id: what others write, to fill a pool
_ROOT_MOUNT = Mount(
    mount_id=1,
    parent_id=0,
    major=254,
    minor=1,
    root="/",
    target="/",
    options=("rw", "relatime"),
    filesystem="ext4",
    source="/dev/vda1",
    super_options=("rw",),
)


@dataclass(slots=True)
class Machine:
    """Everything in one place; `new_id` makes UUIDs, so that a test can have its own."""

    faults: Faults = field(default_factory=Faults)
    new_id: Callable[[], str] = field(default=lambda: str(uuid.uuid4()))
    disks: dict[str, Disk] = field(default_factory=dict)  # attached, by path
    files: dict[str, Disk] = field(default_factory=dict)  # backing files, attached or not
    groups: dict[str, Group] = field(default_factory=dict)
    nodes: dict[tuple[str, str], Node] = field(default_factory=dict)  # by VG and LV name
    mounts: list[Mount] = field(default_factory=lambda: [_ROOT_MOUNT])
    next_mount_id: int = 2
    busy_targets: set[str] = field(default_factory=set)
    openers: dict[tuple[str, str], list[Consumer]] = field(default_factory=dict)
    users: dict[tuple[str, str], list[Consumer]] = field(default_factory=dict)
    frozen: set[str] = field(default_factory=set)  # cgroup paths
    claims: dict[str, object] = field(default_factory=dict)  # by VG: the Lvm that holds it

    # ---- looking things up ----

    def group(self, vg: str) -> Group:
        """The VG; NotFound as well while one of its disks is not attached."""
        found = self.groups.get(vg)
        if found is None or any(disk.path not in self.disks for disk in found.disks):
            raise NotFound(f"there is no volume group {vg}", "check the pools in the configuration")
        return found

    def pool(self, vg: str, pool: str) -> PoolRecord:
        found = self.group(vg).pools.get(pool)
        if found is None:
            raise NotFound(f"there is no thin pool {vg}/{pool}", "check `pools` in the config")
        return found

    def device(self, path: str) -> Device:
        """The block device at a path. NotFound: no such disk, or an LV that is not active."""
        if disk := self.disks.get(path):
            return Device(
                path=path,
                major=disk.major,
                minor=disk.minor,
                size_bytes=disk.size_bytes,
                chunk_bytes=DISK_CHUNK_BYTES,
                store=disk.store,
                device_id=0,
            )
        for (vg, name), node in self.nodes.items():
            if path in lv_paths(vg, name) and name in self.groups[vg].volumes:
                lv = self.groups[vg].volumes[name]
                pool = self.pool(vg, lv.pool)
                return Device(
                    path=path,
                    major=DM_MAJOR,
                    minor=node.minor,
                    size_bytes=lv.size_bytes,
                    chunk_bytes=pool.chunk_bytes,
                    store=pool.store,
                    device_id=lv.device_id,
                    node=node,
                    pool=pool,
                )
        raise NotFound(
            f"there is no block device {path}", "activate the volume, or check the device's name"
        )

    def node(self, vg: str, name: str) -> Node:
        found = self.nodes.get((vg, name))
        if found is None:
            raise NotFound(f"{vg}/{name} is not active", "activate it first")
        return found

    def open_count(self, node: Node) -> int:
        """Device-mapper's count: one for a mounted superblock, however often it is mounted."""
        mounted = any((m.major, m.minor) == (DM_MAJOR, node.minor) for m in self.mounts)
        return node.held + (mounted or (node.group, node.name) in self.users)

    def free_minor(self) -> int:
        """The lowest free minor, as the kernel hands them out: numbers come back."""
        taken = {node.minor for node in self.nodes.values()}
        return next(minor for minor in range(len(taken) + 1) if minor not in taken)

    # ---- behind ebbd's back ----

    def add_disk(self, path: str, size_bytes: int) -> Disk:
        """A blank disk, attached."""
        return self._attach(path, _blank(size_bytes), DISK_MAJOR)

    def attach_file(self, backing_file: str, size_bytes: int) -> Disk:
        """A backing file on the next loop device; the file is made blank if it is not there."""
        disk = self.files.setdefault(backing_file, _blank(size_bytes))
        number = sum(other.major == LOOP_MAJOR for other in self.disks.values())
        disk.backing_file = backing_file
        return self._attach(f"/dev/loop{number}", disk, LOOP_MAJOR)

    def open_device(self, vg: str, name: str, consumer: Consumer | None = None) -> None:
        """A process opens the device itself; `consumers` sees it if it is given."""
        self.node(vg, name).held += 1
        if consumer is not None:
            self.openers.setdefault((vg, name), []).append(consumer)

    def close_device(self, vg: str, name: str) -> None:
        self.node(vg, name).held -= 1
        self.openers.pop((vg, name), None)

    def use(self, vg: str, name: str, consumer: Consumer) -> None:
        """A process has it mounted in a namespace of its own: unmounting here does not close it."""
        self.users.setdefault((vg, name), []).append(consumer)

    def stop_using(self, vg: str, name: str) -> None:
        self.users.pop((vg, name), None)

    def fill_pool(self, vg: str, pool: str, *, free_blocks: int = 0) -> None:
        """Others write, or give back, until `free_blocks` data blocks are left."""
        store = self.pool(vg, pool).store
        if _BALLAST in store.devices:
            store.delete(_BALLAST)
        store.create(_BALLAST)
        store.write(_BALLAST, 0, store.blocks - store.used - free_blocks, None)

    def reboot(self) -> None:
        """The kernel forgets: devices, mounts, openers, loops, frozen cgroups. Disks stay."""
        self.nodes.clear()
        self.mounts[:] = [_ROOT_MOUNT]
        self.busy_targets.clear()
        self.openers.clear()
        self.users.clear()
        self.frozen.clear()
        self.claims.clear()
        self.faults.clear()
        for path in [disk.path for disk in self.disks.values() if disk.backing_file]:
            del self.disks[path]

    def _attach(self, path: str, disk: Disk, major: int) -> Disk:
        disk.path, disk.major = path, major
        disk.minor = sum(other.major == major for other in self.disks.values())
        self.disks[path] = disk
        return disk


def _blank(size_bytes: int) -> Disk:
    store = ThinStore(-(-size_bytes // DISK_CHUNK_BYTES))
    store.create(0)
    return Disk(path="", size_bytes=size_bytes, major=0, minor=0, store=store)


def lv_paths(vg: str, name: str) -> tuple[str, str]:
    """The paths of an LV's node: device-mapper's, and LVM's link to it."""
    return f"/dev/mapper/{dm_name(vg, name)}", f"/dev/{vg}/{name}"


def dm_name(vg: str, name: str) -> str:
    """LVM's name for a device-mapper device: hyphens doubled, joined by one (libdm)."""
    return "-".join(part.replace("-", "--") for part in (vg, *name.split("\0")))
