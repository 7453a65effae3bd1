"""device-mapper's ioctls in plain Python (include/uapi/linux/dm-ioctl.h, version 4).

One fixed header, then a payload; the answer comes back in the same buffer, and a buffer that is too
small says so and is made larger. Nothing here waits for udev: the commands that are used either
generate no uevent that anybody waits for, or concern devices that never reach a table.
"""

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any


class Command(IntEnum):
    VERSION = 0
    LIST_DEVICES = 2
    DEV_CREATE = 3
    DEV_REMOVE = 4
    DEV_SUSPEND = 6
    DEV_STATUS = 7
    TABLE_LOAD = 9
    TABLE_DEPS = 11
    TABLE_STATUS = 12
    LIST_VERSIONS = 13
    TARGET_MSG = 14


class Flag(IntFlag):
    READONLY = 1 << 0
    SUSPEND = 1 << 1
    BUFFER_FULL = 1 << 8
    NOFLUSH = 1 << 11
    INTERNAL_SUSPEND = 1 << 18


NO_FLAGS = Flag(0)
_LONGEST_NAME = 127
# version (3), data_size, data_start, target_count, open_count, flags, event_nr, padding, dev, name,
# uuid. `dev` is huge_encode_dev(): for majors of 12 and minors of 20 bits os.makedev() is the same.
_HEADER = struct.Struct("=3IIIIiIIIQ128s129s7x")
_TARGET = struct.Struct("=QQiI16s")
_NAME_LIST = struct.Struct("=QI")
_VERSIONS = struct.Struct("=I3I")
_DEPS = struct.Struct("=II")
_FIRST_BUFFER = 16 * 1024
_LARGEST_BUFFER = 64 * 1024 * 1024
_MAGIC = 0xFD
_READ_WRITE = 3


@dataclass(frozen=True, slots=True)
class Reply:
    """The header as the kernel filled it in, and what follows it."""

    version: str
    name: str
    uuid: str
    major: int
    minor: int
    open_count: int
    flags: Flag
    targets: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Target:
    """One line of a table or of its status; start and length in sectors."""

    start: int
    length: int
    kind: str
    parameters: str


class Control:
    """/dev/mapper/control, opened for as long as this object lives."""

    def __init__(self, path: str = "/dev/mapper/control") -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._fd)

    def call(
        self,
        command: Command,
        *,
        name: str = "",
        device: tuple[int, int] | None = None,
        flags: Flag = NO_FLAGS,
        targets: int = 0,
        payload: bytes = b"",
    ) -> Reply:
        """One ioctl on the device with this name (or number). Raises OSError as the kernel does."""
        size = max(_FIRST_BUFFER, _HEADER.size + len(payload))
        number = os.makedev(*device) if device else 0
        while True:
            header = _pack(command, size, number, name, flags, targets)
            buffer = bytearray((header + payload).ljust(size, b"\0"))
            request = _READ_WRITE << 30 | _HEADER.size << 16 | _MAGIC << 8 | command
            fcntl.ioctl(self._fd, request, buffer, True)
            reply = _unpack(bytes(buffer))
            if not reply.flags & Flag.BUFFER_FULL:
                return reply
            if size >= _LARGEST_BUFFER:
                raise OSError(errno.E2BIG, "device-mapper's answer does not end")
            size *= 4


def _pack(command: Command, size: int, device: int, name: str, flags: Flag, targets: int) -> bytes:
    spelled = os.fsencode(name)
    if len(spelled) > _LONGEST_NAME:
        raise OSError(errno.ENAMETOOLONG, f"{command.name}: {name}")
    return _HEADER.pack(4, 0, 0, size, _HEADER.size, targets, 0, flags, 0, 0, device, spelled, b"")


def _unpack(buffer: bytes) -> Reply:
    fields = _HEADER.unpack_from(buffer)
    size, start, targets, open_count, flags, _event, _padding, number, name, uuid = fields[3:]
    return Reply(
        version=".".join(map(str, fields[:3])),
        name=_text(name),
        uuid=_text(uuid),
        major=os.major(number),
        minor=os.minor(number),
        open_count=open_count,
        flags=Flag(flags),
        targets=targets,
        payload=buffer[start:size],
    )


def _text(field: bytes) -> str:
    return os.fsdecode(field.split(b"\0", 1)[0])


def _read(form: struct.Struct, reply: Reply, at: int) -> tuple[Any, ...]:
    """What the answer has at this place; OSError when it ends before."""
    try:
        return form.unpack_from(reply.payload, at)
    except struct.error:
        raise _damaged() from None


def _damaged() -> OSError:
    return OSError(errno.EBADMSG, "device-mapper's answer ends too early")


def table(targets: list[Target]) -> bytes:
    """The payload of TABLE_LOAD: each entry tells how far the next one is from itself."""
    payload = b""
    for target in targets:
        parameters = os.fsencode(target.parameters) + b"\0"
        length = -(-(_TARGET.size + len(parameters)) // 8) * 8
        kind = target.kind.encode("ascii")
        entry = _TARGET.pack(target.start, target.length, 0, length, kind) + parameters
        payload += entry.ljust(length, b"\0")
    return payload


def targets(reply: Reply) -> list[Target]:
    """The answer of TABLE_STATUS: each entry tells where the next one is from the first."""
    found: list[Target] = []
    at = 0
    for _ in range(reply.targets):
        start, length, _status, following, kind = _read(_TARGET, reply, at)
        text = _text(reply.payload[at + _TARGET.size :])
        found.append(Target(start, length, _text(kind), text))
        at = following
    return found


def names(reply: Reply) -> Iterator[str]:
    """The answer of LIST_DEVICES."""
    at = 0
    while len(reply.payload) >= at + _NAME_LIST.size:
        device, following = _read(_NAME_LIST, reply, at)
        if not device:
            return
        yield _text(reply.payload[at + _NAME_LIST.size :])
        if not following:
            return
        at += following


def versions(reply: Reply) -> Iterator[tuple[str, str]]:
    """The answer of LIST_VERSIONS: each target the kernel has, and its version."""
    at = 0
    while True:
        following, *version = _read(_VERSIONS, reply, at)
        yield _text(reply.payload[at + _VERSIONS.size :]), ".".join(map(str, version))
        if not following:
            return
        at += following


def dependencies(reply: Reply) -> list[tuple[int, int]]:
    """The answer of TABLE_DEPS: the devices that this one's table names."""
    count, _padding = _read(_DEPS, reply, 0)
    if count * 8 > len(reply.payload):  # before a format of that many is made
        raise _damaged()
    numbers = _read(struct.Struct(f"={count}Q"), reply, _DEPS.size)
    return [(os.major(number), os.minor(number)) for number in numbers]
