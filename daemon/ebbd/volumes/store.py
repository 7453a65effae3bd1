"""What every volume operation stands on: host, pools, ledger, writers, locks.

`Store` is made once at start-up by `open_store`, which recovers before anything is answered;
`serve` runs the writers for as long as it is open.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ebbd.errors import Busy, EbbError, NotFound, Unavailable
from ebbd.host.protocols import Host
from ebbd.host.values import ThinVolume, VolumeGroup
from ebbd.model import PoolState, Volume
from ebbd.volumes import recovery
from ebbd.volumes.capacity import admit
from ebbd.volumes.catalog import Catalog
from ebbd.volumes.ledger import Ledger
from ebbd.volumes.mutations import Admission, Mutation, in_batches
from ebbd.volumes.names import Naming, is_id
from ebbd.volumes.operations import KeyedLocks, finish
from ebbd.volumes.pools import Pools, PoolSpec, missing_pool, open_pools
from ebbd.volumes.writer import Writer

Say = Callable[[str], None]
# A VG that is missing is looked for this often; one `pvs` each time, and none otherwise.
REOPEN_S = 5.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator decided for this node.

    `max_volumes` is the attach limit, 0 for none. Mounts and devices appear only below
    `allowed_directories`. `release_s` is how long an open device is given to be let go of.
    """

    node_id: str
    default_filesystem: str
    default_bytes: int
    max_volumes: int
    allowed_directories: tuple[str, ...]
    release_s: float = 0.0
    reopen_s: float = REOPEN_S


class Store:
    """The node's volumes as one thing; the rooms above add their verbs to it."""

    def __init__(
        self, host: Host, settings: Settings, pools: Pools, naming: Naming, say: Say
    ) -> None:
        self.host = host
        self.settings = settings
        self.pools = pools
        self.naming = naming
        self.locks = KeyedLocks()
        self._say = say
        self._ledger = Ledger(host.lvm, host.dm, naming, pools.vgs)
        self._writers = {vg: Writer(vg, host.lvm, self._ledger, self._settle) for vg in pools.vgs}

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Mutations are carried out while this is open; a running one ends before it closes."""
        failed: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(writer.run()) for writer in self._writers.values()]
            running.append(tasks.create_task(self._keep_looking()))
            try:
                yield
            except Exception as error:  # noqa: BLE001 - raised again below: a task group would wrap it
                failed = error
            finally:
                for task in running:
                    task.cancel()
        if failed is not None:
            raise failed

    async def recover(self, missing: Mapping[str, EbbError]) -> None:
        """Finish or undo whatever an earlier run left, in every VG, and say so.

        A VG that is missing, or whose state is none that ebbd may mend, does not keep the others
        from being served. Raises its error when there is no other.
        """
        for vg in self.pools.vgs:
            try:
                if vg in missing:
                    raise missing[vg]
                await self._recover(vg)
            except EbbError as refused:
                self._ledger.lose(vg, refused)
                self._say(f"VG {vg} is not served: {refused}")
                if not self._ledger.vgs:
                    raise

    async def reopen(self) -> None:
        """Take up each missing VG that is there again, with all that a start does for it."""
        for vg in self._ledger.missing:
            specs = [spec for spec in self.pools.specs if spec.vg == vg]
            try:
                await open_pools(self.host, specs, self.settings.node_id, self.naming.key)
                await self._recover(vg)
            except EbbError as still:
                self._ledger.lose(vg, still)
            else:
                self._ledger.found(vg)
                self._say(f"VG {vg} is there again and is served")

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self.settings.reopen_s)
            await finish(self.reopen())

    async def _recover(self, vg: str) -> None:
        left = recovery.leftovers(await self._settle(vg))
        try:
            for batch in left.deleted_volumes:
                await self._remove(vg, batch)
                self._say(f"finished the deletion of {', '.join(batch)} in {vg}")
            if members := left.uncommitted_group_members:
                await self._remove(vg, members)
                told = ", ".join(members)
                self._say(f"undid a group snapshot that was not committed in {vg}: {told}")
        except EbbError as refused:
            # Nothing of it is shown to anybody, so the other volumes need not wait for it.
            # What failed may have been cut short: LVM and the kernel must agree all the same.
            self._say(f"left for the next start in {vg}: {refused}")
            await self._settle(vg)
        await self._ledger.reload(vg)

    async def _remove(self, vg: str, names: tuple[str, ...]) -> None:
        for part in in_batches(names):
            await self.host.lvm.remove(vg, part)

    @property
    def vgs(self) -> tuple[str, ...]:
        """Those that are there."""
        return self._ledger.vgs

    async def mutate(self, mutation: Mutation) -> None:
        self._ledger.require(mutation.vg)
        await self._writers[mutation.vg].submit(mutation)

    async def catalog(self) -> Catalog:
        return await self._ledger.catalog()

    def group(self, vg: str) -> VolumeGroup:
        return self._ledger.group(vg)

    async def look(self, vg: str) -> VolumeGroup:
        """The VG as it is on its disks at this moment, whoever is writing to it."""
        return await self._ledger.look(vg)

    def lv(self, vg: str, lv_name: str) -> ThinVolume:
        """An LV that the catalog just named."""
        lv = self._ledger.group(vg).volumes.get(lv_name)
        if lv is None:
            raise NotFound(f"LV {vg}/{lv_name} was removed meanwhile")
        return lv

    async def find_volume(self, volume: str) -> Volume | None:
        """By id, or by name for people."""
        catalog = await self.catalog()
        if found := catalog.volumes.get(volume):
            return found
        return None if is_id(volume) else catalog.volumes.get(self.naming.volume_id(volume))

    async def settled_volume(self, name: str) -> Volume | None:
        """By name alone, once no operation on it is under way: a creation that still runs shows
        nothing yet, and whoever wants to make the same volume elsewhere has to know.
        """
        volume_id = self.naming.volume_id(name)
        async with self.locks.hold(volume_id):
            return (await self.catalog()).volumes.get(volume_id)

    async def require_volume(self, volume_id: str) -> Volume:
        """The volume of this id; anything that is not one is NotFound, as CSI asks. Busy: what is
        left of one that is being deleted.
        """
        found = (await self.catalog()).volumes.get(volume_id)
        if found is None:
            raise NotFound(
                f"there is no volume {volume_id!r} on node {self.settings.node_id}",
                "'ebb volume list' shows those that are there",
            )
        refuse_if_deleting(found)
        return found

    @property
    def missing(self) -> dict[str, Unavailable]:
        """The VGs that are not served, each with the reason."""
        return self._ledger.missing

    async def pool_state(self, spec: PoolSpec) -> PoolState:
        """The pool now; one of a missing VG has no room and says why."""
        catalog = await self.catalog()
        if missing := self._ledger.missing.get(spec.vg):
            return missing_pool(spec, missing.message)
        return await self.pools.state(spec, self.group(spec.vg), catalog)

    def admission(self, spec: PoolSpec, size_bytes: int) -> Admission:
        """Room for `size_bytes` more, asked when the mutation's turn has come."""

        async def ask() -> None:
            admit(await self.pool_state(spec), size_bytes)

        return ask

    async def _settle(self, vg: str) -> VolumeGroup:
        for line in await recovery.settle(self.host, vg, self.pools.pools_of(vg)):
            self._say(line)
        return await self._ledger.reload(vg)


def refuse_if_deleting(volume: Volume) -> None:
    """Busy for what an interrupted deletion left: it only goes on being deleted."""
    if volume.deleting:
        raise Busy(f"volume {volume.id} is being deleted", "delete it again, or restart ebbd")


async def open_store(
    host: Host,
    settings: Settings,
    specs: Sequence[PoolSpec],
    *,
    default_pool: str,
    node_key: str,
    say: Say,
) -> Store:
    """Open the pools, recover, and only then hand out the store."""
    opened = await open_pools(host, specs, settings.node_id, node_key)
    store = Store(host, settings, Pools(host, specs, default_pool), Naming(opened.key), say)
    await store.recover(opened.missing)
    return store
