"""From a volume group to volumes, snapshots and groups: what exists, decided purely.

An LV counts only when it is committed: LVM writes a thin LV down before the pool makes it, so one
that the pool's pending message names does not exist yet. A volume is the LVs of one hash; its
head is the highest committed generation. A snapshot taken with a group counts when the VG carries
the group's own tag, which is the commit of the whole group.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from ebbd.errors import HostFailure, Unavailable
from ebbd.host.values import ThinVolume, VolumeGroup
from ebbd.model import Parameters, Snapshot, SnapshotGroup, Volume
from ebbd.volumes import records, tags
from ebbd.volumes.identity import generation_of, snapshot_of
from ebbd.volumes.names import Naming, parse_head_lv

GROUP_TAG = "group."
STRAY_TAG = "/#"  # between the VG and the key, where a tag of the VG is the stray
V = TypeVar("V")


class Incomplete(Mapping[str, V]):
    """What is known by id while a VG is missing. An id that is not here may be in that VG, so
    looking for it is Unavailable rather than a miss: a volume whose disk is away is not gone.
    """

    def __init__(self, known: Mapping[str, V], missing: Unavailable) -> None:
        self._known = known
        self._missing = missing

    def __getitem__(self, key: str) -> V:
        if key not in self._known:
            raise Unavailable(self._missing.message, self._missing.remedy)
        return self._known[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything ebb has in some volume groups, by id, plus what could not be understood."""

    volumes: Mapping[str, Volume] = field(default_factory=dict)
    snapshots: Mapping[str, Snapshot] = field(default_factory=dict)
    groups: Mapping[str, SnapshotGroup] = field(default_factory=dict)
    strays: Mapping[str, str] = field(default_factory=dict)  # VG/LV or VG/#tag: why
    missing: Unavailable | None = None  # the reason why some VG is not in here

    def whole(self) -> "Catalog":
        """Itself; Unavailable while a VG is missing: a list without its volumes would say that
        they do not exist.
        """
        if self.missing is not None:
            raise Unavailable(self.missing.message, self.missing.remedy)
        return self

    def without_some(self, missing: Unavailable) -> "Catalog":
        """The same, knowing that it is not all."""
        return Catalog(
            Incomplete(self.volumes, missing),
            Incomplete(self.snapshots, missing),
            Incomplete(self.groups, missing),
            self.strays,
            missing,
        )

    def snapshots_of(self, volume_id: str) -> list[Snapshot]:
        """Of the present incarnation, or of all former ones when the volume is gone."""
        volume = self.volumes.get(volume_id)
        return [
            s
            for s in self.snapshots.values()
            if s.volume_id == volume_id and (not volume or s.incarnation == volume.incarnation)
        ]


def group_tag(digest: str, name: str, created_ms: int) -> str:
    """The VG tag that commits a group."""
    packed = tags.pack({"name": name, "made": str(created_ms)})
    return tags.tag(f"{GROUP_TAG}{digest}", packed)


def uncommitted(group: VolumeGroup) -> frozenset[str]:
    """LVs that LVM lists but whose create message is not confirmed."""
    return frozenset(name for pool in group.pools.values() for name in pool.pending)


def read_catalog(naming: Naming, groups: Iterable[VolumeGroup]) -> Catalog:
    """The catalog of these VGs."""
    catalog = Catalog({}, {}, {}, {})
    for group in groups:
        one = _read_group(naming, group)
        catalog = Catalog(
            {**catalog.volumes, **one.volumes},
            {**catalog.snapshots, **one.snapshots},
            {**catalog.groups, **one.groups},
            {**catalog.strays, **one.strays},
        )
    return catalog


def _read_group(naming: Naming, group: VolumeGroup) -> Catalog:
    volumes: dict[str, Volume] = {}
    snapshots: dict[str, Snapshot] = {}
    strays: dict[str, str] = {}
    generations: dict[str, list[tuple[int, ThinVolume]]] = {}
    pending = uncommitted(group)
    committed = _committed_groups(naming, group, strays)
    for lv in group.volumes.values():
        if lv.name in pending:
            continue
        if head := generation_of(lv):
            generations.setdefault(head[0], []).append((head[1], lv))
        elif digest := snapshot_of(lv):
            try:
                snapshot = _snapshot(naming, group, lv, digest)
            except HostFailure as bad:
                strays[f"{group.name}/{lv.name}"] = str(bad)
                continue
            if not snapshot.group or snapshot.group in committed:
                snapshots[snapshot.id] = snapshot
    for digest, claims in generations.items():
        lvs, doubles = one_a_generation(claims)
        for lv, other in doubles:
            strays[f"{group.name}/{lv.name}"] = f"it claims to be what LV {other.name} is"
        try:
            volume = _volume(naming, group, digest, lvs)
        except HostFailure as bad:
            strays[f"{group.name}/{lvs[-1][1].name}"] = str(bad)
            continue
        volumes[volume.id] = volume
    groups = {
        group_id: SnapshotGroup(
            group_id,
            name,
            group.name,
            made,
            tuple(sorted((s for s in snapshots.values() if s.group == group_id), key=_by_id)),
        )
        for group_id, (name, made) in committed.items()
    }
    return Catalog(volumes, snapshots, groups, strays)


Claims = list[tuple[int, ThinVolume]]


def one_a_generation(claims: Claims) -> tuple[Claims, list[tuple[ThinVolume, ThinVolume]]]:
    """By generation, one LV each; and the LVs that claim another's place, each with that one.

    Tags can be copied, names cannot: an LV that is named after its generation goes first.
    """
    taken: dict[int, ThinVolume] = {}
    doubles: list[tuple[ThinVolume, ThinVolume]] = []
    for number, lv in sorted(claims, key=lambda c: (c[0], not parse_head_lv(c[1].name), c[1].name)):
        if number in taken:
            doubles.append((lv, taken[number]))
        else:
            taken[number] = lv
    return list(taken.items()), doubles


def _by_id(snapshot: Snapshot) -> str:
    return snapshot.id


def _committed_groups(
    naming: Naming, group: VolumeGroup, strays: dict[str, str]
) -> dict[str, tuple[str, int]]:
    """Name and time of each group that the VG's tags commit, by id."""
    found: dict[str, tuple[str, int]] = {}
    for key, value in tags.read(group.tags).items():
        if key.startswith(GROUP_TAG):
            facts = tags.unpack(value)
            group_id = naming.id_of("g", key.removeprefix(GROUP_TAG))
            try:
                found[group_id] = (facts["name"], int(facts["made"]))
            except (KeyError, ValueError) as bad:
                strays[f"{group.name}{STRAY_TAG}{key}"] = f"a VG tag that commits no group: {bad!r}"
    return found


def _volume(
    naming: Naming, group: VolumeGroup, digest: str, lvs: list[tuple[int, ThinVolume]]
) -> Volume:
    generation, head = lvs[-1]
    facts = tags.read(head.tags)
    birth = records.read_birth(facts, head.name)
    parameters: Parameters = birth.parameters
    return Volume(
        id=naming.id_of("v", digest),
        name=birth.name,
        incarnation=birth.incarnation,
        vg=group.name,
        pool=head.pool,
        lv_name=head.name,
        generation=generation,
        lv_bytes=head.size_bytes,
        size_bytes=max(head.size_bytes, birth.size_bytes),
        filesystem=birth.filesystem,
        created_ms=birth.created_ms,
        older_lvs=tuple(lv.name for _, lv in lvs[:-1]),
        prepare=birth.prepare,
        source=birth.source,
        mkfs_options=parameters.mkfs_options,
        mount_options=parameters.mount_options,
        intent_class=parameters.intent,
        intent_attributes=dict(birth.attributes or {}),
        claim_namespace=parameters.claim_namespace,
        claim_name=parameters.claim_name,
        attached=facts.get(records.ATTACHED, ""),
        deleting=records.DELETING in facts,
        head_of=records.head_of(facts),
    )


def _snapshot(naming: Naming, group: VolumeGroup, lv: ThinVolume, digest: str) -> Snapshot:
    facts = tags.read(lv.tags)
    birth = records.read_birth(facts, lv.name)
    return Snapshot(
        id=naming.id_of("s", digest),
        name=birth.name,
        volume_id=facts.get("of", ""),
        volume_name=tags.unescape(facts.get("of-name", "")),
        incarnation=birth.incarnation,
        vg=group.name,
        pool=lv.pool,
        lv_name=lv.name,
        size_bytes=max(lv.size_bytes, birth.size_bytes),
        filesystem=birth.filesystem,
        created_ms=birth.created_ms,
        group=naming.id_of("g", facts[records.GROUP]) if records.GROUP in facts else "",
        prepare=birth.prepare,
    )
