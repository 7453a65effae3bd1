"""Group snapshots: several volumes at one instant, all or none.

Volumes that nobody uses stand still by themselves. For the others the consumers' cgroups are
frozen while the snapshots are made one after the other; a watchdog thaws them should ebbd die.
Consumers that cannot be frozen mean that the instant cannot be had, and the group is refused. The
commit is one tag on the VG: without it none of the group's snapshots counts, and recovery removes
them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from ebbd.errors import Conflict, DeadlineExceeded, EbbError, InvalidInput, NotFound, WrongState
from ebbd.model import Created, SnapshotGroup, Unchanged, Volume
from ebbd.timeline.snapshots import Snapshots
from ebbd.volumes import mutations, records
from ebbd.volumes.catalog import Catalog, group_tag
from ebbd.volumes.identity import snapshot_of
from ebbd.volumes.names import check_name, parse_id
from ebbd.volumes.operations import finish
from ebbd.volumes.store import Store
from ebbd.volumes.tags import tag
from ebbd.volumes.writer import flow_of

# Long enough for a snapshot of each volume under a slow LVM, short enough that an application
# outlives it; the watchdog thaws whatever happens to ebbd.
FREEZE_S_PER_VOLUME = 10.0
WATCHDOG_SLACK_S = 5.0


class Groups:
    """Create, delete, find."""

    def __init__(
        self,
        store: Store,
        snapshots: Snapshots,
        *,
        now_ms: Callable[[], int],
        freeze_s: float = FREEZE_S_PER_VOLUME,
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._now_ms = now_ms
        self._freeze_s = freeze_s

    async def create(
        self, name: str, volume_ids: Sequence[str]
    ) -> Created[SnapshotGroup] | Unchanged[SnapshotGroup]:
        """Snapshots of these volumes at one instant.

        Raises NotFound (a volume), Conflict (the name means other volumes), InvalidInput (no
        volumes, one twice, or of two VGs), WrongState (the instant cannot be had), NoRoom.
        """
        check_name(name)
        if not volume_ids or len(set(volume_ids)) != len(volume_ids):
            raise InvalidInput("a group needs volumes, each named once", "name one or more volumes")
        store = self._store
        group_id = store.naming.group_id(name)
        async with store.locks.hold(group_id, *volume_ids):
            catalog = await store.catalog()
            existing = catalog.groups.get(group_id)
            if existing is not None:
                _check_same_sources(existing, volume_ids, catalog)
                return Unchanged(existing)
            volumes = [await store.require_volume(volume_id) for volume_id in volume_ids]
            _check_together(volumes)
            await self._sweep(group_id)
            await finish(self._take(name, group_id, volumes))
            return Created((await store.catalog()).groups[group_id])

    async def _take(self, name: str, group_id: str, volumes: Sequence[Volume]) -> None:
        store, digest = self._store, group_id.rpartition("-")[2]
        vg, created_ms = volumes[0].vg, self._now_ms()
        try:
            async with self._standing_still(volumes):
                for volume in volumes:
                    await self._snapshots.take(
                        volume,
                        store.naming.member_id(group_id, volume.id),
                        f"{name}/{volume.name}",
                        created_ms,
                        group=digest,
                    )
            commit = group_tag(digest, name, created_ms)
            await store.mutate(
                mutations.retag_group(store.host.lvm, vg, add=[commit], flow=flow_of(""))
            )
        except EbbError as failed:
            try:
                await self._sweep(group_id)
            except EbbError as also:
                # Without their commit they count for nothing; they go with the next try or start.
                failed.add_note(f"undoing it failed too: {also}")
            raise

    async def _sweep(self, group_id: str) -> None:
        """Remove what a cut creation or deletion of this group left: LVs that carry its tag
        while the VG lacks its commit.
        """
        if group_id in (await self._store.catalog()).groups:
            return
        member = tag(records.GROUP, group_id.rpartition("-")[2])
        for vg in self._store.vgs:
            lvs = self._store.group(vg).volumes.values()
            await self._remove(
                vg, tuple(lv.name for lv in lvs if member in lv.tags and snapshot_of(lv))
            )

    @asynccontextmanager
    async def _standing_still(self, volumes: Sequence[Volume]) -> AsyncIterator[None]:
        """The consumers of these volumes frozen; a single volume needs none of it."""
        async with AsyncExitStack() as stack:
            if len(volumes) > 1:
                paths = await self._consumers(volumes)
                if paths:
                    await stack.enter_async_context(self._frozen(paths, len(volumes)))
            yield

    @asynccontextmanager
    async def _frozen(self, paths: Sequence[str], count: int) -> AsyncIterator[None]:
        """Given up before the watchdog thaws: snapshots after a thaw are of another instant."""
        limit_s = self._freeze_s * count
        try:
            async with (
                self._store.host.cgroups.frozen(paths, watchdog_s=limit_s + WATCHDOG_SLACK_S),
                asyncio.timeout(limit_s),
            ):
                yield
        except TimeoutError as slow:
            raise DeadlineExceeded(
                f"the snapshots of {count} volumes took longer than {limit_s:g} s, during which "
                "their consumers stood still; none was kept",
                "try again when the node is less busy, or group fewer volumes",
            ) from slow

    async def _consumers(self, volumes: Sequence[Volume]) -> list[str]:
        host = self._store.host
        paths: dict[str, None] = {}
        for volume in volumes:
            info = await host.dm.info(volume.vg, volume.lv_name)
            if info is None:
                continue
            for consumer in await host.cgroups.consumers(info.major, info.minor):
                if not consumer.freezable:
                    raise WrongState(
                        f"volume {volume.id} is used by processes {consumer.process_ids} in the "
                        f"cgroup {consumer.path}, which cannot be frozen",
                        "stop them, or run them in a cgroup of their own",
                    )
                paths[consumer.path] = None
        return list(paths)

    async def delete(self, group_id: str, snapshot_ids: Sequence[str]) -> bool:
        """Delete a group with its snapshots; False: there was none.

        `snapshot_ids`, when given, must be the group's own: otherwise InvalidInput.
        """
        if parse_id(group_id, "g") is None:
            return False
        store = self._store
        async with store.locks.hold(group_id):
            group = (await store.catalog()).groups.get(group_id)
            if group is None:
                await self._sweep(group_id)
                return False
            _check_members(group, snapshot_ids)
            digest = group_id.rpartition("-")[2]
            commit = group_tag(digest, group.name, group.created_ms)
            names = tuple(snapshot.lv_name for snapshot in group.snapshots)
            # The commit first: from here on the snapshots count for nothing, and recovery
            # removes what is left of them.
            await store.mutate(
                mutations.retag_group(store.host.lvm, group.vg, remove=[commit], flow=flow_of(""))
            )
            await self._remove(group.vg, names)
            return True

    async def _remove(self, vg: str, names: tuple[str, ...]) -> None:
        for part in mutations.in_batches(names):
            await self._store.mutate(
                mutations.remove(self._store.host.lvm, vg, part, flow=flow_of(""))
            )

    async def find(self, group_id: str, snapshot_ids: Sequence[str]) -> SnapshotGroup:
        group = (await self._store.catalog()).groups.get(group_id)
        if group is None:
            raise NotFound(
                f"there is no group snapshot {group_id!r}", "'ebb snapshot list' shows the groups"
            )
        _check_members(group, snapshot_ids)
        return group


def _check_together(volumes: Sequence[Volume]) -> None:
    if len({volume.vg for volume in volumes}) > 1:
        raise InvalidInput(
            "a group's volumes must be in one VG: one tag of it commits them together",
            "group volumes of one pool",
        )


def _check_same_sources(group: SnapshotGroup, volume_ids: Sequence[str], catalog: Catalog) -> None:
    if {s.volume_id for s in group.snapshots} != set(volume_ids):
        raise Conflict(
            f"a group snapshot named {group.name!r} exists, of other volumes",
            "use another name, or name the same volumes",
        )
    for snapshot in group.snapshots:
        volume = catalog.volumes.get(snapshot.volume_id)
        if volume is not None and volume.incarnation != snapshot.incarnation:
            raise Conflict(
                f"a group snapshot named {group.name!r} exists, of an earlier volume named "
                f"{snapshot.volume_name!r} that was deleted",
                "use another name, or delete that group",
            )


def _check_members(group: SnapshotGroup, snapshot_ids: Sequence[str]) -> None:
    own = {snapshot.id for snapshot in group.snapshots}
    if snapshot_ids and set(snapshot_ids) != own:
        raise InvalidInput(
            f"the snapshots named are not those of the group {group.id}",
            f"its snapshots are: {', '.join(sorted(own))}",
        )
