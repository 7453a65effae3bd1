"""The bench in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from contract.host.bench import GIB, POOL_BYTES, Bench
from ebbd.host import values
from ebbd.host.simulated.build import make_host
from ebbd.host.simulated.filesystems import SimulatedFilesystems
from ebbd.host.simulated.lvm import SimulatedLvm
from ebbd.host.simulated.machine import Machine

VG = "contract-vg"  # a hyphen: device-mapper doubles it
POOL = "pool0"


class SimulatedAdministrator:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._lvm = SimulatedLvm(machine)

    async def lvcreate(self, name: str, size_bytes: int) -> None:
        await self._lvm.create_thin(VG, POOL, name, size_bytes=size_bytes, tags=[])
        await self._lvm.activate(VG, name)

    async def lvremove(self, name: str) -> None:
        await self._lvm.remove(VG, [name])

    async def add_tag(self, name: str, tag: str) -> None:
        await self._lvm.change_tags(VG, name, add=[tag])

    async def make_thin_device(self, device_id: int) -> None:
        self._machine.pool(VG, POOL).store.create(device_id)

    async def suspend(self, name: str) -> None:
        self._machine.node(VG, name).suspended = True


class SimulatedConsumer:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._filesystems = SimulatedFilesystems(machine)
        self._numbers = count(1)

    async def write_chunk(self, device: str, chunk: int, byte: int) -> None:
        self._machine.device(device).write(chunk, 1, byte)

    async def read_chunk(self, device: str, chunk: int) -> int:
        found = self._machine.device(device).read(chunk)
        assert found is None or isinstance(found, int)
        return found or 0

    async def write_file(self, mountpoint: str, name: str, content: bytes) -> None:
        self._filesystems.write_file(mountpoint, name, len(content), content)

    async def read_file(self, mountpoint: str, name: str) -> bytes:
        found = self._filesystems.read_file(mountpoint, name)
        assert isinstance(found, bytes), f"there is no {name} in {mountpoint}"
        return found

    async def remove_file(self, mountpoint: str, name: str) -> None:
        self._filesystems.remove_file(mountpoint, name)

    @asynccontextmanager
    async def opening(self, device: str) -> AsyncIterator[str]:
        consumer = self._consumer()
        name = self._name_of(device)
        self._machine.open_device(VG, name, consumer)
        try:
            yield consumer.path
        finally:
            self._machine.close_device(VG, name)

    @asynccontextmanager
    async def sitting_in(self, mountpoint: str) -> AsyncIterator[str]:
        consumer = self._consumer()
        (mount,) = [mount for mount in self._machine.mounts if mount.target == mountpoint]
        name = self._name_of(mount.source)
        self._machine.use(VG, name, consumer)
        self._machine.busy_targets.add(mountpoint)
        try:
            yield consumer.path
        finally:
            self._machine.busy_targets.discard(mountpoint)
            self._machine.stop_using(VG, name)

    async def frozen(self, cgroup: str) -> bool:
        return cgroup in self._machine.frozen

    def _consumer(self) -> values.Consumer:
        number = next(self._numbers)
        return values.Consumer(f"/contract-{number}", (1000 + number,), freezable=True)

    def _name_of(self, device: str) -> str:
        found = self._machine.device(device)
        (name,) = [n for (_, n), node in self._machine.nodes.items() if node is found.node]
        return name


@asynccontextmanager
async def simulated_bench(directory: Path) -> AsyncIterator[Bench]:
    machine = Machine()
    host = make_host(machine, allowed_directories=[str(directory)])
    device = await host.blockdev.ensure_loop(str(directory / "pool.img"), POOL_BYTES + GIB)
    await host.lvm.ensure_volume_group(VG, [device], metadata_bytes=16 << 20, tags=[])
    await host.lvm.ensure_pool(VG, POOL, size_bytes=POOL_BYTES, chunk_bytes=None)
    await host.lvm.activate_pool(VG, POOL)
    yield Bench(
        host=host,
        vg=VG,
        pool=POOL,
        directory=str(directory),
        file=str(directory / "second.img"),
        administrator=SimulatedAdministrator(machine),
        consumer=SimulatedConsumer(machine),
        another_host=lambda: make_host(machine, allowed_directories=[str(directory)]),
    )
    await host.lvm.close()
