"""What the simulated machine says it is able to do: everything, and that it is simulated."""

from ebbd.host.values import ToolVersion

_TOOLS = {
    "lvm": "lvm2",
    "thin_check": "thin-provisioning-tools",
    "blkid": "util-linux",
    "mount": "mount",
    "losetup": "mount",
    "fstrim": "util-linux",
    "mkfs.ext4": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "resize2fs": "e2fsprogs",
    "tune2fs": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
    "xfs_growfs": "xfsprogs",
    "xfs_admin": "xfsprogs",
    "mkfs.btrfs": "btrfs-progs",
    "btrfs": "btrfs-progs",
    "btrfstune": "btrfs-progs",
}


class SimulatedProbe:
    """`ebbd.host.protocols.Probe` in memory."""

    async def tools(self) -> tuple[ToolVersion, ...]:
        return tuple(
            ToolVersion(name, f"simulated/{name}", "simulated", package)
            for name, package in _TOOLS.items()
        )

    async def kernel(self) -> dict[str, str]:
        return {
            "release": "simulated",
            "dm driver": "4.47.0",
            "dm thin-pool": "1.22.0",
            "dm thin": "1.22.0",
            "filesystems": "btrfs ext4 xfs",
        }

    async def cgroup(self) -> dict[str, str]:
        return {
            "mount": "/sys/fs/cgroup",
            "controllers": "cpu io memory",
            "subtree": "cpu io memory",
            "io.max": "yes",
        }
