"""Thin LVs that somebody else made, taken in as volumes as they are, and given back.

One commit either way, of tags alone: the LV keeps its name and its bytes, so nothing can be cut
half-way and whoever knows it by its name still does. It is never formatted: only an LV that ebb
itself made blank is.
"""

from collections.abc import Callable

from ebbd.errors import Conflict, InvalidInput, NotFound, WrongState
from ebbd.host.values import ThinVolume
from ebbd.model import Created, Unchanged, Volume
from ebbd.volumes import mutations, records, tags
from ebbd.volumes.catalog import uncommitted
from ebbd.volumes.creation import FILESYSTEMS
from ebbd.volumes.devices import released
from ebbd.volumes.identity import generation_of, generations, snapshot_of
from ebbd.volumes.names import check_name, generation_text
from ebbd.volumes.operations import finish
from ebbd.volumes.records import Birth, adopted_tags
from ebbd.volumes.store import Store
from ebbd.volumes.use import mounts_of
from ebbd.volumes.writer import flow_of


class Adoption:
    """Adopt and release. Time and incarnation ids are given, so that tests know them."""

    def __init__(
        self, store: Store, *, now_ms: Callable[[], int], new_incarnation: Callable[[], str]
    ) -> None:
        self._store = store
        self._now_ms = now_ms
        self._new_incarnation = new_incarnation

    async def adopt(
        self, lv: str, name: str, *, block: bool
    ) -> Created[Volume] | Unchanged[Volume]:
        """The thin LV `VG/LV` as the volume `name`, with the filesystem that is on it or as raw
        block.

        Raises NotFound (no such LV), InvalidInput (not a thin LV of one of ebb's pools, nothing
        on it that ebb can mount), Conflict (the name or the LV is a volume already), WrongState
        (in use, read-only, a snapshot of another LV).
        """
        check_name(name)
        vg, _, lv_name = lv.partition("/")
        if vg not in self._store.pools.vgs or not lv_name:
            raise InvalidInput(
                f"{lv!r} is no LV in a VG of ebb's",
                f"give VG/LV with one of the VGs {', '.join(self._store.pools.vgs)}",
            )
        volume_id = self._store.naming.volume_id(name)
        async with self._store.locks.hold(volume_id, lv):
            existing = (await self._store.catalog()).volumes.get(volume_id)
            if existing is not None:
                return self._same(existing, lv, block=block)
            found = self._adoptable(vg, lv_name, volume_id)
            await self._refuse_if_used(vg, lv_name)
            filesystem = "" if block else await self._filesystem(vg, lv_name)
            birth = Birth(
                name=name,
                incarnation=self._new_incarnation(),
                filesystem=filesystem,
                created_ms=self._now_ms(),
            )
            digest = volume_id.rpartition("-")[2]
            await self._store.mutate(
                mutations.retag(
                    self._store.host.lvm,
                    vg,
                    found.name,
                    add=adopted_tags(birth, lv_name, generation_text(digest, 1)),
                    flow=flow_of(""),
                )
            )
            return Created(await self._store.require_volume(volume_id))

    async def release(self, volume_id: str) -> bool:
        """Take ebb's tags off an adopted LV, which stays as it is; False: no such volume.

        Raises WrongState for a volume that was not adopted, has older generations or is in use.
        """
        async with self._store.locks.hold(volume_id):
            volume = (await self._store.catalog()).volumes.get(volume_id)
            if volume is None:
                return False
            lv = self._store.lv(volume.vg, volume.lv_name)
            if tags.read(lv.tags).get(records.ADOPTED) is None or volume.older_lvs:
                raise WrongState(
                    f"volume {volume.id} is not an adopted LV as it was adopted",
                    "docs/operations.md says how to use a volume without ebb ('Uninstall')",
                )
            if lv.name != _adopted_as(lv):
                raise WrongState(
                    f"LV {volume.vg}/{lv.name} does not have the name it was adopted under",
                    f"'ebbd --migrate-tags {records.ADOPTED_SCHEMA}' gives it back "
                    f"{_adopted_as(lv)}",
                )
            await self._refuse_if_used(volume.vg, lv.name)
            await self._store.mutate(
                mutations.retag(
                    self._store.host.lvm,
                    volume.vg,
                    lv.name,
                    remove=sorted(text for text in lv.tags if text.startswith(tags.PREFIX)),
                    flow=flow_of(volume.claim_namespace),
                )
            )
            return True

    def _same(self, existing: Volume, lv: str, *, block: bool) -> Unchanged[Volume]:
        """A repeated adoption finds what the first one made; anything else is a Conflict."""
        names = (*existing.older_lvs, existing.lv_name)
        known = {f"{existing.vg}/{_adopted_as(self._store.lv(existing.vg, n))}" for n in names}
        if lv not in known or block == bool(existing.filesystem):
            raise Conflict(
                f"a volume named {existing.name!r} exists and is not what was asked for",
                "use another name, or look at it with 'ebb volume show'",
            )
        return Unchanged(existing)

    def _adoptable(self, vg: str, lv_name: str, volume_id: str) -> ThinVolume:
        group = self._store.group(vg)
        lv = group.volumes.get(lv_name)
        if lv is None or lv_name in uncommitted(group):
            if lv_name in {*group.pools, *group.other_names}:
                raise InvalidInput(f"{vg}/{lv_name} is not a thin LV", "only thin LVs are adopted")
            raise NotFound(f"there is no LV {vg}/{lv_name}", "lvs shows those there are")
        if not self._store.pools.has(f"{vg}/{lv.pool}"):
            raise InvalidInput(
                f"{vg}/{lv_name} lies in the pool {vg}/{lv.pool}, which is not ebb's",
                "name that pool in ebbd's configuration first",
            )
        if generation_of(lv) or snapshot_of(lv) or records.VERSION in tags.read(lv.tags):
            raise Conflict(
                f"{vg}/{lv_name} is ebb's already", "'ebb volume list' shows under which name"
            )
        if lv.read_only:
            raise WrongState(
                f"{vg}/{lv_name} is read-only", f"lvchange --permission rw {vg}/{lv_name}"
            )
        if lv.origin is not None:
            raise WrongState(
                f"{vg}/{lv_name} is a snapshot of {vg}/{lv.origin}, with the same filesystem UUID",
                "adopt the origin, and make copies of it with ebb",
            )
        if generations(group, volume_id.rpartition("-")[2]):
            raise Conflict(
                "the name belongs to an LV that ebb does not understand",
                "see 'ebb doctor', or use another name",
            )
        return lv

    async def _refuse_if_used(self, vg: str, lv_name: str) -> None:
        info = await released(self._store, vg, lv_name)
        if info is None:
            return
        mounts = mounts_of(await self._store.host.mounts.table(), info)
        if info.open_count or mounts:
            where = ", ".join(mount.target for mount in mounts) or "somebody has it open"
            raise WrongState(f"{vg}/{lv_name} is in use ({where})", "unmount it first")

    async def _filesystem(self, vg: str, lv_name: str) -> str:
        """What is on it. It is left down, as ebb's volumes are until they are staged."""
        host = self._store.host
        await finish(host.lvm.activate(vg, lv_name))
        try:
            kind = await host.filesystems.signature(host.blockdev.lv_device(vg, lv_name))
        finally:
            await released(self._store, vg, lv_name)
            await finish(host.lvm.deactivate(vg, lv_name))
        if kind not in FILESYSTEMS:
            raise InvalidInput(
                f"{vg}/{lv_name} holds {kind or 'nothing that is recognised'}, "
                f"not one of {', '.join(FILESYSTEMS)}",
                "adopt it as a raw block volume (--block), or make a filesystem on it yourself",
            )
        return kind


def _adopted_as(lv: ThinVolume) -> str:
    return tags.unescape(tags.read(lv.tags).get(records.ADOPTED, ""))
