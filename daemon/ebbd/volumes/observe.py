"""What can be said of a volume's state now: fill, openers, mounts, condition. No LVM command."""

from collections.abc import Sequence
from dataclasses import dataclass

from ebbd.errors import InvalidInput, NotFound, WrongState
from ebbd.host.values import DeviceInfo, Mount, Usage
from ebbd.model import Volume
from ebbd.volumes.devices import Devices
from ebbd.volumes.operations import finish
from ebbd.volumes.paths import check_path
from ebbd.volumes.store import Store
from ebbd.volumes.use import filesystem_problem, mounts_at, mounts_of, shows


@dataclass(frozen=True, slots=True)
class Observation:
    """A volume as the kernel has it. `problem` is empty when nothing is wrong with it."""

    active: bool = False
    open_count: int = 0
    allocated_bytes: int = 0
    mount_paths: tuple[str, ...] = ()
    device: str = ""
    problem: str = ""


class Observer:
    """Reads; and the two verbs that act on a mounted filesystem, grow and trim."""

    def __init__(self, store: Store, devices: Devices) -> None:
        self._store = store
        self._devices = devices

    async def observe(self, volumes: Sequence[Volume]) -> list[Observation]:
        """One pass for many volumes: a device list per VG, one mount table."""
        host = self._store.host
        active = {vg: await host.dm.active(vg) for vg in {v.vg for v in volumes}}
        problems = {
            key: await self._store.pools.problem(*key) for key in {(v.vg, v.pool) for v in volumes}
        }
        table = await host.mounts.table() if any(active.values()) else ()
        return [
            await self._observe(v, active[v.vg].get(v.lv_name), table, problems[v.vg, v.pool])
            for v in volumes
        ]

    async def _observe(
        self, volume: Volume, info: DeviceInfo | None, table: Sequence[Mount], pool_problem: str
    ) -> Observation:
        pool_says = f"its pool {volume.vg}/{volume.pool}: {pool_problem}" if pool_problem else ""
        if info is None:
            return Observation(problem=pool_says)
        mounts = mounts_of(table, info)
        suspended = "its device is suspended" if info.suspended else ""
        try:
            allocated = await self._store.host.dm.mapped_bytes(volume.vg, volume.lv_name)
        except NotFound:  # taken down since the devices were listed
            return Observation(problem=pool_says)
        return Observation(
            active=True,
            open_count=info.open_count,
            allocated_bytes=allocated,
            mount_paths=tuple(dict.fromkeys(mount.target for mount in mounts)),
            device=self._devices.path(volume),
            problem=pool_says or suspended or filesystem_problem(mounts),
        )

    async def usage(self, volume_id: str, volume_path: str) -> tuple[Usage, str]:
        """Space at a path where the volume is staged or published, and what is wrong with it.

        For a raw block volume: its size, and what it has mapped as used.
        """
        volume = await self._store.require_volume(volume_id)
        info = await self._devices.info(volume)
        if volume.filesystem or info is None:
            mount = await self._mount_at(volume, info, volume_path)
            used = await self._store.host.filesystems.usage(mount.target)
        else:
            await self._require_path(volume_path)
            mapped = await self._store.host.dm.mapped_bytes(volume.vg, volume.lv_name)
            used = Usage(volume.lv_bytes, mapped, volume.lv_bytes - mapped, 0, 0, 0)
        [observation] = await self.observe([volume])
        return used, observation.problem

    async def _require_path(self, volume_path: str) -> None:
        """NotFound where nothing is, or where ebbd may not even look (CSI wants that code)."""
        try:
            path = check_path(volume_path, self._store.settings.allowed_directories)
            found = await self._store.host.mounts.exists(path)
        except (InvalidInput, WrongState) as refused:
            raise NotFound(refused.message, refused.remedy) from refused
        if not found:
            raise NotFound(f"there is nothing at {volume_path!r}", "give its published path")

    async def require_mount(self, volume_id: str, volume_path: str) -> None:
        """NotFound unless a volume with a filesystem is mounted at the path."""
        volume = await self._store.require_volume(volume_id)
        if volume.filesystem:
            await self._mount_at(volume, await self._devices.info(volume), volume_path)

    async def grow(self, volume_id: str, volume_path: str) -> None:
        """Let a mounted filesystem fill its device. Not mounted: nothing to do until it is
        staged, unless a path was named: then NotFound.
        """
        async with self._store.locks.hold(volume_id):
            volume = await self._store.require_volume(volume_id)
            info = await self._devices.info(volume)
            if volume_path and volume.filesystem:
                await self._mount_at(volume, info, volume_path)
            mounts = mounts_of(await self._store.host.mounts.table(), info) if info else []
            if volume.filesystem and mounts:
                await finish(
                    self._store.host.filesystems.grow(
                        self._devices.path(volume), volume.filesystem, mounts[0].target
                    )
                )

    async def trim(self, volume_id: str) -> int:
        """Give unused blocks of a mounted filesystem back to the pool; bytes."""
        async with self._store.locks.hold(volume_id):
            volume = await self._store.require_volume(volume_id)
            info = await self._devices.info(volume)
            mounts = mounts_of(await self._store.host.mounts.table(), info) if info else []
            if not volume.filesystem or not mounts:
                raise WrongState(
                    f"volume {volume.id} is not mounted, so nothing knows which blocks are free",
                    "trim it while it is in use; a raw block volume is trimmed by its consumer",
                )
            return await finish(self._store.host.filesystems.trim(mounts[0].target))

    async def _mount_at(self, volume: Volume, info: DeviceInfo | None, path: str) -> Mount:
        at_path = mounts_at(await self._store.host.mounts.table(), path.rstrip("/") or "/")
        if info is None or not at_path or not shows(at_path[-1], info):
            raise NotFound(
                f"volume {volume.id} is not mounted at {path!r}",
                "'ebb volume show' lists where it is",
            )
        return at_path[-1]
