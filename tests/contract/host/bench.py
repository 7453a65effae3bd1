"""What a contract test does to a host from outside of the protocols.

A consumer writes and reads, opens a device, sits in a mount; an administrator types LVM commands.
There is one bench a test, with a VG and a thin pool of its own.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from ebbd.host.protocols import Host
from ebbd.host.values import DeviceInfo, PoolStatus

MIB = 1024 * 1024
GIB = 1024 * MIB
POOL_BYTES = 3 * GIB
_SETTLING_S = 20


class Administrator(Protocol):
    """Somebody else with a root shell."""

    async def lvcreate(self, name: str, size_bytes: int) -> None:
        """A thin LV in the bench's pool, left active as lvcreate does."""

    async def lvremove(self, name: str) -> None: ...

    async def add_tag(self, name: str, tag: str) -> None: ...

    async def make_thin_device(self, device_id: int) -> None:
        """A thin device in the bench's pool that LVM knows nothing of (a pool message)."""

    async def suspend(self, name: str) -> None:
        """`dmsetup suspend`: what a killed LVM leaves behind."""


class Consumer(Protocol):
    """A process that uses a volume."""

    async def write_chunk(self, device: str, chunk: int, byte: int) -> None:
        """Fill one chunk (of the pool's chunk size) of a device with this byte, and sync."""

    async def read_chunk(self, device: str, chunk: int) -> int:
        """The byte that a chunk is filled with; another filling is an assertion error."""

    async def write_file(self, mountpoint: str, name: str, content: bytes) -> None:
        """Write and sync a file."""

    async def read_file(self, mountpoint: str, name: str) -> bytes: ...

    async def remove_file(self, mountpoint: str, name: str) -> None:
        """Remove and sync."""

    def opening(self, device: str) -> AbstractAsyncContextManager[str]:
        """A process has the device open; its cgroup's path (as `Consumer.path` has it)."""

    def sitting_in(self, mountpoint: str) -> AbstractAsyncContextManager[str]:
        """A process has a file of the mount open; its cgroup's path."""

    async def frozen(self, cgroup: str) -> bool:
        """Are the processes of this cgroup frozen now?"""


@dataclass(frozen=True, slots=True)
class Bench:
    """`directory` exists and may be mounted under; `file` is a backing file not made yet."""

    host: Host
    vg: str
    pool: str
    directory: str
    file: str
    administrator: Administrator
    consumer: Consumer
    another_host: Callable[[], Host]  # a daemon started again on this machine

    async def volume(self, name: str = "v1", size_bytes: int = GIB, *tags: str) -> str:
        """A new active thin LV; its device."""
        await self.host.lvm.create_thin(
            self.vg, self.pool, name, size_bytes=size_bytes, tags=list(tags)
        )
        await self.host.lvm.activate(self.vg, name)
        return self.host.blockdev.lv_device(self.vg, name)

    async def snapshot(self, origin: str, name: str, *, read_only: bool = False) -> str:
        """A new active snapshot; its device."""
        await self.host.lvm.create_snapshot(self.vg, origin, name, tags=[], read_only=read_only)
        await self.host.lvm.activate(self.vg, name)
        return self.host.blockdev.lv_device(self.vg, name)

    async def status(self) -> PoolStatus:
        return await self.host.dm.pool_status(self.vg, self.pool)

    async def another_command(self, lines: int) -> None:
        """Until LVM has been given more than `lines` command lines."""
        while self.host.lvm.command_lines <= lines:  # noqa: ASYNC110 - no host has an event for it
            await asyncio.sleep(0)

    async def thawed(self, cgroup: str) -> None:
        """Until the cgroup's processes run again."""
        while await self.consumer.frozen(cgroup):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)

    async def info(self, name: str) -> DeviceInfo:
        """Of a device that must be active."""
        found = await self.host.dm.info(self.vg, name)
        assert found is not None, f"{name} is not active"
        return found

    async def opened(self, name: str, times: int) -> None:
        """Until the device's open count is this: udev looks into a device that somebody closed,
        and holds it open meanwhile.
        """
        found = await self.info(name)
        for _ in range(_SETTLING_S * 50):
            if found.open_count == times:
                return
            await asyncio.sleep(0.02)
            found = await self.info(name)
        raise AssertionError(f"{name} is opened {found.open_count} times, not {times}")

    async def place(self, name: str) -> str:
        """A new directory to mount on."""
        path = f"{self.directory}/{name}"
        await self.host.mounts.make_directory(path)
        return path

    async def mounted(self, device: str, name: str, filesystem: str = "ext4", *options: str) -> str:
        """The device mounted on a new directory."""
        place = await self.place(name)
        await self.host.mounts.mount(device, place, filesystem, options)
        return place
