"""What the simulated machine's disks and kernel hold, as plain records without behaviour of LVM.

A `Group` is what the PVs' metadata areas say; a `PoolRecord.store` and its
`kernel_transaction_id` are what the pool's own metadata says. The two can disagree: that is
the point.
"""

import asyncio
from dataclasses import dataclass, field

from ebbd.host.simulated.pool import ThinStore
from ebbd.host.values import ThinPool, ThinVolume, VolumeGroup

DISK_CHUNK_BYTES = 64 * 1024  # the grain at which a plain disk's content is remembered
LAYER = "\0"  # parts an LV's name from a layer of it (`pool\0tpool`); never in a name
METADATA_BLOCK_BYTES = 4096
# A B-tree leaf of dm-thin's mapping tree holds 252 entries and is on average half full
# (drivers/md/persistent-data). A pool that holds nothing has used 1.6 MiB (seen on Linux 6.1).
_MAPPINGS_A_BLOCK = 126
_EMPTY_POOL_BLOCKS = 400


@dataclass(slots=True)
class Disk:
    """A block device that is not LVM's: a whole disk or a loop device.

    Its content is a thin store with the single device 0. `group` is the VG it is a PV of.
    """

    path: str
    size_bytes: int
    major: int
    minor: int
    store: ThinStore
    group: str | None = None
    backing_file: str | None = None


@dataclass(slots=True)
class LvRecord:
    """A thin LV; `device_id` is known to the VG metadata before the pool knows it."""

    name: str
    uuid: str
    size_bytes: int
    tags: frozenset[str]
    pool: str
    device_id: int
    transaction_id: int
    origin: str | None
    read_only: bool

    def value(self) -> ThinVolume:
        return ThinVolume(
            name=self.name,
            uuid=self.uuid,
            size_bytes=self.size_bytes,
            tags=self.tags,
            pool=self.pool,
            device_id=self.device_id,
            transaction_id=self.transaction_id,
            origin=self.origin,
            read_only=self.read_only,
        )


@dataclass(slots=True)
class Message:
    """A pool message that LVM wrote down: create (with a `name`) or delete (without)."""

    device_id: int
    name: str | None = None
    origin_id: int | None = None


@dataclass(slots=True)
class PoolRecord:
    name: str
    uuid: str
    size_bytes: int
    metadata_size_bytes: int
    chunk_bytes: int
    store: ThinStore
    zero: bool = True
    error_when_full: bool = True
    transaction_id: int = 0  # LVM's
    kernel_transaction_id: int = 0
    messages: list[Message] = field(default_factory=list)
    foreign_metadata_blocks: int = 0  # metadata blocks that a test says are used
    failed: bool = False

    @property
    def total_metadata_blocks(self) -> int:
        return self.metadata_size_bytes // METADATA_BLOCK_BYTES

    @property
    def used_metadata_blocks(self) -> int:
        used = (
            _EMPTY_POOL_BLOCKS
            + len(self.store.devices)
            + self.store.mappings // _MAPPINGS_A_BLOCK
            + self.foreign_metadata_blocks
        )
        return min(used, self.total_metadata_blocks)

    @property
    def mode(self) -> str:
        """As the kernel's status line has it."""
        if self.failed:
            return "fail"
        if self.used_metadata_blocks == self.total_metadata_blocks:
            return "ro"
        return "out_of_data_space" if self.store.used >= self.store.blocks else "rw"

    def value(self) -> ThinPool:
        return ThinPool(
            name=self.name,
            uuid=self.uuid,
            size_bytes=self.size_bytes,
            metadata_size_bytes=self.metadata_size_bytes,
            chunk_bytes=self.chunk_bytes,
            transaction_id=self.transaction_id,
            zero=self.zero,
            error_when_full=self.error_when_full,
            pending=tuple(m.name for m in self.messages if m.name is not None),
            pending_removals=tuple(m.device_id for m in self.messages if m.name is None),
        )


@dataclass(slots=True)
class Group:
    """A VG. `volumes` keeps VG order: what `lvremove a b` follows. `lock` is LVM's VG lock."""

    name: str
    uuid: str
    extent_bytes: int
    total_bytes: int
    metadata_bytes: int
    disks: tuple[Disk, ...]
    tags: set[str]
    seqno: int = 1
    pools: dict[str, PoolRecord] = field(default_factory=dict)
    volumes: dict[str, LvRecord] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)  # LVs of other kinds and their bytes
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def free_bytes(self) -> int:
        taken = sum(p.size_bytes + p.metadata_size_bytes for p in self.pools.values())
        spare = max((p.metadata_size_bytes for p in self.pools.values()), default=0)
        return self.total_bytes - taken - spare - sum(self.others.values())

    @property
    def next_device_id(self) -> int:
        """One above the highest that is listed: ids of removed LVs come back."""
        return max((lv.device_id for lv in self.volumes.values()), default=0) + 1

    @property
    def hidden_names(self) -> frozenset[str]:
        """LVs that come with a pool: its two halves and the VG's metadata spare."""
        names = {f"{pool}_{half}" for pool in self.pools for half in ("tdata", "tmeta")}
        return frozenset(names | ({"lvol0_pmspare"} if self.pools else set()))

    def value(self) -> VolumeGroup:
        return VolumeGroup(
            name=self.name,
            uuid=self.uuid,
            seqno=self.seqno,
            extent_bytes=self.extent_bytes,
            free_bytes=self.free_bytes,
            tags=frozenset(self.tags),
            pools={name: pool.value() for name, pool in self.pools.items()},
            volumes={name: lv.value() for name, lv in self.volumes.items()},
            other_names=frozenset(self.others) | self.hidden_names,
        )


@dataclass(slots=True)
class Node:
    """An active device-mapper device of an LV (hidden ones included), or of a layer of one."""

    group: str
    name: str
    uuid: str
    minor: int
    read_only: bool = False
    suspended: bool = False
    held: int = 0  # openers other than mounts: raw block consumers, layers above

    @property
    def lv_name(self) -> str:
        return self.name.partition(LAYER)[0]
