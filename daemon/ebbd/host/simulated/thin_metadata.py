"""A pool's own metadata over the simulated machine: its thin devices, LV or no LV."""

from ebbd.errors import WrongState
from ebbd.host.simulated import groups
from ebbd.host.simulated.faults import Step
from ebbd.host.simulated.machine import Machine
from ebbd.host.simulated.state import PoolRecord

# Modes in which the kernel's pool takes no message (dm-thin.c, pool_message).
_NO_MESSAGES = frozenset({"ro", "fail"})


class SimulatedThinMetadata:
    """`ebbd.host.protocols.ThinMetadata` in memory."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    async def devices(self, vg: str, pool: str) -> dict[int, int]:
        record = self._taking_messages(vg, pool)
        store = record.store
        return {number: store.mapped(number) * record.chunk_bytes for number in store.devices}

    async def delete(self, vg: str, pool: str, device_id: int) -> None:
        record = self._taking_messages(vg, pool)
        await self._machine.faults.start("delete_thin_device")
        for lv in self._machine.group(vg).volumes.values():
            node = self._machine.nodes.get((vg, lv.name))
            if node is not None and (lv.pool, lv.device_id) == (pool, device_id):
                raise WrongState(
                    f"thin device {device_id} of {vg}/{pool} is open", "deactivate it first"
                )
        if device_id in record.store.devices:
            record.store.delete(device_id)
        await self._machine.faults.reach("delete_thin_device", Step.DONE)

    def _taking_messages(self, vg: str, pool: str) -> PoolRecord:
        record = self._machine.pool(vg, pool)
        self._machine.node(vg, groups.target_of(pool))
        if record.mode in _NO_MESSAGES:
            raise WrongState(
                f"pool {vg}/{pool} takes no message in its mode {record.mode}",
                "repair it first, see 'ebb doctor'",
            )
        return record
