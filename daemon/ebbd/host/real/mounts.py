"""The Mounts protocol: mount(8) and umount(8), the mount table, and guarded target paths.

The programs rather than the system calls, because a prefix can take them into another mount
namespace. They are told not to resolve paths themselves: what was checked is what is used.
"""

from collections.abc import Sequence

from ebbd.errors import CommandFailed, InvalidInput, WrongState
from ebbd.host.real import mountinfo
from ebbd.host.real.machine_root import MachineRoot
from ebbd.host.real.offload import offload
from ebbd.host.real.paths import GuardedPaths
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

    async def table(self) -> tuple[Mount, ...]:
        path = self._root.mount_table
        raw = await offload(str(path), path.read_bytes)  # as text, a \r in a path would end a line
        return mountinfo.parse(raw.decode("utf-8", "surrogateescape"), str(path))

    async def mount(
        self, device: str, target: str, filesystem: str, options: Sequence[str]
    ) -> None:
        await self._require_target(target)
        for option in options:
            if not option or "," in option or option in _OTHER_DEEDS:
                raise InvalidInput(f"{option!r} is not a mount option here", "one option a word")
        chosen = ("--options", ",".join(options)) if options else ()
        try:
            await self._runner.run(
                "mount",
                *("--no-canonicalize", "--types", filesystem),
                *chosen,
                *("--source", device, "--target", target),
                mutates=True,
            )
        except CommandFailed as error:
            if options and _refused_option(error):
                raise InvalidInput(
                    f"{filesystem} refused to mount {device} with {','.join(options)}: "
                    f"{error.stderr}",
                    "check the mount options of the StorageClass; dmesg names the one",
                ) from error
            raise

    async def bind(self, source: str, target: str, *, read_only: bool) -> None:
        """One mount(8) makes both system calls that a read-only bind needs."""
        await self._require_target(target)
        await self._runner.run(
            "mount",
            "--no-canonicalize",
            *("--options", "bind,ro" if read_only else "bind"),
            *("--source", source, "--target", target),
            mutates=True,
        )

    async def unmount(self, target: str) -> None:
        for _ in range(_MOST_STACKED):
            if not any(mount.target == target for mount in await self.table()):
                return
            try:
                await self._runner.run("umount", "--no-canonicalize", target, mutates=True)
            except CommandFailed as error:
                if "not mounted" in error.stderr:
                    return
                if "busy" in error.stderr:
                    raise WrongState(
                        f"{target} is in use", f"fuser -vm {target} shows by whom; stop them first"
                    ) from error
                raise
        raise WrongState(
            f"{target} still has mounts after {_MOST_STACKED} were taken off",
            "see findmnt; somebody else mounts there",
        )

    async def make_directory(self, path: str) -> None:
        await offload(f"directory {path}", self._paths.make_directory, path)

    async def make_file(self, path: str) -> None:
        await offload(f"file {path}", self._paths.make_file, path)

    async def exists(self, path: str) -> bool:
        return await offload(f"path {path}", self._paths.kind, path) is not None

    async def remove_path(self, path: str) -> None:
        await offload(f"removal of {path}", self._paths.remove, path)

    async def _require_target(self, target: str) -> None:
        if not await self.exists(target):
            raise WrongState(f"{target} does not exist", "the target is made before it is used")


def _refused_option(error: CommandFailed) -> bool:
    """A word that mount(8) itself does not take, or EINVAL from the kernel.

    The kernel does not say whether it meant an option or the superblock; mount(8) names both.
    """
    return error.exit_code == 1 or (
        error.exit_code == _MOUNT_FAILED and "bad option" in error.stderr
    )
