"""What a machine must have to be a real host in these tests."""

import os
import shutil
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
_TOOLS = ("lvm", "dmsetup", "losetup", "mkfs.ext4", "mkfs.xfs", "mkfs.btrfs", "blkid", "fstrim")


def missing() -> list[str]:
    """What is lacking, in words; empty on a suitable machine."""
    found = [f"{tool} is not installed" for tool in _TOOLS if shutil.which(tool) is None]
    if os.geteuid() != 0:
        found.append("it needs root")
    if not Path("/dev/mapper/control").exists():
        found.append("the kernel has no device-mapper (/dev/mapper/control)")
    if not (CGROUPS / "cgroup.controllers").exists():
        found.append(f"cgroup v2 is not mounted at {CGROUPS}")
    return found
