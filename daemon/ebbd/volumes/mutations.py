"""The LVM mutations ebb makes, each with what it changes and how to tell that it happened.

A mutation is one command line. `change` is its effect on a remembered VG; `landed` reads its fate
back from a VG read after a crash or a deadline, so that whoever asked is told the truth.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

from ebbd.host.protocols import Lvm
from ebbd.host.values import ThinVolume, VolumeGroup
from ebbd.volumes.tags import tag

# LVM's shell gives no answer to a line of more than 64 words; options and the VG take a few.
MOST_REMOVALS_AT_ONCE = 24

Admission = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Mutation:
    """One command on one VG.

    `flow` names whose turn it takes in the fair queue; `admit` is asked right before the command,
    when nothing else can take the room it found. `removes` names the LVs of a pure removal, which
    the queue may join with others.
    """

    vg: str
    flow: str
    act: Callable[[], Awaitable[int]]
    change: Callable[[VolumeGroup], VolumeGroup]
    landed: Callable[[VolumeGroup], bool]
    admit: Admission | None = None
    removes: tuple[str, ...] = ()


def create(
    lvm: Lvm,
    vg: str,
    pool: str,
    name: str,
    *,
    size_bytes: int,
    tags: tuple[str, ...],
    flow: str,
    admit: Admission | None = None,
) -> Mutation:
    """A new, blank, inactive thin LV."""
    lv = ThinVolume(name=name, size_bytes=size_bytes, tags=frozenset(tags), pool=pool)
    return Mutation(
        vg,
        flow,
        lambda: lvm.create_thin(vg, pool, name, size_bytes=size_bytes, tags=tags),
        lambda group: _with_volume(group, lv),
        lambda group: _has(group, name, tags),
        admit,
    )


def snapshot(
    lvm: Lvm,
    origin: ThinVolume,
    vg: str,
    name: str,
    *,
    tags: tuple[str, ...],
    read_only: bool,
    flow: str,
    admit: Admission | None = None,
) -> Mutation:
    """A thin snapshot of `origin`, inactive."""
    lv = ThinVolume(
        name=name,
        size_bytes=origin.size_bytes,
        tags=frozenset(tags),
        pool=origin.pool,
        origin=origin.name,
        read_only=read_only,
    )
    return Mutation(
        vg,
        flow,
        lambda: lvm.create_snapshot(vg, origin.name, name, tags=tags, read_only=read_only),
        lambda group: _with_volume(group, lv),
        lambda group: _has(group, name, tags),
        admit,
    )


def remove(lvm: Lvm, vg: str, names: tuple[str, ...], *, flow: str) -> Mutation:
    """Remove thin LVs, all in one command."""
    return Mutation(
        vg,
        flow,
        lambda: lvm.remove(vg, names),
        lambda group: without(group, names),
        lambda group: not any(name in group.volumes for name in names),
        removes=names,
    )


def in_batches(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Names in lots that one command line of LVM's shell takes."""
    return [
        names[start : start + MOST_REMOVALS_AT_ONCE]
        for start in range(0, len(names), MOST_REMOVALS_AT_ONCE)
    ]


def extend(
    lvm: Lvm, vg: str, name: str, size_bytes: int, *, flow: str, admit: Admission | None = None
) -> Mutation:
    """Grow an LV to `size_bytes`."""
    return Mutation(
        vg,
        flow,
        lambda: lvm.extend(vg, name, size_bytes=size_bytes),
        lambda group: _with_volume(group, replace(group.volumes[name], size_bytes=size_bytes)),
        lambda group: name in group.volumes and group.volumes[name].size_bytes >= size_bytes,
        admit,
    )


def rename(lvm: Lvm, vg: str, name: str, new_name: str, *, flow: str) -> Mutation:
    """Give an LV another name; what was copied from it names its origin so from then on."""

    def change(group: VolumeGroup) -> VolumeGroup:
        def called(known: str | None) -> str | None:
            return new_name if known == name else known

        lvs = [replace(lv, origin=called(lv.origin)) for lv in group.volumes.values()]
        renamed = [replace(lv, name=new_name) if lv.name == name else lv for lv in lvs]
        return replace(group, volumes={lv.name: lv for lv in renamed})

    return Mutation(
        vg,
        flow,
        lambda: lvm.rename(vg, name, new_name),
        change,
        lambda group: name not in group.volumes and new_name in group.volumes,
    )


def retag(
    lvm: Lvm,
    vg: str,
    name: str,
    *,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
    flow: str,
    admit: Admission | None = None,
) -> Mutation:
    """Change an LV's tags in one commit."""
    added, removed = tuple(add), tuple(remove)

    def change(group: VolumeGroup) -> VolumeGroup:
        lv = group.volumes[name]
        return _with_volume(group, replace(lv, tags=(lv.tags - set(removed)) | set(added)))

    def landed(group: VolumeGroup) -> bool:
        lv = group.volumes.get(name)
        return lv is not None and lv.tags >= set(added) and not lv.tags & set(removed)

    return Mutation(
        vg,
        flow,
        lambda: lvm.change_tags(vg, name, add=added, remove=removed),
        change,
        landed,
        admit,
    )


def replace_fact(
    lvm: Lvm, vg: str, name: str, key: str, *, old: str, new: str, flow: str
) -> Mutation:
    """Change one fact of an LV, empty for absent, in one commit."""
    return retag(
        lvm,
        vg,
        name,
        add=[tag(key, new)] if new else [],
        remove=[tag(key, old)] if old else [],
        flow=flow,
    )


def retag_group(
    lvm: Lvm, vg: str, *, add: Iterable[str] = (), remove: Iterable[str] = (), flow: str
) -> Mutation:
    """Change the VG's own tags in one commit."""
    added, removed = tuple(add), tuple(remove)
    return Mutation(
        vg,
        flow,
        lambda: lvm.change_tags(vg, None, add=added, remove=removed),
        lambda group: replace(group, tags=(group.tags - set(removed)) | set(added)),
        lambda group: group.tags >= set(added) and not group.tags & set(removed),
    )


def without(group: VolumeGroup, names: Iterable[str]) -> VolumeGroup:
    """The VG after these LVs are gone; their snapshots have no origin any more."""
    gone = frozenset(names)
    return replace(
        group,
        volumes={
            lv.name: replace(lv, origin=None) if lv.origin in gone else lv
            for lv in group.volumes.values()
            if lv.name not in gone
        },
    )


def _with_volume(group: VolumeGroup, lv: ThinVolume) -> VolumeGroup:
    return replace(group, volumes=group.volumes | {lv.name: lv})


def _has(group: VolumeGroup, name: str, tags: tuple[str, ...]) -> bool:
    lv = group.volumes.get(name)
    pending = any(name in pool.pending for pool in group.pools.values())
    return lv is not None and lv.tags >= set(tags) and not pending
