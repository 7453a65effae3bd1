"""The administrator's side: the commands one would type, each in a process of its own.

Under an LVM_SYSTEM_DIR of its own, a copy of the machine's, where LVM keeps a backup and no
archive: as ebbd has it, because an archive costs a scan of all earlier ones.
"""

import shutil
from pathlib import Path

from ebb_bench.machine import CommandRefused, typed

_SETTINGS = "backup {\n\tbackup = 1\n\tarchive = 0\n}\n"


class Bare:
    """Volumes by hand in `vg`/`pool`, next to ebb's, mounted below `mounts`."""

    def __init__(self, vg: str, pool: str, folder: Path) -> None:
        self._vg, self._pool = vg, pool
        self._mounts = folder / "mounts"
        self._system = folder / "lvm"
        self._environment = {"LVM_SYSTEM_DIR": str(self._system)}

    def prepare(self) -> None:
        """Make the configuration. Raises CommandRefused if LVM does not take it as it is meant."""
        self._mounts.mkdir(parents=True)
        shutil.copytree("/etc/lvm", self._system)
        (self._system / "lvmlocal.conf").write_text(_SETTINGS)
        kept = self._lvm("lvmconfig", "backup/backup", "backup/archive").split()
        if kept != ["backup=1", "archive=0"]:
            raise CommandRefused(f"LVM reads {kept} from {self._system}; lvmlocal.conf is not used")

    def create(self, name: str, size_mib: int) -> None:
        self._lvm("lvcreate", "-V", f"{size_mib}m", "--thinpool", self._pool, "-n", name, self._vg)

    def snapshot(self, origin: str, name: str) -> None:
        self._lvm("lvcreate", "-s", "-n", name, f"{self._vg}/{origin}")

    def delete(self, *names: str) -> None:
        self._lvm("lvremove", "-f", *(f"{self._vg}/{name}" for name in names))

    def activate(self, name: str) -> None:
        self._lvm("lvchange", "-ay", f"{self._vg}/{name}")

    def deactivate(self, name: str) -> None:
        self._lvm("lvchange", "-an", f"{self._vg}/{name}")

    def ready(self, name: str, size_mib: int) -> None:
        """`lvcreate && mkfs.ext4 && mount`."""
        self.create(name, size_mib)
        device, target = f"/dev/{self._vg}/{name}", self._mounts / name
        typed("mkfs.ext4", "-q", device)
        target.mkdir()
        typed("mount", device, str(target))

    def unmount(self, name: str) -> None:
        typed("umount", str(self._mounts / name))

    def version(self) -> str:
        """LVM's version as it names it, such as 2.03.16(2)."""
        return self._lvm("lvm", "version").split("LVM version:")[1].split()[0]

    def _lvm(self, *argv: str) -> str:
        return typed(*argv, environment=self._environment)
