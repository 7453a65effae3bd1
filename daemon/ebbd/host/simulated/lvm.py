"""LVM over the simulated machine: the same two commits around a pool message as the real one.

Each mutation is a walk of `Step`s; between them a test can kill it, and what is on the machine
then is what a killed LVM leaves. A command goes on to its end when its caller is cancelled.

A second instance on the same machine is a second administrator: its commands change the VG
and its seqno, and are nobody's `command_lines` but its own.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from ebbd.errors import CommandFailed, NotFound, Unavailable, WrongState
from ebbd.host import commits
from ebbd.host.simulated import groups
from ebbd.host.simulated.faults import Faults, Step
from ebbd.host.simulated.machine import Machine
from ebbd.host.simulated.messages import flush, send
from ebbd.host.simulated.state import Group, LvRecord, Message, Node, PoolRecord
from ebbd.host.values import VolumeGroup

T = TypeVar("T")


class SimulatedLvm:
    """`ebbd.host.protocols.Lvm` in memory; `faults` None: an administrator nothing happens to."""

    def __init__(self, machine: Machine, faults: Faults | None = None) -> None:
        self._machine = machine
        self._faults = faults or Faults()
        self._running: set[asyncio.Task[Any]] = set()
        self._command_lines = 0

    @property
    def command_lines(self) -> int:
        return self._command_lines

    async def close(self) -> None:
        while self._running:
            await asyncio.wait(self._running)
        for vg in [vg for vg, holder in self._machine.claims.items() if holder is self]:
            del self._machine.claims[vg]

    async def claim(self, vg: str) -> None:
        self._machine.group(vg)
        if self._machine.claims.setdefault(vg, self) is not self:
            raise Unavailable(
                f"VG {vg} is another ebbd's", "stop that one, or give this one pools of its own"
            )

    # ---- reads ----

    async def seqno(self, vg: str) -> int:
        return self._machine.group(vg).seqno

    async def read(self, vg: str) -> VolumeGroup:
        return self._machine.group(vg).value()

    # ---- VGs and pools ----

    async def ensure_volume_group(
        self, vg: str, devices: Sequence[str], *, metadata_bytes: int, tags: Sequence[str]
    ) -> bool:
        if groups.made_already(self._machine, vg, devices):
            return False
        groups.check_tags(tags)
        return await self._command(
            "ensure_volume_group",
            self._make_volume_group(vg, devices, metadata_bytes=metadata_bytes, tags=tags),
        )

    async def _make_volume_group(
        self, vg: str, devices: Sequence[str], *, metadata_bytes: int, tags: Sequence[str]
    ) -> bool:
        await self._faults.start("ensure_volume_group")
        groups.make_volume_group(
            self._machine, vg, devices, metadata_bytes=metadata_bytes, tags=tags
        )
        await self._faults.reach("ensure_volume_group", Step.DONE)
        return True

    async def ensure_pool(
        self, vg: str, pool: str, *, size_bytes: int | None, chunk_bytes: int | None
    ) -> bool:
        group = self._machine.group(vg)
        if pool in group.pools:
            return False
        return await self._command(
            "ensure_pool",
            self._make_pool(group, pool, size_bytes=size_bytes, chunk_bytes=chunk_bytes),
        )

    async def _make_pool(
        self, group: Group, pool: str, *, size_bytes: int | None, chunk_bytes: int | None
    ) -> bool:
        async with group.lock:
            await self._faults.start("ensure_pool")
            groups.refuse_taken(group, pool)
            groups.make_pool(
                self._machine, group, pool, size_bytes=size_bytes, chunk_bytes=chunk_bytes
            )
            await self._faults.reach("ensure_pool", Step.DONE)
        return True

    async def activate_pool(self, vg: str, pool: str) -> None:
        record = self._machine.pool(vg, pool)
        if (vg, pool) in self._machine.nodes:
            return
        await self._command("activate_pool", self._activate_pool(vg, record))

    async def _activate_pool(self, vg: str, record: PoolRecord) -> None:
        async with self._machine.group(vg).lock:
            await self._faults.start("activate_pool")
            groups.raise_pool(self._machine, vg, record)
            groups.add_node(self._machine, vg, record.name, record.uuid)
            await self._faults.reach("activate_pool", Step.DONE)

    # ---- thin LVs ----

    async def create_thin(
        self, vg: str, pool: str, name: str, *, size_bytes: int, tags: Sequence[str]
    ) -> int:
        group, record = self._machine.group(vg), self._machine.pool(vg, pool)
        groups.check_tags(tags)
        size = -(-size_bytes // group.extent_bytes) * group.extent_bytes
        await self._command(
            "create_thin",
            self._create("create_thin", group, record, name, None, size, frozenset(tags)),
        )
        return commits.CREATE_THIN

    async def create_snapshot(
        self, vg: str, origin: str, name: str, *, tags: Sequence[str], read_only: bool
    ) -> int:
        group = self._machine.group(vg)
        source = groups.volume(group, origin)
        groups.check_tags(tags)
        await self._command(
            "create_snapshot",
            self._create(
                "create_snapshot",
                group,
                group.pools[source.pool],
                name,
                source,
                source.size_bytes,
                frozenset(tags),
                read_only=read_only,
            ),
        )
        return commits.CREATE_SNAPSHOT

    async def _create(
        self,
        operation: str,
        group: Group,
        pool: PoolRecord,
        name: str,
        origin: LvRecord | None,
        size_bytes: int,
        tags: frozenset[str],
        *,
        read_only: bool = False,
    ) -> None:
        async with group.lock:
            await self._faults.start(operation)
            groups.refuse_taken(group, name)
            groups.check_room(group, pool, name, tags)
            self._flush(group, pool)
            lv = LvRecord(
                name=name,
                uuid=self._machine.new_id(),
                size_bytes=size_bytes,
                tags=tags,
                pool=pool.name,
                device_id=group.next_device_id,
                transaction_id=pool.transaction_id,
                origin=origin.name if origin else None,
                read_only=read_only,
            )
            pool.transaction_id += 1
            message = Message(lv.device_id, name, origin.device_id if origin else None)
            pool.messages.append(message)
            group.volumes[name] = lv
            group.seqno += 1
            await self._faults.reach(operation, Step.LISTED)
            node = self._machine.nodes.get((group.name, origin.name)) if origin else None
            if node is not None:
                node.suspended = True
                await self._faults.reach(operation, Step.SUSPENDED)
            await self._confirm(operation, group, pool, message, node)

    def _flush(self, group: Group, pool: PoolRecord) -> None:
        try:
            flush(pool)
        except Unavailable:
            # The attempt goes through suspend and resume before it fails.
            for node in self._machine.nodes.values():
                node.suspended = node.suspended and node.group != group.name
            raise

    async def _confirm(
        self,
        operation: str,
        group: Group,
        pool: PoolRecord,
        message: Message,
        suspended: Node | None,
    ) -> None:
        """The second half: the kernel's pool acts, its transaction id follows, LVM notes it."""
        send(pool, message)
        await self._faults.reach(operation, Step.SENT)
        pool.kernel_transaction_id = pool.transaction_id
        await self._faults.reach(operation, Step.BUMPED)
        if suspended is not None:
            suspended.suspended = False
        pool.messages.clear()
        group.seqno += 1
        await self._faults.reach(operation, Step.DONE)

    async def remove(self, vg: str, names: Sequence[str]) -> int:
        group = self._machine.group(vg)
        await self._command("remove", self._remove(group, frozenset(names)))
        return commits.REMOVE_EACH * len(set(names))

    async def _remove(self, group: Group, names: frozenset[str]) -> None:
        async with group.lock:
            await self._faults.start("remove")
            in_use: list[str] = []
            absent = sorted(names - group.volumes.keys())
            for lv in [lv for lv in group.volumes.values() if lv.name in names]:
                node = self._machine.nodes.get((group.name, lv.name))
                if node is not None and self._machine.open_count(node):
                    in_use.append(lv.name)
                    continue
                await self._remove_one(group, lv)
        if in_use:
            raise WrongState(
                f"{group.name}/{', '.join(in_use)} is in use and was not removed",
                "unmount it and close its device first",
            )
        if absent:
            raise NotFound(f"there is no {group.name}/{', '.join(absent)}", "list volumes again")

    async def _remove_one(self, group: Group, lv: LvRecord) -> None:
        pool = group.pools[lv.pool]
        self._flush(group, pool)  # an LV that was never made is made now, and then deleted
        pool.transaction_id += 1
        if self._machine.nodes.pop((group.name, lv.name), None):
            groups.drop_idle_pool(self._machine, group, pool)
        del group.volumes[lv.name]
        for other in [o for o in group.volumes.values() if o.origin == lv.name]:
            other.origin = None
        message = Message(lv.device_id)
        pool.messages.append(message)
        group.seqno += 1
        await self._faults.reach("remove", Step.UNLISTED)
        await self._confirm("remove", group, pool, message, None)

    async def extend(self, vg: str, name: str, *, size_bytes: int) -> int:
        group = self._machine.group(vg)
        groups.volume(group, name)
        return await self._command("extend", self._extend(group, name, size_bytes))

    async def _extend(self, group: Group, name: str, size_bytes: int) -> int:
        async with group.lock:
            await self._faults.start("extend")
            lv = groups.volume(group, name)
            size = -(-size_bytes // group.extent_bytes) * group.extent_bytes
            if size <= lv.size_bytes:
                return 0
            lv.size_bytes = size
            group.seqno += 1
            await self._faults.reach("extend", Step.DONE)
            return commits.EXTEND

    async def change_tags(
        self, vg: str, name: str | None, *, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> int:
        group = self._machine.group(vg)
        if name is not None:
            groups.volume(group, name)
        groups.check_tags([*add, *remove])
        await self._command("change_tags", self._change_tags(group, name, add, remove))
        return commits.CHANGE_TAGS

    async def _change_tags(
        self, group: Group, name: str | None, add: Sequence[str], remove: Sequence[str]
    ) -> None:
        async with group.lock:
            await self._faults.start("change_tags")
            if name is None:
                group.tags = (group.tags - set(remove)) | set(add)
            else:
                lv = groups.volume(group, name)
                lv.tags = (lv.tags - set(remove)) | set(add)
            group.seqno += 1
            await self._faults.reach("change_tags", Step.DONE)

    async def rename(self, vg: str, name: str, new_name: str) -> int:
        group = self._machine.group(vg)
        groups.volume(group, name)
        groups.refuse_taken(group, new_name)
        await self._command("rename", self._rename(group, name, new_name))
        return commits.RENAME

    async def _rename(self, group: Group, name: str, new_name: str) -> None:
        async with group.lock:
            await self._faults.start("rename")
            groups.rename(self._machine, group, name, new_name)
            group.seqno += 1
            await self._faults.reach("rename", Step.DONE)

    # ---- activation ----

    async def activate(self, vg: str, name: str) -> None:
        group = self._machine.group(vg)
        groups.volume(group, name)
        await self._command("activate", self._activate(group, name))

    async def _activate(self, group: Group, name: str) -> None:
        async with group.lock:
            await self._faults.start("activate")
            lv = groups.volume(group, name)
            if (group.name, name) in self._machine.nodes:
                return
            pool = group.pools[lv.pool]
            if lv.device_id not in pool.store.devices:
                raise CommandFailed(
                    ("lvchange", "-ay", f"{group.name}/{name}"),
                    5,
                    "device-mapper: reload ioctl failed: No data available",
                    "the pool never made this LV: recovery removes it",
                )
            groups.raise_pool(self._machine, group.name, pool)
            groups.add_node(self._machine, group.name, name, lv.uuid, read_only=lv.read_only)
            await self._faults.reach("activate", Step.DONE)

    async def deactivate(self, vg: str, name: str) -> None:
        group = self._machine.group(vg)
        groups.volume(group, name)
        await self._command("deactivate", self._deactivate(group, name))

    async def _deactivate(self, group: Group, name: str) -> None:
        async with group.lock:
            await self._faults.start("deactivate")
            lv = groups.volume(group, name)
            node = self._machine.nodes.get((group.name, name))
            if node is None:
                return
            if self._machine.open_count(node):
                raise WrongState(
                    f"{group.name}/{name} is in use", "unmount it and close its device first"
                )
            del self._machine.nodes[group.name, name]
            groups.drop_idle_pool(self._machine, group, group.pools[lv.pool])
            await self._faults.reach("deactivate", Step.DONE)

    # ---- the command line ----

    async def _command(self, operation: str, work: Coroutine[Any, Any, T]) -> T:
        """Run one command line to its end, whatever becomes of the caller."""
        self._command_lines += 1
        task = asyncio.create_task(work, name=f"lvm {operation}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(_retrieve)
        return await asyncio.shield(task)


def _retrieve(task: asyncio.Task[Any]) -> None:
    """A command whose caller has left may fail with nobody looking."""
    if not task.cancelled():
        task.exception()
