from pathlib import Path

import pytest
from ebbd.host.real.metadata_area import Unreadable
from ebbd.host.real.metadata_reader import MetadataReader
from ebbd.host.values import VolumeGroup
from unit.host.metadata_text import AREA, SECTOR, metadata_text, put, pv_image

PVS = {"pv0": ("A" * 32, 100)}


def text(seqno: int, vg: str = "vg") -> str:
    group = VolumeGroup(vg, "U", seqno, 4 << 20, 0, frozenset(), {}, {})
    return metadata_text(group, pvs=PVS, hidden="")


def device(folder: Path, name: str, image: bytes) -> str:
    path = folder / name
    path.write_bytes(image)
    return str(path)


@pytest.fixture
def reader() -> MetadataReader:
    # Files of tests may lie on a tmpfs, which knows no direct IO.
    return MetadataReader(direct=False)


@pytest.mark.parametrize("offset", [SECTOR, 700 * SECTOR, AREA.size - 10, AREA.size - 512])
def test_a_group_is_read_wherever_its_text_lies(
    tmp_path: Path, reader: MetadataReader, offset: int
) -> None:
    pv = device(tmp_path, "pv", pv_image(text(7), offset=offset))
    assert reader.seqno("vg", [pv]) == 7
    reading = reader.read("vg", [pv])
    assert reading is not None
    assert reading.metadata.group.seqno == 7
    assert reading.pv_ids == reading.metadata.pv_ids == {"A" * 32}


def test_the_newest_of_several_pvs_counts(tmp_path: Path, reader: MetadataReader) -> None:
    pvs = [
        device(tmp_path, "old", pv_image(text(7), pv_id="B" * 32)),
        device(tmp_path, "new", pv_image(text(8))),
        device(tmp_path, "other", pv_image(text(99, "another"), pv_id="C" * 32)),
        device(tmp_path, "blank", bytes(1 << 20)),
    ]
    assert reader.seqno("vg", pvs) == 8
    reading = reader.read("vg", pvs)
    assert reading is not None
    assert reading.metadata.group.seqno == 8
    assert reading.pv_ids == {"A" * 32, "B" * 32, "C" * 32}
    assert reader.seqno("another", pvs) == 99
    assert reader.seqno("absent", pvs) is None
    assert reader.read("absent", pvs) is None


def test_a_foreign_commit_is_seen(tmp_path: Path, reader: MetadataReader) -> None:
    pv = device(tmp_path, "pv", pv_image(text(7)))
    assert reader.seqno("vg", [pv]) == 7
    image = bytearray(Path(pv).read_bytes())
    put(image, text(8), 20 * SECTOR)
    Path(pv).write_bytes(image)
    assert reader.seqno("vg", [pv]) == 8


def test_a_torn_read_is_read_again(
    tmp_path: Path, reader: MetadataReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = pv_image(text(7))
    torn = bytearray(good)
    torn[AREA.start + SECTOR + 40] ^= 1
    pv = device(tmp_path, "pv", bytes(torn))
    pauses: list[float] = []

    def lvm_finishes(seconds: float) -> None:
        pauses.append(seconds)
        Path(pv).write_bytes(good)

    monkeypatch.setattr("time.sleep", lvm_finishes)
    reading = reader.read("vg", [pv])
    assert reading is not None
    assert reading.metadata.group.seqno == 7
    assert len(pauses) == 1


def test_damage_that_stays_is_told(
    tmp_path: Path, reader: MetadataReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = bytearray(pv_image(text(7)))
    damaged[AREA.start + 8] ^= 1
    pv = device(tmp_path, "pv", bytes(damaged))
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    with pytest.raises(Unreadable, match="checksum"):
        reader.seqno("vg", [pv])
