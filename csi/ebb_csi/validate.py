"""The shape of CSI requests: what is required, how long it may be, which capabilities combine.

Pure. Everything refused here is decided by the request alone; what needs to know the volume or
the pool (sizes, parameters, intent) is ebbd's to decide.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ebb_pb import csi_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from grpc import StatusCode

from ebb_csi.status import Refusal, invalid

Mode = csi_pb2.VolumeCapability.AccessMode

STRING_BYTES = 128
MAP_BYTES = 4096
NODE_ID_BYTES = 256
MOUNT_FLAGS_BYTES = 4096
PATH_BYTES = 4096  # PATH_MAX, with which the spec overrides the general limit for paths
# CSI allows 63 characters; the topology key's prefix, "topology." and the name, has the same limit.
DRIVER_NAME_CHARACTERS = 63 - len("topology.")

STRING_LIMITS = {
    "node_id": NODE_ID_BYTES,
    "staging_target_path": PATH_BYTES,
    "target_path": PATH_BYTES,
    "volume_path": PATH_BYTES,
}

SUPPORTED_MODES = frozenset(
    {
        Mode.SINGLE_NODE_WRITER,
        Mode.SINGLE_NODE_READER_ONLY,
        Mode.SINGLE_NODE_SINGLE_WRITER,
        Mode.SINGLE_NODE_MULTI_WRITER,
    }
)

CO_KEYS = "csi.storage.k8s.io/"
FILESYSTEM_KEY = CO_KEYS + "fstype"
EPHEMERAL_KEY = CO_KEYS + "ephemeral"

# What CSI forbids in a name: C0 without tab, newline and carriage return, DEL and C1.
CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
DRIVER_NAME = re.compile(r"[a-zA-Z0-9]([-.a-zA-Z0-9]*[a-zA-Z0-9])?")


@dataclass(frozen=True, slots=True)
class Access:
    """One VolumeCapability that a node-local driver can serve.

    `filesystem` is empty where the caller leaves the choice, and for a block volume.
    """

    mode: "Mode.Mode.ValueType"
    block: bool
    filesystem: str = ""
    mount_flags: tuple[str, ...] = ()

    @property
    def read_only(self) -> bool:
        return self.mode == Mode.SINGLE_NODE_READER_ONLY


@dataclass(frozen=True, slots=True)
class Shape:
    """What a volume has to be for all its capabilities: raw block, or one filesystem."""

    block: bool
    filesystem: str = ""


@dataclass(frozen=True, slots=True)
class Sizes:
    """A CapacityRange in bytes; 0: not stated."""

    required_bytes: int = 0
    limit_bytes: int = 0


def limits(message: Message, path: str = "") -> None:
    """Refuse a request in which any string or map, however deep, is longer than CSI allows."""
    for field, value in message.ListFields():
        where = f"{path}{field.name}"
        if is_map(field):
            map_limit(where, value)
        elif field.name == "mount_flags":
            size_limit(where, sum(len(flag.encode()) for flag in value), MOUNT_FLAGS_BYTES)
        elif field.type == FieldDescriptor.TYPE_STRING:
            limit = STRING_LIMITS.get(field.name, STRING_BYTES)
            for text in value if field.is_repeated else (value,):
                size_limit(where, len(text.encode()), limit)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for nested in value if field.is_repeated else (value,):
                limits(nested, f"{where}.")


def is_map(field: FieldDescriptor) -> bool:
    entry = field.message_type
    return entry is not None and entry.GetOptions().map_entry


def map_limit(where: str, value: Mapping[str, str]) -> None:
    size_limit(where, sum(len(k.encode()) + len(v.encode()) for k, v in value.items()), MAP_BYTES)


def size_limit(where: str, size_bytes: int, limit_bytes: int) -> None:
    if size_bytes > limit_bytes:
        raise invalid(f"{where} has {size_bytes} bytes, CSI allows {limit_bytes}")


def required(field: str, value: str) -> str:
    if not value:
        raise invalid(f"{field} is missing")
    return value


def new_name(value: str) -> str:
    """A name that the caller chose; any Unicode but control characters."""
    found = CONTROL_CHARACTERS.search(required("name", value))
    if found:
        raise invalid(f"name has the control character U+{ord(found[0]):04X}; CSI forbids those")
    return value


def path(field: str, value: str) -> str:
    if not required(field, value).startswith("/"):
        raise invalid(f"{field} must be absolute, it is {value!r}")
    return value


def volume_path(value: str) -> str:
    """Where a volume is said to be; CSI wants NOT_FOUND for any place where it cannot be."""
    if not required("volume_path", value).startswith("/"):
        raise Refusal(
            StatusCode.NOT_FOUND,
            f"there is no volume at {value!r}; give the absolute path where it is published",
        )
    return value


def driver_name(value: str) -> str:
    """The plugin's own name, as CSI and the topology key want it; raises ValueError."""
    if len(value) > DRIVER_NAME_CHARACTERS or not DRIVER_NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} is no driver name: it takes at most {DRIVER_NAME_CHARACTERS} letters, "
            "digits, dashes and dots, and starts and ends with a letter or digit"
        )
    return value


def access(capability: csi_pb2.VolumeCapability, exceeds: StatusCode) -> Access:
    """The capability as a value.

    Raises Refusal: INVALID_ARGUMENT where it is malformed, `exceeds` where it is well-formed but
    more than a node-local volume can do (CSI wants another code for that from RPC to RPC).
    """
    kind = capability.WhichOneof("access_type")
    if kind is None:
        raise invalid("volume_capability has neither block nor mount; give one of them")
    mode = capability.access_mode.mode
    if mode == Mode.UNKNOWN:
        raise invalid("volume_capability.access_mode is missing")
    if mode not in SUPPORTED_MODES:
        raise Refusal(
            exceeds,
            f"access mode {mode_name(mode)} is not offered: the volume lives on one node; ask for "
            "ReadWriteOnce or ReadWriteOncePod",
        )
    if kind == "block":
        return Access(mode, block=True)
    mount = capability.mount
    if mount.volume_mount_group:
        raise invalid(
            "volume_mount_group is not offered (the node does not advertise VOLUME_MOUNT_GROUP); "
            "the orchestrator applies fsGroup itself"
        )
    return Access(mode, False, mount.fs_type, tuple(mount.mount_flags))


def mode_name(mode: "Mode.Mode.ValueType") -> str:
    return Mode.Mode.Name(mode) if mode in Mode.Mode.values() else f"number {mode}"


def one_access(
    message: Message, capability: csi_pb2.VolumeCapability, exceeds: StatusCode
) -> Access:
    """The `volume_capability` that this request must have."""
    if not message.HasField("volume_capability"):
        raise invalid("volume_capability is missing")
    return access(capability, exceeds)


def accesses(
    capabilities: Iterable[csi_pb2.VolumeCapability], exceeds: StatusCode
) -> tuple[Access, ...]:
    """The `volume_capabilities` that this request must have, at least one."""
    found = tuple(access(capability, exceeds) for capability in capabilities)
    if not found:
        raise invalid("volume_capabilities is missing; at least one is required")
    return found


def shape(wanted: Iterable[Access], parameters: Mapping[str, str]) -> Shape:
    """The one shape that serves every access; a filesystem named there wins over the parameter."""
    wanted = tuple(wanted)
    kinds = {access.block for access in wanted}
    if len(kinds) > 1:
        raise invalid(
            "volume_capabilities ask for block and mount at once; a volume is one of them"
        )
    if kinds == {True}:
        return Shape(block=True)
    filesystems = {access.filesystem for access in wanted} - {""}
    if len(filesystems) > 1:
        raise invalid(
            f"volume_capabilities name several filesystems: {', '.join(sorted(filesystems))}"
        )
    return Shape(False, *filesystems or {parameters.get(FILESYSTEM_KEY, "")})


def fits(wanted: Access, filesystem: str, exceeds: StatusCode) -> None:
    """Refuse (`exceeds`) an access that is not for this volume; its filesystem is "" for raw."""
    if wanted.block and filesystem:
        raise Refusal(
            exceeds, f"the volume has a {filesystem} filesystem; it is no raw block volume"
        )
    if not wanted.block and not filesystem:
        raise Refusal(exceeds, "the volume is a raw block volume; it cannot be mounted")
    if wanted.filesystem not in {"", filesystem}:
        raise Refusal(exceeds, f"the volume has {filesystem}, not {wanted.filesystem}")


def content_source(request: csi_pb2.CreateVolumeRequest) -> str:
    """The id of the snapshot or volume to start from; empty: from nothing."""
    if not request.HasField("volume_content_source"):
        return ""
    source = request.volume_content_source
    match source.WhichOneof("type"):
        case "snapshot":
            return required("volume_content_source.snapshot_id", source.snapshot.snapshot_id)
        case "volume":
            return required("volume_content_source.volume_id", source.volume.volume_id)
        case None:
            raise invalid("volume_content_source has neither snapshot nor volume")


def sizes(capacity: csi_pb2.CapacityRange) -> Sizes:
    """The range in bytes; an absent message is all zero."""
    for field, value in (
        ("required_bytes", capacity.required_bytes),
        ("limit_bytes", capacity.limit_bytes),
    ):
        if value < 0:
            raise invalid(f"capacity_range.{field} is negative: {value}")
    if 0 < capacity.limit_bytes < capacity.required_bytes:
        raise invalid(
            f"capacity_range.limit_bytes ({capacity.limit_bytes}) is less than required_bytes "
            f"({capacity.required_bytes})"
        )
    return Sizes(capacity.required_bytes, capacity.limit_bytes)


def new_size(capacity: csi_pb2.CapacityRange) -> Sizes:
    """The range of an expansion, which must state something."""
    found = sizes(capacity)
    if found == Sizes():
        raise invalid("capacity_range is missing; give the size to grow to in required_bytes")
    return found


def max_entries(value: int) -> int:
    if value < 0:
        raise invalid(f"max_entries is negative: {value}")
    return value


def snapshot_parameters(parameters: Mapping[str, str]) -> None:
    """A VolumeSnapshotClass has no parameters of ebb's; the orchestrator's own are welcome."""
    unknown = sorted(key for key in parameters if not key.startswith(CO_KEYS))
    if unknown:
        raise invalid(f"unknown snapshot parameter {unknown[0]!r}; ebb's snapshots take none")


def group_sources(volume_ids: Iterable[str]) -> tuple[str, ...]:
    sources = tuple(volume_ids)
    if not sources:
        raise invalid("source_volume_ids is missing; a group has at least one volume")
    if "" in sources:
        raise invalid("source_volume_ids has an empty id")
    if len(set(sources)) < len(sources):
        raise invalid("source_volume_ids names a volume twice")
    return sources


def not_ephemeral(volume_context: Mapping[str, str]) -> None:
    if volume_context.get(EPHEMERAL_KEY) == "true":
        raise invalid(
            "inline ephemeral volumes are not offered; use a generic ephemeral volume "
            "(spec.volumes[].ephemeral.volumeClaimTemplate)"
        )
