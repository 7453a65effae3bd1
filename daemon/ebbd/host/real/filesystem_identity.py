"""A clone's own UUID.

Two mounted copies with one UUID are refused (xfs), mistaken for each other (btrfs) or merely found
by the wrong name (ext4). A clone of a mounted filesystem has a log to replay first, and the tools
refuse to touch the UUID before that.

ext4: `e2fsck -E journal_only` replays in user space. Every metadata checksum starts from the UUID
unless the seed is kept apart (metadata_csum_seed), so that feature is set first: then a new UUID is
one superblock, not a rewrite of all inodes.
xfs: only the kernel replays its log; one mount with `nouuid` in a mount namespace that dies with
the mounting process does, and nothing is left mounted whatever happens to ebbd.
btrfs: needs no replay; `-m` writes a new fsid in the superblock and keeps the one that every
block carries as metadata_uuid (Linux 5.0). The kernel replays the log tree at the next mount.
"""

import asyncio
import os

from ebbd.errors import HostFailure, WrongState
from ebbd.host.real.blockdev import is_free, opened
from ebbd.host.real.offload import offload
from ebbd.host.real.run import Runner

_SCRATCH = "/run"
_FSCK_CLEAN_OR_MENDED = (0, 1)
_XFS_UUID_AT = 32
_XFS_UUID_BYTES = 16
_RELEASE_TRIES = 250
_RELEASE_PAUSE_S = 0.02


class Identity:
    """Gives unmounted filesystems new UUIDs; doing it again only gives another one."""

    def __init__(self, runner: Runner, *, timeout_s: float) -> None:
        self._runner = runner
        self._timeout_s = timeout_s

    async def renew(self, device: str, kind: str) -> None:
        """`kind` is ext4, xfs or btrfs. Mounted anywhere: WrongState."""
        await self._require_unused(device, tries=1)
        match kind:
            case "ext4":
                await self._renew_ext4(device)
            case "xfs":
                await self._renew_xfs(device)
            case _:
                await self._run("btrfstune", "-f", "-m", device)

    async def _renew_ext4(self, device: str) -> None:
        await self._run(
            "e2fsck", "-p", "-E", "journal_only", device, accepted=_FSCK_CLEAN_OR_MENDED
        )
        header = await self._runner.run("dumpe2fs", "-h", device, mutates=False)
        features = _features(header.stdout)
        if "metadata_csum" in features and "metadata_csum_seed" not in features:
            await self._run("tune2fs", "-O", "metadata_csum_seed", device)
        await self._run("tune2fs", "-U", "random", device)

    async def _renew_xfs(self, device: str) -> None:
        """xfs_admin refuses a dirty log in words alone: its exit code is 0."""
        before = await offload(f"UUID of {device}", _xfs_uuid, device)
        await self._run("xfs_admin", "-U", "generate", device)
        if await offload(f"UUID of {device}", _xfs_uuid, device) != before:
            return
        await self._replay_xfs(device)
        said = await self._run("xfs_admin", "-U", "generate", device)
        if await offload(f"UUID of {device}", _xfs_uuid, device) == before:
            raise HostFailure(
                f"xfs_admin does not change the UUID of {device}: {said}",
                f"xfs_repair -n {device} tells whether the file system is sound",
            )

    async def _replay_xfs(self, device: str) -> None:
        await self._run(
            "unshare",
            *("--mount", "--propagation", "private"),
            self._runner.path("mount"),
            *("--types", "xfs", "--options", "nouuid", device, _SCRATCH),
        )
        # The kernel takes the mount off a moment after the namespace's last process has gone.
        await self._require_unused(device, tries=_RELEASE_TRIES)

    async def _require_unused(self, device: str, *, tries: int) -> None:
        for _ in range(tries):
            if await offload(f"exclusive open of {device}", is_free, device):
                return
            await asyncio.sleep(_RELEASE_PAUSE_S)
        raise WrongState(
            f"{device} is in use", "unmount it first: its UUID cannot change meanwhile"
        )

    async def _run(self, program: str, *arguments: str, accepted: tuple[int, ...] = (0,)) -> str:
        done = await self._runner.run(
            program, *arguments, mutates=True, timeout_s=self._timeout_s, accepted=accepted
        )
        return (done.stdout + done.stderr).strip()


def _features(header: str) -> frozenset[str]:
    for line in header.splitlines():
        if line.startswith("Filesystem features:"):
            return frozenset(line.split(":", 1)[1].split())
    return frozenset()


def _xfs_uuid(device: str) -> bytes:
    """sb_uuid of the primary superblock (fs/xfs/libxfs/xfs_format.h, struct xfs_dsb)."""
    with opened(device) as descriptor:
        return os.pread(descriptor, _XFS_UUID_BYTES, _XFS_UUID_AT)
