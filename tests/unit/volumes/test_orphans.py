"""What is an orphan, what is told of it, and what would be done: decided from values alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ebbd.host.values import DeviceInfo, Mount, ThinVolume
from ebbd.volumes import records, tags
from ebbd.volumes.catalog import group_tag, read_catalog
from ebbd.volumes.orphans import Facts, GroupFacts, Kind, Orphan, find_orphans
from unit.volumes.test_catalog import NAMING, digest_of, head, snap, vg

ALLOWED = "/run/ebb/mounts"
HERE = f"{ALLOWED}/here"


def device(name: str, minor: int, *, open_count: int = 0) -> DeviceInfo:
    return DeviceInfo(f"vg0-{name}", f"LVM-{name}", 253, minor, open_count, False, False)


def mount(minor: int, target: str = HERE, **more: str) -> Mount:
    shown = Mount(7, 1, 253, minor, "/", target, ("rw",), "ext4", "/dev/mapper/x", ("rw",))
    return replace(shown, **more)  # type: ignore[arg-type] # fields by name


def found(
    *lvs: ThinVolume,
    active: Sequence[DeviceInfo] = (),
    mounts: Sequence[Mount] = (),
    thin: Mapping[int, int] | None = None,
    busy: Sequence[str] = (),
    tag: str = "",
    pending: tuple[str, ...] = (),
) -> list[Orphan]:
    group = vg(*lvs, tag=tag, pending=pending)
    devices = {info.name.removeprefix("vg0-"): info for info in active}
    part = GroupFacts(group, devices, {"pool0": thin} if thin is not None else {})
    catalog = read_catalog(NAMING, [group])
    facts = Facts(NAMING, catalog, [part], mounts, [ALLOWED], frozenset(busy))
    return list(find_orphans(facts))


def told(orphans: Sequence[Orphan]) -> list[tuple[Kind, str, bool]]:
    """Kind, subject, and whether it would be removed."""
    return [(orphan.kind, orphan.subject, bool(orphan.action)) for orphan in orphans]


def retagged(lv: ThinVolume, *, drop: str = "", add: str = "") -> ThinVolume:
    kept = {text for text in lv.tags if not drop or not text.startswith(drop)}
    return replace(lv, tags=frozenset(kept | ({add} if add else set())))


def test_a_node_in_order_has_none() -> None:
    a, b = head("a", 2), head("b")
    older = head("a", 1)
    group = "g-aaaaaaaa-cccccccccccccccc"
    commit = group_tag(digest_of(group), "nightly", 1)
    member = snap("s", "a", group=group)
    lvs = [replace(lv, device_id=n) for n, lv in enumerate([older, a, b, member])]
    assert not found(
        *lvs,
        active=[device(a.name, 3, open_count=1), device("pool0", 1)],
        mounts=[mount(3)],
        thin=dict.fromkeys(range(4), 0),
        tag=commit,
    )


def test_lvs_of_others_are_nobodys_business() -> None:
    theirs = ThinVolume("data", 1, frozenset({"ebb.name=x", "backup"}), "pool0", device_id=5)
    assert not found(theirs, active=[device("data", 3)], mounts=[mount(3)], thin={5: 1}), (
        "active, mounted and in the pool, and none of ours"
    )


def test_an_lv_without_its_story_is_removed_on_request() -> None:
    for torn in (retagged(head("a"), drop="ebb."), retagged(snap("s", "a"), drop="ebb.made")):
        lv = replace(torn, device_id=4)
        [orphan] = found(lv, thin={4: 4096})
        assert told([orphan]) == [(Kind.LV, f"vg0/{lv.name}", True)]
        assert (orphan.allocated_bytes, orphan.broken) == (4096, True)
        assert orphan.action == f"lvremove vg0/{lv.name}"
        assert "story" in orphan.reason


def test_what_a_newer_ebbd_wrote_is_never_removed() -> None:
    for lv in (head("a"), head("a", 2), snap("s", "b")):
        newer = retagged(lv, drop="ebb.v=", add="ebb.v=99")
        older = [head("a", 1)] if lv.name.endswith(".2") else []
        [orphan] = found(newer, *older)
        assert told([orphan]) == [(Kind.LV, f"vg0/{lv.name}", False)]
        assert "upgrade ebbd" in orphan.remedy


def test_a_head_without_its_story_is_kept_while_it_hides_older_data() -> None:
    torn = retagged(head("a", 2), drop="ebb.name")
    [orphan] = found(head("a", 1), torn)
    assert told([orphan]) == [(Kind.LV, f"vg0/{torn.name}", False)]
    assert "1 older generation" in orphan.reason
    assert "lvchange --addtag" in orphan.remedy


def test_an_lv_of_ours_under_another_name_is_told_and_kept() -> None:
    [orphan] = found(replace(head("a"), name="renamed"))
    assert told([orphan]) == [(Kind.LV, "vg0/renamed", False)]
    assert "lvrename" in orphan.remedy


def test_a_group_without_its_commit() -> None:
    group = "g-aaaaaaaa-cccccccccccccccc"
    member = snap("s", "a", group=group)
    [orphan] = found(head("a"), member)
    assert told([orphan]) == [(Kind.LV, f"vg0/{member.name}", True)]
    assert not found(head("a"), member, busy=[group]), "it is being taken right now"
    assert not found(head("a"), member, tag=group_tag(digest_of(group), "n", 1))


def test_a_deletion_that_was_cut_short_goes_head_last() -> None:
    marked = retagged(head("a", 3), add=tags.tag(records.DELETING, ""))
    older = [head("a", 1), head("a", 2)]
    [orphan] = found(marked, *older)
    assert orphan.lvs == ((older[0].name, older[1].name), (marked.name,))
    assert not found(marked, *older, busy=[NAMING.volume_id("a")])


def test_a_pending_lv_is_recoverys() -> None:
    torn = retagged(head("a"), drop="ebb.")
    assert not found(torn, pending=(torn.name,))


def test_devices_that_nobody_uses() -> None:
    a, older, s, raw = head("a", 2), head("a", 1), snap("s", "a"), head("r", filesystem="")
    lvs = (a, older, s, raw)
    for lv in (a, older, s):
        [orphan] = found(*lvs, active=[device(lv.name, 3)])
        assert told([orphan]) == [(Kind.ACTIVE, f"vg0/{lv.name}", True)]
        assert orphan.action == f"lvchange --activate n vg0/{lv.name}"
        assert not found(*lvs, active=[device(lv.name, 3, open_count=1)])
        assert not found(*lvs, active=[device(lv.name, 3)], busy=orphan.keys)
    assert not found(*lvs, active=[device(a.name, 3)], mounts=[mount(3, "/mnt")])
    assert not found(*lvs, active=[device(raw.name, 3)]), "it may be staged"


def test_a_device_without_an_lv_is_told_and_kept() -> None:
    [orphan] = found(head("a"), active=[device("ebb.gone.1", 3)])
    assert told([orphan]) == [(Kind.ACTIVE, "vg0/ebb.gone.1", False)]
    assert "dmsetup remove vg0-ebb.gone.1" in orphan.remedy


def test_mounts_of_what_is_no_head() -> None:
    a, older, s = head("a", 2), head("a", 1), snap("s", "a")
    for lv in (older, s):
        up = [device(lv.name, 3, open_count=1)]
        [orphan] = found(a, older, s, active=up, mounts=[mount(3)])
        assert told([orphan]) == [(Kind.MOUNT, HERE, True)]
        assert (orphan.action, orphan.device) == (f"umount {HERE}", (253, 3))
        assert not found(a, older, s, active=up, mounts=[mount(3, "/mnt")]), "not where we mount"
        assert not found(a, older, s, active=up, mounts=[mount(3)], busy=orphan.keys)


def test_a_mount_of_what_is_not_understood_is_left_alone() -> None:
    newer = retagged(head("a"), drop="ebb.v=", add="ebb.v=99")
    orphans = found(newer, active=[device(newer.name, 3, open_count=1)], mounts=[mount(3)])
    assert [orphan.kind for orphan in orphans] == [Kind.LV]


def test_a_bound_node_whose_device_is_gone_may_be_anybodys() -> None:
    [orphan] = found(mounts=[mount(5, filesystem="devtmpfs", root="/dm-3//deleted")])
    assert told([orphan]) == [(Kind.MOUNT, HERE, False)]


def test_thin_devices_that_lvm_does_not_know() -> None:
    lv = replace(head("a"), device_id=1)
    [orphan] = found(lv, thin={1: 10, 7: 4096})
    assert told([orphan]) == [(Kind.THIN_DEVICE, "vg0/pool0#7", True)]
    assert (orphan.allocated_bytes, orphan.device_id) == (4096, 7)


def test_they_come_in_the_order_in_which_they_can_go() -> None:
    older, a, torn = head("a", 1), head("a", 2), retagged(head("t"), drop="ebb.")
    orphans = found(
        replace(older, device_id=1), replace(a, device_id=2), replace(torn, device_id=3),
        active=[device(older.name, 3, open_count=1), device(a.name, 4)],
        mounts=[mount(3)],
        thin=dict.fromkeys(range(1, 5), 0),
    )  # fmt: skip
    assert [orphan.kind for orphan in orphans] == list(Kind)


def test_an_orphan_that_changed_has_another_id() -> None:
    torn = retagged(head("a"), drop="ebb.")
    [before], [after] = found(torn), found(replace(torn, uuid="another"))
    [tagged] = found(retagged(torn, add="mine"))
    [again] = found(torn)
    assert before.id == again.id
    assert len({before.id, after.id, tagged.id}) == 3
    [small], [grown] = found(thin={7: 1}), found(thin={7: 2})
    assert small.id != grown.id
