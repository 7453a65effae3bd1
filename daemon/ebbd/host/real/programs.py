"""The external programs that ebbd starts: where they are looked for, and who packages them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ebbd.errors import Unavailable

SEARCH_PATH = ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin")


@dataclass(frozen=True, slots=True)
class Program:
    """An external program, the Debian package that has it, and whether ebbd starts without it."""

    name: str
    package: str
    essential: bool = False


PROGRAMS = (
    Program("lvm", "lvm2", essential=True),
    Program("thin_check", "thin-provisioning-tools", essential=True),  # LVM runs it itself
    Program("thin_ls", "thin-provisioning-tools"),  # orphaned thin devices, for doctor and gc
    Program("mount", "mount", essential=True),
    Program("losetup", "mount", essential=True),
    Program("blkid", "util-linux", essential=True),
    Program("unshare", "util-linux", essential=True),
    Program("fstrim", "util-linux", essential=True),
    Program("mkfs.ext4", "e2fsprogs", essential=True),
    Program("resize2fs", "e2fsprogs", essential=True),
    Program("e2fsck", "e2fsprogs", essential=True),
    Program("tune2fs", "e2fsprogs", essential=True),
    Program("dumpe2fs", "e2fsprogs", essential=True),
    Program("mkfs.xfs", "xfsprogs"),
    Program("xfs_growfs", "xfsprogs"),
    Program("xfs_admin", "xfsprogs"),
    Program("mkfs.btrfs", "btrfs-progs"),
    Program("btrfs", "btrfs-progs"),
    Program("btrfstune", "btrfs-progs"),
)


def locate(programs: Sequence[Program], root: Path = Path("/")) -> dict[str, str]:
    """Where each program lies in the file system that begins at `root`: name → absolute path.

    Raises Unavailable, naming every essential program that is missing and its package.
    """
    found: dict[str, str] = {}
    for program in programs:
        for folder in SEARCH_PATH:
            candidate = f"{folder}/{program.name}"
            if os.access(root / candidate[1:], os.X_OK):
                found[program.name] = candidate
                break
    missing = [each for each in programs if each.essential and each.name not in found]
    if missing:
        packages = sorted({each.package for each in missing})
        raise Unavailable(
            f"not installed: {', '.join(each.name for each in missing)}",
            f"apt-get install {' '.join(packages)}",
        )
    return found
