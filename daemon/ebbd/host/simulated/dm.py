"""device-mapper over the simulated machine: what is active, how full, how shared."""

from dataclasses import replace

from ebbd.errors import HostFailure
from ebbd.host.simulated import groups
from ebbd.host.simulated.machine import DM_MAJOR, Machine, dm_name
from ebbd.host.simulated.state import LAYER, Node
from ebbd.host.values import DeviceInfo, PoolStatus


class SimulatedDeviceMapper:
    """`ebbd.host.protocols.DeviceMapper` in memory."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    async def info(self, vg: str, name: str) -> DeviceInfo | None:
        node = self._machine.nodes.get((vg, name))
        return None if node is None else self._info(node)

    async def active(self, vg: str) -> dict[str, DeviceInfo]:
        """An LV with layers is one entry: its own device where there is one."""
        nodes = [node for node in self._machine.nodes.values() if node.group == vg]
        found = {node.lv_name: self._info(node) for node in nodes if LAYER in node.name}
        found |= {node.name: self._info(node) for node in nodes if LAYER not in node.name}
        suspended = {node.lv_name for node in nodes if node.suspended}
        return {name: replace(info, suspended=name in suspended) for name, info in found.items()}

    async def pool_status(self, vg: str, pool: str) -> PoolStatus:
        record = self._machine.pool(vg, pool)
        self._machine.node(vg, groups.target_of(pool))
        if record.failed:
            return PoolStatus(record.mode)
        return PoolStatus(
            mode=record.mode,
            transaction_id=record.kernel_transaction_id,
            used_metadata_blocks=record.used_metadata_blocks,
            total_metadata_blocks=record.total_metadata_blocks,
            used_data_blocks=record.store.used,
            total_data_blocks=record.store.blocks,
            error_when_full=record.error_when_full,
            needs_check=record.mode == "ro",
        )

    async def mapped_bytes(self, vg: str, name: str) -> int:
        self._machine.node(vg, name)
        lv = groups.volume(self._machine.group(vg), name)
        pool = self._machine.pool(vg, lv.pool)
        return pool.store.mapped(lv.device_id) * pool.chunk_bytes

    async def resume(self, vg: str, name: str) -> None:
        layers = [n for n in self._machine.nodes.values() if (n.group, n.lv_name) == (vg, name)]
        for node in layers or [self._machine.node(vg, name)]:
            node.suspended = False

    async def pool_has(self, vg: str, pool: str, device_id: int) -> bool:
        record = self._machine.pool(vg, pool)
        self._machine.node(vg, groups.target_of(pool))
        return device_id in record.store.devices

    async def set_transaction_id(self, vg: str, pool: str, *, current: int, new: int) -> None:
        record = self._machine.pool(vg, pool)
        self._machine.node(vg, groups.target_of(pool))
        if record.kernel_transaction_id != current:
            raise HostFailure(
                f"{vg}/{pool}: the kernel's transaction id is {record.kernel_transaction_id}, "
                f"not {current}",
                "read the pool's status again",
            )
        record.kernel_transaction_id = new

    def _info(self, node: Node) -> DeviceInfo:
        return DeviceInfo(
            name=dm_name(node.group, node.name),
            uuid=node.uuid,
            major=DM_MAJOR,
            minor=node.minor,
            open_count=self._machine.open_count(node),
            suspended=node.suspended,
            read_only=node.read_only,
        )
