"""A pool's own metadata: which thin devices it holds, whatever LVM believes.

A live pool's metadata device changes under a reader. The kernel therefore offers a snapshot of the
metadata (`reserve_metadata_snap`), which thin_ls reads and which is let go of right afterwards: it
keeps blocks from being freed as long as it is held (thin-provisioning.rst, "Messages").
"""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from ebbd.errors import HostFailure, WrongState
from ebbd.host.real.dm import RealDeviceMapper
from ebbd.host.real.names import dm_name
from ebbd.host.real.run import Runner

# Modes in which the kernel's pool takes no message (drivers/md/dm-thin.c, pool_message).
_NO_MESSAGES = frozenset({"ro", "fail"})
_SECTOR_BYTES = 512


class RealThinMetadata:
    """The ThinMetadata protocol with pool messages and thin_ls(8)."""

    def __init__(self, runner: Runner, dm: RealDeviceMapper) -> None:
        self._runner = runner
        self._dm = dm
        # A pool has one metadata snapshot: a second listing would let go of it under the first.
        self._one_at_a_time = asyncio.Lock()

    async def devices(self, vg: str, pool: str) -> dict[int, int]:
        await self._refuse_without_messages(vg, pool)
        self._runner.path("thin_ls")  # before anything is reserved
        async with self._one_at_a_time, self._metadata_snapshot(vg, pool):
            listed = await self._runner.run(
                "thin_ls",
                *("--metadata-snap", "--no-headers", "--format", "DEV,MAPPED_SECTORS"),
                f"/dev/mapper/{dm_name(vg, f'{pool}_tmeta')}",
                mutates=True,  # its caller may leave, but the snapshot is not to be leaked
            )
        return parse(listed.stdout)

    async def delete(self, vg: str, pool: str, device_id: int) -> None:
        await self._refuse_without_messages(vg, pool)
        try:
            await self._dm.message(vg, pool, f"delete {device_id}")
        except HostFailure as refused:
            code = refused.__cause__.errno if isinstance(refused.__cause__, OSError) else None
            if code == errno.ENODATA:
                return
            if code == errno.EBUSY:
                raise WrongState(
                    f"thin device {device_id} of {vg}/{pool} is open",
                    "dmsetup ls --tree shows what stands on the pool",
                ) from refused
            raise

    @asynccontextmanager
    async def _metadata_snapshot(self, vg: str, pool: str) -> AsyncIterator[None]:
        with suppress(HostFailure):  # EINVAL: there is none, as always but after a kill
            await self._dm.message(vg, pool, "release_metadata_snap")
        await self._dm.message(vg, pool, "reserve_metadata_snap")
        try:
            yield
        finally:
            await self._dm.message(vg, pool, "release_metadata_snap")

    async def _refuse_without_messages(self, vg: str, pool: str) -> None:
        status = await self._dm.pool_status(vg, pool)
        if status.mode in _NO_MESSAGES:
            raise WrongState(
                f"pool {vg}/{pool} takes no message in its mode {status.mode}",
                "repair it first, see 'ebb doctor'",
            )


def parse(listed: str) -> dict[int, int]:
    """`DEV MAPPED_SECTORS` a line to bytes by id. HostFailure names a line that is another."""
    found: dict[int, int] = {}
    for line in listed.splitlines():
        try:
            number, sectors = map(int, line.split())
        except ValueError as unknown:
            raise HostFailure(
                f"thin_ls said {line!r}, which is no device id and a number of sectors",
                "see thin_ls(8); its version is in 'ebb doctor'",
            ) from unknown
        found[number] = sectors * _SECTOR_BYTES
    return found
