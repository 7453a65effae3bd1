"""The engine on some host: every room above the store, put together as the daemon does.

Contract tests open it on the bench's pool, unit tests on a simulated machine's; neither needs the
API. Time and incarnations count up, so that what was made first is told from what came later.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count

from ebbd.app import RELEASE_S
from ebbd.host.protocols import Host
from ebbd.model import Access, Created, Unchanged, Volume
from ebbd.timeline.groups import Groups
from ebbd.timeline.rewind import Rewinding
from ebbd.timeline.snapshots import Snapshots
from ebbd.volumes.adoption import Adoption
from ebbd.volumes.attachment import Attachment
from ebbd.volumes.creation import Creation, VolumeRequest
from ebbd.volumes.devices import Devices
from ebbd.volumes.gc import Collector
from ebbd.volumes.lifecycle import Lifecycle
from ebbd.volumes.observe import Observer
from ebbd.volumes.pools import PoolSpec
from ebbd.volumes.staging import Staging
from ebbd.volumes.store import REOPEN_S, Settings, Store, open_store

MIB = 1024 * 1024
NODE = "node-1"
FILESYSTEM = Access()
BLOCK = Access(block=True)


@dataclass(frozen=True, slots=True)
class Engine:
    """`directory` is where it may mount; `said` is what recovery did at the start."""

    host: Host
    store: Store
    creation: Creation
    lifecycle: Lifecycle
    adoption: Adoption
    attachment: Attachment
    devices: Devices
    staging: Staging
    observer: Observer
    snapshots: Snapshots
    groups: Groups
    rewinding: Rewinding
    collector: Collector
    directory: str
    said: list[str]

    async def create(
        self, name: str, size_mib: int = 64, *, source: str = "", **more: object
    ) -> Volume:
        """A volume of this size, made or found."""
        return (await self.request(name, size_mib, source=source, **more)).value

    async def request(
        self, name: str, size_mib: int = 64, *, source: str = "", **more: object
    ) -> Created[Volume] | Unchanged[Volume]:
        asked = VolumeRequest(name, size_mib * MIB, source=source, **more)  # type: ignore[arg-type] # fields by name
        return await self.creation.create(asked)

    def path(self, name: str) -> str:
        return f"{self.directory}/{name}"

    async def stage(self, volume: Volume, at: str = "", access: Access = FILESYSTEM) -> str:
        """Staged at a place named after the volume; the path."""
        path = self.path(at or f"stage-{volume.lv_name}")
        await self.staging.stage(volume.id, path, access)
        return path

    async def publish(
        self,
        volume: Volume,
        target: str,
        access: Access = FILESYSTEM,
        *,
        staged: str = "",
        read_only: bool = False,
    ) -> str:
        staging = staged or self.path(f"stage-{volume.lv_name}")
        path = self.path(target)
        await self.staging.publish(volume.id, staging, path, access, read_only=read_only)
        return path

    async def volumes(self) -> dict[str, Volume]:
        """By name."""
        return {v.name: v for v in (await self.store.catalog()).volumes.values()}


@asynccontextmanager
async def running(
    host: Host,
    specs: Sequence[PoolSpec],
    directory: str,
    *,
    max_volumes: int = 0,
    freeze_s: float = 10.0,
    reopen_s: float = REOPEN_S,
    numbers: tuple[Iterator[int], Iterator[int]] | None = None,
) -> AsyncIterator[Engine]:
    """The engine, recovered and writing. `numbers`: the clock and the incarnations, where a test
    starts the engine again and they must go on.
    """
    clock, incarnations = numbers or (count(1_700_000_000_000), count(1))
    said: list[str] = []
    settings = Settings(
        node_id=NODE,
        default_filesystem="ext4",
        default_bytes=64 * MIB,
        max_volumes=max_volumes,
        allowed_directories=(directory,),
        # udev looks at a real device after every unmount; nothing does at a simulated one.
        release_s=0.0 if host.simulated else RELEASE_S,
        reopen_s=reopen_s,
    )
    store = await open_store(host, settings, specs, default_pool="", node_key="", say=said.append)
    devices = Devices(store)
    snapshots = Snapshots(store, now_ms=lambda: next(clock))
    engine = Engine(
        host=host,
        store=store,
        creation=Creation(
            store, now_ms=lambda: next(clock), new_incarnation=lambda: f"{next(incarnations):08x}"
        ),
        lifecycle=Lifecycle(store),
        adoption=Adoption(
            store, now_ms=lambda: next(clock), new_incarnation=lambda: f"{next(incarnations):08x}"
        ),
        attachment=Attachment(store),
        devices=devices,
        staging=Staging(store, devices),
        observer=Observer(store, devices),
        snapshots=snapshots,
        groups=Groups(store, snapshots, now_ms=lambda: next(clock), freeze_s=freeze_s),
        rewinding=Rewinding(store, devices, now_ms=lambda: next(clock)),
        collector=Collector(store),
        directory=directory,
        said=said,
    )
    async with store.serve():
        yield engine
