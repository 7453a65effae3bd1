"""The Filesystems protocol: what is on a device, mkfs, growth, trim and usage.

Fresh identity for clones is a thought of its own: filesystem_identity.
"""

import os
import re
from collections.abc import Sequence

from ebbd.errors import CommandFailed, InvalidInput, SizeOutOfRange, WrongState
from ebbd.host.mkfs_options import check_mkfs_options
from ebbd.host.real.blockdev import is_free, opened, size_of
from ebbd.host.real.filesystem_identity import Identity
from ebbd.host.real.machine_root import MachineRoot
from ebbd.host.real.offload import offload
from ebbd.host.real.run import Runner
from ebbd.host.values import Usage

_MIB = 1 << 20
# The smallest that each kind's own mkfs takes (xfsprogs 5.19 and later; btrfs-progs with its
# default duplicated metadata). ext4 goes down to 256 KiB; below 2 MiB it has no journal.
SMALLEST_BYTES = {"ext4": 2 * _MIB, "xfs": 300 * _MIB, "btrfs": 109 * _MIB}

# None of them discards the device first: on a fresh thin LV there is nothing mapped to give back.
_MAKE = {
    "ext4": (
        "mkfs.ext4",
        ("-q", "-m", "0", "-E", "nodiscard", "-O", "metadata_csum_seed"),  # seed: see Identity
        "-F",
    ),
    "xfs": ("mkfs.xfs", ("-q", "-K"), "-f"),
    "btrfs": ("mkfs.btrfs", ("-q", "--nodiscard"), "--force"),
}
_BLANK = 2  # blkid: nothing found
_AMBIGUOUS = 8
_TRIMMED = re.compile(r"\((\d+) bytes\) trimmed")
_PROBED_BYTES = 1 << 16


class RealFilesystems:
    """mkfs and its relatives; `make_timeout_s` bounds what may write a lot."""

    def __init__(self, runner: Runner, root: MachineRoot, *, make_timeout_s: float) -> None:
        self._runner = runner
        self._root = root
        self._make_timeout_s = make_timeout_s
        self._identity = Identity(runner, timeout_s=make_timeout_s)

    async def signature(self, device: str) -> str | None:
        # blkid says "nothing found" of a device that cannot be read, too: be sure that it can.
        await offload(f"first bytes of {device}", _read_first, device)
        done = await self._runner.run(
            "blkid",
            *("--probe", "--output", "export", device),
            mutates=False,
            accepted=(0, _BLANK, _AMBIGUOUS),
        )
        if done.exit_code == _AMBIGUOUS:
            raise WrongState(
                f"{device} carries signatures that contradict each other",
                f"look at them with wipefs {device}; ebb does not guess",
            )
        if done.exit_code == _BLANK:
            return None
        found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
        return found.get("TYPE") or found.get("PTTYPE") or "unknown"

    async def make(
        self, device: str, kind: str, options: Sequence[str], *, overwrite: bool = False
    ) -> None:
        program, usual, force = _made_by(kind)
        check_mkfs_options(kind, options)
        if (size := await offload(f"size of {device}", size_of, device)) < SMALLEST_BYTES[kind]:
            raise SizeOutOfRange(
                f"{kind} needs at least {SMALLEST_BYTES[kind] // _MIB} MiB, "
                f"{device} has {size // _MIB} MiB",
                "ask for a larger volume or another file system",
            )
        if not await offload(f"exclusive open of {device}", is_free, device):
            raise WrongState(f"{device} is in use", "nothing was written; who has it mounted?")
        if not overwrite and (found := await self.signature(device)) is not None:
            raise WrongState(
                f"{device} is not blank: it holds {found}",
                "nothing was written; a volume with data is not formatted again",
            )
        try:
            await self._runner.run(
                program,
                *(*usual, force, *options, device),
                mutates=True,
                timeout_s=self._make_timeout_s,
            )
        except CommandFailed as error:
            if options and error.exit_code == 1:
                raise InvalidInput(
                    f"{program} refused {' '.join(options)}: {error.stderr}",
                    "check the mkfs options of the StorageClass",
                ) from error
            raise

    async def grow(self, device: str, kind: str, mountpoint: str) -> bool:
        _made_by(kind)
        before = (await self.usage(mountpoint)).total_bytes
        command = {
            "ext4": ("resize2fs", device),
            "xfs": ("xfs_growfs", "-d", mountpoint),
            "btrfs": ("btrfs", "filesystem", "resize", "max", mountpoint),
        }[kind]
        await self._runner.run(*command, mutates=True, timeout_s=self._make_timeout_s)
        return (await self.usage(mountpoint)).total_bytes > before

    async def renew_identity(self, device: str, kind: str) -> None:
        _made_by(kind)
        await self._identity.renew(device, kind)

    async def trim(self, mountpoint: str) -> int:
        done = await self._runner.run(
            "fstrim", "--verbose", mountpoint, mutates=True, timeout_s=self._make_timeout_s
        )
        found = _TRIMMED.search(done.stdout)
        return int(found[1]) if found else 0

    async def usage(self, mountpoint: str) -> Usage:
        path = self._root.path(mountpoint)
        return await offload(f"usage of {mountpoint}", _usage, os.fspath(path))


def _made_by(kind: str) -> tuple[str, tuple[str, ...], str]:
    if kind not in _MAKE:
        raise InvalidInput(f"{kind!r} is not a file system ebb makes", f"use {', '.join(_MAKE)}")
    return _MAKE[kind]


def _read_first(device: str) -> None:
    with opened(device) as descriptor:
        os.pread(descriptor, _PROBED_BYTES, 0)


def _usage(path: str) -> Usage:
    found = os.statvfs(path)
    return Usage(
        total_bytes=found.f_blocks * found.f_frsize,
        used_bytes=(found.f_blocks - found.f_bfree) * found.f_frsize,
        available_bytes=found.f_bavail * found.f_frsize,
        total_inodes=found.f_files,
        used_inodes=found.f_files - found.f_ffree,
        available_inodes=found.f_favail,
    )
