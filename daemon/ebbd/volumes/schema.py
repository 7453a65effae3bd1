"""From one version of the tag schema to the next, and back: planned purely, one LV at a time.

Every state in between is read right by the newer of the two versions, so a migration may be cut
anywhere and begun again. The table has one step up and one down for each pair of neighbours.

1 and 2 differ in adopted LVs alone. To 2 an LV may say by a tag which volume it is, and keeps the
name its administrator gave it; to 1 the name says it, so going down renames it and remembers its
own name in a tag that 1 keeps unread.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ebbd.errors import InvalidInput
from ebbd.host.values import ThinVolume, VolumeGroup
from ebbd.volumes import records, tags
from ebbd.volumes.identity import IDENTITY, generation_of
from ebbd.volumes.names import generation_text, head_lv, parse_head_lv
from ebbd.volumes.tags import tag


@dataclass(frozen=True, slots=True)
class Rename:
    lv_name: str
    new_name: str


@dataclass(frozen=True, slots=True)
class Retag:
    """In one commit."""

    lv_name: str
    add: tuple[str, ...]
    remove: tuple[str, ...]


Step = Rename | Retag
Plan = Callable[[VolumeGroup], list[Step]]


def plan(group: VolumeGroup, version: int) -> list[Step]:
    """What makes every LV of this VG readable by an ebbd of schema `version`, in order.

    InvalidInput for a version that is neither ours nor the one before it.
    """
    way = _WAYS.get(version)
    if way is None:
        raise InvalidInput(
            f"tags cannot be migrated to schema {version}",
            f"this ebbd knows {', '.join(map(str, sorted(_WAYS)))}",
        )
    return way(group)


def _to_1(group: VolumeGroup) -> list[Step]:
    """The name first: while the tag is there it does not matter."""
    steps: list[Step] = []
    for lv, told in _adopted(group):
        found = generation_of(lv)
        if IDENTITY not in told or found is None:
            continue
        wanted = head_lv(*found)
        if lv.name != wanted:
            steps.append(Rename(lv.name, wanted))
        steps.append(
            Retag(
                wanted,
                add=(tag(records.VERSION, str(records.PLAIN_SCHEMA)),),
                remove=(tag(IDENTITY, told[IDENTITY]), tag(records.VERSION, told[records.VERSION])),
            )
        )
    return steps


def _to_2(group: VolumeGroup) -> list[Step]:
    """The tag first; then its own name again, unless that is taken by now."""
    steps: list[Step] = []
    taken = {*group.volumes, *group.pools, *group.other_names}
    for lv, told in _adopted(group):
        found = parse_head_lv(lv.name)
        if found is not None and IDENTITY not in told:
            steps.append(
                Retag(
                    lv.name,
                    add=(
                        tag(IDENTITY, generation_text(*found)),
                        tag(records.VERSION, str(records.ADOPTED_SCHEMA)),
                    ),
                    remove=(tag(records.VERSION, told[records.VERSION]),),
                )
            )
        own_name = tags.unescape(told[records.ADOPTED])
        if lv.name != own_name and own_name not in taken:
            taken.add(own_name)
            steps.append(Rename(lv.name, own_name))
    return steps


def _adopted(group: VolumeGroup) -> Iterable[tuple[ThinVolume, dict[str, str]]]:
    for lv in group.volumes.values():
        told = tags.read(lv.tags)
        if records.ADOPTED in told and records.VERSION in told:
            yield lv, told


_WAYS: Mapping[int, Plan] = MappingProxyType({1: _to_1, 2: _to_2})
