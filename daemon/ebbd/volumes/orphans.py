"""What is ebb's and belongs to nothing: found purely, from what LVM and the kernel say at one time.

Four kinds. A mount of something that is no volume's head; an active device that nobody uses; an LV
without a whole story; a thin device that the pool holds and LVM does not know. What an operation
is working on at the moment is none of them, and what might still be somebody's (tags of a newer
ebbd, a device of another program) is told but never removed.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath

from ebbd.errors import HostFailure
from ebbd.host.values import DeviceInfo, Mount, ThinVolume, VolumeGroup
from ebbd.model import Volume
from ebbd.volumes import names, records, tags
from ebbd.volumes.catalog import GROUP_TAG, Catalog, one_a_generation, uncommitted
from ebbd.volumes.identity import generation_of, snapshot_of
from ebbd.volumes.names import Naming
from ebbd.volumes.use import mounts_of, shows

_DELETED_NODE = "//deleted"  # mountinfo's mark of a bound file that was unlinked
_LOOK = "look at it with 'lvs -o+lv_tags {}'"


class Kind(StrEnum):
    """In the order in which they are removed: each may stand on the next."""

    MOUNT = "mount"
    ACTIVE = "active"
    LV = "lv"
    THIN_DEVICE = "thin-device"


@dataclass(frozen=True, slots=True)
class Orphan:
    """One of them. `subject` is VG/LV, VG/POOL#ID or a path; `action` is what removing it does.

    Without an action it is only told, and `remedy` says what a person can do. `allocated_bytes`
    is what it has mapped in its pool, 0 where that is nothing or not known. `mark` tells this one
    from a later one at the same place, and `keys` are the ids whose locks guard it.
    """

    kind: Kind
    subject: str
    reason: str
    action: str = ""
    remedy: str = ""
    allocated_bytes: int = 0
    broken: bool = False  # somebody's data may be out of reach until it is seen to
    vg: str = ""
    pool: str = ""
    lvs: tuple[tuple[str, ...], ...] = ()  # in batches: one is gone before the next one starts
    device_id: int = 0
    device: tuple[int, int] = (0, 0)
    mark: str = ""
    keys: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Names exactly this state of this thing: changed since, it has another id."""
        text = f"{self.kind}\n{self.subject}\n{self.mark}\n{self.reason}"
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """A VG as its metadata has it, its devices, and the thin devices of those pools that tell."""

    group: VolumeGroup
    active: Mapping[str, DeviceInfo] = field(default_factory=dict)
    thin: Mapping[str, Mapping[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is decided from. `busy` are the ids that operations hold right now."""

    naming: Naming
    catalog: Catalog
    groups: Sequence[GroupFacts]
    mounts: Sequence[Mount]
    allowed_directories: Sequence[str]
    busy: frozenset[str] = frozenset()


def find_orphans(facts: Facts) -> tuple[Orphan, ...]:
    """Every orphan, in the order in which they can be removed."""
    found = [*_mounts(facts)]
    for part in facts.groups:
        found += [*_active(facts, part), *_lvs(facts, part), *_thin_devices(part)]
    free = (orphan for orphan in found if not facts.busy & set(orphan.keys))
    return tuple(sorted(free, key=lambda o: (list(Kind).index(o.kind), o.subject)))


def _mounts(facts: Facts) -> Iterator[Orphan]:
    for mount in facts.mounts:
        if not any(
            PurePosixPath(allowed) in PurePosixPath(mount.target).parents
            for allowed in facts.allowed_directories
        ):
            continue
        if mount.filesystem == "devtmpfs" and mount.root.endswith(_DELETED_NODE):
            yield Orphan(
                Kind.MOUNT,
                mount.target,
                "a bound device node whose device is gone; whose it was is not known",
                remedy=f"if ebb published it there: umount {mount.target}",
                mark=f"{mount.mount_id}",
            )
        elif stale := _stale(facts, mount):
            reason, device, keys = stale
            yield Orphan(
                Kind.MOUNT,
                mount.target,
                reason,
                action=f"umount {mount.target}",
                device=device,
                mark=f"{mount.mount_id} {mount.major}:{mount.minor}",
                keys=keys,
            )


def _stale(facts: Facts, mount: Mount) -> tuple[str, tuple[int, int], tuple[str, ...]] | None:
    """Why this mount shows no volume as it is now, its device, and whose it is."""
    for part in facts.groups:
        for name, info in part.active.items():
            lv = part.group.volumes.get(name)
            if lv is None or not shows(mount, info):
                continue
            device = (info.major, info.minor)
            if found := snapshot_of(lv):
                key = facts.naming.id_of("s", found)
                return f"shows the snapshot {part.group.name}/{name}", device, (key,)
            volume = _volume_of(facts, lv)
            if volume is not None and name in volume.older_lvs:
                reason = (
                    f"shows {part.group.name}/{name}, a former generation of volume "
                    f"{volume.name!r}, whose head is {volume.lv_name}"
                )
                return reason, device, (volume.id,)
    return None


def _volume_of(facts: Facts, lv: ThinVolume) -> Volume | None:
    found = generation_of(lv)
    return facts.catalog.volumes.get(facts.naming.id_of("v", found[0])) if found else None


def _active(facts: Facts, part: GroupFacts) -> Iterator[Orphan]:
    group = part.group
    for name, info in part.active.items():
        if name in group.pools or name in group.other_names:
            continue
        subject = f"{group.name}/{name}"
        if name not in group.volumes:
            yield Orphan(
                Kind.ACTIVE,
                subject,
                "a device whose LV is not in the VG",
                remedy=f"if nobody uses it: dmsetup remove {info.name}",
                mark=info.uuid,
                vg=group.name,
            )
            continue
        if info.open_count or mounts_of(facts.mounts, info):
            continue
        if told := _unused(facts, group.volumes[name]):
            reason, key = told
            yield Orphan(
                Kind.ACTIVE,
                subject,
                reason,
                action=f"lvchange --activate n {subject}",
                mark=f"{info.uuid} {info.major}:{info.minor}",
                vg=group.name,
                lvs=((name,),),
                keys=(key,),
            )


def _unused(facts: Facts, lv: ThinVolume) -> tuple[str, str] | None:
    """What an active LV is that nobody uses, and its id; None: it may well be up.

    A raw block volume is: that it is staged shows nowhere until it is published.
    """
    if found := snapshot_of(lv):
        return "an active snapshot that nobody uses", facts.naming.id_of("s", found)
    volume = _volume_of(facts, lv)
    if volume is None:
        return None
    if lv.name in volume.older_lvs:
        return "an active former generation that nobody uses", volume.id
    return ("an active volume that nobody uses", volume.id) if volume.filesystem else None


def _lvs(facts: Facts, part: GroupFacts) -> Iterator[Orphan]:
    pending = uncommitted(part.group)
    committed = {
        key.removeprefix(GROUP_TAG)
        for key in tags.read(part.group.tags)
        if key.startswith(GROUP_TAG)
    }
    generations: dict[str, list[tuple[int, ThinVolume]]] = {}
    for lv in part.group.volumes.values():
        if lv.name in pending:
            continue
        if found := generation_of(lv):
            generations.setdefault(found[0], []).append((found[1], lv))
        elif digest := snapshot_of(lv):
            yield from _snapshot(facts, part, lv, digest, committed)
        elif records.VERSION in tags.read(lv.tags):
            yield _kept(
                part,
                lv,
                "carries ebb's tags, but its name is none of ebb's",
                "rename it back with lvrename, or remove the tags",
            )
    for digest, claims in generations.items():
        lvs, doubles = one_a_generation(claims)
        for lv, other in doubles:
            yield _kept(
                part,
                lv,
                f"claims by its tags to be what LV {other.name} is",
                "remove ebb's tags from the one that is not the volume: lvchange --deltag",
                [facts.naming.id_of("v", digest)],
            )
        yield from _timeline(facts, part, digest, [lv for _, lv in lvs])


def _snapshot(
    facts: Facts, part: GroupFacts, lv: ThinVolume, digest: str, committed: set[str]
) -> Iterator[Orphan]:
    told = tags.read(lv.tags)
    keys = [facts.naming.id_of("s", digest)]
    if group := told.get(records.GROUP):
        keys.append(facts.naming.id_of("g", group))
    if (problem := _unreadable(lv)) is not None:
        yield _not_understood(part, lv, problem, keys)
    elif group and group not in committed:
        reason = "a member of a group snapshot that was never committed"
        yield _removable(part, [lv], reason, keys)


def _timeline(
    facts: Facts, part: GroupFacts, digest: str, lvs: Sequence[ThinVolume]
) -> Iterator[Orphan]:
    """A volume whose head cannot be read, or whose deletion was cut short."""
    head, keys = lvs[-1], [facts.naming.id_of("v", digest)]
    problem = _unreadable(head)
    if problem is None:
        if any(records.DELETING in tags.read(lv.tags) for lv in lvs):
            reason = "a volume whose deletion was begun and is not finished"
            yield _removable(part, lvs, reason, keys)
    elif len(lvs) == 1 or _newer(head):
        yield _not_understood(part, head, problem, keys)
    else:
        # Without this one an older generation would be the head: old data would come back.
        yield _kept(
            part,
            head,
            f"{problem.message}; it is the head of a volume with {len(lvs) - 1} older generations",
            f"{_LOOK.format(part.group.name)}; restore its tags with lvchange --addtag",
            keys,
        )


def _unreadable(lv: ThinVolume) -> HostFailure | None:
    try:
        records.read_birth(tags.read(lv.tags), lv.name)
    except HostFailure as problem:
        return problem
    return None


def _newer(lv: ThinVolume) -> bool:
    version = tags.read(lv.tags).get(records.VERSION, "")
    return version.isdecimal() and int(version) > tags.SCHEMA


def _not_understood(
    part: GroupFacts, lv: ThinVolume, problem: HostFailure, keys: Sequence[str]
) -> Orphan:
    if _newer(lv):
        return _kept(part, lv, problem.message, problem.remedy, keys)
    if not names.parse_head_lv(lv.name) and not snapshot_of(lv):
        # Adopted: it was there before ebb, and so its data stays.
        remedy = "restore its tags with lvchange --addtag, or take all of ebb's tags off"
        return _kept(part, lv, problem.message, remedy, keys)
    return _removable(part, [lv], problem.message, keys, broken=True)


def _kept(
    part: GroupFacts, lv: ThinVolume, reason: str, remedy: str, keys: Sequence[str] = ()
) -> Orphan:
    return Orphan(
        Kind.LV,
        f"{part.group.name}/{lv.name}",
        reason,
        remedy=remedy,
        allocated_bytes=_allocated(part, lv),
        broken=True,
        vg=part.group.name,
        mark=lv.uuid,
        keys=tuple(keys),
    )


def _removable(
    part: GroupFacts,
    lvs: Sequence[ThinVolume],
    reason: str,
    keys: Sequence[str],
    *,
    broken: bool = False,
) -> Orphan:
    """LVs that go together, the last one last."""
    vg, lv_names = part.group.name, [lv.name for lv in lvs]
    return Orphan(
        Kind.LV,
        f"{vg}/{lv_names[-1]}",
        reason,
        action=f"lvremove {' '.join(f'{vg}/{name}' for name in lv_names)}",
        allocated_bytes=sum(_allocated(part, lv) for lv in lvs),
        broken=broken,
        vg=vg,
        lvs=tuple(batch for batch in (tuple(lv_names[:-1]), tuple(lv_names[-1:])) if batch),
        mark=" ".join(f"{lv.uuid} {sorted(lv.tags)}" for lv in lvs),
        keys=tuple(keys),
    )


def _allocated(part: GroupFacts, lv: ThinVolume) -> int:
    return part.thin.get(lv.pool, {}).get(lv.device_id or 0, 0)


def _thin_devices(part: GroupFacts) -> Iterator[Orphan]:
    for pool, devices in part.thin.items():
        known = {lv.device_id for lv in part.group.volumes.values() if lv.pool == pool}
        known |= set(part.group.pools[pool].pending_removals)  # LVM's own to delete
        for number, mapped_bytes in devices.items():
            if number in known:
                continue
            name = f"{part.group.name}/{pool}"
            yield Orphan(
                Kind.THIN_DEVICE,
                f"{name}#{number}",
                "a thin device in the pool for which LVM has no LV",
                action=f"pool message to {name}: delete {number}",
                allocated_bytes=mapped_bytes,
                vg=part.group.name,
                pool=pool,
                device_id=number,
                mark=f"{number} {mapped_bytes}",
            )
