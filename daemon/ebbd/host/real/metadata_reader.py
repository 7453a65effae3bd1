"""Read a VG's metadata from its PVs: no LVM command, no lock, no page cache.

LVM writes through O_DIRECT, so the reads go around the page cache as well. A commit writes the
text first and the header last; a reader that meets LVM at work sees a wrong checksum and reads
again. With several PVs the highest seqno wins, as it does for LVM itself. Everything here blocks:
`RealLvm` calls it off the event loop.
"""

import mmap
import os
import re
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass

from ebbd.host.real import metadata_area
from ebbd.host.real.metadata_area import Area, NotAPv, PvLabel, TextLocation, Unreadable
from ebbd.host.real.text_format import Damaged
from ebbd.host.real.vg_metadata import VgMetadata, volume_group

_BLOCK = 4096  # covers the logical block size of every disk
_HEAD = 2 * _BLOCK  # the label, and the header of a first metadata area at its usual 4 KiB
_TEXT_HEAD = 512  # `vg { id = "…" seqno = N` fits: a name has at most 127 characters
_SEQNO = re.compile(r"\A(?P<vg>[^\s{]+) \{\s+id = \"[^\"]*\"\s+seqno = (?P<seqno>\d+)\s")
_TRIES = 20
_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class Copy:
    """One area's committed text, located: what a later read may compare with."""

    device: str
    area: Area
    location: TextLocation
    vg: str
    seqno: int


@dataclass(frozen=True, slots=True)
class Reading:
    """A VG's metadata, and the ids of the PVs that were there to be read."""

    metadata: VgMetadata
    pv_ids: frozenset[str]


class MetadataReader:
    """Reads the metadata of one machine's VGs from given devices.

    `direct` off reads through the page cache, for files on file systems without direct IO.
    Remembers what stood behind the header it saw last, so that polling an unchanged VG costs one
    read of 8 KiB a PV.
    """

    def __init__(self, *, direct: bool = True) -> None:
        self._flags = os.O_RDONLY | os.O_CLOEXEC | (os.O_DIRECT if direct else 0)
        self._seen: dict[tuple[str, Area], Copy] = {}
        self._labels: dict[str, PvLabel] = {}

    def seqno(self, vg: str, devices: Iterable[str]) -> int | None:
        """The VG's committed seqno, None if no device holds this VG. Raises Unreadable."""
        copy = _newest(vg, self._copies(devices))
        return copy.seqno if copy else None

    def read(self, vg: str, devices: Iterable[str]) -> Reading | None:
        """The VG's metadata, its checksum held, None if no device holds this VG."""
        places = tuple(devices)
        for attempt in range(_TRIES):
            copy = _newest(vg, self._copies(places))
            if copy is None:
                return None
            try:
                return Reading(volume_group(self._text(copy)), self._pv_ids(places))
            except (Unreadable, Damaged):
                if attempt == _TRIES - 1:
                    raise
                time.sleep(_PAUSE_S)
        raise AssertionError("unreachable")

    def groups_on(self, device: str) -> frozenset[str]:
        """The VGs (one, if any) whose metadata stands on a device."""
        return frozenset(copy.vg for copy in self._copies_on(device))

    def _pv_ids(self, devices: Iterable[str]) -> frozenset[str]:
        return frozenset(self._labels[device].pv_id for device in devices if device in self._labels)

    def _text(self, copy: Copy) -> str:
        with closing(_Device(copy.device, self._flags)) as device:
            parts = metadata_area.pieces(copy.area, copy.location)
            data = b"".join(device.read(piece.start, piece.size) for piece in parts)
        return metadata_area.text(data, copy.location)

    def _copies(self, devices: Iterable[str]) -> list[Copy]:
        return [copy for device in devices for copy in self._copies_on(device)]

    def _copies_on(self, device: str) -> list[Copy]:
        for attempt in range(_TRIES):
            try:
                with closing(_Device(device, self._flags)) as opened:
                    return self._read_copies(opened)
            except NotAPv:
                self._labels.pop(device, None)
                return []
            except Unreadable:
                if attempt == _TRIES - 1:
                    raise
                time.sleep(_PAUSE_S)
        raise AssertionError("unreachable")

    def _read_copies(self, device: "_Device") -> list[Copy]:
        head = device.read(0, _HEAD)
        copies: list[Copy] = []
        self._labels[device.path] = label = metadata_area.pv_label(head)
        for area in label.areas:
            if area.start + metadata_area.SECTOR_BYTES <= len(head):
                header = head[area.start : area.start + metadata_area.SECTOR_BYTES]
            else:
                header = device.read(area.start, metadata_area.SECTOR_BYTES)
            location = metadata_area.committed(header, area)
            if location is None:
                continue
            seen = self._seen.get((device.path, area))
            if seen is None or seen.location != location:
                seen = _identify(device, area, location)
                self._seen[device.path, area] = seen
            copies.append(seen)
        return copies


def _newest(vg: str, copies: Iterable[Copy]) -> Copy | None:
    mine = (copy for copy in copies if copy.vg == vg)
    return max(mine, key=lambda copy: copy.seqno, default=None)


def _identify(device: "_Device", area: Area, location: TextLocation) -> Copy:
    """Name and seqno from the text's first bytes.

    They are unchecked by themselves, so the header is read once more: as long as it still points
    at this text, LVM has not begun to write over it.
    """
    first = b""
    for piece in metadata_area.pieces(area, location):
        first += device.read(piece.start, min(piece.size, _TEXT_HEAD - len(first)))
        if len(first) == _TEXT_HEAD:
            break
    again = metadata_area.committed(device.read(area.start, metadata_area.SECTOR_BYTES), area)
    found = _SEQNO.match(first.decode("utf-8", "replace"))
    if again != location or found is None:
        raise Unreadable("the metadata changed while it was read")
    return Copy(device.path, area, location, found["vg"], int(found["seqno"]))


class _Device:
    """A block device (or, in tests, a file) opened for direct reads of any offset and length."""

    def __init__(self, path: str, flags: int) -> None:
        self.path = path
        self._fd = os.open(path, flags)

    def read(self, start: int, size: int) -> bytes:
        """Exactly `size` bytes; O_DIRECT wants aligned offset, length and memory."""
        before = start % _BLOCK
        length = -(-(before + size) // _BLOCK) * _BLOCK
        with mmap.mmap(-1, length) as memory:
            got = 0
            while got < before + size:
                with memoryview(memory) as whole, whole[got:] as rest:
                    count = os.preadv(self._fd, [rest], start - before + got)
                if not count:
                    raise Unreadable(f"{self.path} ends before {start + size}")
                got += count
            return memory[before : before + size]

    def close(self) -> None:
        os.close(self._fd)
