"""What the machine says about itself, as frozen values.

Sizes are bytes, device numbers are the kernel's own major and minor, tags and names are LVM's.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ThinVolume:
    """A thin LV as the VG metadata has it.

    `transaction_id` is the pool's transaction id when this LV was asked for and `device_id` its
    id in the pool's metadata (LVM2 text format, segment type "thin"). `origin` is None once the
    origin was removed. A value that ebbd keeps of its own new LV, not read back yet, has neither
    uuid nor ids.
    """

    name: str
    size_bytes: int
    tags: frozenset[str]
    pool: str
    uuid: str = ""
    device_id: int | None = None
    transaction_id: int | None = None
    origin: str | None = None
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class ThinPool:
    """A thin pool as the VG metadata has it.

    `pending` names LVs whose create message LVM has written down but not yet confirmed
    (message1 { create = … } in the metadata), `pending_removals` thin device ids whose delete
    message is in that state: both empty in a healthy pool.
    """

    name: str
    uuid: str
    size_bytes: int
    metadata_size_bytes: int
    chunk_bytes: int
    transaction_id: int
    zero: bool
    error_when_full: bool
    pending: tuple[str, ...] = ()
    pending_removals: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class VolumeGroup:
    """One VG at one `seqno`, read from its PVs' metadata areas."""

    name: str
    uuid: str
    seqno: int
    extent_bytes: int
    free_bytes: int
    tags: frozenset[str]
    pools: dict[str, ThinPool]
    volumes: dict[str, ThinVolume]
    other_names: frozenset[str] = frozenset()  # LVs of other kinds: not ours, names taken
    autoactivation: bool = False  # does every LV come up at boot


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A device-mapper device (DM_DEV_STATUS)."""

    name: str
    uuid: str
    major: int
    minor: int
    open_count: int
    suspended: bool
    read_only: bool


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """A thin pool's status line (Documentation/admin-guide/device-mapper/thin-provisioning.rst).

    `mode` is rw, ro, out_of_data_space or fail; blocks are in the pool's units: metadata blocks
    of 4 KiB, data blocks of the pool's chunk size. A failed pool has only its mode.
    """

    mode: str
    transaction_id: int = 0
    used_metadata_blocks: int = 0
    total_metadata_blocks: int = 0
    used_data_blocks: int = 0
    total_data_blocks: int = 0
    error_when_full: bool = False
    needs_check: bool = False


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo (proc_pid_mountinfo(5)), paths unescaped."""

    mount_id: int
    parent_id: int
    major: int
    minor: int
    root: str
    target: str
    options: tuple[str, ...]
    filesystem: str
    source: str
    super_options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """Space and inodes of a mounted filesystem (statvfs(3))."""

    total_bytes: int
    used_bytes: int
    available_bytes: int
    total_inodes: int
    used_inodes: int
    available_inodes: int


@dataclass(frozen=True, slots=True)
class Consumer:
    """A cgroup whose processes use a device, found from their mount tables and open files.

    `path` is relative to the cgroup2 mount, "/" for the root. A consumer in the root cgroup, or
    one that shares a cgroup with ebbd itself, cannot be frozen.
    """

    path: str
    process_ids: tuple[int, ...]
    freezable: bool


@dataclass(frozen=True, slots=True)
class ToolVersion:
    """An external program: where it was found (None: missing) and what it calls itself."""

    name: str
    path: str | None
    version: str = ""
    package: str = ""  # the Debian package that has it, for the remedy
