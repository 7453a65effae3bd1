"""The CO's attach step, for COs that have one: a mark on the volume, within the node's limit.

Nothing is done to the device. A node-local volume is attached to its own node or not at all.
"""

from ebbd.errors import Conflict, NoRoom, NotFound, WrongState
from ebbd.model import Volume
from ebbd.volumes import mutations, records
from ebbd.volumes.store import Store
from ebbd.volumes.writer import flow_of

# Attaching counts what is attached, so attachments of different volumes wait for each other.
_COUNT = "attach"


class Attachment:
    """Attach and detach."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def attach(self, volume_id: str, node_id: str, *, read_only: bool) -> None:
        """Mark the volume as attached to this node, within the node's limit."""
        store = self._store
        async with store.locks.hold(volume_id, _COUNT):
            volume = await store.require_volume(volume_id)
            if node_id != store.settings.node_id and volume.attached:
                raise WrongState(
                    f"volume {volume.id} is attached to node {store.settings.node_id!r}, "
                    f"where it lives, and cannot be attached to {node_id!r}",
                    "schedule its consumer there: the volume's topology says so",
                )
            if node_id != store.settings.node_id:
                raise NotFound(
                    f"volume {volume.id} lives on node {store.settings.node_id!r}, "
                    f"not on {node_id!r}",
                    "schedule its consumer there: the volume's topology says so",
                )
            mode = "ro" if read_only else "rw"
            if volume.attached == mode:
                return
            if volume.attached:
                raise Conflict(
                    f"volume {volume.id} is attached {volume.attached}, not {mode}",
                    "detach it first",
                )
            attached = sum(bool(v.attached) for v in (await store.catalog()).volumes.values())
            limit = store.settings.max_volumes
            if limit and attached >= limit:
                raise NoRoom(
                    f"node {node_id} has {attached} volumes attached, its limit",
                    "detach one, or raise node.max_volumes",
                )
            await self._mark(volume, mode)

    async def detach(self, volume_id: str, node_id: str) -> None:
        """Take the mark away; not attached, or gone, is fine."""
        store = self._store
        if node_id not in {"", store.settings.node_id}:
            raise NotFound(f"{node_id!r} is not this node", f"this is {store.settings.node_id!r}")
        async with store.locks.hold(volume_id, _COUNT):
            volume = (await store.catalog()).volumes.get(volume_id)
            if volume is not None and volume.attached:
                await self._mark(volume, "")

    async def _mark(self, volume: Volume, mode: str) -> None:
        await self._store.mutate(
            mutations.replace_fact(
                self._store.host.lvm,
                volume.vg,
                volume.lv_name,
                records.ATTACHED,
                old=volume.attached,
                new=mode,
                flow=flow_of(volume.claim_namespace),
            )
        )
