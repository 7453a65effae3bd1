"""The node's pools: made or found at start-up, watched afterwards.

A pool comes from the configuration: an existing VG/POOL, devices to make one on, or the embedded
loop file. The node's key is a tag of its VGs, so that ids survive a new host name.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ebbd.errors import EbbError, HostFailure, InvalidInput, NotFound, Unavailable
from ebbd.host.protocols import Host
from ebbd.host.values import PoolStatus, VolumeGroup
from ebbd.model import PoolState
from ebbd.volumes import records, tags
from ebbd.volumes.capacity import INACTIVE, pool_problem, pool_state
from ebbd.volumes.catalog import Catalog
from ebbd.volumes.names import node_key


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """One pool as configured. Neither `devices` nor `loop_file`: it must exist already."""

    vg: str
    pool: str
    overcommit_ratio: float
    devices: tuple[str, ...] = ()
    loop_file: str = ""
    loop_bytes: int = 0
    size_bytes: int | None = None
    chunk_bytes: int | None = None
    vg_metadata_bytes: int = 64 * 1024 * 1024

    @property
    def name(self) -> str:
        return f"{self.vg}/{self.pool}"


@dataclass(frozen=True, slots=True)
class Opened:
    """The node's key, and the VGs that could not be opened, each with its reason."""

    key: str
    missing: dict[str, EbbError]


async def open_pools(host: Host, specs: Sequence[PoolSpec], node_id: str, key: str) -> Opened:
    """Make what is missing, and find the node's key (`key` if the operator set one).

    A VG that is not there, or not with its pools, is left out as long as another can be opened;
    without another its error is raised. Raises HostFailure when the VGs disagree on whose node
    this is, Unavailable for a VG that is another ebbd's.
    """
    groups: dict[str, VolumeGroup] = {}
    missing: dict[str, EbbError] = {}
    for vg in dict.fromkeys(spec.vg for spec in specs):
        try:
            groups[vg] = await _open(host, [spec for spec in specs if spec.vg == vg])
        except (NotFound, HostFailure) as absent:
            missing[vg] = absent
    if not groups:
        raise next(iter(missing.values()))
    chosen = _agree(groups, key) or node_key(node_id)
    for vg, group in groups.items():
        if _key_of(group) != chosen:
            old = _key_of(group)
            remove = [tags.tag(records.NODE, old)] if old else []
            await host.lvm.change_tags(
                vg, None, add=[tags.tag(records.NODE, chosen)], remove=remove
            )
    return Opened(chosen, missing)


async def _open(host: Host, specs: Sequence[PoolSpec]) -> VolumeGroup:
    """One VG with all its pools there."""
    for spec in specs:
        devices = list(spec.devices)
        if spec.loop_file:
            devices = [await host.blockdev.ensure_loop(spec.loop_file, spec.loop_bytes)]
        if devices:
            await host.lvm.ensure_volume_group(
                spec.vg, devices, metadata_bytes=spec.vg_metadata_bytes, tags=()
            )
        await host.lvm.claim(spec.vg)
        if devices:
            await host.lvm.ensure_pool(
                spec.vg, spec.pool, size_bytes=spec.size_bytes, chunk_bytes=spec.chunk_bytes
            )
        group = await host.lvm.read(spec.vg)
        if spec.pool not in group.pools:
            raise NotFound(
                f"there is no thin pool {spec.name}",
                "make it (lvcreate --type thin-pool) or give the pool 'devices' or a 'loop' file",
            )
    return group


def _key_of(group: VolumeGroup) -> str:
    return tags.read(group.tags).get(records.NODE, "")


def _agree(groups: dict[str, VolumeGroup], key: str) -> str:
    """The one key to use; the operator's wins where the VGs have none."""
    found = {known for group in groups.values() if (known := _key_of(group))}
    if len(found) > 1 or (key and found - {key}):
        told = {vg: _key_of(group) for vg, group in groups.items()}
        raise HostFailure(
            f"these VGs belong to different nodes: {told}, configured key {key or 'none'}",
            "ids carry the key: give each node its own VGs, or set node.key to the VGs' one",
        )
    return key or next(iter(found), "")


def missing_pool(spec: PoolSpec, problem: str) -> PoolState:
    """What can be said of a pool whose VG is missing."""
    return PoolState(
        vg=spec.vg,
        pool=spec.pool,
        size_bytes=0,
        used_bytes=0,
        metadata_size_bytes=0,
        metadata_used_bytes=0,
        chunk_bytes=0,
        virtual_bytes=0,
        overcommit_ratio=spec.overcommit_ratio,
        available_bytes=0,
        volumes=0,
        snapshots=0,
        problem=problem,
    )


class Pools:
    """The open pools by name; `default` is the first unless configured otherwise."""

    def __init__(self, host: Host, specs: Sequence[PoolSpec], default: str) -> None:
        self._host = host
        self._specs = {spec.name: spec for spec in specs}
        self._default = default or next(iter(self._specs))

    @property
    def specs(self) -> tuple[PoolSpec, ...]:
        return tuple(self._specs.values())

    @property
    def vgs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(spec.vg for spec in self._specs.values()))

    def pools_of(self, vg: str) -> tuple[str, ...]:
        return tuple(spec.pool for spec in self._specs.values() if spec.vg == vg)

    def has(self, name: str) -> bool:
        """Is there such a pool? The empty name is the default's."""
        return (name or self._default) in self._specs

    def choose(self, name: str) -> PoolSpec:
        """The pool of this name (VG/POOL), the default for an empty one."""
        spec = self._specs.get(name or self._default)
        if spec is None:
            raise InvalidInput(
                f"there is no pool {name!r} on this node",
                f"use one of: {', '.join(self._specs)}",
            )
        return spec

    def ratio(self, vg: str, pool: str) -> float:
        return self._specs[f"{vg}/{pool}"].overcommit_ratio

    async def state(self, spec: PoolSpec, group: VolumeGroup, catalog: Catalog) -> PoolState:
        """Fill and room now, from the status line: no LVM command."""
        pool = group.pools.get(spec.pool)
        if pool is None:
            raise Unavailable(
                f"the thin pool {spec.name} is gone",
                "restore it (vgcfgrestore), or take it out of the configuration",
            )
        status = await self._status(spec.vg, spec.pool)
        return pool_state(spec.vg, pool, status, catalog, ratio=spec.overcommit_ratio)

    async def problem(self, vg: str, pool: str) -> str:
        """Why this pool cannot take data, empty when it can."""
        return pool_problem(await self._status(vg, pool))

    async def _status(self, vg: str, pool: str) -> PoolStatus:
        try:
            return await self._host.dm.pool_status(vg, pool)
        except NotFound:
            return PoolStatus(mode=INACTIVE)
