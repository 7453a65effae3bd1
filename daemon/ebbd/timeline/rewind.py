"""Rewind and undo: a volume goes on from an earlier point, and nothing is destroyed.

A new head is made from a snapshot (rewind) or from the head before the present one (undo): one
thin snapshot under the next generation's name, with the present head's facts. The former head
stays what it is and becomes the point to undo to; undoing twice leads back.

Nobody uses the volume: at once. Staged and not used: unmounted, moved, mounted again at the same
place; a crash in between is mended by the next publish, which stages what it does not find. Used:
refused, with the consumers named, because data under a running program would change its past.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ebbd.errors import Busy, EbbError, InvalidInput, NotFound, WrongState
from ebbd.host.values import Mount, ThinVolume
from ebbd.model import Created, Prepare, Unchanged, Volume
from ebbd.volumes import mutations, records, tags
from ebbd.volumes.devices import Devices, released
from ebbd.volumes.identity import generation_of
from ebbd.volumes.names import head_lv
from ebbd.volumes.operations import finish
from ebbd.volumes.store import Store
from ebbd.volumes.use import mounts_of
from ebbd.volumes.writer import flow_of

_STATES = frozenset({"ro", "rw", "emergency_ro", "shutdown"})


@dataclass(frozen=True, slots=True)
class _Point:
    """Where to go on from: an LV, what `Volume.head_of` will call it, and what it needs first."""

    lv: ThinVolume
    called: str
    prepare: Prepare | None


class Rewinding:
    """Moves heads. `from_generation` is the head that the caller saw, 0 for whichever there is: a
    request that comes back finds its own work done, and one that comes too late changes nothing.
    """

    def __init__(self, store: Store, devices: Devices, *, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._devices = devices
        self._now_ms = now_ms

    async def rewind(
        self, volume_id: str, snapshot_id: str, *, from_generation: int = 0
    ) -> Created[Volume] | Unchanged[Volume]:
        """A new head that is what the snapshot holds.

        Raises NotFound, InvalidInput (a snapshot of another volume, or of an earlier one of that
        name), WrongState (in use), Busy (the head is not the one that the caller saw).
        """
        store = self._store
        async with store.locks.hold(volume_id, snapshot_id):
            volume = await store.require_volume(volume_id)
            snapshot = (await store.catalog()).snapshots.get(snapshot_id)
            if snapshot is None:
                raise NotFound(
                    f"there is no snapshot {snapshot_id!r}",
                    "'ebb snapshot list' shows those there are",
                )
            if (snapshot.volume_id, snapshot.incarnation) != (volume.id, volume.incarnation):
                raise InvalidInput(
                    f"snapshot {snapshot.id} is of another volume ({snapshot.volume_name!r}), "
                    f"not of {volume.id}",
                    "restore it into a volume of its own: 'ebb snapshot restore'",
                )
            lv = store.lv(snapshot.vg, snapshot.lv_name)
            return await self._go(
                volume, _Point(lv, snapshot.id, snapshot.prepare), from_generation
            )

    async def undo(
        self, volume_id: str, *, from_generation: int = 0
    ) -> Created[Volume] | Unchanged[Volume]:
        """A new head that is what the head before the present one was when it was left."""
        store = self._store
        async with store.locks.hold(volume_id):
            volume = await store.require_volume(volume_id)
            seen = from_generation or volume.generation
            below = [name for name in volume.older_lvs if self._generation(volume, name) < seen]
            if not below:
                raise WrongState(
                    f"volume {volume.id} was never rewound, so there is nothing to undo",
                    "'ebb snapshot list' shows the points to rewind to",
                )
            lv = store.lv(volume.vg, below[-1])
            birth = records.read_birth(tags.read(lv.tags), lv.name)
            point = _Point(lv, str(self._generation(volume, lv.name)), birth.prepare)
            return await self._go(volume, point, from_generation)

    def _generation(self, volume: Volume, lv_name: str) -> int:
        """Of one of the volume's LVs; an adopted one says it by a tag."""
        found = generation_of(self._store.lv(volume.vg, lv_name))
        if found is None:
            raise NotFound(f"LV {volume.vg}/{lv_name} is no generation of {volume.id} any more")
        return found[1]

    async def _go(
        self, volume: Volume, point: _Point, from_generation: int
    ) -> Created[Volume] | Unchanged[Volume]:
        if from_generation and from_generation != volume.generation:
            if volume.generation == from_generation + 1 and volume.head_of == point.called:
                return Unchanged(volume)
            raise Busy(
                f"volume {volume.id} is at generation {volume.generation}, not {from_generation}",
                "somebody moved it meanwhile: look at it again ('ebb volume show')",
            )
        staged = await self._set_free(volume)
        try:
            await self._move(volume, point)
        except EbbError:
            if staged is not None:
                await self._mount(await self._store.require_volume(volume.id), staged)
            raise
        moved = await self._store.require_volume(volume.id)
        if staged is not None:
            await self._mount(moved, staged)
        return Created(await self._store.require_volume(volume.id))

    async def _move(self, volume: Volume, point: _Point) -> None:
        store = self._store
        head = store.lv(volume.vg, volume.lv_name)
        digest = volume.id.rpartition("-")[2]
        await store.mutate(
            mutations.snapshot(
                store.host.lvm,
                point.lv,
                volume.vg,
                head_lv(digest, volume.generation + 1),
                tags=records.next_generation_tags(
                    head.tags,
                    head_of=point.called,
                    moved_ms=self._now_ms(),
                    prepare=point.prepare,
                    want_bytes=volume.size_bytes if point.lv.size_bytes < volume.size_bytes else 0,
                ),
                read_only=False,
                flow=flow_of(volume.claim_namespace),
                admit=store.admission(store.pools.choose(f"{volume.vg}/{volume.pool}"), 0),
            )
        )

    async def _set_free(self, volume: Volume) -> Mount | None:
        """Take the head's device down; the mount that was taken off for it, if there was one."""
        mounts = self._store.host.mounts
        info = await self._devices.info(volume)
        if info is None:
            return None
        shown = mounts_of(await mounts.table(), info)
        if len(shown) > 1 or (shown and not volume.filesystem):
            raise await self._in_use(volume)
        staged = shown[0] if shown else None
        if staged is not None:
            try:
                await finish(mounts.unmount(staged.target))
            except WrongState as busy:
                raise await self._in_use(volume) from busy
        info = await released(self._store, volume.vg, volume.lv_name)
        if info is not None and info.open_count:
            refusal = await self._in_use(volume)
            if staged is not None:
                await self._mount(volume, staged)
            raise refusal
        await self._devices.take_down(volume)
        return staged

    async def _mount(self, volume: Volume, staged: Mount) -> None:
        """At the place and with the options that the kernel showed."""
        host = self._store.host
        await self._devices.bring_up(volume)
        device = self._devices.path(volume)
        options = mount_options_of(staged)
        await finish(host.mounts.mount(device, staged.target, volume.filesystem, options))
        if "ro" not in options:
            await finish(host.filesystems.grow(device, volume.filesystem, staged.target))

    async def _in_use(self, volume: Volume) -> WrongState:
        host = self._store.host
        info = await self._devices.info(volume)
        if info is None:
            return WrongState(f"volume {volume.id} was in use just now", "try again")
        users = await host.cgroups.consumers(info.major, info.minor)
        mounts = [mount.target for mount in mounts_of(await host.mounts.table(), info)]
        told = [
            *(f"{user.path} (processes {', '.join(map(str, user.process_ids))})" for user in users),
            *(f"the mount {target}" for target in mounts),
        ]
        by = "; ".join(told) or f"{info.open_count} openers that cannot be seen from here"
        return WrongState(
            f"volume {volume.id} is in use by {by}",
            "stop its consumers first, or restore the snapshot beside it",
        )


def mount_options_of(staged: Mount) -> tuple[str, ...]:
    """What to give to mount(8) for the same mount again, from what the kernel shows of it.

    Read-only is the mount's own word for it: a superblock that alone is read-only met errors, and
    so did one that was shut down, and neither is the new head's fault.
    """
    of_filesystem = (o for o in staged.super_options if o not in _STATES)
    return tuple(dict.fromkeys((*staged.options, *of_filesystem)))
