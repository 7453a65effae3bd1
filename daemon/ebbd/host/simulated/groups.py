"""The make-up of a simulated VG: PVs, pools, names, tags, devices that come and go with a pool."""

import re
from collections.abc import Sequence

from ebbd.errors import Conflict, InvalidInput, NoRoom, NotFound, WrongState
from ebbd.host.pool_sizes import CHUNK_BYTES, pool_metadata_bytes
from ebbd.host.simulated.machine import Machine
from ebbd.host.simulated.pool import ThinStore
from ebbd.host.simulated.state import LAYER, Group, LvRecord, Node, PoolRecord

EXTENT_BYTES = 4 * 1024 * 1024  # LVM's default
_MIB = 1024 * 1024
# lvm(8), "Tags"; in the shell a word that begins with # is a comment.
_TAG = re.compile(r"[A-Za-z0-9_+.\-/=!:&][A-Za-z0-9_+.\-/=!:#&]{0,1023}\Z")
# What an LV takes in the text of the VG metadata beside its name and tags, and a VG by itself: an
# area of 1 MiB, LVM's default, holds about a thousand LVs.
_LV_TEXT_BYTES = 500
_VG_TEXT_BYTES = 2500


def volume(group: Group, name: str) -> LvRecord:
    if name not in group.volumes:
        raise NotFound(f"there is no thin LV {group.name}/{name}", "list the volumes again")
    return group.volumes[name]


def refuse_taken(group: Group, name: str) -> None:
    if name in {*group.volumes, *group.pools, *group.others, *group.hidden_names}:
        raise Conflict(f"{group.name}/{name} exists already", "use another name")


def check_tags(tags: Sequence[str]) -> None:
    for tag in tags:
        if not _TAG.match(tag):
            raise InvalidInput(
                f"LVM does not take the tag {tag!r}",
                "use letters, digits and _+.-/=!:#& (not # first), at most 1024",
            )


def check_room(group: Group, pool: PoolRecord, name: str, tags: frozenset[str]) -> None:
    """What a new thin LV needs: a line in the VG metadata, and a pool that is not full."""
    text = _VG_TEXT_BYTES + sum(
        _LV_TEXT_BYTES + len(lv.name) + sum(len(t) + 4 for t in lv.tags)
        for lv in group.volumes.values()
    )
    text += _LV_TEXT_BYTES + len(name) + sum(len(tag) + 4 for tag in tags)
    # The area is a ring that holds the committed text and the next one.
    if 2 * text > group.metadata_bytes:
        raise NoRoom(
            f"the VG metadata area of {group.name} is full ({len(group.volumes)} thin LVs)",
            "delete snapshots, or make the VG again with a larger metadata_size",
        )
    if pool.mode in {"out_of_data_space", "ro"}:
        raise NoRoom(
            f"no new thin volume: free space in {group.name}/{pool.name} reached threshold",
            "extend the pool or delete snapshots",
        )


def made_already(machine: Machine, vg: str, devices: Sequence[str]) -> bool:
    """Is the VG there, on these devices? Conflict: it is there on others."""
    group = machine.groups.get(vg)
    if group is None:
        return False
    paths = {disk.path for disk in machine.group(vg).disks}
    if not paths & set(devices):
        raise Conflict(
            f"VG {vg} exists on {', '.join(sorted(paths))}, not on {', '.join(devices)}",
            "name those devices, or choose another VG name",
        )
    return True


def make_volume_group(
    machine: Machine,
    vg: str,
    devices: Sequence[str],
    *,
    metadata_bytes: int,
    tags: Sequence[str],
) -> None:
    """PVs and the VG. Refuses what has a signature, before any device is touched."""
    disks = []
    for path in devices:
        device = machine.device(path)
        if path not in machine.disks or machine.disks[path].group or device.read(0) is not None:
            raise WrongState(
                f"{path} is not blank: it is left alone",
                f"if nothing on it is needed, run `wipefs --all {path}`, or name another device",
            )
        disks.append(machine.disks[path])
    total = 0
    for disk in disks:
        disk.group = vg
        total += (disk.size_bytes - _MIB - metadata_bytes) // EXTENT_BYTES * EXTENT_BYTES
    machine.groups[vg] = Group(
        name=vg,
        uuid=machine.new_id(),
        extent_bytes=EXTENT_BYTES,
        total_bytes=total,
        metadata_bytes=metadata_bytes,
        disks=tuple(disks),
        tags=set(tags),
    )


def make_pool(
    machine: Machine,
    group: Group,
    name: str,
    *,
    size_bytes: int | None,
    chunk_bytes: int | None,
) -> None:
    """A pool as `ebbd.host.pool_sizes` has it, with LVM's metadata spare beside it."""
    wanted = group.free_bytes if size_bytes is None else _extents(group, size_bytes)
    chunk = chunk_bytes or CHUNK_BYTES
    metadata = _extents(group, pool_metadata_bytes(wanted, chunk))
    spare_before = max((p.metadata_size_bytes for p in group.pools.values()), default=0)
    overhead = metadata + max(0, metadata - spare_before)
    data = wanted - overhead if size_bytes is None else wanted
    if data <= 0 or data + overhead > group.free_bytes:
        raise NoRoom(
            f"{group.name} has {group.free_bytes} bytes free, the pool {name} needs "
            f"{max(data, group.extent_bytes) + overhead} with its metadata",
            "ask for a smaller pool or add a device",
        )
    group.pools[name] = PoolRecord(
        name=name,
        uuid=machine.new_id(),
        size_bytes=data,
        metadata_size_bytes=metadata,
        chunk_bytes=chunk,
        store=ThinStore(data // chunk),
    )
    group.seqno += 3  # the metadata LV, the data LV, their conversion
    raise_pool(machine, group.name, group.pools[name])
    add_node(machine, group.name, name, group.pools[name].uuid)


def raise_pool(machine: Machine, vg: str, pool: PoolRecord) -> None:
    """The pool's hidden devices: metadata, data, and the thin-pool target above them."""
    if (vg, target_of(pool.name)) in machine.nodes:
        return
    for half in ("tmeta", "tdata"):
        add_node(machine, vg, f"{pool.name}_{half}", machine.new_id()).held = 1
    add_node(machine, vg, target_of(pool.name), f"{pool.uuid}-tpool")


def drop_idle_pool(machine: Machine, group: Group, pool: PoolRecord) -> None:
    """The pool's devices vanish with its last active thin LV, unless the pool LV itself is up."""
    users = {lv.name for lv in group.volumes.values() if lv.pool == pool.name} | {pool.name}
    if any((group.name, name) in machine.nodes for name in users):
        return
    for hidden in (target_of(pool.name), f"{pool.name}_tdata", f"{pool.name}_tmeta"):
        machine.nodes.pop((group.name, hidden), None)


def target_of(pool: str) -> str:
    """The layer of a pool LV that is the thin-pool target itself."""
    return f"{pool}{LAYER}tpool"


def rename(machine: Machine, group: Group, name: str, new_name: str) -> None:
    """An LV's name in the VG, in what was copied from it, and in the kernel; VG order stays."""
    refuse_taken(group, new_name)
    volume(group, name).name = new_name
    group.volumes = {lv.name: lv for lv in group.volumes.values()}
    for lv in group.volumes.values():
        if lv.origin == name:
            lv.origin = new_name
    if node := machine.nodes.pop((group.name, name), None):
        node.name = new_name
        machine.nodes[group.name, new_name] = node


def add_node(
    machine: Machine, vg: str, name: str, lv_uuid: str, *, read_only: bool = False
) -> Node:
    node = machine.nodes.get((vg, name))
    if node is None:
        group_uuid = machine.group(vg).uuid
        node = Node(vg, name, f"LVM-{group_uuid}{lv_uuid}", machine.free_minor(), read_only)
        machine.nodes[vg, name] = node
    return node


def _extents(group: Group, size_bytes: int) -> int:
    return -(-size_bytes // group.extent_bytes) * group.extent_bytes
