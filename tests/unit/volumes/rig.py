"""A simulated node for the engine: one machine, daemons that come and go on it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from contract.volumes.engine import Engine, running
from ebbd.host.protocols import Host
from ebbd.host.simulated.build import make_host
from ebbd.host.simulated.faults import Crash, Faults, Hold, Step
from ebbd.host.simulated.filesystems import SimulatedFilesystems
from ebbd.host.simulated.lvm import SimulatedLvm
from ebbd.host.simulated.machine import Machine
from ebbd.volumes.pools import PoolSpec
from ebbd.volumes.store import REOPEN_S

GIB = 1024**3
VG = "vg0"
POOL = "pool0"


async def no_time(_seconds: float) -> None:
    """A sleep that takes none."""


class Rig:
    """One machine with one disk; `start` is a daemon on it, again and again."""

    def __init__(self, directory: Path, *, ratio: float = 10.0, disk_bytes: int = 8 * GIB) -> None:
        self.machine = Machine(faults=Faults(no_time))
        self.machine.add_disk("/dev/vdb", disk_bytes)
        directory.mkdir(exist_ok=True)
        self.directory = str(directory)
        self.specs = [PoolSpec(VG, POOL, ratio, devices=("/dev/vdb",))]
        self._numbers = (count(1_700_000_000_000), count(1))
        self._holds: list[Hold] = []

    @property
    def administrator(self) -> SimulatedLvm:
        """Somebody else with a root shell."""
        return SimulatedLvm(self.machine)

    @property
    def files(self) -> SimulatedFilesystems:
        return SimulatedFilesystems(self.machine)

    def host(self) -> Host:
        return make_host(self.machine, allowed_directories=[self.directory])

    def hold(self, operation: str, step: Step, *, nth: int = 1) -> Hold:
        """An operation waits at a step until it is released, at the latest by the daemon's end."""
        held = self.machine.faults.hold(operation, step, nth=nth)
        self._holds.append(held)
        return held

    @asynccontextmanager
    async def start(
        self, *, max_volumes: int = 0, freeze_s: float = 10.0, reopen_s: float = REOPEN_S
    ) -> AsyncIterator[Engine]:
        """A daemon on this machine; its LVM has been waited for when it is gone."""
        host = self.host()
        try:
            async with running(
                host,
                self.specs,
                self.directory,
                max_volumes=max_volumes,
                freeze_s=freeze_s,
                reopen_s=reopen_s,
                numbers=self._numbers,
            ) as engine:
                try:
                    yield engine
                finally:
                    # A test that failed while it held something must not wait for it for ever.
                    for held in self._holds:
                        held.release.set()
        finally:
            await host.lvm.close()

    async def dies(self, act: Callable[[Engine], Awaitable[object]], at_step: int) -> None:
        """A daemon that dies at this step of what it does; anything else is a failure."""
        try:
            async with self.start() as engine:
                self.machine.faults.crash_at(at_step)
                await act(engine)
        except BaseException as died:
            if not only_crashes(died):
                raise
        else:
            raise AssertionError(f"it did not die at step {at_step}")
        finally:
            self.machine.faults.clear()

    async def dies_starting(self, at_step: int) -> bool:
        """A daemon that dies at this step of its recovery; False: its start has fewer steps."""
        self.machine.faults.crash_at(at_step)
        try:
            async with self.start():
                return False
        except BaseException as died:
            if not only_crashes(died):
                raise
            return True
        finally:
            self.machine.faults.clear()

    async def steps(self, act: Callable[[Engine], Awaitable[object]]) -> list[str]:
        """What it passes when nothing happens to it."""
        async with self.start() as engine:
            self.machine.faults.clear()
            await act(engine)
            return [f"{operation} {step}" for operation, step in self.machine.faults.passed]

    def assert_sound(self) -> None:
        """The pool's devices are the VG's LVs, and nothing is suspended or half agreed."""
        group = self.machine.groups[VG]
        pool = group.pools[POOL]
        listed = {lv.device_id for lv in group.volumes.values()}
        leaving = {message.device_id for message in pool.messages if message.name is None}
        assert listed <= pool.store.devices, "an LV that the pool does not know"
        assert pool.store.devices <= listed | leaving, "a device that no LV stands for"
        ahead = pool.transaction_id - pool.kernel_transaction_id
        assert ahead in ({0, 1} if leaving else {0}), "LVM and the kernel disagree"
        assert not [n.name for n in self.machine.nodes.values() if n.suspended]
        assert not self.machine.frozen


def only_crashes(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(only_crashes(one) for one in error.exceptions)
    return isinstance(error, Crash)
