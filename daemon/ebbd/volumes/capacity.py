"""Room in a pool: what its promises and its real free data leave, decided purely.

A pool of size S with overcommit ratio r, volumes that promise V in all and F bytes of data free
has room for a volume of min(r·S - V, r·F), never below 0: the ratio bounds the promises, and the
real free data bounds what a new promise could still be worth. Snapshots promise nothing (they
cannot be written) but what they hold is missing from F.
"""

from ebbd.errors import NoRoom
from ebbd.host.values import PoolStatus, ThinPool
from ebbd.model import PoolState
from ebbd.volumes.catalog import Catalog

METADATA_BLOCK_BYTES = 4096  # dm-thin-metadata.h, THIN_METADATA_BLOCK_SIZE in sectors * 512


INACTIVE = "inactive"  # a mode of ours: the pool has no status line to read


def pool_state(
    vg: str, pool: ThinPool, status: PoolStatus, catalog: Catalog, *, ratio: float
) -> PoolState:
    """The pool as a whole: fill, promises, room, and what is wrong with it if anything is."""
    volumes = [v for v in catalog.volumes.values() if (v.vg, v.pool) == (vg, pool.name)]
    snapshots = [s for s in catalog.snapshots.values() if (s.vg, s.pool) == (vg, pool.name)]
    virtual = sum(v.size_bytes for v in volumes)
    used = status.used_data_blocks * pool.chunk_bytes
    total = status.total_data_blocks * pool.chunk_bytes or pool.size_bytes
    problem = pool_problem(status)
    room = min(total * ratio - virtual, (total - used) * ratio)
    return PoolState(
        vg=vg,
        pool=pool.name,
        size_bytes=total,
        used_bytes=used,
        metadata_size_bytes=status.total_metadata_blocks * METADATA_BLOCK_BYTES,
        metadata_used_bytes=status.used_metadata_blocks * METADATA_BLOCK_BYTES,
        chunk_bytes=pool.chunk_bytes,
        virtual_bytes=virtual,
        overcommit_ratio=ratio,
        available_bytes=0 if problem else max(0, int(room)),
        volumes=len(volumes),
        snapshots=len(snapshots),
        problem=problem,
    )


def pool_problem(status: PoolStatus) -> str:
    """Why the pool cannot take new data, empty when it can."""
    match status.mode:
        case "rw":
            return "its metadata needs a check (thin_check)" if status.needs_check else ""
        case "out_of_data_space":
            return "it is out of data space"
        case "ro":
            return "it is read-only"
        case "inactive":
            return "it is not active (lvchange --activate y brings it up)"
        case _:
            return "it has failed"


def admit(state: PoolState, size_bytes: int) -> None:
    """NoRoom unless `size_bytes` more may be promised."""
    if state.problem:
        raise NoRoom(
            f"pool {state.name} takes nothing new: {state.problem}",
            "see 'ebb doctor' for the way out",
        )
    if size_bytes > state.available_bytes:
        raise NoRoom(
            f"pool {state.name} has room for {state.available_bytes} bytes, not for {size_bytes}",
            "delete volumes or snapshots, extend the pool, or raise its overcommit_ratio",
        )
