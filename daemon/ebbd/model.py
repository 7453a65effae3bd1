"""The values everyone shares: volumes, snapshots, groups, and how they may be used.

Sizes are bytes, times are milliseconds since the epoch, ids are what `ebbd.volumes.names` makes.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

T = TypeVar("T")


class Prepare(StrEnum):
    """What has to happen to a device once, before its first mount.

    FORMAT: it is blank, make the filesystem. RENEW: it is a copy, give it an identity of its own.
    """

    FORMAT = "format"
    RENEW = "renew"


class AccessMode(StrEnum):
    """CSI's access modes that one node can keep (csi.proto, VolumeCapability.AccessMode)."""

    SINGLE_NODE_WRITER = "single-node-writer"
    SINGLE_NODE_READER_ONLY = "single-node-reader-only"
    SINGLE_NODE_SINGLE_WRITER = "single-node-single-writer"
    SINGLE_NODE_MULTI_WRITER = "single-node-multi-writer"


@dataclass(frozen=True, slots=True)
class Access:
    """How a consumer wants to use a volume: mounted, or as a raw block device."""

    mode: AccessMode = AccessMode.SINGLE_NODE_WRITER
    block: bool = False
    filesystem: str = ""
    mount_flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameters:
    """StorageClass parameters after parsing: all that is fixed at creation."""

    pool: str = ""
    mkfs_options: tuple[str, ...] = ()
    mount_options: tuple[str, ...] = ()
    claim_namespace: str = ""
    claim_name: str = ""
    intent: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Volume:
    """A named timeline, seen through its head.

    `lv_name` is the head's LV and `older_lvs` its former generations, oldest first. `lv_bytes` is
    what the head has, `size_bytes` what the consumer is promised: a larger clone is grown when it
    is staged. `filesystem` is empty for a raw block volume. `intent_class` came with the
    StorageClass, `intent_attributes` with the VolumeAttributesClass; the latter wins.
    """

    id: str
    name: str
    incarnation: str
    vg: str
    pool: str
    lv_name: str
    generation: int
    lv_bytes: int
    size_bytes: int
    filesystem: str
    created_ms: int
    older_lvs: tuple[str, ...] = ()
    prepare: Prepare | None = None
    source: str = ""
    mkfs_options: tuple[str, ...] = ()
    mount_options: tuple[str, ...] = ()
    intent_class: dict[str, str] = field(default_factory=dict)
    intent_attributes: dict[str, str] = field(default_factory=dict)
    claim_namespace: str = ""
    claim_name: str = ""
    attached: str = ""  # "", "rw" or "ro"
    deleting: bool = False
    head_of: str = ""  # what a rewind or an undo made the head from: snapshot id, or generation

    @property
    def intent(self) -> dict[str, str]:
        """The effective IO intent: VolumeAttributesClass over StorageClass, layer by layer."""
        return self.intent_class | self.intent_attributes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A read-only point on a volume's timeline; its volume may be gone by now.

    `incarnation` is the source's, so that a name used again does not inherit it. `group` is the
    id of the group it was taken with, empty when it was taken alone.
    """

    id: str
    name: str
    volume_id: str
    volume_name: str
    incarnation: str
    vg: str
    pool: str
    lv_name: str
    size_bytes: int
    filesystem: str
    created_ms: int
    group: str = ""
    prepare: Prepare | None = None


@dataclass(frozen=True, slots=True)
class SnapshotGroup:
    """Snapshots of several volumes at one instant, committed together."""

    id: str
    name: str
    vg: str
    created_ms: int
    snapshots: tuple[Snapshot, ...]


@dataclass(frozen=True, slots=True)
class PoolState:
    """A pool's fill as its status line says and its promises as the catalog adds them up."""

    vg: str
    pool: str
    size_bytes: int
    used_bytes: int
    metadata_size_bytes: int
    metadata_used_bytes: int
    chunk_bytes: int
    virtual_bytes: int
    overcommit_ratio: float
    available_bytes: int
    volumes: int
    snapshots: int
    problem: str = ""

    @property
    def name(self) -> str:
        return f"{self.vg}/{self.pool}"


@dataclass(frozen=True, slots=True)
class Created(Generic[T]):
    """The thing was made by this call."""

    value: T


@dataclass(frozen=True, slots=True)
class Unchanged(Generic[T]):
    """The thing was so already: a repeated call."""

    value: T
