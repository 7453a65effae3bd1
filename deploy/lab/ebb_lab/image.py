"""The guest's root disk and kernel: Debian bookworm, made once by mmdebstrap.

Root is not needed: mmdebstrap then works in its unshare mode and the archive it makes is unpacked
under fakeroot, so that the files on the image belong to root all the same.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from ebb_lab import cpio, process
from ebb_lab.cache import key_of
from ebb_lab.errors import BuildFailed
from ebb_lab.progress import Progress

RELEASE = "bookworm"
PACKAGES = (
    "linux-image-cloud-amd64",
    # what ebb drives
    "lvm2",
    "dmsetup",
    "thin-provisioning-tools",
    "e2fsprogs",
    "xfsprogs",
    "btrfs-progs",
    "mount",
    "util-linux",
    "udev",
    "kmod",
    # what runs it and looks at it
    "python3",
    "python3-pip-whl",  # the guest's own pip resolves the guest's dependencies
    "ca-certificates",
    "openssh-server",
    "busybox-static",
    "iproute2",
    "procps",
    "psmisc",
    "less",
    "socat",
    "strace",
    "fio",
)
_NOT_UNPACKED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
_UNSHARE_HINT = (
    "\nBuilding without root needs user namespaces: packages uidmap and fakeroot, a range for this "
    "user in /etc/subuid and /etc/subgid, and sysctl kernel.unprivileged_userns_clone=1."
)


class Image:
    """Files of a built image, in its cache folder."""

    def __init__(self, folder: Path, lab_folder: Path) -> None:
        self.root_disk = folder / "root.img"
        self.kernel = folder / "vmlinuz"
        self._initrd = folder / "initrd"
        self._init = lab_folder / "guest" / "initramfs-init"
        self._python = folder / "python"

    def initramfs(self, files: Mapping[str, bytes]) -> bytes:
        """What the kernel starts with; `files` will be in /run/lab of the guest, for root alone."""
        return cpio.stacked(
            self._initrd.read_bytes(),
            [
                cpio.program("init", self._init.read_bytes()),
                cpio.folder("lab"),
                *(cpio.secret(f"lab/{name}", content) for name, content in files.items()),
            ],
        )

    def python(self, *arguments: str | Path) -> tuple[list[str | Path], dict[str, str]]:
        """Command line and environment that run the guest's own Python on the host.

        It goes through the guest's dynamic linker and libraries, so the host's Python and libc do
        not matter: what it compiles and the wheels it picks are right for the guest.
        """
        libraries = self._python / "lib"
        interpreter = self._python / "usr/bin/python3.11"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return (
            [libraries / "ld.so", "--library-path", libraries, interpreter, "-s", *arguments],
            {**clean, "PYTHONHOME": str(self._python / "usr")},
        )

    @property
    def pip(self) -> Path:
        return self._python / "pip.whl" / "pip"


def image_key(lab_folder: Path) -> str:
    """Hash of all that goes into the image: packages and recipe, not the project's source."""
    return key_of(
        [
            RELEASE,
            *PACKAGES,
            *_NOT_UNPACKED,
            (lab_folder / "assemble.sh").read_bytes(),
        ]
    )


async def build_image(folder: Path, lab_folder: Path, progress: Progress) -> None:
    """Make root.img, vmlinuz, initrd and python/ in `folder`. One to two minutes."""
    as_root = os.geteuid() == 0
    fake = () if as_root else (process.find("fakeroot"), "--")
    for tool in ("mke2fs", "modprobe", "cpio", "qemu-system-x86_64", "qemu-img", "ssh"):
        process.find(tool)  # fail now rather than in two minutes
    archive = folder / "rootfs.tar"
    async with progress.step(f"building the lab's image: Debian {RELEASE} (once, 1-2 min)"):
        try:
            await process.build(
                [
                    "mmdebstrap",
                    f"--mode={'root' if as_root else 'unshare'}",
                    "--variant=minbase",
                    "--dpkgopt=force-unsafe-io",
                    *(f"--dpkgopt=path-exclude={pattern}" for pattern in _NOT_UNPACKED),
                    f"--include={','.join(PACKAGES)}",
                    RELEASE,
                    archive,
                ],
                env={
                    **os.environ,
                    "INITRD": "No",
                },  # the kernel's package would make one; ours is smaller
            )
        except BuildFailed as failure:
            if as_root:
                raise
            raise BuildFailed(f"{failure}{_UNSHARE_HINT}") from failure
    async with progress.step("assembling disk, kernel and initramfs"):
        await process.build(
            [
                *fake,
                "sh",
                lab_folder / "assemble.sh",
                archive,
                folder,
            ]
        )
    archive.unlink()
