"""A simulated machine with a VG and a pool, and a clock that only counts."""

from dataclasses import dataclass, field
from pathlib import Path

from ebbd.host.protocols import Host
from ebbd.host.simulated.build import make_host
from ebbd.host.simulated.faults import Faults
from ebbd.host.simulated.lvm import SimulatedLvm
from ebbd.host.simulated.machine import Machine
from ebbd.host.values import PoolStatus, ThinPool, VolumeGroup

GIB = 2**30
VG, POOL = "vg", "pool"
FILE = "/var/lib/ebb/pool.img"


@dataclass(slots=True)
class Clock:
    slept_s: list[float] = field(default_factory=list)

    async def sleep(self, duration_s: float) -> None:
        if duration_s:
            self.slept_s.append(duration_s)


@dataclass(slots=True)
class Bench:
    machine: Machine
    host: Host
    clock: Clock
    directory: Path

    @property
    def lvm(self) -> SimulatedLvm:
        """A second administrator: nothing armed happens to him."""
        return SimulatedLvm(self.machine)

    async def create(self, name: str = "v1") -> int:
        return await self.host.lvm.create_thin(VG, POOL, name, size_bytes=GIB, tags=["t"])

    async def snapshot(self, origin: str = "v1", name: str = "s1") -> int:
        return await self.host.lvm.create_snapshot(VG, origin, name, tags=[], read_only=True)

    async def group(self) -> VolumeGroup:
        return await self.host.lvm.read(VG)

    async def pool(self) -> ThinPool:
        return (await self.group()).pools[POOL]

    async def status(self) -> PoolStatus:
        return await self.host.dm.pool_status(VG, POOL)

    async def gap(self) -> int:
        """How far LVM's transaction id is ahead of the kernel's."""
        return (await self.pool()).transaction_id - (await self.status()).transaction_id

    async def known(self, name: str) -> bool:
        """Does the kernel's pool know this LV?"""
        device_id = (await self.group()).volumes[name].device_id
        assert device_id is not None
        return await self.host.dm.pool_has(VG, POOL, device_id)


async def make_bench(directory: Path) -> Bench:
    clock = Clock()
    machine = Machine(faults=Faults(clock.sleep, deadline_s=60))
    host = make_host(machine, allowed_directories=[str(directory)])
    device = await host.blockdev.ensure_loop(FILE, 10 * GIB)
    await host.lvm.ensure_volume_group(VG, [device], metadata_bytes=1 << 20, tags=[])
    await host.lvm.ensure_pool(VG, POOL, size_bytes=4 * GIB, chunk_bytes=None)
    await host.lvm.activate_pool(VG, POOL)
    machine.faults.clear()
    return Bench(machine, host, clock, directory)
