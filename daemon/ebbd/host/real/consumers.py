"""Who uses a device: a walk through /proc, kernel files only. Everything here blocks.

A process uses a device when it has a file of its filesystem (or the device itself) open, mapped, or
as its working directory, root or program, or when it lives in a mount namespace of its own that has
the filesystem mounted. A mount whose path there ends in a path of the machine's own table is only a
propagated copy of that one, as agents and CSI plugins have of every volume on the node.

btrfs gives its files a device number of its own making, another one for each subvolume, and shows
yet another in mountinfo. So there a mount counts when its source is the device, and a file when it
was opened through such a mount (proc(5), fdinfo: mnt_id).
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

from ebbd.errors import HostFailure
from ebbd.host.real import mountinfo
from ebbd.host.real.machine_root import MachineRoot
from ebbd.host.values import Consumer, Mount

_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


def find(root: MachineRoot, major: int, minor: int, own_pid: int) -> tuple[Consumer, ...]:
    """The cgroups that use the device, by path; `own_pid` is ebbd's, which does not count."""
    return _Search(root, os.makedev(major, minor)).run(own_pid)


def cgroup_of(process: Path) -> str:
    """The cgroup v2 path of a process (`0::/path`). Raises HostFailure without cgroup v2."""
    for line in (process / "cgroup").read_text("utf-8", "surrogateescape").splitlines():
        if line.startswith("0::"):
            return line[3:]
    raise HostFailure(f"{process} is in no cgroup of version 2", "boot with cgroup v2 alone")


def freezable(path: str, own: str) -> bool:
    """Freezing the root, or a cgroup that ebbd is below, would stop whoever has to thaw it."""
    return path != "/" and not f"{own}/".startswith(f"{path}/")


class _Search:
    def __init__(self, root: MachineRoot, device: int) -> None:
        self._root = root
        self._device = device
        self._is_source: dict[str, bool] = {}
        self._by_namespace: dict[str, list[Mount]] = {}
        self._mount_ids: set[int] = set()  # of mounts whose files have other device numbers
        table = mountinfo.parse(_read(root.mount_table), str(root.mount_table))
        self._own_targets = [mount.target for mount in table if self._of_device(mount)]
        self._numbers = {device}
        self._numbers |= {
            os.makedev(mount.major, mount.minor) for mount in table if self._of_device(mount)
        }

    def run(self, own_pid: int) -> tuple[Consumer, ...]:
        own_cgroup = cgroup_of(self._root.proc / str(own_pid))
        processes: dict[str, list[int]] = {}
        for process in self._root.proc.iterdir():
            if not process.name.isdecimal() or process.name == str(own_pid):
                continue
            with suppress(*_GONE):
                if self._uses(process):
                    processes.setdefault(cgroup_of(process), []).append(int(process.name))
        return tuple(
            Consumer(path, tuple(sorted(ids)), freezable(path, own_cgroup))
            for path, ids in sorted(processes.items())
        )

    def _uses(self, process: Path) -> bool:
        return self._mounted_by(process) or self._open_in(process) or self._mapped_in(process)

    def _mounted_by(self, process: Path) -> bool:
        namespace = str((process / "ns/mnt").readlink())
        if namespace not in self._by_namespace:
            table = mountinfo.parse(_read(process / "mountinfo"), str(process / "mountinfo"))
            of_device = [mount for mount in table if self._of_device(mount)]
            self._by_namespace[namespace] = of_device
            self._mount_ids |= {mount.mount_id for mount in of_device if mount.major == 0}
        return any(
            not any(mount.target.endswith(target) for target in self._own_targets)
            for mount in self._by_namespace[namespace]
        )

    def _open_in(self, process: Path) -> bool:
        held = [process / name for name in ("cwd", "root", "exe")]
        held += (process / "fd").iterdir()
        for link in held:
            with suppress(*_GONE, OSError):  # a file on a file system that went away
                found = link.stat()
                if found.st_dev in self._numbers:
                    return True
                if stat.S_ISBLK(found.st_mode) and found.st_rdev == self._device:
                    return True
                if self._mount_ids and _mount_id(link) in self._mount_ids:
                    return True
        return False

    def _mapped_in(self, process: Path) -> bool:
        """Maps stay after their file was closed; the device is written as hex major:minor."""
        spelled = {f" {os.major(each):02x}:{os.minor(each):02x} " for each in self._numbers}
        text = _read(process / "maps")
        return any(each in text for each in spelled)

    def _of_device(self, mount: Mount) -> bool:
        if os.makedev(mount.major, mount.minor) == self._device:
            return True
        if mount.major != 0 or not mount.source.startswith("/dev/"):
            return False
        if mount.source not in self._is_source:
            self._is_source[mount.source] = self._is_device(mount.source)
        return self._is_source[mount.source]

    def _is_device(self, path: str) -> bool:
        try:
            return self._root.path(path).stat().st_rdev == self._device
        except OSError:
            return False


def _mount_id(link: Path) -> int:
    """Of the mount through which a process has this file; a mount's id is the same in every
    namespace.
    """
    descriptor = os.open(link, os.O_PATH)
    try:
        facts = _read(Path(f"/proc/self/fdinfo/{descriptor}"))
    finally:
        os.close(descriptor)
    return next(int(line.split()[1]) for line in facts.splitlines() if line.startswith("mnt_id:"))


def _read(path: Path) -> str:
    return path.read_text("utf-8", "surrogateescape")
