"""What exists, decided from a VG's metadata alone."""

from dataclasses import replace

from ebbd.host.values import ThinPool, ThinVolume, VolumeGroup
from ebbd.model import Prepare
from ebbd.volumes import records, tags
from ebbd.volumes.catalog import Catalog, group_tag, read_catalog
from ebbd.volumes.names import Naming, head_lv, parse_id, snapshot_lv
from ebbd.volumes.records import Birth, snapshot_tags, volume_tags
from ebbd.volumes.recovery import leftovers

NAMING = Naming("aaaaaaaa")
EXTENT = 4 * 1024 * 1024
POOL = ThinPool("pool0", "u", 2**30, 2**22, 2**16, 1, zero=True, error_when_full=True)


def digest_of(identity: str) -> str:
    return identity.rpartition("-")[2]


def head(name: str, generation: int = 1, *, size: int = EXTENT, **birth: object) -> ThinVolume:
    story = replace(Birth(name, "inc1", "ext4", 5), **birth)  # type: ignore[arg-type] # fields by name
    lv_name = head_lv(digest_of(NAMING.volume_id(name)), generation)
    return ThinVolume(lv_name, size, frozenset(volume_tags(story)), "pool0")


def snap(name: str, of: str, *, group: str = "", incarnation: str = "inc1") -> ThinVolume:
    written = snapshot_tags(
        Birth(name, incarnation, "ext4", 6), NAMING.volume_id(of), of, digest_of(group)
    )
    lv_name = snapshot_lv(digest_of(NAMING.snapshot_id(name)))
    return ThinVolume(lv_name, EXTENT, frozenset(written), "pool0", read_only=True)


def vg(*lvs: ThinVolume, pending: tuple[str, ...] = (), tag: str = "") -> VolumeGroup:
    return VolumeGroup(
        name="vg0",
        uuid="u",
        seqno=1,
        extent_bytes=EXTENT,
        free_bytes=0,
        tags=frozenset([tag] if tag else []),
        pools={"pool0": replace(POOL, pending=pending)},
        volumes={lv.name: lv for lv in lvs},
    )


def read(*lvs: ThinVolume, pending: tuple[str, ...] = (), tag: str = "") -> Catalog:
    return read_catalog(NAMING, [vg(*lvs, pending=pending, tag=tag)])


def test_the_head_is_the_highest_generation_by_number() -> None:
    lvs = [head("a", g, size=EXTENT * g, attributes={"iops": str(g + 1)}) for g in (9, 10, 2)]
    [volume] = read(*lvs).volumes.values()
    assert (volume.generation, volume.lv_bytes) == (10, 10 * EXTENT)
    assert volume.older_lvs == (lvs[2].name, lvs[0].name), "oldest first"
    assert volume.intent == {"iops": "11"}, "the intent is the head's"


def test_a_pending_lv_does_not_exist() -> None:
    first, second, other = head("a", 1), head("a", 2), head("b")
    found = read(first, second, other, snap("s", "a"), pending=(second.name, other.name))
    [volume] = found.volumes.values()
    assert (volume.generation, volume.older_lvs) == (1, ())
    assert not read(snap("s", "a"), pending=(snap("s", "a").name,)).snapshots


def test_a_promise_larger_than_the_lv() -> None:
    [volume] = read(head("a", size_bytes=9 * EXTENT, prepare=Prepare.RENEW)).volumes.values()
    assert (volume.size_bytes, volume.lv_bytes) == (9 * EXTENT, EXTENT)
    [grown] = read(head("a", size=9 * EXTENT, size_bytes=2 * EXTENT)).volumes.values()
    assert grown.size_bytes == 9 * EXTENT


def test_marks() -> None:
    lv = head("a")
    marked = replace(
        lv, tags=lv.tags | {tags.tag(records.DELETING, ""), tags.tag(records.ATTACHED, "ro")}
    )
    [volume] = read(marked).volumes.values()
    assert volume.deleting
    assert volume.attached == "ro"


def test_what_is_not_ours_is_not_seen() -> None:
    theirs = ThinVolume("data", EXTENT, frozenset({"ebb.name=x"}), "pool0")
    found = read(theirs, replace(head("a"), name="ebb.misnamed.1"))
    assert found == Catalog({}, {}, {}, {})


def test_what_cannot_be_read_is_a_stray_and_hides_nothing_else() -> None:
    torn = replace(head("a"), tags=frozenset({"ebb.v=1"}))
    newer = snap("s", "b")
    newer = replace(newer, tags=(newer.tags - {"ebb.v=1"}) | {"ebb.v=99"})
    found = read(torn, newer, head("b"), tag="ebb.group.cccccccccccccccc=rubbish")
    assert [v.name for v in found.volumes.values()] == ["b"]
    assert set(found.strays) == {
        f"vg0/{torn.name}",
        f"vg0/{newer.name}",
        "vg0/#group.cccccccccccccccc",
    }
    assert "newer ebbd" in found.strays[f"vg0/{newer.name}"]


def test_snapshots_of_a_former_incarnation() -> None:
    old, new = snap("s1", "a", incarnation="inc0"), snap("s2", "a")
    volume_id = NAMING.volume_id("a")
    assert [s.name for s in read(head("a"), old, new).snapshots_of(volume_id)] == ["s2"]
    gone = read(old, new)
    assert {s.name for s in gone.snapshots_of(volume_id)} == {"s1", "s2"}


def test_a_group_counts_with_its_commit_only() -> None:
    group_id = NAMING.group_id("g")
    members = (snap("m1", "a", group=group_id), snap("m2", "b", group=group_id))
    alone = snap("s", "a")
    bare = read(*members, alone)
    assert not bare.groups
    assert [s.name for s in bare.snapshots.values()] == ["s"]
    found = read(*members, alone, tag=group_tag(digest_of(group_id), "g", 7))
    [group] = found.groups.values()
    assert (group.id, group.name, group.created_ms) == (group_id, "g", 7)
    assert {s.name for s in group.snapshots} == {"m1", "m2"}
    assert len(found.snapshots) == 3


def test_several_vgs_are_one_catalog() -> None:
    other = replace(vg(head("b")), name="vg1")
    found = read_catalog(NAMING, [vg(head("a")), other])
    assert {(v.name, v.vg) for v in found.volumes.values()} == {("a", "vg0"), ("b", "vg1")}


def test_every_id_in_it_is_one() -> None:
    group_id = NAMING.group_id("g")
    found = read(
        head("a"), snap("m", "a", group=group_id), tag=group_tag(digest_of(group_id), "g", 7)
    )
    assert all(parse_id(i, "v") for i in found.volumes)
    assert all(parse_id(i, "s") for i in found.snapshots)
    assert all(parse_id(i, "g") for i in found.groups)


def test_leftovers_older_generations_first_head_last() -> None:
    mark = tags.tag(records.DELETING, "")
    lvs = [head("a", g) for g in (3, 1, 2)]
    lvs[0] = replace(lvs[0], tags=lvs[0].tags | {mark})
    kept = [head("b", g) for g in (1, 2)]
    group_id = NAMING.group_id("g")
    member, pending = snap("m", "b", group=group_id), snap("p", "b", group=group_id)
    left = leftovers(vg(*lvs, *kept, member, pending, snap("s", "b"), pending=(pending.name,)))
    assert left.deleted_volumes == ((lvs[1].name, lvs[2].name), (lvs[0].name,))
    assert left.uncommitted_group_members == (member.name,)
    committed = vg(member, tag=group_tag(digest_of(group_id), "g", 7))
    assert leftovers(committed).uncommitted_group_members == ()
