"""Ids and LV names: from what the user called it, never containing it."""

import re

import pytest
from ebbd.errors import InvalidInput
from ebbd.volumes.names import (
    NAME_BYTES,
    Naming,
    check_name,
    head_lv,
    is_id,
    node_key,
    parse_head_lv,
    parse_id,
    parse_snapshot_lv,
    require_id,
    snapshot_lv,
)
from hypothesis import given
from hypothesis import strategies as st

NAMING = Naming(node_key("node-1"))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
# lvm(8), "VALID NAMES": the alphabet, and what may stand nowhere in a name.
LV_NAME = re.compile(r"[A-Za-z0-9+_.][A-Za-z0-9+_.-]{0,126}\Z")
RESERVED = re.compile(r"_(cdata|cmeta|corig|iorig|mimage|mlog|pmspare|rimage|rmeta|tdata|tmeta)")


@given(TEXT, st.integers(1, 999_999_999))
def test_lv_names_are_lvms_and_read_back(name: str, generation: int) -> None:
    digest = parse_id(NAMING.volume_id(name), "v")
    assert digest is not None
    lv = head_lv(digest, generation)
    assert LV_NAME.match(lv)
    assert not RESERVED.search(lv)
    assert parse_head_lv(lv) == (digest, generation)
    assert parse_snapshot_lv(lv) is None
    assert parse_snapshot_lv(snapshot_lv(digest)) == digest
    assert parse_head_lv(snapshot_lv(digest)) is None


@given(TEXT)
def test_ids_are_of_one_kind_and_one_name(name: str) -> None:
    volume, snapshot, group = (
        NAMING.volume_id(name),
        NAMING.snapshot_id(name),
        NAMING.group_id(name),
    )
    member = NAMING.member_id(group, volume)
    assert len({i[2:] for i in (volume, snapshot, group, member)}) == 4
    assert parse_id(volume, "v")
    assert parse_id(volume, "s") is None
    assert parse_id(member, "s")
    assert NAMING.id_of("v", parse_id(volume, "v") or "") == volume
    assert all(is_id(i) and len(i) <= NAME_BYTES for i in (volume, snapshot, group, member))
    assert Naming(node_key("node-2")).volume_id(name) != volume


@given(TEXT, TEXT)
def test_two_names_have_two_ids(one: str, other: str) -> None:
    assert (NAMING.volume_id(one) == NAMING.volume_id(other)) == (one == other)


@given(TEXT, TEXT)
def test_no_snapshots_name_means_a_member(name: str, volume: str) -> None:
    group_id, volume_id = NAMING.group_id("g"), NAMING.volume_id(volume)
    assert NAMING.member_id(group_id, volume_id) != NAMING.snapshot_id(name)
    assert NAMING.member_id(group_id, volume_id) != NAMING.snapshot_id(f"{group_id} {volume_id}")


def test_ids_stay_what_they_are() -> None:
    """They are on disk and in every CO's records: a change of the hash loses every volume."""
    assert node_key("node-1") == "z7fnzpxn"
    naming = Naming("z7fnzpxn")
    assert naming.volume_id("pvc-1") == "v-z7fnzpxn-mlorvjojwc2awc7p"
    assert naming.snapshot_id("pvc-1") == "s-z7fnzpxn-7slmyi7l77qexjla"
    assert naming.group_id("pvc-1") == "g-z7fnzpxn-jefldpifut5ibmm2"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v",
        "v-aaaaaaaa",
        "v-aaaaaaaa-aaaaaaaaaaaaaaa",
        "v-aaaaaaaa-aaaaaaaaaaaaaaaaa",
        "v-aaaaaaaa-aaaaaaaaaaaaaaa1",
        "v-aaaaaaaa-aaaaaaaaaaaaaaaa\n",
        "v-AAAAAAAA-aaaaaaaaaaaaaaaa",
        "x-aaaaaaaa-aaaaaaaaaaaaaaaa",
        "v-../../aa-aaaaaaaaaaaaaaaa",
    ],
)
def test_what_is_no_id(text: str) -> None:
    assert not is_id(text)
    assert parse_id(text, "v") is None
    with pytest.raises(InvalidInput, match="volume id"):
        require_id(text, "v")


@pytest.mark.parametrize(
    "text",
    [
        "ebb",
        "ebb.x.1",
        "ebb.aaaaaaaaaaaaaaaa.0",
        "ebb.aaaaaaaaaaaaaaaa.01",
        "ebb.s.short",
        "ebb.aaaaaaaaaaaaaaaa.1_tdata",
        "Ebb.aaaaaaaaaaaaaaaa.1",
        "ebb.aaaaaaaaaaaaaaaa.1\n",
    ],
)
def test_what_is_no_lv_of_ours(text: str) -> None:
    assert parse_head_lv(text) is None
    assert parse_snapshot_lv(text) is None


@pytest.mark.parametrize(
    "name", ["a", "x" * 128, "ä" * 64, "👩‍👩‍👧", " ", "a\tb\r\n", "\u3000", "../.."]
)
def test_names_that_csi_allows(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "x" * 129, "ä" * 65, "\x00", "a\x07", "\x7f", "\x9f", "\x0b"])
def test_names_that_csi_forbids(name: str) -> None:
    with pytest.raises(InvalidInput):
        check_name(name)
