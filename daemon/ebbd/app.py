"""The composition root: configuration in, a running daemon out."""

import asyncio
import secrets
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import structlog

from ebbd import __version__
from ebbd.api.node_service import NodeService
from ebbd.api.server import serving
from ebbd.api.services import Services
from ebbd.api.snapshot_service import SnapshotService
from ebbd.api.timeline_service import TimelineService
from ebbd.api.tls_server import serving_tls
from ebbd.api.volume_service import VolumeService
from ebbd.config import Config, PoolConfig
from ebbd.host.protocols import Host
from ebbd.inspect.checks import Check
from ebbd.inspect.diagnose import diagnose
from ebbd.inspect.gather import gather
from ebbd.notify import READY, STOPPING, ServiceManager
from ebbd.timeline.groups import Groups
from ebbd.timeline.rewind import Rewinding
from ebbd.timeline.snapshots import Snapshots
from ebbd.volumes.adoption import Adoption
from ebbd.volumes.attachment import Attachment
from ebbd.volumes.creation import Creation
from ebbd.volumes.devices import Devices
from ebbd.volumes.gc import Collector
from ebbd.volumes.lifecycle import Lifecycle
from ebbd.volumes.migration import migrate
from ebbd.volumes.observe import Observer
from ebbd.volumes.pools import PoolSpec
from ebbd.volumes.staging import Staging
from ebbd.volumes.store import Settings, Store, open_store

# A running LVM command is waited for anyway; this is for calls that still wait for their turn.
GRACE_S = 10.0
# As long as LVM itself tries to deactivate a device that is open.
RELEASE_S = 5.0


def settings_of(config: Config) -> Settings:
    return Settings(
        node_id=config.node.id,
        default_filesystem=config.defaults.filesystem,
        default_bytes=config.defaults.size,
        max_volumes=config.node.max_volumes or 0,
        allowed_directories=config.mounts.allowed_directories,
        release_s=RELEASE_S,
    )


def spec_of(pool: PoolConfig) -> PoolSpec:
    return PoolSpec(
        vg=pool.vg,
        pool=pool.pool,
        overcommit_ratio=pool.overcommit_ratio,
        devices=pool.devices or (),
        loop_file=pool.loop.file if pool.loop else "",
        loop_bytes=pool.loop.size if pool.loop else 0,
        size_bytes=pool.size,
        chunk_bytes=pool.chunk_size,
        vg_metadata_bytes=pool.metadata_size,
    )


@asynccontextmanager
async def daemon(
    config: Config, host: Host, log: structlog.stdlib.BoundLogger
) -> AsyncIterator[Store]:
    """Ebbd on this host: pools open, recovered, and the API answering while this is open."""
    _make_own_directories(config)
    store = await _opened(config, host, log)
    devices = Devices(store)
    observer = Observer(store, devices)
    collector = Collector(store)
    snapshots = Snapshots(store, now_ms=_now_ms)

    async def run_checks() -> Sequence[Check]:
        return diagnose(await gather(store, observer, collector))

    services = Services(
        NodeService(store, run_checks, collector),
        VolumeService(
            store,
            Creation(store, now_ms=_now_ms, new_incarnation=_new_incarnation),
            Lifecycle(store),
            Attachment(store),
            Staging(store, devices),
            observer,
            Adoption(store, now_ms=_now_ms, new_incarnation=_new_incarnation),
        ),
        SnapshotService(snapshots, Groups(store, snapshots, now_ms=_now_ms)),
        TimelineService(Rewinding(store, devices, now_ms=_now_ms), observer),
    )
    async with (
        store.serve(),
        serving(config.api.socket, config.api.group, services, log, grace_s=GRACE_S),
        serving_tls(
            config.api.listen,
            config.node.id,
            store.naming.key,
            services,
            log,
            grace_s=GRACE_S,
        ),
    ):
        log.info("ready", version=__version__, node=config.node.id, socket=config.api.socket)
        yield store


async def _opened(config: Config, host: Host, log: structlog.stdlib.BoundLogger) -> Store:
    return await open_store(
        host,
        settings_of(config),
        [spec_of(pool) for pool in config.pools],
        default_pool=config.default_pool or "",
        node_key=config.node.key or "",
        say=lambda line: log.warning("recovered", what=line),
    )


def _make_own_directories(config: Config) -> None:
    """Of the directories to mount under, those in our own run directory; others are others'."""
    for directory in config.mounts.allowed_directories:
        if Path(directory).is_relative_to(config.run_directory):
            Path(directory).mkdir(parents=True, exist_ok=True, mode=0o755)


async def run(
    config: Config, host: Host, log: structlog.stdlib.BoundLogger, manager: ServiceManager
) -> None:
    """Run until SIGTERM or SIGINT, then stop in order: calls, writers, LVM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(host.lvm.close)
        await stack.enter_async_context(daemon(config, host, log))
        manager.tell(READY)
        await stop.wait()
        manager.tell(STOPPING)
        log.info("stopping")


async def migrate_tags(
    config: Config, host: Host, log: structlog.stdlib.BoundLogger, version: int
) -> None:
    """Instead of running: the tags of every VG made readable by an ebbd of this schema."""
    try:
        store = await _opened(config, host, log)
        async with store.serve():
            commits = await migrate(store, version, lambda line: log.info("migrated", what=line))
        log.info("tags are readable", schema=version, commits=commits)
    finally:
        await host.lvm.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _new_incarnation() -> str:
    return secrets.token_hex(4)
