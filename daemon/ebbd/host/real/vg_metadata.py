"""From a VG's metadata text to the VolumeGroup that everybody shares. Pure.

Keys and flags are LVM's (lvm2: lib/format_text/export.c and flags.c, lib/thin/thin.c): sizes of
segments are extents, extents and chunks are counted in sectors of 512 bytes, and a message that
LVM wrote down before sending it to the pool stands in the pool's segment as
`message1 { create = "name" }`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ebbd.host.real.text_format import Damaged, Section, Value, parse
from ebbd.host.values import ThinPool, ThinVolume, VolumeGroup

SECTOR_BYTES = 512


@dataclass(frozen=True, slots=True)
class VgMetadata:
    """What the text says: the group, and the PVs that it is spread over.

    `pv_ids` without hyphens, as in the PV header; `system_id` is empty for a VG of any host.
    """

    group: VolumeGroup
    pv_ids: frozenset[str]
    system_id: str


def volume_group(text: str) -> VgMetadata:
    """Parse one VG's metadata. Raises text_format.Damaged."""
    name, vg = _vg_section(parse(text))
    extent_bytes = _integer(vg, "extent_size") * SECTOR_BYTES
    lvs = _sections(vg, "logical_volumes")
    pools: dict[str, ThinPool] = {}
    volumes: dict[str, ThinVolume] = {}
    others: set[str] = set()
    for lv_name, lv in lvs.items():
        kind = _kind(lv)
        if kind == "thin-pool":
            pools[lv_name] = _pool(lv_name, lv, lvs, extent_bytes)
        elif kind == "thin":
            volumes[lv_name] = _thin(lv_name, lv, extent_bytes)
        else:
            others.add(lv_name)
    pvs = _sections(vg, "physical_volumes")
    group = VolumeGroup(
        name=name,
        uuid=_string(vg, "id"),
        seqno=_integer(vg, "seqno"),
        extent_bytes=extent_bytes,
        free_bytes=_free_extents(pvs, lvs) * extent_bytes,
        tags=_strings(vg, "tags"),
        pools=pools,
        volumes=volumes,
        other_names=frozenset(others),
        autoactivation="NOAUTOACTIVATE" not in _strings(vg, "flags"),
    )
    return VgMetadata(
        group=group,
        pv_ids=frozenset(_string(pv, "id").replace("-", "") for pv in pvs.values()),
        system_id=_string(vg, "system_id", ""),
    )


def _vg_section(root: Section) -> tuple[str, Section]:
    """The text's one section is the VG; values beside it tell who wrote it, and when."""
    for name, value in root.items():
        if isinstance(value, dict):
            return name, value
    raise Damaged("no VG in the text")


def _pool(name: str, lv: Section, lvs: dict[str, Section], extent_bytes: int) -> ThinPool:
    segment = _section(lv, "segment1")
    metadata = lvs.get(_string(segment, "metadata"))
    if metadata is None:
        raise Damaged(f"thin pool {name} names metadata that is not there")
    messages = [
        value
        for key, value in segment.items()
        if key.startswith("message") and isinstance(value, dict)
    ]
    created = (message.get("create") for message in messages)
    deleted = (message.get("delete") for message in messages)
    return ThinPool(
        name=name,
        uuid=_string(lv, "id"),
        size_bytes=_extents(lv) * extent_bytes,
        metadata_size_bytes=_extents(metadata) * extent_bytes,
        chunk_bytes=_integer(segment, "chunk_size") * SECTOR_BYTES,
        transaction_id=_integer(segment, "transaction_id"),
        zero=_integer(segment, "zero_new_blocks", 0) == 1,
        error_when_full="ERROR_WHEN_FULL" in _strings(lv, "flags"),
        pending=tuple(lv_name for lv_name in created if isinstance(lv_name, str)),
        pending_removals=tuple(number for number in deleted if isinstance(number, int)),
    )


def _thin(name: str, lv: Section, extent_bytes: int) -> ThinVolume:
    segment = _section(lv, "segment1")
    return ThinVolume(
        name=name,
        uuid=_string(lv, "id"),
        size_bytes=_extents(lv) * extent_bytes,
        tags=_strings(lv, "tags"),
        pool=_string(segment, "thin_pool"),
        device_id=_integer(segment, "device_id"),
        transaction_id=_integer(segment, "transaction_id"),
        origin=_string(segment, "origin", "") or None,
        read_only="WRITE" not in _strings(lv, "status"),
    )


def _free_extents(pvs: dict[str, Section], lvs: dict[str, Section]) -> int:
    """Extents that LVM may still give out: those of missing or closed PVs are not among them."""
    free = {
        name: _integer(pv, "pe_count")
        for name, pv in pvs.items()
        if "ALLOCATABLE" in _strings(pv, "status") and "MISSING" not in _strings(pv, "flags")
    }
    for lv in lvs.values():
        for segment in _segments(lv):
            for pv, extents in _areas(segment):
                if pv in free:
                    free[pv] -= extents
    return sum(free.values())


def _areas(segment: Section) -> Iterator[tuple[str, int]]:
    """(PV or LV, extents) for each area that the segment lies on.

    Stripes share the segment's extents; the legs of a pvmove have all of them each.
    """
    extents = _integer(segment, "extent_count")
    for key in ("stripes", "mirrors"):
        areas = segment.get(key)
        if isinstance(areas, list):
            names = [str(name) for name in areas[::2]]
            share = extents // len(names) if key == "stripes" and names else extents
            yield from ((name, share) for name in names)


def _kind(lv: Section) -> str:
    segment = lv.get("segment1")
    return _string(segment, "type") if isinstance(segment, dict) else ""


def _extents(lv: Section) -> int:
    return sum(_integer(segment, "extent_count") for segment in _segments(lv))


def _segments(lv: Section) -> Iterator[Section]:
    for key, value in lv.items():
        if isinstance(value, dict) and key.startswith("segment"):
            yield value


def _sections(section: Section, key: str) -> dict[str, Section]:
    found = section.get(key, {})
    if not isinstance(found, dict):
        raise Damaged(f"{key} is not a section")
    return {name: value for name, value in found.items() if isinstance(value, dict)}


def _section(section: Section, key: str) -> Section:
    found = section.get(key)
    if not isinstance(found, dict):
        raise Damaged(f"no section {key}")
    return found


def _integer(section: Section, key: str, default: int | None = None) -> int:
    found: Value | Section | None = section.get(key, default)
    if not isinstance(found, int):
        raise Damaged(f"no number {key}")
    return found


def _string(section: Section, key: str, default: str | None = None) -> str:
    found: Value | Section | None = section.get(key, default)
    if not isinstance(found, str):
        raise Damaged(f"no string {key}")
    return found


def _strings(section: Section, key: str) -> frozenset[str]:
    found = section.get(key, [])
    return frozenset(str(item) for item in found) if isinstance(found, list) else frozenset()
