"""A volume's life after its creation: found, grown, given another intent, deleted.

Every operation may be repeated, and is checked completely before anything is changed.
"""

from collections.abc import Mapping

from ebbd.errors import SizeOutOfRange, WrongState
from ebbd.intent import parse_intent
from ebbd.model import Created, Unchanged, Volume
from ebbd.volumes import mutations, records, tags
from ebbd.volumes.devices import released
from ebbd.volumes.names import parse_id
from ebbd.volumes.sizes import check_range, round_up
from ebbd.volumes.store import Store
from ebbd.volumes.use import mounts_of
from ebbd.volumes.writer import flow_of


class Lifecycle:
    """Delete, grow, modify."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def delete(self, volume_id: str) -> bool:
        """Delete every generation, head last; its snapshots stay. False: there was none.

        In use (mounted or opened) is WrongState.
        """
        if parse_id(volume_id, "v") is None:
            return False
        store = self._store
        async with store.locks.hold(volume_id):
            volume = (await store.catalog()).volumes.get(volume_id)
            if volume is None:
                return False
            await self._refuse_if_used(volume)
            flow = flow_of(volume.claim_namespace)
            if volume.older_lvs and not volume.deleting:
                # lvremove goes in the VG's order: without the mark, dying half-way could leave
                # an older generation as the head.
                mark = tags.tag(records.DELETING, "")
                await store.mutate(
                    mutations.retag(
                        store.host.lvm, volume.vg, volume.lv_name, add=[mark], flow=flow
                    )
                )
            for names in mutations.in_batches(volume.older_lvs):
                await store.mutate(mutations.remove(store.host.lvm, volume.vg, names, flow=flow))
            await store.mutate(
                mutations.remove(store.host.lvm, volume.vg, (volume.lv_name,), flow=flow)
            )
            return True

    async def expand(
        self, volume_id: str, required_bytes: int, limit_bytes: int
    ) -> Created[Volume] | Unchanged[Volume]:
        """Grow the head's LV; the filesystem is the caller's next step where it is mounted."""
        store = self._store
        check_range(required_bytes, limit_bytes)
        async with store.locks.hold(volume_id):
            volume = await store.require_volume(volume_id)
            if limit_bytes and limit_bytes < volume.size_bytes:
                raise SizeOutOfRange(
                    f"volume {volume.id} has {volume.size_bytes} bytes, above {limit_bytes}",
                    "volumes only grow: ask for its size or more",
                )
            spec = store.pools.choose(f"{volume.vg}/{volume.pool}")
            size = round_up(required_bytes, store.group(spec.vg).extent_bytes)
            if size <= volume.size_bytes:
                return Unchanged(volume)
            if limit_bytes and size > limit_bytes:
                raise SizeOutOfRange(
                    f"in whole extents {required_bytes} bytes become {size}, above {limit_bytes}",
                    f"allow {size} bytes",
                )
            await store.mutate(
                mutations.extend(
                    store.host.lvm,
                    volume.vg,
                    volume.lv_name,
                    size,
                    flow=flow_of(volume.claim_namespace),
                    admit=store.admission(spec, size - volume.size_bytes),
                )
            )
            return Created(await store.require_volume(volume_id))

    async def modify(
        self, volume_id: str, attributes: Mapping[str, str]
    ) -> Created[Volume] | Unchanged[Volume]:
        """Replace the VolumeAttributesClass layer of the intent, in one commit or not at all."""
        wanted = parse_intent(attributes)
        store = self._store
        async with store.locks.hold(volume_id):
            volume = await store.require_volume(volume_id)
            parse_intent(volume.intent_class | wanted)
            if wanted == volume.intent_attributes:
                return Unchanged(volume)
            await self._store.mutate(
                mutations.replace_fact(
                    store.host.lvm,
                    volume.vg,
                    volume.lv_name,
                    records.ATTRIBUTES,
                    old=tags.pack(volume.intent_attributes),
                    new=tags.pack(wanted),
                    flow=flow_of(volume.claim_namespace),
                )
            )
            return Created(await store.require_volume(volume_id))

    async def _refuse_if_used(self, volume: Volume) -> None:
        """Open or mounted; a published raw block device is mounted even while nobody opens it."""
        host = self._store.host
        for lv_name in (*volume.older_lvs, volume.lv_name):
            info = await host.dm.info(volume.vg, lv_name)
            mounted = info is not None and mounts_of(await host.mounts.table(), info)
            if not mounted:
                info = await released(self._store, volume.vg, lv_name)
            if info is not None and (mounted or info.open_count):
                raise WrongState(
                    f"volume {volume.id} is in use (open count {info.open_count})",
                    "unpublish and unstage it first; 'ebb volume show' lists its mounts",
                )
