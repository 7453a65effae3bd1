import gzip
from pathlib import Path

import pytest
from ebbd.host.real import metadata_area
from ebbd.host.real.metadata_area import Area, NotAPv, TextLocation, Unreadable
from hypothesis import given
from hypothesis import strategies as st
from unit.host.metadata_text import AREA, SECTOR, pv_image

CAPTURED = Path(__file__).with_name("fixtures") / "pv-2.03.16.bin.gz"


def header_of(image: bytes, area: Area = AREA) -> bytes:
    return image[area.start : area.start + SECTOR]


def text_of(image: bytes, area: Area = AREA) -> str:
    location = metadata_area.committed(header_of(image, area), area)
    assert location is not None
    parts = metadata_area.pieces(area, location)
    return metadata_area.text(b"".join(image[p.start : p.start + p.size] for p in parts), location)


def all_of(image: bytes) -> str:
    (area,) = metadata_area.pv_label(image).areas
    return text_of(image, area)


def test_a_pv_that_lvm_made() -> None:
    image = gzip.decompress(CAPTURED.read_bytes())
    label = metadata_area.pv_label(image)
    assert label.pv_id == "MCEX8ZvHBBv9bNXrtxPXtS7jEtPDLRl4"
    assert label.areas == (Area(4096, 17821696),)
    assert all_of(image).startswith("vg {\n")


@given(text=st.text(min_size=1, max_size=3000), offset=st.integers(SECTOR, AREA.size - 1))
def test_a_text_is_found_wherever_the_ring_has_it(text: str, offset: int) -> None:
    text = text.rstrip("\0") + "."
    assert text_of(pv_image(text, offset=offset)) == text


def test_one_flipped_bit_is_noticed() -> None:
    image = pv_image("vg {\n}\n")
    for at in (SECTOR + 40, AREA.start + 20, AREA.start + SECTOR + 2):
        damaged = bytearray(image)
        damaged[at] ^= 4
        with pytest.raises(Unreadable):
            all_of(bytes(damaged))


def test_a_blank_device_is_no_pv() -> None:
    with pytest.raises(NotAPv):
        metadata_area.pv_label(bytes(8192))


def test_an_orphan_pv_holds_no_text() -> None:
    image = bytearray(pv_image("vg {\n}\n"))
    fields = bytes(image[AREA.start + 4 : AREA.start + 40]).ljust(SECTOR - 4, b"\0")
    crc = metadata_area.checksum(fields).to_bytes(4, "little")
    assert metadata_area.committed(crc + fields, AREA) is None


def test_pieces_of_a_text_that_wraps() -> None:
    location = TextLocation(AREA.size - 100, 300, 0)
    assert metadata_area.pieces(AREA, location) == (
        Area(AREA.start + AREA.size - 100, 100),
        Area(AREA.start + SECTOR, 200),
    )
