"""Orphans gathered from the machine, and removed one by one when somebody asks.

Nothing here runs by itself. An orphan is named by an id that stands for exactly the state it was
listed in; right before it is removed everything is asked again, under the locks of whatever it
belongs to, and one that has changed or come into use is left alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ebbd.errors import EbbError, NotFound, WrongState
from ebbd.host.values import ThinPool, VolumeGroup
from ebbd.volumes import mutations
from ebbd.volumes.catalog import read_catalog
from ebbd.volumes.devices import released
from ebbd.volumes.mutations import Mutation
from ebbd.volumes.operations import finish
from ebbd.volumes.orphans import Facts, GroupFacts, Kind, Orphan, find_orphans
from ebbd.volumes.store import Store
from ebbd.volumes.use import mounts_of
from ebbd.volumes.writer import flow_of

_TRIES = 3  # listings of a pool that somebody changes meanwhile


@dataclass(frozen=True, slots=True)
class Findings:
    """The orphans, and for each pool whose thin devices could not be listed the reason."""

    orphans: tuple[Orphan, ...]
    unlisted: dict[str, str]


class Collector:
    """Lists and removes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self) -> Findings:
        """Every orphan there is now. No LVM command; a commit of each pool's own metadata."""
        return await self._find(())

    async def remove(self, orphan_id: str) -> Orphan:
        """Remove the orphan that was listed under this id; what was removed.

        Raises NotFound when it is gone or no longer what it was, WrongState when it is in use or
        nothing that ebb removes.
        """
        orphan = _named(await self.find(), orphan_id)
        if not orphan.action:
            raise WrongState(f"{orphan.subject} is not removed: {orphan.reason}", orphan.remedy)
        async with self._store.locks.hold(*orphan.keys):
            orphan = _named(await self._find(orphan.keys), orphan_id)
            match orphan.kind:
                case Kind.MOUNT:
                    await self._unmount(orphan)
                case Kind.ACTIVE:
                    await self._deactivate(orphan)
                case Kind.LV:
                    await self._remove_lvs(orphan)
                case Kind.THIN_DEVICE:
                    await self._delete_thin_device(orphan)
        return orphan

    async def _find(self, own_keys: Sequence[str]) -> Findings:
        """`own_keys`: ids that this very removal holds, and nobody else therefore."""
        store = self._store
        await store.catalog()  # notices a VG that went away
        unlisted = {vg: str(why) for vg, why in store.missing.items()}
        # Both before and after: what somebody works on while we look has not been seen whole.
        busy = store.locks.held
        groups = [await self._group(vg, unlisted) for vg in store.vgs]
        facts = Facts(
            naming=store.naming,
            catalog=read_catalog(store.naming, [part.group for part in groups]),
            groups=groups,
            # A mount can be of a VG that is missing, and says nothing then.
            mounts=() if store.missing else await store.host.mounts.table(),
            allowed_directories=store.settings.allowed_directories,
            busy=(busy | store.locks.held) - set(own_keys),
        )
        return Findings(find_orphans(facts), unlisted)

    async def _group(self, vg: str, unlisted: dict[str, str]) -> GroupFacts:
        """A VG, and what its pools hold at the same moment."""
        seen: dict[str, tuple[int, dict[int, int]]] = {}
        for pool in self._store.pools.pools_of(vg):
            try:
                seen[pool] = await self._thin_devices(vg, pool)
            except EbbError as refused:
                unlisted[f"{vg}/{pool}"] = str(refused)
        group = await self._store.look(vg)
        thin = {pool: devices for pool, (seqno, devices) in seen.items() if seqno == group.seqno}
        for pool in seen.keys() - thin.keys():
            unlisted[f"{vg}/{pool}"] = str(_restless(vg, pool))
        return GroupFacts(group, await self._store.host.dm.active(vg), thin)

    async def _thin_devices(self, vg: str, pool: str) -> tuple[int, dict[int, int]]:
        """What the pool holds at a quiet moment, and the VG's seqno then.

        Every LVM command on thin LVs begins by a commit of the VG that puts LVM's transaction id
        ahead of the kernel's. So where the ids agree before and after, at one seqno, no command
        ran in between.
        """
        for _ in range(_TRIES):
            before = await self._quiet(vg, pool)
            if before is None:
                continue
            devices = await self._store.host.thin.devices(vg, pool)
            after = await self._quiet(vg, pool)
            if after is not None and after.seqno == before.seqno:
                return after.seqno, devices
        raise _restless(vg, pool)

    async def _quiet(self, vg: str, pool: str) -> VolumeGroup | None:
        """The VG when no creation is at work on this pool, else None.

        A removal that waits for its message (a cut command's, or one that is running) is no
        matter: its device is LVM's to delete, and no orphan.
        """
        group = await self._store.look(vg)
        suspended = [i for i in (await self._store.host.dm.active(vg)).values() if i.suspended]
        status = await self._store.host.dm.pool_status(vg, pool)
        known = _known(group, pool)
        ahead = known.transaction_id - status.transaction_id
        settled = ahead == 0 or (ahead == 1 and known.pending_removals and not known.pending)
        return group if settled and not suspended else None

    async def _unmount(self, orphan: Orphan) -> None:
        host = self._store.host
        if users := await host.cgroups.consumers(*orphan.device):
            told = ", ".join(str(number) for user in users for number in user.process_ids)
            raise WrongState(
                f"{orphan.subject} is in use by processes {told}", "stop them, then try again"
            )
        await finish(host.mounts.unmount(orphan.subject))

    async def _deactivate(self, orphan: Orphan) -> None:
        [[name]] = orphan.lvs
        await self._refuse_if_used(orphan.vg, name)
        await finish(self._store.host.lvm.deactivate(orphan.vg, name))

    async def _remove_lvs(self, orphan: Orphan) -> None:
        for batch in orphan.lvs:
            for name in batch:
                await self._refuse_if_used(orphan.vg, name)
        for batch in orphan.lvs:
            for part in mutations.in_batches(batch):
                removal = mutations.remove(self._store.host.lvm, orphan.vg, part, flow=flow_of(""))
                # Alone, so that it is admitted by itself.
                await self._store.mutate(
                    replace(removal, admit=lambda: self._still(orphan), removes=())
                )

    async def _still(self, orphan: Orphan) -> None:
        """Right before the command: LVs with these names are those that were judged."""
        group = await self._store.look(orphan.vg)
        for name in (name for batch in orphan.lvs for name in batch):
            lv = group.volumes.get(name)
            if lv is not None and f"{lv.uuid} {sorted(lv.tags)}" not in orphan.mark:
                raise _changed(orphan)

    async def _refuse_if_used(self, vg: str, name: str) -> None:
        table = await self._store.host.mounts.table()
        info = await released(self._store, vg, name)
        if info is not None and (info.open_count or mounts_of(table, info)):
            raise WrongState(
                f"{vg}/{name} is in use (open count {info.open_count})",
                "unmount it or close its device, then try again",
            )

    async def _delete_thin_device(self, orphan: Orphan) -> None:
        host, vg, pool = self._store.host, orphan.vg, orphan.pool

        async def still() -> None:
            group = await self._quiet(vg, pool)
            if group is None:
                raise _restless(vg, pool)
            if any(
                (lv.pool, lv.device_id) == (pool, orphan.device_id) for lv in group.volumes.values()
            ) or not await host.dm.pool_has(vg, pool, orphan.device_id):
                raise _changed(orphan)

        async def act() -> int:
            await host.thin.delete(vg, pool, orphan.device_id)
            return 0

        await self._store.mutate(
            Mutation(
                vg,
                flow_of(""),
                act,
                change=lambda group: group,
                landed=lambda _: False,  # the VG does not tell; asking again does no harm
                admit=still,
            )
        )


def _known(group: VolumeGroup, pool: str) -> ThinPool:
    found = group.pools.get(pool)
    if found is None:
        raise NotFound(f"there is no thin pool {group.name}/{pool}", "restore it (vgcfgrestore)")
    return found


def _restless(vg: str, pool: str) -> WrongState:
    return WrongState(
        f"pool {vg}/{pool} is being changed, or a cut command has left it half changed",
        "ask again in a moment; if it stays so, restart ebbd",
    )


def _named(findings: Findings, orphan_id: str) -> Orphan:
    for orphan in findings.orphans:
        if orphan.id == orphan_id:
            return orphan
    raise NotFound(
        f"there is no orphan {orphan_id} any more: it is gone, in use, or has changed",
        "list them again with 'ebb gc'",
    )


def _changed(orphan: Orphan) -> WrongState:
    return WrongState(
        f"{orphan.subject} has changed since it was listed", "list the orphans again with 'ebb gc'"
    )
