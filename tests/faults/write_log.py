"""Read what dm-log-writes recorded (Documentation/admin-guide/device-mapper/log-writes.rst).

The log begins with a super block; then come entries, each one block of the log's sector size that
says what was written where, followed by the data. A mark has its text in the entry's own block.
All numbers are little-endian and 64 bits wide, places and lengths are in sectors of that size.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAGIC = 0x6A736677736872
_SUPER = struct.Struct("<QQQI")  # magic, version, entries, sector size
_ENTRY = struct.Struct("<QQQQ")  # sector, sectors, flags, length of the data
FLUSH, FUA, DISCARD, MARK, METADATA = 1, 2, 4, 8, 16
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """`start` and `size` on the device, in bytes; `data_at` in the log, `mark` the text of one."""

    start: int
    size: int
    flags: int
    data_at: int
    mark: str = ""

    @property
    def is_barrier(self) -> bool:
        """Has everything before it reached the disk once this one has?"""
        return bool(self.flags & (FLUSH | FUA))


def entries(log: BinaryIO) -> Iterator[Entry]:
    """In the order in which they reached the disk."""
    log.seek(0)
    magic, version, count, sector = _SUPER.unpack(log.read(_SUPER.size))
    assert (magic, version) == (MAGIC, 1), "this is no log of dm-log-writes"
    position = sector
    for _ in range(count):
        log.seek(position)
        head = log.read(sector)
        start, sectors, flags, data_length = _ENTRY.unpack_from(head)
        position += sector
        mark = ""
        if flags & MARK:
            mark = head[_ENTRY.size : _ENTRY.size + data_length].rstrip(b"\0").decode()
        yield Entry(start * sector, sectors * sector, flags, position, mark)
        if not flags & (MARK | DISCARD):
            position += sectors * sector


def apply(log: BinaryIO, entry: Entry, device: Path) -> None:
    """Write this entry to a copy of the device."""
    if entry.flags & MARK or not entry.size:
        return
    with device.open("r+b") as file:
        file.seek(entry.start)
        if entry.flags & DISCARD:
            # What a discard leaves is not defined; zeros are what the lab's disks make of it.
            for begin in range(0, entry.size, _PIECE):
                file.write(bytes(min(_PIECE, entry.size - begin)))
            return
        log.seek(entry.data_at)
        left = entry.size
        while left:
            piece = log.read(min(_PIECE, left))
            assert piece, "the log ends within an entry"
            file.write(piece)
            left -= len(piece)
