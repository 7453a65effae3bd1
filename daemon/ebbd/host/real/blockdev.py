"""The Blockdev protocol: loop devices by losetup(8), device nodes by their names."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ebbd.errors import CommandFailed, HostFailure, NotFound, WrongState
from ebbd.host.real.machine_root import MachineRoot
from ebbd.host.real.names import checked, dm_name
from ebbd.host.real.offload import offload
from ebbd.host.real.run import Runner

_FILE_MODE = 0o600


class RealBlockdev:
    def __init__(self, runner: Runner, root: MachineRoot) -> None:
        self._runner = runner
        self._root = root

    async def ensure_loop(self, path: str, size_bytes: int) -> str:
        await offload(f"loop file {path}", self._make_file, path, size_bytes)
        if (device := await self._attached(path)) is not None:
            return device
        attach = ("--find", "--show", "--nooverlap")
        try:
            # Without it every block is cached twice, and a flush costs more than it must.
            done = await self._runner.run("losetup", *attach, "--direct-io=on", path, mutates=True)
        except CommandFailed:
            # tmpfs, or a file system whose blocks are larger than the loop device's sectors. When
            # it attached the device before it failed, that device is found and used.
            if (device := await self._attached(path)) is not None:
                return device
            done = await self._runner.run("losetup", *attach, path, mutates=True)
        return done.stdout.strip()

    async def size_bytes(self, device: str) -> int:
        return await offload(f"size of {device}", size_of, device)

    def lv_device(self, vg: str, name: str) -> str:
        return f"/dev/mapper/{dm_name(checked(vg), checked(name))}"

    async def _attached(self, path: str) -> str | None:
        done = await self._runner.run(
            "losetup",
            *("--json", "--list", "--output", "NAME,BACK-FILE", "--associated", path),
            mutates=False,
        )
        if not done.stdout.strip():
            return None
        try:
            devices = [str(row["name"]) for row in json.loads(done.stdout)["loopdevices"]]
        except (ValueError, KeyError) as error:
            raise HostFailure(f"losetup's answer cannot be read: {done.stdout!r}") from error
        if len(devices) > 1:
            raise WrongState(
                f"{path} is attached to {', '.join(devices)}: writing through two corrupts it",
                f"detach all but one: losetup --detach {devices[-1]}",
            )
        return devices[0] if devices else None

    def _make_file(self, path: str, size_bytes: int) -> None:
        file = self._root.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
        try:
            if os.fstat(descriptor).st_size == 0:
                os.ftruncate(descriptor, size_bytes)
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def opened(device: str, flags: int = 0) -> Iterator[int]:
    """A block device open for reading. Raises NotFound when there is no such device."""
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC | flags)
    except FileNotFoundError as error:
        raise NotFound(f"there is no device {device}", "is its volume active?") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def size_of(device: str) -> int:
    """Bytes of a block device. Blocks."""
    with opened(device) as descriptor:
        return os.lseek(descriptor, 0, os.SEEK_END)


def is_free(device: str) -> bool:
    """Nobody has it mounted or otherwise for himself, in whichever namespace. Blocks."""
    try:
        with opened(device, os.O_EXCL):
            return True
    except OSError as error:
        if error.errno == errno.EBUSY:
            return False
        raise
