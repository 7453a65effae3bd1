"""The bench on the machine itself: a VG on a loop device, shared by the tests of one run.

Everything it types goes to LVM with a filter of its own, so no other VG is seen, let alone
touched.
"""

import asyncio
import os
import re
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from contract.host.bench import GIB, POOL_BYTES, Bench
from contract.host.suitability import CGROUPS
from ebbd.host.protocols import Host
from ebbd.host.real.build import make_host

POOL = "pool0"


async def run(*argv: str, check: bool = True) -> str:
    """A command's standard output; its failure is the test's."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert not check or process.returncode == 0, f"{argv} ended with {process.returncode}: {err!r}"
    return out.decode()


class RealAdministrator:
    def __init__(self, vg: str, device: str) -> None:
        self._vg = vg
        self._only_ours = only_device(device)

    async def lvm(self, command: str, *arguments: str) -> str:
        return await run("lvm", command, "--yes", "--config", self._only_ours, *arguments)

    async def suspend(self, name: str) -> None:
        await run("dmsetup", "suspend", "--noflush", "--nolockfs", self._dm_name(name))

    async def make_thin_device(self, device_id: int) -> None:
        names = (await run("dmsetup", "status", "--target", "thin-pool")).splitlines()
        ours = [n for n in (line.partition(":")[0] for line in names) if self._is_pool(n)]
        await run("dmsetup", "message", ours[0], "0", f"create_thin {device_id}")

    def _is_pool(self, dm_name: str) -> bool:
        return dm_name.removesuffix("-tpool") == self._dm_name(POOL)

    def _dm_name(self, name: str) -> str:
        return "-".join(part.replace("-", "--") for part in (self._vg, name))

    async def lvcreate(self, name: str, size_bytes: int) -> None:
        await self.lvm(
            "lvcreate", "--thin", "-V", f"{size_bytes}b", "-n", name, f"{self._vg}/{POOL}"
        )

    async def lvremove(self, name: str) -> None:
        await self.lvm("lvremove", f"{self._vg}/{name}")

    async def add_tag(self, name: str, tag: str) -> None:
        await self.lvm("lvchange", "--addtag", tag, f"{self._vg}/{name}")


class RealConsumer:
    def __init__(self, chunk_bytes: int) -> None:
        self._chunk_bytes = chunk_bytes

    async def write_chunk(self, device: str, chunk: int, byte: int) -> None:
        await asyncio.to_thread(self._write_chunk, device, chunk, byte)

    def _write_chunk(self, device: str, chunk: int, byte: int) -> None:
        descriptor = os.open(device, os.O_WRONLY | os.O_CLOEXEC)
        try:
            data = bytes([byte]) * self._chunk_bytes
            assert os.pwrite(descriptor, data, chunk * self._chunk_bytes) == self._chunk_bytes
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    async def read_chunk(self, device: str, chunk: int) -> int:
        return await asyncio.to_thread(self._read_chunk, device, chunk)

    def _read_chunk(self, device: str, chunk: int) -> int:
        descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.pread(descriptor, self._chunk_bytes, chunk * self._chunk_bytes)
        finally:
            os.close(descriptor)
        assert len(data) == self._chunk_bytes
        assert len(set(data)) == 1, "the chunk is torn"
        return data[0]

    async def write_file(self, mountpoint: str, name: str, content: bytes) -> None:
        await asyncio.to_thread((Path(mountpoint) / name).write_bytes, content)
        await run("sync", "--file-system", mountpoint)

    async def read_file(self, mountpoint: str, name: str) -> bytes:
        return await asyncio.to_thread((Path(mountpoint) / name).read_bytes)

    async def remove_file(self, mountpoint: str, name: str) -> None:
        await asyncio.to_thread((Path(mountpoint) / name).unlink)
        await run("sync", "--file-system", mountpoint)

    @asynccontextmanager
    async def opening(self, device: str) -> AsyncIterator[str]:
        async with _process_with(f"exec 3<>{device}") as cgroup:
            yield cgroup

    @asynccontextmanager
    async def sitting_in(self, mountpoint: str) -> AsyncIterator[str]:
        async with _process_with(f"exec 3<>{mountpoint}/sitting") as cgroup:
            yield cgroup

    async def frozen(self, cgroup: str) -> bool:
        events = (CGROUPS / cgroup.lstrip("/") / "cgroup.events").read_text(encoding="ascii")
        return re.search(r"^frozen 1$", events, re.MULTILINE) is not None


@asynccontextmanager
async def _process_with(opening: str) -> AsyncIterator[str]:
    """A shell in a cgroup of its own that opens what it is told and then waits."""
    name = f"/contract-{uuid.uuid4().hex[:8]}"
    group = CGROUPS / name.lstrip("/")
    group.mkdir()
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        f"echo $$ > {group}/cgroup.procs && {opening} && echo ready && exec sleep infinity",
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield name
    finally:
        (group / "cgroup.freeze").write_text("0", encoding="ascii")
        process.send_signal(signal.SIGKILL)
        await process.wait()
        group.rmdir()


@dataclass(frozen=True, slots=True)
class Ground:
    """A VG with a pool that the tests of one run share: making it takes seconds each time."""

    vg: str
    device: str
    folder: Path


async def make_ground(folder: Path) -> Ground:
    vg = f"contract-{uuid.uuid4().hex[:8]}"
    host = _host(folder)
    device = await host.blockdev.ensure_loop(str(folder / "pool.img"), POOL_BYTES + GIB)
    await host.lvm.ensure_volume_group(vg, [device], metadata_bytes=16 << 20, tags=[])
    await host.lvm.ensure_pool(vg, POOL, size_bytes=POOL_BYTES, chunk_bytes=None)
    await host.lvm.activate_pool(vg, POOL)
    await host.lvm.close()
    return Ground(vg, device, folder)


@asynccontextmanager
async def real_bench(directory: Path, ground: Ground) -> AsyncIterator[Bench]:
    host = make_host(
        run_directory=str(directory / "run"), deadline_s=60.0, devices={ground.vg: [ground.device]}
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(clear, directory)
        stack.push_async_callback(host.lvm.close)
        stack.push_async_callback(_remove_all, host, ground.vg)
        stack.push_async_callback(_unmount_below, directory)
        pool = (await host.lvm.read(ground.vg)).pools[POOL]
        yield Bench(
            host=host,
            vg=ground.vg,
            pool=POOL,
            directory=str(directory),
            file=str(directory / "second.img"),
            administrator=RealAdministrator(ground.vg, ground.device),
            another_host=lambda: _host(directory / "another"),
            consumer=RealConsumer(pool.chunk_bytes),
        )


def _host(directory: Path) -> Host:
    return make_host(run_directory=str(directory / "run"), deadline_s=60.0)


async def _remove_all(host: Host, vg: str) -> None:
    """Every thin LV that a test left, through the host's own shell: a process takes much longer."""
    if names := list((await host.lvm.read(vg)).volumes):
        await host.lvm.remove(vg, names)


async def _unmount_below(directory: Path) -> None:
    table = await asyncio.to_thread(Path("/proc/self/mountinfo").read_text, "utf-8")
    for target in reversed([line.split()[4] for line in table.splitlines()]):
        if target.startswith(f"{directory}/"):
            await run("umount", target)


async def clear(directory: Path) -> None:
    """Take away the loop devices on files below a directory, and the VGs on them."""
    listed = await run("losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE")
    for line in listed.splitlines():
        device, _, file = line.partition(" ")
        if not file.strip().startswith(f"{directory}/"):
            continue
        only = only_device(device)
        found = await run(
            "lvm", "pvs", "--config", only, "--noheadings", "--options", "vg_name", check=False
        )
        if vg := found.strip():
            await run("lvm", "vgremove", "--yes", "--force", "--config", only, vg)
        await run("losetup", "--detach", device)


def only_device(device: str) -> str:
    """LVM configuration that sees one device and no other."""
    return f'devices {{ global_filter = [ "a|^{device}$|", "r|.*|" ] }}'
