import gzip
import string
from pathlib import Path

import pytest
from ebbd.host.real import metadata_area
from ebbd.host.real.text_format import Damaged
from ebbd.host.real.vg_metadata import volume_group
from ebbd.host.values import ThinPool, ThinVolume, VolumeGroup
from hypothesis import given
from hypothesis import strategies as st
from unit.host.metadata_text import metadata_text, striped

MIB = 1 << 20
EXTENT = 4 * MIB
CAPTURED = Path(__file__).with_name("fixtures") / "pv-2.03.16.bin.gz"

NAMES = st.text(string.ascii_letters + string.digits + "_+.-", min_size=1, max_size=20).map(
    lambda text: f"l{text}"
)
TAGS = st.frozensets(
    st.text(string.ascii_letters + string.digits + "_+.-/=!:#&", min_size=1, max_size=30),
    max_size=4,
)
IDS = st.text(string.ascii_letters + string.digits, min_size=32, max_size=32)


@st.composite
def groups(draw: st.DrawFn) -> VolumeGroup:
    names = draw(st.lists(NAMES, min_size=1, max_size=8, unique=True))
    pool = ThinPool(
        name=names[0],
        uuid=draw(IDS),
        size_bytes=draw(st.integers(1, 1000)) * EXTENT,
        metadata_size_bytes=draw(st.integers(1, 10)) * EXTENT,
        chunk_bytes=draw(st.sampled_from([65536, 131072, 1048576])),
        transaction_id=draw(st.integers(0, 2**40)),
        zero=draw(st.booleans()),
        error_when_full=draw(st.booleans()),
        pending=tuple(draw(st.lists(st.sampled_from(names), max_size=2))),
        pending_removals=tuple(draw(st.lists(st.integers(1, 2**24 - 1), max_size=2))),
    )
    volumes = {
        name: ThinVolume(
            name=name,
            uuid=draw(IDS),
            size_bytes=draw(st.integers(1, 10**9)) * EXTENT,
            tags=draw(TAGS),
            pool=pool.name,
            device_id=draw(st.integers(1, 2**24 - 1)),
            transaction_id=draw(st.integers(0, 2**40)),
            origin=draw(st.none() | st.sampled_from(names[1:])),
            read_only=draw(st.booleans()),
        )
        for name in names[1:]
    }
    used = (pool.size_bytes + pool.metadata_size_bytes) // EXTENT
    return VolumeGroup(
        name=draw(NAMES),
        uuid=draw(IDS),
        seqno=draw(st.integers(1, 2**32 - 1)),
        extent_bytes=EXTENT,
        free_bytes=(5000 - used) * EXTENT,
        tags=draw(TAGS),
        pools={pool.name: pool},
        volumes=volumes,
        other_names=frozenset({f"{pool.name}_tdata", f"{pool.name}_tmeta"}),
        autoactivation=draw(st.booleans()),
    )


@given(groups())
def test_a_group_is_read_as_it_was_written(group: VolumeGroup) -> None:
    (pool,) = group.pools.values()
    data, metadata = pool.size_bytes // EXTENT, pool.metadata_size_bytes // EXTENT
    hidden = striped(f"{pool.name}_tdata", "D", ("pv0", 0), extents=data)
    hidden += striped(f"{pool.name}_tmeta", "M", ("pv1", 7), extents=metadata)
    pvs = {"pv0": ("abc-def", 4000), "pv1": ("g-h", 1000)}
    read = volume_group(metadata_text(group, pvs=pvs, hidden=hidden))
    assert read.group == group
    assert read.pv_ids == {"abcdef", "gh"}
    assert read.system_id == ""


def captured_text() -> str:
    image = gzip.decompress(CAPTURED.read_bytes())
    (area,) = metadata_area.pv_label(image).areas
    location = metadata_area.committed(image[area.start : area.start + 512], area)
    assert location is not None
    parts = metadata_area.pieces(area, location)
    return metadata_area.text(b"".join(image[p.start : p.start + p.size] for p in parts), location)


def test_what_lvm_2_03_16_wrote() -> None:
    read = volume_group(captured_text())
    group = read.group
    assert (group.name, group.seqno, group.extent_bytes) == ("vg", 49, EXTENT)
    assert group.free_bytes == 492 * EXTENT  # what vgs said
    assert group.tags == {"ebb.node=ab", "g2", "g3"}
    assert group.pools["pool"] == ThinPool(
        name="pool",
        uuid="z8T2oX-Jl5y-BsPE-zo7l-q0qU-c3T0-KrYoYv",
        size_bytes=501 * EXTENT,
        metadata_size_bytes=13 * EXTENT,
        chunk_bytes=65536,
        transaction_id=15,
        zero=True,
        error_when_full=True,
    )
    assert set(group.volumes) == {"a0", "a1", "a2", "b0", "b1"}
    assert group.volumes["a1"] == ThinVolume(
        name="a1",
        size_bytes=200 * MIB,
        tags=frozenset({"t1", "x=y"}),
        pool="pool",
        uuid="FJGPxb-Nivt-8tHq-XEtB-9Dc2-svVW-XeEWAn",
        device_id=2,
        transaction_id=1,
    )
    assert group.other_names == {"pool_tdata", "pool_tmeta", "lvol0_pmspare"}
    assert read.pv_ids == {"MCEX8ZvHBBv9bNXrtxPXtS7jEtPDLRl4"}


def test_room_on_a_missing_or_closed_pv_is_no_room() -> None:
    text = captured_text()
    closed = text.replace('status = ["ALLOCATABLE"]', "status = []")
    missing = text.replace('["ALLOCATABLE"]\nflags = []', '["ALLOCATABLE"]\nflags = ["MISSING"]')
    assert volume_group(closed).group.free_bytes == 0
    assert volume_group(missing).group.free_bytes == 0


def test_stripes_share_their_extents_and_pvmove_legs_do_not() -> None:
    group = VolumeGroup("vg", "U", 1, EXTENT, 0, frozenset(), {}, {})
    pvs = {"pv0": ("a", 100), "pv1": ("b", 100)}
    stripes = striped("two", "S", ("pv0", 0), ("pv1", 0), extents=40)
    moving = stripes.replace("two {", "pvmove0 {").replace("stripes = [", "mirrors = [")
    on_lv = striped("onlv", "L", ("pvmove0", 0), extents=40)
    text = metadata_text(group, pvs=pvs, hidden=stripes + moving + on_lv)
    assert volume_group(text).group.free_bytes == (200 - 40 - 80) * EXTENT


def test_the_system_a_group_belongs_to() -> None:
    text = captured_text().replace("extent_size", 'system_id = "node-1"\nextent_size', 1)
    assert volume_group(text).system_id == "node-1"


@pytest.mark.parametrize(
    "lost", ["seqno = 49", 'id = "FJGPxb', "chunk_size = 128", "device_id = 2"]
)
def test_a_text_without_what_it_must_have_is_damaged(lost: str) -> None:
    text = captured_text()
    assert lost in text
    with pytest.raises(Damaged):
        volume_group(text.replace(lost, 'other = "'[: 9 if lost.startswith("id") else 7] + "1"))
