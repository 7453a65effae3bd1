"""A volume's device brought to the point where it can be used, and taken down again.

Activate; grow a larger copy; make the filesystem of a blank volume, or give a copy an identity
of its own; only then take away the tag that allowed it. Stopped anywhere, the same steps run
again: a filesystem is made a second time only while the volume is still tagged blank, and it is
mounted only after that tag is gone.
"""

import asyncio

from ebbd.errors import Unavailable, WrongState
from ebbd.host.values import DeviceInfo
from ebbd.model import Prepare, Volume
from ebbd.volumes import mutations, records
from ebbd.volumes.operations import finish
from ebbd.volumes.store import Store
from ebbd.volumes.tags import tag
from ebbd.volumes.writer import flow_of

RELEASE_PAUSE_S = 0.05


class Devices:
    """Activation and preparation of heads."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def path(self, volume: Volume) -> str:
        return self._store.host.blockdev.lv_device(volume.vg, volume.lv_name)

    async def info(self, volume: Volume) -> DeviceInfo | None:
        return await self._store.host.dm.info(volume.vg, volume.lv_name)

    async def bring_up(self, volume: Volume) -> DeviceInfo:
        """The head's device, active, of full size and with its filesystem; not mounted."""
        info = await self._activate(volume)
        if volume.lv_bytes < volume.size_bytes:
            await self._grow_to_promise(volume)
        if volume.prepare is not None:
            await finish(self._prepare(volume))
        if volume.prepare is not None or volume.lv_bytes < volume.size_bytes:
            await self._forget_preparation(volume)
        return info

    async def take_down(self, volume: Volume) -> None:
        """Deactivate the head if it is up and nobody keeps it open."""
        info = await released(self._store, volume.vg, volume.lv_name)
        if info is not None and not info.open_count:
            await finish(self._store.host.lvm.deactivate(volume.vg, volume.lv_name))

    async def _activate(self, volume: Volume) -> DeviceInfo:
        info = await self.info(volume)
        if info is None:
            if problem := await self._store.pools.problem(volume.vg, volume.pool):
                raise Unavailable(
                    f"pool {volume.vg}/{volume.pool} cannot serve volume {volume.id}: {problem}",
                    "see 'ebb doctor' for the way out",
                )
            await finish(self._store.host.lvm.activate(volume.vg, volume.lv_name))
            info = await self.info(volume)
        if info is None:
            raise WrongState(
                f"LVM activated volume {volume.id} but its device is not there",
                f"look at it with: lvchange -ay -K {volume.vg}/{volume.lv_name}",
            )
        return info

    async def _grow_to_promise(self, volume: Volume) -> None:
        await self._store.mutate(
            mutations.extend(
                self._store.host.lvm,
                volume.vg,
                volume.lv_name,
                volume.size_bytes,
                flow=flow_of(volume.claim_namespace),
            )
        )

    async def _prepare(self, volume: Volume) -> None:
        device = self.path(volume)
        filesystems = self._store.host.filesystems
        found = await filesystems.signature(device)
        if volume.prepare is Prepare.FORMAT:
            # The same kind there already is an mkfs that was cut short, or its tag was: nothing
            # has been written through a mount yet, so making it again loses nothing.
            if found not in {None, volume.filesystem}:
                raise WrongState(
                    f"volume {volume.id} should be blank but carries {found}",
                    "it is not formatted over; delete the volume, or wipe it by hand",
                )
            await filesystems.make(
                device, volume.filesystem, volume.mkfs_options, overwrite=found is not None
            )
        elif found != volume.filesystem:
            raise WrongState(
                f"the copy {volume.id} should carry {volume.filesystem} but has {found or 'none'}",
                "its source held no such filesystem; create the copy as a block volume",
            )
        else:
            await filesystems.renew_identity(device, volume.filesystem)

    async def _forget_preparation(self, volume: Volume) -> None:
        stale = [tag(records.PREPARE, volume.prepare)] if volume.prepare else []
        if volume.lv_bytes < volume.size_bytes:
            stale.append(tag(records.WANT, str(volume.size_bytes)))
        await self._store.mutate(
            mutations.retag(
                self._store.host.lvm,
                volume.vg,
                volume.lv_name,
                remove=stale,
                flow=flow_of(volume.claim_namespace),
            )
        )


async def released(store: Store, vg: str, lv_name: str) -> DeviceInfo | None:
    """The device once nobody has it open, or as it is when somebody still has after a while.

    udev looks at a device for a moment after every unmount, mkfs and activation (its rules run
    blkid): that is no use. LVM itself tries for as long (activation/retry_deactivation).
    """
    info = await store.host.dm.info(vg, lv_name)
    for _ in range(round(store.settings.release_s / RELEASE_PAUSE_S)):
        if info is None or not info.open_count:
            return info
        await asyncio.sleep(RELEASE_PAUSE_S)
        info = await store.host.dm.info(vg, lv_name)
    return info
