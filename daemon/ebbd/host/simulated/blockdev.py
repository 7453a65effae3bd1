"""Loop devices and device nodes of the simulated machine; no backing file is really made."""

from ebbd.host.simulated.faults import Step
from ebbd.host.simulated.machine import Machine, lv_paths


class SimulatedBlockdev:
    """`ebbd.host.protocols.Blockdev` in memory."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    async def ensure_loop(self, path: str, size_bytes: int) -> str:
        for disk in self._machine.disks.values():
            if disk.backing_file == path:
                return disk.path
        await self._machine.faults.start("ensure_loop")
        disk = self._machine.attach_file(path, size_bytes)
        await self._machine.faults.reach("ensure_loop", Step.DONE)
        return disk.path

    async def size_bytes(self, device: str) -> int:
        return self._machine.device(device).size_bytes

    def lv_device(self, vg: str, name: str) -> str:
        return lv_paths(vg, name)[0]
