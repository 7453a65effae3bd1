"""Which volume or snapshot an LV is, decided from the LV alone.

The name says it (`ebb.<hash>.<generation>`), unless the tag `ebb.lv` does: an LV that was adopted
keeps the name that its administrator gave it.
"""

from ebbd.host.values import ThinVolume, VolumeGroup
from ebbd.volumes import names, tags

IDENTITY = "lv"  # hash and generation, as a name of ebb's has them


def generation_of(lv: ThinVolume) -> tuple[str, int] | None:
    """Hash and generation of the volume that this LV is a generation of; None: of none."""
    told = tags.read(lv.tags).get(IDENTITY)
    if told is None:
        return names.parse_head_lv(lv.name)
    return names.parse_generation(told)


def snapshot_of(lv: ThinVolume) -> str | None:
    """Hash of the snapshot that this LV is; None: it is none."""
    return names.parse_snapshot_lv(lv.name)


def generations(group: VolumeGroup, digest: str) -> list[ThinVolume]:
    """The LVs of the VG that are generations of this volume, pending ones too."""
    return [
        lv
        for lv in group.volumes.values()
        if (found := generation_of(lv)) is not None and found[0] == digest
    ]
