"""How large a volume becomes: bytes in, whole extents out, reported as they are."""

from ebbd.errors import InvalidInput, SizeOutOfRange

MIB = 1024 * 1024
# What is refused below: mkfs.xfs since xfsprogs 5.19 (300 MB), btrfs when it is resized
# (fs/btrfs/ioctl.c, btrfs_ioctl_resize: 256 MiB; its mkfs takes 109), mke2fs with a journal
# (2 MiB; 8 leaves room for files).
MINIMUM_BYTES = {"": 1, "ext4": 8 * MIB, "xfs": 300 * MIB, "btrfs": 256 * MIB}
# A thin device id and dm-thin's block numbers allow more; LVM stops at 16 TiB by default on
# 32-bit extents of 4 MiB, and no CO asks for more than this.
MAXIMUM_BYTES = 2**50


def round_up(size_bytes: int, unit_bytes: int) -> int:
    return -(-size_bytes // unit_bytes) * unit_bytes


def minimum_bytes(filesystem: str, extent_bytes: int) -> int:
    """The smallest volume that can hold this filesystem, in whole extents."""
    return round_up(MINIMUM_BYTES[filesystem], extent_bytes)


def check_range(required_bytes: int, limit_bytes: int) -> None:
    """A capacity range that can mean something at all (csi.proto, CapacityRange)."""
    if required_bytes < 0 or limit_bytes < 0:
        raise InvalidInput("a size cannot be negative", "give bytes, 0 for no preference")
    if limit_bytes and required_bytes > limit_bytes:
        raise InvalidInput(
            f"required {required_bytes} bytes is above the limit {limit_bytes}",
            "raise the limit or ask for less",
        )
    if required_bytes > MAXIMUM_BYTES:
        raise SizeOutOfRange(
            f"{required_bytes} bytes is more than a volume can have",
            f"ask for at most {MAXIMUM_BYTES} bytes",
        )


def choose_size(
    required_bytes: int,
    limit_bytes: int,
    *,
    default_bytes: int,
    minimum_bytes: int,
    extent_bytes: int,
    source_bytes: int = 0,
) -> int:
    """The size of a new volume in bytes, a whole number of extents.

    A copy has at least its source's size; without a requirement it has exactly that. Raises
    SizeOutOfRange when the range cannot be met.
    """
    check_range(required_bytes, limit_bytes)
    if source_bytes and 0 < required_bytes < source_bytes:
        raise SizeOutOfRange(
            f"{required_bytes} bytes is less than the source's {source_bytes}",
            "ask for the source's size or more",
        )
    wanted = required_bytes or source_bytes or default_bytes
    if not required_bytes and limit_bytes and not source_bytes:
        wanted = min(wanted, limit_bytes // extent_bytes * extent_bytes)
    size = max(round_up(wanted, extent_bytes), minimum_bytes)
    if limit_bytes and size > limit_bytes:
        raise SizeOutOfRange(
            f"the smallest size that fits is {size} bytes, above the limit {limit_bytes}",
            f"allow {size} bytes or more (extents of {extent_bytes} bytes, "
            f"at least {minimum_bytes} bytes for this filesystem)",
        )
    return size


def satisfies(size_bytes: int, required_bytes: int, limit_bytes: int) -> bool:
    """Would an existing volume of this size answer the request?"""
    return size_bytes >= required_bytes and (not limit_bytes or size_bytes <= limit_bytes)
