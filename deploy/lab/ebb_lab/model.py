"""The values a lab is described with, and how they are written on a command line."""

import re
import shlex
from dataclasses import dataclass

from ebb_lab.errors import CommandFailed, LabError

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = re.compile(r"(\d+)([KMGT]?)(?:i?B)?", re.IGNORECASE)
# virtio-blk reports at most 20 bytes of serial number, and udev makes a link name of it.
_DISK_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,19}")
_RESERVED_PREFIX = "lab-"


@dataclass(frozen=True, slots=True)
class Disk:
    """A scratch disk: /dev/disk/by-id/virtio-<name> in the guest, kept until the lab is closed.

    `iops` and `bps` (bytes a second) are ceilings on reads and writes together, held by QEMU's
    throttle, which queues inside the device as a real disk does. Without them the disk is as fast
    as the machine. Content is lost only if the host itself crashes (cache=unsafe).
    """

    name: str
    size_bytes: int
    iops: int | None = None
    bps: int | None = None

    def __post_init__(self) -> None:
        if not _DISK_NAME.fullmatch(self.name) or self.name.startswith(_RESERVED_PREFIX):
            msg = (
                f"disk name {self.name!r}: use 1 to 20 of a-z, 0-9 and '-', "
                f"not starting with '-' or {_RESERVED_PREFIX!r}"
            )
            raise LabError(msg)
        if self.size_bytes < 2**20:
            raise LabError(f"disk {self.name}: {self.size_bytes} bytes is less than 1M")
        for key, value in (("iops", self.iops), ("bps", self.bps)):
            if value is not None and value < 1:
                raise LabError(f"disk {self.name}: {key}={value} must be at least 1")

    @property
    def device(self) -> str:
        """Path of the block device in the guest."""
        return f"/dev/disk/by-id/virtio-{self.name}"


@dataclass(frozen=True, slots=True)
class Forward:
    """A TCP port of the guest, reachable on the host's 127.0.0.1; host_port 0 picks a free one."""

    host_port: int
    guest_port: int

    def __post_init__(self) -> None:
        if not 0 <= self.host_port < 2**16 or not 0 < self.guest_port < 2**16:
            raise LabError(f"forward {self.host_port}:{self.guest_port}: ports are 1 to 65535")


@dataclass(frozen=True, slots=True)
class Result:
    """How a command in the guest ended. A command ended by signal N has exit code 128 + N."""

    argv: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str

    def check(self) -> "Result":
        """Itself, or CommandFailed with what the command printed."""
        if self.exit_code == 0:
            return self
        printed = (self.stderr.strip() or self.stdout.strip())[-4000:]
        msg = (
            f"in the lab: {shlex.join(self.argv)} ended with exit code {self.exit_code}:\n{printed}"
        )
        raise CommandFailed(msg)


def parse_size(text: str) -> int:
    """Bytes of '512M', '4G', '1048576': powers of 1024, as LVM reads them."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise LabError(f"size {text!r}: write a whole number and K, M, G or T, as in 512M or 4G")
    return int(match[1]) * _UNITS[match[2].upper()]


def parse_disk(text: str) -> Disk:
    """The disk of 'NAME:SIZE[,iops=N][,bps=SIZE]'."""
    head, *options = text.split(",")
    name, colon, size = head.partition(":")
    if not colon:
        raise LabError(f"disk {text!r}: write NAME:SIZE[,iops=N][,bps=N], as in pool:4G,iops=1000")
    limits: dict[str, int] = {}
    for option in options:
        key, _, value = option.partition("=")
        if key not in {"iops", "bps"}:
            raise LabError(f"disk {text!r}: {key!r} is not an option; there are iops=N and bps=N")
        limits[key] = parse_size(value)
    return Disk(name, parse_size(size), iops=limits.get("iops"), bps=limits.get("bps"))


def parse_forward(text: str) -> Forward:
    """The forward of 'HOST:GUEST' (ports); HOST may be 0."""
    host, _, guest = text.partition(":")
    if not (host.isdecimal() and guest.isdecimal()):
        raise LabError(f"forward {text!r}: write HOST:GUEST, two port numbers, as in 8080:80")
    return Forward(int(host), int(guest))
