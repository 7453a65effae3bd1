"""Facts to tags and back: any text, every field, and no misreading of what is not ours."""

import re

import pytest
from ebbd.errors import HostFailure
from ebbd.intent import KEYS, LONGEST_VALUE
from ebbd.model import Parameters, Prepare
from ebbd.volumes import records, tags
from ebbd.volumes.parameters import OPTIONS_CHARACTERS
from ebbd.volumes.records import Birth, read_birth, snapshot_tags, volume_tags
from hypothesis import given
from hypothesis import strategies as st

# lvm(8), "TAGS": at most 1024 characters, not beginning with a hyphen.
LVM_TAG = re.compile(r"[A-Za-z0-9_+.][A-Za-z0-9_+.\-/=!:#&]{0,1023}\Z")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=32)
ASCII = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)
WORDS = st.lists(ASCII, max_size=6).map(tuple)
OBJECT = st.from_regex(r"[a-z0-9.-]{1,40}", fullmatch=True)
INTENT = st.dictionaries(st.sampled_from(sorted(KEYS)), ASCII.filter(bool))


@st.composite
def births(draw: st.DrawFn) -> Birth:
    claim = draw(st.tuples(OBJECT, OBJECT) | st.just(("", "")))
    return Birth(
        name=draw(TEXT.filter(bool)),
        incarnation=draw(st.from_regex(r"[0-9a-f]{8}", fullmatch=True)),
        filesystem=draw(st.sampled_from(["", "ext4", "xfs", "btrfs"])),
        created_ms=draw(st.integers(0, 2**50)),
        size_bytes=draw(st.integers(0, 2**50)),
        prepare=draw(st.sampled_from([None, *Prepare])),
        source=draw(st.sampled_from(["", "v-aaaaaaaa-aaaaaaaaaaaaaaaa"])),
        parameters=Parameters(
            mkfs_options=draw(WORDS),
            mount_options=draw(WORDS),
            claim_namespace=claim[0],
            claim_name=claim[1],
            intent=draw(INTENT),
        ),
        attributes=draw(INTENT),
    )


@given(TEXT)
def test_any_text_in_lvms_alphabet_and_back(text: str) -> None:
    escaped = tags.escape(text)
    assert not escaped or LVM_TAG.match(f"x{escaped}")
    assert tags.unescape(escaped) == text


@given(TEXT, TEXT)
def test_escaping_keeps_two_texts_apart(one: str, other: str) -> None:
    assert (tags.escape(one) == tags.escape(other)) == (one == other)


@given(st.dictionaries(TEXT, TEXT, max_size=5))
def test_any_mapping_and_back(mapping: dict[str, str]) -> None:
    packed = tags.pack(mapping)
    assert not packed or LVM_TAG.match(f"x{packed}")
    assert tags.unpack(packed) == mapping
    assert packed == tags.pack(dict(reversed(mapping.items()))), "one mapping, one tag"


@given(births())
def test_a_birth_and_back(birth: Birth) -> None:
    written = volume_tags(birth)
    assert all(LVM_TAG.match(text) for text in written)
    assert read_birth(tags.read([*written, "theirs", "ebb.tomorrow=1"]), "lv") == birth


@given(births(), TEXT)
def test_a_snapshots_birth_and_back(birth: Birth, volume_name: str) -> None:
    written = snapshot_tags(birth, "v-aaaaaaaa-aaaaaaaaaaaaaaaa", volume_name, "b" * 16)
    facts = tags.read(written)
    found = read_birth(facts, "lv")
    assert (found.name, found.incarnation, found.filesystem) == (
        birth.name,
        birth.incarnation,
        birth.filesystem,
    )
    assert (found.created_ms, found.size_bytes, found.prepare) == (
        birth.created_ms,
        birth.size_bytes,
        birth.prepare,
    )
    assert tags.unescape(facts.get("of-name", "")) == volume_name
    assert facts[records.GROUP] == "b" * 16


def test_the_longest_that_is_allowed_fits() -> None:
    longest = Birth(
        name="\u0800" * 42 + "xx",  # 128 bytes, three characters of tag each
        incarnation="a" * 8,
        filesystem="btrfs",
        created_ms=2**50,
        size_bytes=2**50,
        prepare=Prepare.FORMAT,
        source="v-aaaaaaaa-aaaaaaaaaaaaaaaa",
        parameters=Parameters(
            mkfs_options=("%",) * (OPTIONS_CHARACTERS // 2),
            mount_options=("=" * OPTIONS_CHARACTERS,),
            claim_namespace="n" * 253,
            claim_name="c" * 253,
            intent=dict.fromkeys(KEYS, "1" * LONGEST_VALUE),
        ),
        attributes=dict.fromkeys(KEYS, "1" * LONGEST_VALUE),
    )
    written = volume_tags(longest)
    # LVM's shell answers no line of more than 64 words: two for each tag, a dozen for the rest.
    assert 2 * len(written) <= 64 - 16
    assert read_birth(tags.read(written), "lv") == longest
    member = Birth(f"{longest.name}/{longest.name}", "a" * 8, "ext4", 1)
    assert snapshot_tags(member, "v-aaaaaaaa-aaaaaaaaaaaaaaaa", longest.name, "g" * 16)


def test_a_fact_too_long_for_a_tag_is_named() -> None:
    with pytest.raises(HostFailure, match="'claim'"):
        tags.tag("claim", "x" * 1024)


@pytest.mark.parametrize(
    ("version", "told", "remedy"),
    [(tags.SCHEMA + 1, "newer ebbd", "upgrade ebbd"), (tags.OLDEST_SCHEMA - 1, "older", "one ver")],
)
def test_a_schema_out_of_reach_is_refused_not_misread(version: int, told: str, remedy: str) -> None:
    facts = tags.read(volume_tags(Birth("a", "i", "ext4", 1))) | {records.VERSION: str(version)}
    with pytest.raises(HostFailure, match=told) as refused:
        read_birth(facts, "ebb.x.1")
    assert "ebb.x.1" in refused.value.message
    assert remedy in refused.value.remedy


@pytest.mark.parametrize("missing", ["v", "name", "inc", "fs", "made"])
def test_half_a_story_is_not_a_volume(missing: str) -> None:
    facts = tags.read(volume_tags(Birth("a", "i", "ext4", 1)))
    del facts[missing]
    with pytest.raises(HostFailure, match="not a whole story"):
        read_birth(facts, "lv")


@pytest.mark.parametrize(
    ("key", "value"), [("made", "x"), ("v", ""), ("prepare", "no"), ("want", "-")]
)
def test_nonsense_is_not_a_volume(key: str, value: str) -> None:
    facts = tags.read(volume_tags(Birth("a", "i", "ext4", 1))) | {key: value}
    with pytest.raises(HostFailure):
        read_birth(facts, "lv")
