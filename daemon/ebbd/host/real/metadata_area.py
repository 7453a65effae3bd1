"""Where a PV keeps its VG's metadata: label, PV header, metadata area header. Pure.

Layout (lvm2: lib/label/label.c, lib/format_text/layout.h), little endian: one of the first four
sectors is the label, which leads to the PV header with its lists of data areas and metadata areas.
A metadata area is one header sector and a circular buffer of texts; slot 0 of the header says where
the committed text lies, and its checksum (slot 1 is a commit in preparation: not ours to read).
"""

import struct
import zlib
from dataclasses import dataclass

SECTOR_BYTES = 512
LABEL_SECTORS = 4

_LABEL = struct.Struct("<8sQII8s")  # id, sector, checksum, offset of the PV header, type
_LABEL_CHECKED_FROM = 20
_PV_HEADER = struct.Struct("<32sQ")  # PV id, device size
_AREA = struct.Struct("<QQ")  # offset, size; a zero offset ends a list
_AREA_HEADER = struct.Struct("<I16sIQQ")  # checksum, magic, version, start, size
_LOCATION = struct.Struct("<QQII")  # offset, size, checksum, flags
_MAGIC = b" LVM2 x[5A%r0N*>"
_VERSION = 1
_IGNORED = 1


class Unreadable(ValueError):
    """Bytes that are no PV, or that LVM was writing while they were read."""


class NotAPv(Unreadable):
    """Bytes without any LVM2 label: reading them again would not help."""


@dataclass(frozen=True, slots=True)
class Area:
    """One metadata area; offsets and sizes in bytes on the device."""

    start: int
    size: int


@dataclass(frozen=True, slots=True)
class PvLabel:
    """Who this PV is (no hyphens) and where its metadata areas lie (none is allowed)."""

    pv_id: str
    areas: tuple[Area, ...]


@dataclass(frozen=True, slots=True)
class TextLocation:
    """The committed text: offset from the area's start, length and checksum."""

    offset: int
    size: int
    checksum: int


def checksum(data: bytes) -> int:
    """LVM's CRC-32: zlib's polynomial, LVM's own initial value, no final inversion."""
    return zlib.crc32(data, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def pv_label(head: bytes) -> PvLabel:
    """The PV's label from the device's first four sectors. Raises NotAPv, Unreadable."""
    for number in range(LABEL_SECTORS):
        sector = head[number * SECTOR_BYTES : (number + 1) * SECTOR_BYTES]
        mark, at, crc, header_at, kind = _LABEL.unpack_from(sector)
        if mark == b"LABELONE" and at == number and kind == b"LVM2 001":
            if checksum(sector[_LABEL_CHECKED_FROM:]) != crc:
                raise Unreadable("the PV label's checksum is wrong")
            return _pv_header(sector, header_at)
    raise NotAPv("no LVM2 label")


def _pv_header(sector: bytes, at: int) -> PvLabel:
    try:
        pv_id, _size = _PV_HEADER.unpack_from(sector, at)
        _data, at = _area_list(sector, at + _PV_HEADER.size)
        metadata, _end = _area_list(sector, at)
    except struct.error as error:
        raise Unreadable("the PV header runs out of its sector") from error
    return PvLabel(pv_id.decode("ascii", "replace"), metadata)


def _area_list(sector: bytes, at: int) -> tuple[tuple[Area, ...], int]:
    areas: list[Area] = []
    while True:
        offset, size = _AREA.unpack_from(sector, at)
        at += _AREA.size
        if not offset:
            return tuple(areas), at
        areas.append(Area(offset, size))


def committed(header: bytes, area: Area) -> TextLocation | None:
    """Where the committed text lies, from the area's header sector.

    None: the area holds no VG (an orphan PV) or is set aside (pvchange --metadataignore).
    Raises Unreadable.
    """
    crc, magic, version, start, _size = _AREA_HEADER.unpack_from(header)
    if checksum(header[4:SECTOR_BYTES]) != crc:
        raise Unreadable("the metadata header's checksum is wrong")
    if magic != _MAGIC or version != _VERSION or start != area.start:
        raise Unreadable("not a metadata header of LVM2")
    offset, size, text_checksum, flags = _LOCATION.unpack_from(header, _AREA_HEADER.size)
    if not offset or not size or flags & _IGNORED:
        return None
    if offset < SECTOR_BYTES or offset >= area.size or size > area.size - SECTOR_BYTES:
        raise Unreadable("the metadata header points out of its area")
    return TextLocation(offset, size, text_checksum)


def pieces(area: Area, location: TextLocation) -> tuple[Area, ...]:
    """The text's place on the device: in two pieces when it wraps around the area's end."""
    whole = min(location.size, area.size - location.offset)
    first = Area(area.start + location.offset, whole)
    if whole == location.size:
        return (first,)
    return (first, Area(area.start + SECTOR_BYTES, location.size - whole))


def text(data: bytes, location: TextLocation) -> str:
    """The text, its checksum held. Raises Unreadable (LVM was writing: read again)."""
    if len(data) != location.size or checksum(data) != location.checksum:
        raise Unreadable("the metadata's checksum is wrong")
    return data.rstrip(b"\0").decode("utf-8", "surrogateescape")
