"""What ebbd remembers of its volume groups, and how it notices that somebody else wrote.

Nothing here runs an LVM command. After a mutation of our own the remembered VG is changed by the
same change, if the VG's seqno moved by exactly the commits of that mutation; any other movement
means a foreign commit, and the VG is read again from its metadata area.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ebbd.errors import EbbError, HostFailure, NotFound, Unavailable
from ebbd.host.protocols import DeviceMapper, Lvm
from ebbd.host.values import VolumeGroup
from ebbd.volumes.catalog import Catalog, read_catalog
from ebbd.volumes.names import Naming


class Ledger:
    """The remembered VGs and the catalog made from them."""

    def __init__(self, lvm: Lvm, dm: DeviceMapper, naming: Naming, vgs: Sequence[str]) -> None:
        self._lvm = lvm
        self._dm = dm
        self._naming = naming
        self._vgs = tuple(vgs)
        self._groups: dict[str, VolumeGroup] = {}
        self._writing: set[str] = set()
        self._catalog: Catalog | None = None
        self._missing: dict[str, Unavailable] = {}

    @property
    def vgs(self) -> tuple[str, ...]:
        """Those that are there."""
        return tuple(vg for vg in self._vgs if vg not in self._missing)

    @property
    def missing(self) -> dict[str, Unavailable]:
        """The VGs that cannot be used, each with the reason."""
        return dict(self._missing)

    def group(self, vg: str) -> VolumeGroup:
        """The VG as remembered; `catalog()` or `reload()` came before."""
        self.require(vg)
        return self._groups[vg]

    def require(self, vg: str) -> None:
        """Unavailable while this VG is missing."""
        if missing := self._missing.get(vg):
            raise Unavailable(missing.message, missing.remedy)

    async def catalog(self) -> Catalog:
        """What exists now. While a mutation of ours runs its VG stands as before that mutation:
        between its two commits LVM lists an LV that does not exist yet.
        """
        for vg in self.vgs:
            if vg in self._writing:
                continue
            known = self._groups.get(vg)
            try:
                if known is None or await self._lvm.seqno(vg) != known.seqno:
                    await self.reload(vg)
            except (NotFound, HostFailure) as gone:
                self.lose(vg, gone)
        if self._catalog is None:
            here = [self._groups[vg] for vg in self.vgs]
            catalog = read_catalog(self._naming, here)
            for missing in self._missing.values():
                catalog = catalog.without_some(missing)
            self._catalog = catalog
        return self._catalog

    def lose(self, vg: str, reason: EbbError) -> None:
        """The VG cannot be used from now on, until it is `found`."""
        self._missing[vg] = Unavailable(
            f"the volume group {vg} is missing: {reason.message}",
            "bring its disks back (ebbd then takes it up by itself), or take its pool out of the "
            "configuration and restart ebbd",
        )
        self._groups.pop(vg, None)
        self._catalog = None

    def found(self, vg: str) -> None:
        """The VG is there again, reloaded and recovered."""
        self._missing.pop(vg, None)
        self._catalog = None

    async def reload(self, vg: str) -> VolumeGroup:
        """Read the VG again, whatever is remembered."""
        group = await self.look(vg)
        self._remember(group)
        return group

    async def look(self, vg: str) -> VolumeGroup:
        """The VG as it is on its disks now; nothing is remembered.

        A message that LVM still has written down is old news once the kernel's transaction id
        agrees with LVM's: the LV that it names is committed.
        """
        group = await self._lvm.read(vg)
        for pool in [pool for pool in group.pools.values() if pool.pending]:
            status = await self._dm.pool_status(vg, pool.name)
            if status.transaction_id == pool.transaction_id:
                agreed = replace(pool, pending=())
                group = replace(group, pools=group.pools | {pool.name: agreed})
        return group

    def begin(self, vg: str) -> None:
        """A mutation of ours is about to run on this VG."""
        self._writing.add(vg)

    async def record(
        self, vg: str, commits: int, change: Callable[[VolumeGroup], VolumeGroup]
    ) -> None:
        """The mutation succeeded: remember its change, or read again if others wrote too."""
        known = self._groups[vg]
        seqno = await self._lvm.seqno(vg)
        if seqno == known.seqno + commits:
            self._remember(change(known), seqno=seqno)
        else:
            await self.reload(vg)

    def end(self, vg: str) -> None:
        self._writing.discard(vg)

    def _remember(self, group: VolumeGroup, *, seqno: int | None = None) -> None:
        if seqno is not None:
            group = replace(group, seqno=seqno)
        self._groups[group.name] = group
        self._catalog = None
