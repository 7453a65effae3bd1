"""Snapshots: read-only points on a volume's timeline. One LVM command each.

LVM suspends a mounted origin and freezes its filesystem by itself; freezing it first would make
the snapshot fail (EBUSY on 6.1) and suspending it first jams the pool, so nothing is done here
beside the one command.
"""

from collections.abc import Callable

from ebbd.errors import Conflict, InvalidInput, NotFound
from ebbd.model import Created, Snapshot, Unchanged, Volume
from ebbd.volumes import mutations
from ebbd.volumes.names import check_name, is_id, parse_id, snapshot_lv
from ebbd.volumes.records import Birth, snapshot_tags
from ebbd.volumes.store import Store
from ebbd.volumes.writer import flow_of


class Snapshots:
    """Create, delete, find."""

    def __init__(self, store: Store, *, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms

    async def create(self, name: str, volume_id: str) -> Created[Snapshot] | Unchanged[Snapshot]:
        """A snapshot of the volume's head, or the one that this name means already.

        Raises NotFound (volume), Conflict (the name means a snapshot of something else), NoRoom.
        """
        check_name(name)
        store = self._store
        snapshot_id = store.naming.snapshot_id(name)
        async with store.locks.hold(snapshot_id, volume_id):
            catalog = await store.catalog()
            existing = catalog.snapshots.get(snapshot_id)
            if existing is not None:
                volume = catalog.volumes.get(volume_id)
                _check_same_source(existing, volume_id, volume)
                return Unchanged(existing)
            volume = await store.require_volume(volume_id)
            await self.take(volume, snapshot_id, name, self._now_ms())
            return Created((await store.catalog()).snapshots[snapshot_id])

    async def take(
        self, volume: Volume, snapshot_id: str, name: str, created_ms: int, *, group: str = ""
    ) -> None:
        """The one command; the caller holds the locks. `group` is the group's hash."""
        store = self._store
        lv = store.lv(volume.vg, volume.lv_name)
        birth = Birth(
            name=name,
            incarnation=volume.incarnation,
            filesystem=volume.filesystem,
            created_ms=created_ms,
            size_bytes=volume.size_bytes if volume.size_bytes > lv.size_bytes else 0,
            prepare=volume.prepare,
        )
        spec = store.pools.choose(f"{volume.vg}/{volume.pool}")
        await store.mutate(
            mutations.snapshot(
                store.host.lvm,
                lv,
                volume.vg,
                snapshot_lv(snapshot_id.rpartition("-")[2]),
                tags=snapshot_tags(birth, volume.id, volume.name, group),
                read_only=True,
                flow=flow_of(volume.claim_namespace),
                # A snapshot promises no bytes, but a pool in trouble takes nothing new.
                admit=store.admission(spec, 0),
            )
        )

    async def delete(self, snapshot_id: str) -> bool:
        """Delete a snapshot that stands alone; False: there was none."""
        if parse_id(snapshot_id, "s") is None:
            return False
        store = self._store
        async with store.locks.hold(snapshot_id):
            snapshot = (await store.catalog()).snapshots.get(snapshot_id)
            if snapshot is None:
                return False
            if snapshot.group:
                raise InvalidInput(
                    f"snapshot {snapshot.id} belongs to the group {snapshot.group}",
                    "delete the group: its snapshots are one instant and go together",
                )
            await store.mutate(
                mutations.remove(store.host.lvm, snapshot.vg, (snapshot.lv_name,), flow=flow_of(""))
            )
            return True

    async def find(self, snapshot: str) -> Snapshot:
        """By id, or by name for people; NotFound otherwise."""
        snapshots = (await self._store.catalog()).snapshots
        found = snapshots.get(snapshot)
        if found is None and not is_id(snapshot):
            found = snapshots.get(self._store.naming.snapshot_id(snapshot))
        if found is None:
            raise NotFound(
                f"there is no snapshot {snapshot!r}", "'ebb snapshot list' shows those there are"
            )
        return found

    async def select(self, volume_id: str, snapshot_id: str) -> list[Snapshot]:
        """Snapshots by source and id, either empty for any, ordered by id."""
        catalog = (await self._store.catalog()).whole()
        chosen = catalog.snapshots_of(volume_id) if volume_id else catalog.snapshots.values()
        return sorted(
            (s for s in chosen if snapshot_id in {"", s.id}), key=lambda snapshot: snapshot.id
        )


def _check_same_source(existing: Snapshot, volume_id: str, volume: Volume | None) -> None:
    if existing.volume_id != volume_id:
        raise Conflict(
            f"a snapshot named {existing.name!r} exists, of volume {existing.volume_id}",
            "use another name",
        )
    if volume is not None and existing.incarnation != volume.incarnation:
        raise Conflict(
            f"a snapshot named {existing.name!r} exists, of an earlier volume named "
            f"{existing.volume_name!r} that was deleted",
            "use another name, or delete that snapshot",
        )
