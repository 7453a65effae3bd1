"""A few files as a cpio archive ("newc"): the kernel unpacks it over the initramfs it follows.

That is how a lab hands its guest what belongs to this one boot (its first program, keys, name)
without a disk for it. Format: Documentation/driver-api/early-userspace/buffer-format.rst in the
kernel's tree.
"""

from collections.abc import Iterable
from dataclasses import dataclass

_MAGIC = "070701"
_TRAILER = "TRAILER!!!"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or a folder, root's; `mode` has the type in it, as in stat."""

    name: str
    mode: int
    content: bytes = b""


def folder(name: str) -> Entry:
    return Entry(name, 0o040755)


def secret(name: str, content: bytes) -> Entry:
    """A file that root alone may read."""
    return Entry(name, 0o100600, content)


def program(name: str, content: bytes) -> Entry:
    return Entry(name, 0o100755, content)


def archive(entries: Iterable[Entry]) -> bytes:
    """Folders must come before what is in them. The length is a multiple of 4."""
    packed = [_pack(number, entry) for number, entry in enumerate(entries, start=1)]
    return b"".join([*packed, _pack(0, Entry(_TRAILER, 0))])


def stacked(initrd: bytes, entries: Iterable[Entry]) -> bytes:
    """An initramfs with the archive behind it: the kernel wants that at a multiple of 4 bytes."""
    return _padded(initrd) + archive(entries)


def _pack(inode: int, entry: Entry) -> bytes:
    name = entry.name.encode() + b"\0"
    links, owner, group, changed_s, device, checksum = 1, 0, 0, 0, 0, 0
    fields = (
        *(inode, entry.mode, owner, group, links, changed_s, len(entry.content)),
        *(device, device, device, device, len(name), checksum),
    )
    header = (_MAGIC + "".join(f"{field:08X}" for field in fields)).encode()
    return _padded(header + name) + _padded(entry.content)


def _padded(raw: bytes) -> bytes:
    return raw + b"\0" * (-len(raw) % 4)
