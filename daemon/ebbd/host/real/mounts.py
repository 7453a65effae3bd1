"""The Mounts protocol: mount(8), bind and unmount, the mount table, and guarded target paths.

A target is opened without following any link and held open; mounting, binding and unmounting take
the descriptor, so what was checked is what is used. mount(8) mounts filesystems, because it knows
their options; a prefix takes it into another mount namespace.
"""

import errno
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ebbd.errors import CommandFailed, InvalidInput, NotFound, WrongState
from ebbd.host.real import mountinfo
from ebbd.host.real.machine_root import MachineRoot
from ebbd.host.real.mount_calls import MountCalls
from ebbd.host.real.offload import offload
from ebbd.host.real.paths import GuardedPaths, Place
from ebbd.host.real.run import Runner
from ebbd.host.values import Mount

_MOUNT_FAILED = 32
_MOST_STACKED = 16
# Words that turn a mount into something else than mounting this device there.
_OTHER_DEEDS = frozenset({"bind", "rbind", "move", "remount", "loop"})


class RealMounts:
    """Mounts of the namespace that `root` describes."""

    def __init__(self, runner: Runner, root: MachineRoot) -> None:
        self._runner = runner
        self._root = root
        self._paths = GuardedPaths(root.filesystem)
        self._calls = MountCalls(root.mount_namespace)

    async def table(self) -> tuple[Mount, ...]:
        path = self._root.mount_table
        raw = await offload(str(path), path.read_bytes)  # as text, a \r in a path would end a line
        return mountinfo.parse(raw.decode("utf-8", "surrogateescape"), str(path))

    async def mount(
        self, device: str, target: str, filesystem: str, options: Sequence[str]
    ) -> None:
        for option in options:
            if not option or "," in option or option in _OTHER_DEEDS:
                raise InvalidInput(f"{option!r} is not a mount option here", "one option a word")
        async with self._target(target) as place:
            await self._mount(device, place.itself, target, filesystem, options)
            await self._require_visible(place, target)

    async def _mount(
        self, device: str, place: int, target: str, filesystem: str, options: Sequence[str]
    ) -> None:
        """mount(8) with the open target: it inherits the descriptor and reaches it by /proc."""
        chosen = ("--options", ",".join(options)) if options else ()
        opened = f"/proc/self/fd/{place}"
        try:
            await self._runner.run(
                "mount",
                *("--no-canonicalize", "--no-mtab", "--types", filesystem),
                *chosen,
                *("--source", device, "--target", opened),
                mutates=True,
                pass_fds=(place,),
            )
        except CommandFailed as failed:
            told = failed.stderr.replace(opened, target)
            if options and _refused_option(failed):
                raise InvalidInput(
                    f"{filesystem} refused to mount {device} with {','.join(options)}: {told}",
                    "check the mount options of the StorageClass; dmesg names the one",
                ) from failed
            raise CommandFailed(failed.argv, failed.exit_code, told, failed.remedy) from failed

    async def bind(self, source: str, target: str, *, read_only: bool) -> None:
        async with self._target(target) as place:
            origin = await offload(f"path {source}", self._open_source, source)
            try:
                await offload(
                    f"bind of {source} on {target}",
                    self._calls.bind,
                    origin,
                    place.itself,
                    read_only=read_only,
                )
            finally:
                os.close(origin)
            await self._require_visible(place, target)

    async def unmount(self, target: str) -> None:
        for _ in range(_MOST_STACKED):
            if not any(mount.target == target for mount in await self.table()):
                return
            await offload(f"unmount of {target}", self._unmount, target)
        raise WrongState(
            f"{target} still has mounts after {_MOST_STACKED} were taken off",
            "see findmnt; somebody else mounts there, or moves the directories above it",
        )

    def _unmount(self, target: str) -> None:
        with self._paths.parent(target) as (parent, name):
            try:
                self._calls.unmount(parent, name)
            except OSError as error:
                if error.errno == errno.EBUSY:
                    raise WrongState(
                        f"{target} is in use", f"fuser -vm {target} shows by whom; stop them first"
                    ) from error
                if error.errno not in {errno.EINVAL, errno.ENOENT}:
                    raise  # those two: not mounted any more, which the table tells for certain

    def _open_source(self, source: str) -> int:
        """A device's name below /dev is udev's and may be a link; any other path may not."""
        if source.startswith("/dev/"):
            return os.open(self._root.path(source), os.O_PATH | os.O_CLOEXEC)
        place = self._paths.open(source)
        os.close(place.parent)
        return place.itself

    @asynccontextmanager
    async def _target(self, target: str) -> AsyncIterator[Place]:
        """The target, held open so that it stays what it is whatever its path leads to later."""
        try:
            place = await offload(f"path {target}", self._paths.open, target)
        except NotFound as missing:
            raise WrongState(
                f"{target} does not exist", "the target is made before it is used"
            ) from missing
        try:
            yield place
        finally:
            place.close()

    async def _require_visible(self, place: Place, target: str) -> None:
        """Whoever moved a directory of the path meanwhile must not be told that it is mounted."""
        if any(mount.target == target for mount in await self.table()):
            return
        await offload(f"unmount of {target}", self._calls.unmount, place.parent, place.name)
        raise WrongState(
            f"{target} was moved while it was mounted on",
            "nothing is mounted; see who renames directories above it, then try again",
        )

    async def make_directory(self, path: str) -> None:
        await offload(f"directory {path}", self._paths.make_directory, path)

    async def make_file(self, path: str) -> None:
        await offload(f"file {path}", self._paths.make_file, path)

    async def exists(self, path: str) -> bool:
        return await offload(f"path {path}", self._paths.kind, path) is not None

    async def remove_path(self, path: str) -> None:
        await offload(f"removal of {path}", self._paths.remove, path)


def _refused_option(error: CommandFailed) -> bool:
    """A word that mount(8) itself does not take, or EINVAL from the kernel.

    The kernel does not say whether it meant an option or the superblock; mount(8) names both.
    """
    return error.exit_code == 1 or (
        error.exit_code == _MOUNT_FAILED and "bad option" in error.stderr
    )
