"""Is a thin pool fit to hold volumes: its properties, its mode, its fill. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from ebbd.host.values import PoolStatus, ThinPool, VolumeGroup
from ebbd.inspect.checks import Check, Status


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """One of ebb's pools: its VG and itself as the metadata has them, and its status line.

    `status` is None when the pool is not active; `autoactivation` None when nobody knows.
    """

    group: VolumeGroup
    pool: ThinPool
    status: PoolStatus | None
    autoactivation: bool | None = None

    @property
    def name(self) -> str:
        return f"{self.group.name}/{self.pool.name}"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Fill in percent from which a pool is a WARNING, or FAILED.

    Metadata is judged earlier: a pool whose metadata is full turns read-only and needs a repair,
    one whose data is full only needs room (thin-provisioning.rst, "Metadata space exhaustion").
    """

    data_warning: float = 80
    data_failed: float = 95
    metadata_warning: float = 70
    metadata_failed: float = 90


def check_pool(facts: PoolFacts, fill: Thresholds) -> Iterator[Check]:
    """A pool's properties and its state."""
    name, pool = facts.name, facts.pool
    yield from _check_state(facts, fill)
    if pool.zero:
        yield _pool(name, "zeroing", Status.OK, "new blocks are zeroed")
    else:
        detail = "off: a new volume shows what others deleted"
        remedy = f"lvchange --zero y {name}"
        yield _pool(name, "zeroing", Status.FAILED, detail, remedy)
    if pool.error_when_full:
        yield _pool(name, "when full", Status.OK, "writers get an error at once")
    else:
        detail = "queues: writers hang for a minute before they get an error"
        remedy = f"lvchange --errorwhenfull y {name}"
        yield _pool(name, "when full", Status.WARNING, detail, remedy)
    if facts.autoactivation:
        detail = "on: every generation and snapshot comes up at boot"
        remedy = f"vgchange --setautoactivation n {facts.group.name}"
        yield _pool(name, "autoactivation", Status.WARNING, detail, remedy)
    elif facts.autoactivation is not None:
        yield _pool(name, "autoactivation", Status.OK, "off")


def _check_state(facts: PoolFacts, fill: Thresholds) -> Iterator[Check]:
    name, status = facts.name, facts.status
    room = f"delete volumes or snapshots, or add room with `lvextend --size +SIZE {name}`"
    repair = f"unmount its volumes, deactivate it and run `lvconvert --repair {name}`"
    if status is None:
        remedy = f"lvchange --activate y {name}; restart ebbd if it does not stay up"
        yield _pool(name, "state", Status.FAILED, "not active", remedy)
        return
    match status.mode:
        case "fail":
            detail, remedy = "it has failed: neither reads nor writes are possible", repair
        case "ro":
            detail, remedy = "read-only: its metadata could not be written", repair
        case "out_of_data_space":
            detail, remedy = "out of data space: writes of new blocks fail", room
        case "rw" if not status.needs_check:
            detail, remedy = "", ""
        case "rw":
            detail, remedy = "the kernel asks for a check of its metadata", repair
        case _:
            detail = f"in a state that ebb does not know ({status.mode})"
            remedy = f"see `dmsetup status` and the kernel's log about {name}"
    if detail:
        yield _pool(name, "state", Status.FAILED, detail, remedy)
    else:
        yield _pool(name, "state", Status.OK, "read-write")
    if status.mode == "fail":  # then the kernel tells nothing else
        return
    yield _filled(
        name,
        "data",
        (status.used_data_blocks, status.total_data_blocks),
        (fill.data_warning, fill.data_failed),
        room,
    )
    yield _filled(
        name,
        "metadata",
        (status.used_metadata_blocks, status.total_metadata_blocks),
        (fill.metadata_warning, fill.metadata_failed),
        f"lvextend --poolmetadatasize +SIZE {name}, or delete snapshots",
    )


def _filled(
    pool: str, what: str, blocks: tuple[int, int], limits: tuple[float, float], remedy: str
) -> Check:
    """`blocks` are used and total, `limits` WARNING and FAILED in percent."""
    used, total = blocks
    percent = 100 * used / total if total else 100.0
    detail = f"{percent:.1f} % used"
    if percent >= limits[1]:
        return _pool(pool, what, Status.FAILED, detail, remedy)
    if percent >= limits[0]:
        return _pool(pool, what, Status.WARNING, detail, remedy)
    return _pool(pool, what, Status.OK, detail)


def _pool(pool: str, what: str, status: Status, detail: str, remedy: str = "") -> Check:
    return Check("pool", f"{pool} {what}", status, detail, remedy)
