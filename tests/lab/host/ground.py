"""A VG with a thin pool on a loop device, and the real host that works on it."""

import asyncio
import os
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ebbd.host.protocols import Host
from ebbd.host.real.build import make_host

MIB = 1 << 20
GIB = 1 << 30
POOL = "pool0"
DEADLINE_S = 90.0


async def run(*argv: str, check: bool = True, environment: dict[str, str] | None = None) -> str:
    """A command's standard output; its failure is the test's."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "LC_ALL": "C", **(environment or {})},
    )
    out, _ = await process.communicate()
    assert not check or process.returncode == 0, f"{argv} ended with {process.returncode}: {out!r}"
    return out.decode()


def only(device: str) -> str:
    """LVM configuration that sees one device and no other."""
    return f'devices {{ global_filter = [ "a|^{device}$|", "r|.*|" ] }}'


@dataclass(frozen=True, slots=True)
class Ground:
    """`folder` is on a disk; ebbd's LVM configuration is in `folder`/run/lvm."""

    folder: Path
    vg: str
    device: str
    host: Host

    @property
    def lvm_folder(self) -> str:
        return f"{self.folder}/run/lvm"

    async def administrator(self, command: str, *arguments: str) -> str:
        """Somebody else types an LVM command."""
        return await run("lvm", command, "--config", only(self.device), *arguments)

    async def thin(self, name: str, *, active: bool = False) -> str:
        """A thin LV of 64 MiB; its device."""
        await self.host.lvm.create_thin(self.vg, POOL, name, size_bytes=64 * MIB, tags=[])
        if active:
            await self.host.lvm.activate(self.vg, name)
        return self.host.blockdev.lv_device(self.vg, name)

    async def remove_all(self) -> None:
        group = await self.host.lvm.read(self.vg)
        if group.volumes:
            await self.host.lvm.remove(self.vg, sorted(group.volumes))


@asynccontextmanager
async def opened(deadline_s: float = DEADLINE_S) -> AsyncIterator[Ground]:
    """A new VG with an active pool, and all of it gone afterwards."""
    async with AsyncExitStack() as stack:
        folder = Path(
            stack.enter_context(
                # Not below /tmp, which is memory in the lab and knows no direct IO.
                tempfile.TemporaryDirectory(dir="/var/tmp")
            )
        )
        vg = f"lab-{uuid.uuid4().hex[:8]}"
        host = make_host(run_directory=f"{folder}/run", deadline_s=deadline_s)
        device = await host.blockdev.ensure_loop(f"{folder}/pool.img", 3 * GIB)
        stack.push_async_callback(run, "losetup", "--detach", device)
        stack.push_async_callback(
            run, "lvm", "vgremove", "--yes", "--force", "--config", only(device), vg
        )
        stack.push_async_callback(host.lvm.close)
        await host.lvm.ensure_volume_group(vg, [device], metadata_bytes=16 * MIB, tags=["ours"])
        await host.lvm.ensure_pool(vg, POOL, size_bytes=2 * GIB, chunk_bytes=None)
        await host.lvm.activate_pool(vg, POOL)
        yield Ground(folder, vg, device, host)
