"""Which mounts show a device, and what they say about its health: decided from the mount table."""

from collections.abc import Sequence

from ebbd.host.values import DeviceInfo, Mount


def mounts_at(table: Sequence[Mount], path: str) -> list[Mount]:
    """Mounts on this very path, the visible one last."""
    return [mount for mount in table if mount.target == path]


def shows(mount: Mount, info: DeviceInfo) -> bool:
    """Is this the device's filesystem, or its device node bound somewhere?

    A bound node is a piece of devtmpfs: its root names it by its kernel name, or by its name in
    /dev/mapper where that is no symlink.
    """
    if mount.filesystem == "devtmpfs":
        return mount.root in {f"/dm-{info.minor}", f"/mapper/{info.name}"}
    if mount.filesystem == "btrfs":
        # It shows a device number of its own (a filesystem may have many devices), and as source
        # whichever name of the device was registered with it last (Linux 6.1, btrfs_show_devname).
        return _names(mount.source, info)
    return (mount.major, mount.minor) == (info.major, info.minor)


def _names(path: str, info: DeviceInfo) -> bool:
    """Is this one of the device's paths: /dev/dm-N, /dev/mapper/VG-LV or /dev/VG/LV?"""
    match path.split("/"):
        case ["", "dev", node]:
            return node == f"dm-{info.minor}"
        case ["", "dev", "mapper", name]:
            return name == info.name
        case ["", "dev", vg, lv]:
            return f"{vg.replace('-', '--')}-{lv.replace('-', '--')}" == info.name
        case _:
            return False


def mounts_of(table: Sequence[Mount], info: DeviceInfo) -> list[Mount]:
    """Every mount that shows the device, in the table's order."""
    return [mount for mount in table if shows(mount, info)]


def filesystem_problem(mounts: Sequence[Mount]) -> str:
    """What the mount table tells of a sick filesystem, empty when it tells nothing.

    A filesystem that meets errors turns its superblock read-only (ext4 errors=remount-ro, a btrfs
    abort); a read-only bind leaves the superblock writable.
    """
    for mount in mounts:
        if "emergency_ro" in mount.super_options or "shutdown" in mount.super_options:
            return f"its filesystem at {mount.target} was shut down after errors"
        if "ro" in mount.super_options and "ro" not in mount.options:
            return f"its filesystem at {mount.target} turned read-only after errors"
    return ""
