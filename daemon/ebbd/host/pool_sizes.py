"""How a pool is made when the operator leaves its details to ebb; both houses ask here. Pure."""

_KIB = 1 << 10
_MIB = 1 << 20
CHUNK_BYTES = 64 * _KIB  # LVM's default; small chunks make snapshots cheap to write to
_LARGEST_METADATA_BYTES = 16_192 * _MIB  # dm-thin's limit, in whole extents of 4 MiB
_MAPPING_BYTES = 64  # of metadata a mapped chunk takes, by the kernel's rule of thumb


def pool_metadata_bytes(pool_bytes: int, chunk_bytes: int) -> int:
    """Room for the pool's metadata (and as much again for LVM's spare).

    Twice the kernel's estimate for one set of mappings, because snapshots that drift apart need
    mappings of their own; at least 16 MiB, since an empty pool already fills 1.6 MiB and every
    thin device takes some, but not more than a fiftieth of a small pool; at most what dm-thin
    can use.
    """
    wanted = 2 * _MAPPING_BYTES * (pool_bytes // chunk_bytes)
    least = max(4 * _MIB, min(16 * _MIB, pool_bytes // 50))
    return min(max(wanted, least), _LARGEST_METADATA_BYTES) // (4 * _MIB) * (4 * _MIB)
