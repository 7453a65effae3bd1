"""Stage, publish and back: a volume made visible to its consumers. No LVM command to publish.

What is staged and published where is not remembered but read from the kernel's mount table, so a
restart of ebbd or of the node cannot make it wrong. A mount counts as the volume's when its device
number is that of the volume's head now.
"""

from collections.abc import Sequence

from ebbd.errors import Conflict, NotFound, WrongState
from ebbd.host.values import DeviceInfo, Mount
from ebbd.model import Access, AccessMode, Prepare, Volume
from ebbd.volumes.devices import Devices
from ebbd.volumes.identity import generation_of
from ebbd.volumes.names import parse_head_lv, parse_id
from ebbd.volumes.operations import finish
from ebbd.volumes.parameters import check_mount_options
from ebbd.volumes.paths import check_path
from ebbd.volumes.store import Store
from ebbd.volumes.use import mounts_at, mounts_of, shows


class Staging:
    """The node side of a volume's use."""

    def __init__(self, store: Store, devices: Devices) -> None:
        self._store = store
        self._devices = devices

    async def stage(self, volume_id: str, staging_path: str, access: Access) -> str:
        """Bring the device up and mount it at `staging_path`; the device's path.

        A raw block volume is only brought up. Raises WrongState beyond the volume's access or
        when the path carries something else.
        """
        path = check_path(staging_path, self._store.settings.allowed_directories)
        check_mount_options(access.mount_flags)
        async with self._store.locks.hold(volume_id):
            volume = await self._store.require_volume(volume_id)
            check_access(volume, access)
            await self._stage(volume, path, access)
            if not access.block and volume.prepare is not Prepare.FORMAT:
                # Also when it was mounted already: an earlier try may have ended in between.
                await self._grow(volume, path)
            return self._devices.path(volume)

    async def _stage(self, volume: Volume, path: str, access: Access) -> tuple[DeviceInfo, bool]:
        """The device, and whether it had to be mounted."""
        info = await self._devices.bring_up(volume)
        if access.block:
            return info, False
        mounts = self._store.host.mounts
        at_path = mounts_at(await mounts.table(), path)
        if at_path and not shows(at_path[-1], info):
            if not await self._all_ours(volume.id, at_path):
                raise WrongState(
                    f"{path} is a mount of something else ({at_path[-1].source})",
                    "unmount it, or stage at another path",
                )
            await finish(mounts.unmount(path))  # a former head
            at_path = []
        if not at_path:
            await mounts.make_directory(path)
            options = (*volume.mount_options, *access.mount_flags)
            device = self._devices.path(volume)
            await finish(mounts.mount(device, path, volume.filesystem, options))
        return info, not at_path

    async def _grow(self, volume: Volume, path: str) -> None:
        grow = self._store.host.filesystems.grow
        await finish(grow(self._devices.path(volume), volume.filesystem, path))

    async def unstage(self, volume_id: str, staging_path: str) -> None:
        """Unmount the staging path; take the device down when that was its last use."""
        path = check_path(staging_path, self._store.settings.allowed_directories)
        async with self._store.locks.hold(volume_id):
            volume = await self._unmount_all(volume_id, path)
            if volume is None:
                return
            info = await self._devices.info(volume)
            if info and not mounts_of(await self._store.host.mounts.table(), info):
                await self._devices.take_down(volume)

    async def publish(
        self,
        volume_id: str,
        staging_path: str,
        target_path: str,
        access: Access,
        *,
        read_only: bool,
    ) -> None:
        """Show the staged volume at `target_path`: a bind mount, or the device node for block.

        A staged mount that is missing or stale is mended by staging again. Raises Conflict when
        the target shows the volume in another way, WrongState for a second target that the
        access mode does not allow.
        """
        allowed = self._store.settings.allowed_directories
        target = check_path(target_path, allowed)
        staged = check_path(staging_path, allowed)
        check_mount_options(access.mount_flags)
        async with self._store.locks.hold(volume_id):
            volume = await self._store.require_volume(volume_id)
            check_access(volume, access)
            # A bind of a read-only mount is read-only, whatever is asked.
            read_only = (
                read_only
                or access.mode is AccessMode.SINGLE_NODE_READER_ONLY
                or (not access.block and "ro" in (*volume.mount_options, *access.mount_flags))
            )
            mounts = self._store.host.mounts
            if not access.block and not await mounts.exists(staged):
                raise WrongState(
                    f"volume {volume.id} is not staged at {staged}", "stage it there first"
                )
            info, mended = await self._stage(volume, staged, access)
            if mended:
                await self._grow(volume, staged)
            table = await mounts.table()
            if self._already_published(volume, info, mounts_at(table, target), read_only=read_only):
                return
            others = {m.target for m in mounts_of(table, info)} - {staged, target}
            if others and access.mode is not AccessMode.SINGLE_NODE_MULTI_WRITER:
                raise WrongState(
                    f"volume {volume.id} is published at {', '.join(sorted(others))} and its "
                    f"access mode {access.mode} allows one target",
                    "unpublish it there first",
                )
            await finish(self._bind(volume, staged, target, access, read_only=read_only))

    def _already_published(
        self, volume: Volume, info: DeviceInfo, at_target: list[Mount], *, read_only: bool
    ) -> bool:
        if not at_target:
            return False
        present = at_target[-1]
        if not shows(present, info):
            raise WrongState(
                f"the target is a mount of {present.source}, not of volume {volume.id}",
                "unmount it, or publish at another path",
            )
        if ("ro" in present.options) != read_only:
            raise Conflict(
                f"volume {volume.id} is published there already, "
                f"{'read-only' if 'ro' in present.options else 'writable'}",
                "unpublish it first",
            )
        return True

    async def _bind(
        self, volume: Volume, staged: str, target: str, access: Access, *, read_only: bool
    ) -> None:
        mounts = self._store.host.mounts
        if access.block:
            await mounts.make_file(target)
            await mounts.bind(self._devices.path(volume), target, read_only=read_only)
        else:
            await mounts.make_directory(target)
            await mounts.bind(staged, target, read_only=read_only)

    async def unpublish(self, volume_id: str, target_path: str) -> None:
        """Unmount the target and remove it."""
        target = check_path(target_path, self._store.settings.allowed_directories)
        async with self._store.locks.hold(volume_id):
            await self._unmount_all(volume_id, target)
            await self._store.host.mounts.remove_path(target)

    async def _unmount_all(self, volume_id: str, path: str) -> Volume | None:
        """Unmount whatever is ours at `path`, also when the volume itself is gone (None then).

        NotFound when there is neither volume nor mount; WrongState for a mount of others.
        """
        mounts = self._store.host.mounts
        volume = (await self._store.catalog()).volumes.get(volume_id)
        at_path = mounts_at(await mounts.table(), path)
        if volume is None and not at_path:
            raise NotFound(f"there is no volume {volume_id!r}, and nothing is mounted at {path}")
        # All are looked at before one is taken off: unmounting a path takes what lies on top.
        if at_path and not await self._all_ours(volume_id, at_path):
            raise WrongState(
                f"{path} is a mount of {at_path[-1].source}, not of volume {volume_id}",
                "unmount it by hand if it is yours",
            )
        while at_path:
            await finish(mounts.unmount(path))
            at_path = mounts_at(await mounts.table(), path)
        return volume

    async def _all_ours(self, volume_id: str, at_path: Sequence[Mount]) -> bool:
        """Is each a mount of this volume: of its head, a former head, or what is left of it?"""
        digest = parse_id(volume_id, "v")
        own = [
            info
            for vg in self._store.vgs
            for name, info in (await self._store.host.dm.active(vg)).items()
            if digest and self._digest_of(vg, name) == digest
        ]
        return all(any(shows(mount, info) for info in own) for mount in at_path)

    def _digest_of(self, vg: str, lv_name: str) -> str | None:
        """Of the LV of this name; of what is left of one, the device, its name tells."""
        lv = self._store.group(vg).volumes.get(lv_name)
        found = generation_of(lv) if lv else parse_head_lv(lv_name)
        return found[0] if found else None


def check_access(volume: Volume, access: Access) -> None:
    """WrongState when the volume was not made for this kind of use."""
    if access.block and volume.filesystem:
        raise WrongState(
            f"volume {volume.id} has a filesystem ({volume.filesystem}) and is not offered raw",
            "create it with volumeMode Block",
        )
    if not access.block and not volume.filesystem:
        raise WrongState(
            f"volume {volume.id} is a raw block volume and cannot be mounted",
            "create it with volumeMode Filesystem",
        )
    if not access.block and access.filesystem not in {"", volume.filesystem}:
        raise WrongState(
            f"volume {volume.id} has {volume.filesystem}, not {access.filesystem}",
            "ask for the filesystem that it was created with",
        )
