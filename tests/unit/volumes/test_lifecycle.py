"""Create, copy, grow, modify, attach, delete: repeated, at once, and refused."""

import asyncio
from typing import Any

import pytest
from contract.volumes.engine import BLOCK, MIB, NODE, Engine
from ebbd.errors import (
    Busy,
    Conflict,
    EbbError,
    InvalidInput,
    NoRoom,
    NotFound,
    SizeOutOfRange,
    WrongState,
)
from ebbd.host.simulated.faults import Step
from ebbd.model import Created, Prepare, Unchanged
from ebbd.volumes import records, tags
from ebbd.volumes.creation import VolumeRequest
from ebbd.volumes.names import head_lv
from ebbd.volumes.pools import PoolSpec
from unit.volumes.rig import POOL, VG, Rig

BASE: dict[str, Any] = {
    "required_bytes": 64 * MIB,
    "limit_bytes": 80 * MIB,
    "filesystem": "xfs",
    "parameters": {
        "mkfs-options": "-L ''",
        "mount-options": "noatime",
        "priority": "gold",
        "csi.storage.k8s.io/pvc/name": "claim",
        "csi.storage.k8s.io/pvc/namespace": "team",
    },
    "mutable_parameters": {"iops": "500"},
}


def asking(**changed: Any) -> VolumeRequest:  # noqa: ANN401 - fields of the request by name
    return VolumeRequest(
        "a", **{**BASE, "required_bytes": 320 * MIB, "limit_bytes": 400 * MIB, **changed}
    )


async def test_what_is_made_is_what_was_asked(engine: Engine) -> None:
    made = await engine.creation.create(asking())
    assert isinstance(made, Created)
    volume = made.value
    assert (volume.name, volume.size_bytes, volume.filesystem) == ("a", 320 * MIB, "xfs")
    assert volume.mkfs_options == ("-L", "")
    assert volume.mount_options == ("noatime",)
    assert volume.intent == {"priority": "gold", "iops": "500"}
    assert (volume.claim_namespace, volume.claim_name) == ("team", "claim")
    assert volume.prepare is Prepare.FORMAT
    assert volume.generation == 1
    assert await engine.devices.info(volume) is None, "inactive until staged"


@pytest.mark.parametrize(
    "again",
    [
        {},
        {"required_bytes": 0},
        {"required_bytes": 100 * MIB},
        {"limit_bytes": 0},
        {"limit_bytes": 320 * MIB},
        {"parameters": {**BASE["parameters"], "pool": f"{VG}/{POOL}"}},
        {"mutable_parameters": {"iops": "900"}},
    ],
)
async def test_a_compatible_repetition_finds_it(engine: Engine, again: dict[str, Any]) -> None:
    made = (await engine.creation.create(asking())).value
    assert await engine.creation.create(asking(**again)) == Unchanged(made)


@pytest.mark.parametrize(
    ("again", "named"),
    [
        ({"required_bytes": 384 * MIB}, "size"),
        ({"required_bytes": 0, "limit_bytes": 300 * MIB}, "size"),
        ({"filesystem": "ext4"}, "filesystem"),
        ({"filesystem": ""}, "filesystem"),
        ({"filesystem": "", "block": True}, "filesystem"),
        ({"source": "s-aaaaaaaa-aaaaaaaaaaaaaaaa"}, "source"),
        ({"parameters": {**BASE["parameters"], "mkfs-options": "-L x"}}, "mkfs-options"),
        ({"parameters": {**BASE["parameters"], "mount-options": ""}}, "mount-options"),
        ({"parameters": {**BASE["parameters"], "priority": "tin"}}, "intent"),
    ],
)
async def test_another_meaning_of_the_name_is_a_conflict_that_names_it(
    engine: Engine, again: dict[str, Any], named: str
) -> None:
    made = (await engine.creation.create(asking())).value
    with pytest.raises(Conflict, match=f"another {named}"):
        await engine.creation.create(asking(**again))
    assert await engine.volumes() == {"a": made}


async def test_a_raw_copy_is_not_taken_for_a_mounted_one(engine: Engine) -> None:
    origin = await engine.create("origin", block=True)
    raw = await engine.create("copy", source=origin.id, block=True)
    assert raw.filesystem == ""
    assert isinstance(await engine.request("copy", source=origin.id, block=True), Unchanged)
    with pytest.raises(Conflict, match="filesystem"):
        await engine.request("copy", source=origin.id)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (VolumeRequest(""), InvalidInput),
        (VolumeRequest("a\x00b"), InvalidInput),
        (VolumeRequest("ä" * 65), InvalidInput),
        (VolumeRequest("a", required_bytes=-1), InvalidInput),
        (VolumeRequest("a", required_bytes=9, limit_bytes=8), InvalidInput),
        (VolumeRequest("a", required_bytes=2**60), SizeOutOfRange),
        (VolumeRequest("a", limit_bytes=MIB), SizeOutOfRange),
        (VolumeRequest("a", limit_bytes=100 * MIB, filesystem="xfs"), SizeOutOfRange),
        (VolumeRequest("a", filesystem="zfs"), InvalidInput),
        (VolumeRequest("a", filesystem="ext4", block=True), InvalidInput),
        (VolumeRequest("a", parameters={"pool": "vg0/none"}), InvalidInput),
        (VolumeRequest("a", parameters={"piool": "x"}), InvalidInput),
        (VolumeRequest("a", parameters={"iops": "lots"}), InvalidInput),
        (VolumeRequest("a", mutable_parameters={"pool": "vg0/pool0"}), InvalidInput),
        (
            VolumeRequest("a", parameters={"iops": "5"}, mutable_parameters={"floor-iops": "9"}),
            InvalidInput,
        ),
        (VolumeRequest("a", source="s-aaaaaaaa-aaaaaaaaaaaaaaaa"), NotFound),
        (VolumeRequest("a", source="rubbish"), NotFound),
        (VolumeRequest("a", required_bytes=2**40), NoRoom),
    ],
)
async def test_a_refused_creation_changes_nothing(
    engine: Engine, request_: VolumeRequest, error: type[EbbError]
) -> None:
    before = engine.host.lvm.command_lines
    with pytest.raises(error) as refused:
        await engine.creation.create(request_)
    assert refused.value.message
    assert engine.host.lvm.command_lines == before
    assert not await engine.volumes()


async def test_names_are_any_text(engine: Engine) -> None:
    names = ["ü 体 👩‍👩‍👧", "a\tb\nc", " ", "../../x", "!%7E~\\'\"$(x)"]
    for name in names:
        volume = await engine.create(name)
        assert volume.name == name
        assert volume.lv_name.isascii()
    assert set(await engine.volumes()) == set(names)


async def test_two_equal_creations_at_once_are_one(engine: Engine) -> None:
    before = engine.host.lvm.command_lines
    first, second = await asyncio.gather(engine.request("a"), engine.request("a"))
    assert {type(first), type(second)} == {Created, Unchanged}
    assert first.value == second.value
    assert engine.host.lvm.command_lines - before == 1


async def test_two_different_creations_of_a_name_at_once(engine: Engine) -> None:
    told = await asyncio.gather(
        engine.request("a", 64), engine.request("a", 128), return_exceptions=True
    )
    assert [type(t) for t in told] == [Created, Conflict]


async def test_delete_during_create_waits_for_it(rig: Rig, engine: Engine) -> None:
    held = rig.hold("create_thin", Step.LISTED)
    creating = asyncio.create_task(engine.create("a"))
    await held.reached.wait()
    deleting = asyncio.create_task(engine.lifecycle.delete(engine.store.naming.volume_id("a")))
    await asyncio.sleep(0)
    held.release.set()
    assert (await creating).name == "a"
    assert await deleting
    assert not rig.machine.group(VG).volumes
    rig.assert_sound()


async def test_snapshot_during_delete_finds_nothing(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a")
    held = rig.hold("remove", Step.UNLISTED)
    deleting = asyncio.create_task(engine.lifecycle.delete(volume.id))
    await held.reached.wait()
    snapping = asyncio.create_task(engine.snapshots.create("s", volume.id))
    copying = asyncio.create_task(engine.create("b", source=volume.id))
    await asyncio.sleep(0)
    held.release.set()
    assert await deleting
    for refused in (snapping, copying):
        with pytest.raises(NotFound):
            await refused
    assert not rig.machine.group(VG).volumes


async def test_room_is_asked_for_when_the_turn_has_come(rig: Rig, engine: Engine) -> None:
    """Two that fit alone but not together: exactly one is made."""
    [spec] = engine.store.pools.specs
    room = (await engine.store.pool_state(spec)).available_bytes
    half = room // MIB * 3 // 5
    told = await asyncio.gather(
        engine.request("a", half), engine.request("b", half), return_exceptions=True
    )
    assert [type(t) for t in told] == [Created, NoRoom]
    assert len(rig.machine.group(VG).volumes) == 1


@pytest.mark.parametrize("fault", ["full", "failed"])
async def test_a_sick_pool_takes_nothing_new(rig: Rig, engine: Engine, fault: str) -> None:
    volume = await engine.create("a")
    if fault == "full":
        rig.machine.fill_pool(VG, POOL)
    else:
        rig.machine.pool(VG, POOL).failed = True
    with pytest.raises(NoRoom, match=f"{VG}/{POOL}"):
        await engine.create("b")
    with pytest.raises(NoRoom):
        await engine.snapshots.create("s", volume.id)
    with pytest.raises(NoRoom):
        await engine.create("c", source=volume.id)
    [seen] = await engine.observer.observe([volume])
    assert seen.problem
    assert set(await engine.volumes()) == {"a"}


async def test_a_pool_that_was_taken_down_is_a_condition_not_a_failure(
    rig: Rig, engine: Engine
) -> None:
    volume = await engine.create("a")
    rig.machine.reboot()  # the kernel's side of the pool is gone, ebbd was not restarted
    [seen] = await engine.observer.observe([volume])
    assert "not active" in seen.problem
    [spec] = engine.store.pools.specs
    assert (await engine.store.pool_state(spec)).available_bytes == 0


# ---- copies ----


async def test_a_copy_has_its_sources_bytes_and_an_identity_of_its_own(
    rig: Rig, engine: Engine
) -> None:
    for filesystem in ("ext4", "xfs", "btrfs"):
        origin = await engine.create(f"o-{filesystem}", 320, filesystem=filesystem)
        path = await engine.stage(origin)
        rig.files.write_file(path, "f", MIB, "one")
        snapshot = (await engine.snapshots.create(f"s-{filesystem}", origin.id)).value
        rig.files.write_file(path, "f", MIB, "two")
        restored = await engine.create(f"r-{filesystem}", 320, source=snapshot.id)
        clone = await engine.create(f"c-{filesystem}", 0, source=origin.id)
        assert rig.files.read_file(await engine.stage(restored), "f") == "one"
        assert rig.files.read_file(await engine.stage(clone), "f") == "two"
        assert {restored.size_bytes, clone.size_bytes} == {origin.size_bytes}


async def test_a_copy_outlives_its_source(rig: Rig, engine: Engine) -> None:
    origin = await engine.create("o")
    path = await engine.stage(origin)
    rig.files.write_file(path, "f", MIB, "x")
    snapshot = (await engine.snapshots.create("s", origin.id)).value
    await engine.staging.unstage(origin.id, path)
    await engine.lifecycle.delete(origin.id)
    copy = await engine.create("c", source=snapshot.id)
    await engine.snapshots.delete(snapshot.id)
    assert rig.files.read_file(await engine.stage(copy), "f") == "x"
    assert (await engine.volumes())["c"].source == snapshot.id


async def test_a_larger_copy_is_promised_at_once_and_grown_when_staged(engine: Engine) -> None:
    origin = await engine.create("o", 64)
    await engine.stage(origin)
    copy = await engine.create("c", 128, source=origin.id)
    assert (copy.size_bytes, copy.lv_bytes) == (128 * MIB, 64 * MIB)
    snapshot = (await engine.snapshots.create("s", copy.id)).value
    assert snapshot.size_bytes == 128 * MIB, "what is promised is what a restore must have"
    path = await engine.stage(copy)
    staged = (await engine.volumes())["c"]
    assert (staged.size_bytes, staged.lv_bytes) == (128 * MIB, 128 * MIB)
    assert (await engine.host.filesystems.usage(path)).total_bytes > 120 * MIB
    facts = tags.read(engine.store.lv(VG, staged.lv_name).tags)
    assert records.WANT not in facts
    assert records.PREPARE not in facts
    with pytest.raises(SizeOutOfRange):
        await engine.create("d", 64, source=snapshot.id)


async def test_a_copy_of_a_blank_volume_is_blank(engine: Engine) -> None:
    origin = await engine.create("o", 64)
    snapshot = (await engine.snapshots.create("s", origin.id)).value
    copy = await engine.create("c", 128, source=snapshot.id)
    assert copy.prepare is Prepare.FORMAT
    path = await engine.stage(copy)
    assert (await engine.host.filesystems.usage(path)).total_bytes > 120 * MIB


async def test_a_copys_filesystem_is_its_sources(rig: Rig, engine: Engine) -> None:
    origin = await engine.create("o", filesystem="ext4")
    with pytest.raises(InvalidInput, match="ext4"):
        await engine.create("c", 320, source=origin.id, filesystem="xfs")
    raw = await engine.create("raw", block=True)
    with pytest.raises(InvalidInput, match="raw block"):
        await engine.create("c", source=raw.id)
    # The consumer of a raw device made the filesystem itself: the copy may be mounted.
    await engine.stage(raw, access=BLOCK)
    await engine.host.filesystems.make(engine.devices.path(raw), "ext4", [])
    mounted = await engine.create("m", source=raw.id, filesystem="ext4")
    await engine.stage(mounted)
    # A wrong word about it is found before anything is mounted.
    wrong = await engine.create("w", 320, source=raw.id, filesystem="xfs")
    with pytest.raises(WrongState, match="should carry xfs"):
        await engine.stage(wrong)
    assert engine.path(f"stage-{wrong.lv_name}") not in {m.target for m in rig.machine.mounts}


async def test_a_copy_stays_in_its_sources_pool(rig: Rig) -> None:
    rig.machine.add_disk("/dev/vdc", 2**32)
    rig.specs.append(PoolSpec("vg1", "fast", 1.0, devices=("/dev/vdc",)))
    async with rig.start() as engine:
        origin = await engine.create("o", parameters={"pool": "vg1/fast"})
        copy = await engine.create("c", source=origin.id)
        assert (copy.vg, copy.pool) == ("vg1", "fast")
        with pytest.raises(InvalidInput, match="vg1/fast"):
            await engine.create("d", source=origin.id, parameters={"pool": f"{VG}/{POOL}"})
        other = await engine.create("e")
        with pytest.raises(InvalidInput, match="one VG"):
            await engine.groups.create("g", [origin.id, other.id])


# ---- grow, modify, attach ----


async def test_expand(rig: Rig, engine: Engine) -> None:
    volume = await engine.create("a", 64)
    path = await engine.stage(volume)
    assert isinstance(await engine.lifecycle.expand(volume.id, 64 * MIB, 0), Unchanged)
    assert isinstance(await engine.lifecycle.expand(volume.id, 0, 0), Unchanged)
    grown = await engine.lifecycle.expand(volume.id, 100 * MIB + 1, 0)
    assert isinstance(grown, Created)
    assert grown.value.size_bytes == 104 * MIB, "whole extents"
    await engine.observer.grow(volume.id, path)
    assert (await engine.host.filesystems.usage(path)).total_bytes > 96 * MIB
    for required, limit, error in [
        (0, 64 * MIB, SizeOutOfRange),
        (105 * MIB, 106 * MIB, SizeOutOfRange),
        (10, 5, InvalidInput),
        (-1, 0, InvalidInput),
        (2**40, 0, NoRoom),
    ]:
        with pytest.raises(error):
            await engine.lifecycle.expand(volume.id, required, limit)
    with pytest.raises(NotFound):
        await engine.lifecycle.expand(engine.store.naming.volume_id("b"), 1, 0)
    assert rig.machine.group(VG).volumes[volume.lv_name].size_bytes == 104 * MIB


async def test_growing_through_a_path_where_it_is_not(engine: Engine) -> None:
    volume = await engine.create("a")
    await engine.observer.grow(volume.id, "")  # not staged: grown when it is
    with pytest.raises(NotFound, match="not mounted"):
        await engine.observer.grow(volume.id, engine.path("elsewhere"))


async def test_modify_is_all_or_nothing(engine: Engine) -> None:
    volume = await engine.create("a", parameters={"priority": "gold", "read-iops": "100"})
    changed = await engine.lifecycle.modify(volume.id, {"write-iops": "7", "priority": "tin"})
    assert isinstance(changed, Created)
    assert changed.value.intent == {"priority": "tin", "read-iops": "100", "write-iops": "7"}
    for bad in ({"write-iops": "8", "nonsense": "1"}, {"iops": "0"}, {"floor-iops": "500"}):
        with pytest.raises(InvalidInput):
            await engine.lifecycle.modify(volume.id, bad)
    assert (await engine.volumes())["a"] == changed.value
    same = await engine.lifecycle.modify(volume.id, {"priority": "tin", "write-iops": "7"})
    assert isinstance(same, Unchanged)
    # The class is a whole layer: what it does not say any more is no longer asked.
    emptied = await engine.lifecycle.modify(volume.id, {})
    assert emptied.value.intent == {"priority": "gold", "read-iops": "100"}
    with pytest.raises(NotFound):
        await engine.lifecycle.modify("nonsense", {})


async def test_attach(rig: Rig) -> None:
    async with rig.start(max_volumes=2) as engine:
        volumes = [await engine.create(name) for name in "abc"]
        attach = engine.attachment.attach
        told = await asyncio.gather(
            *(attach(v.id, NODE, read_only=False) for v in volumes), return_exceptions=True
        )
        assert [type(t) for t in told] == [type(None), type(None), NoRoom]
        await attach(volumes[0].id, NODE, read_only=False)
        with pytest.raises(Conflict, match="not ro"):
            await attach(volumes[0].id, NODE, read_only=True)
        for volume_id, node in [(volumes[2].id, "elsewhere"), ("nonsense", NODE)]:
            with pytest.raises(NotFound):
                await attach(volume_id, node, read_only=False)
        with pytest.raises(NotFound):
            await engine.attachment.detach(volumes[0].id, "elsewhere")
        for _ in range(2):
            await engine.attachment.detach(volumes[0].id, NODE)
        await engine.attachment.detach("nonsense", "")
        await attach(volumes[2].id, NODE, read_only=True)
    async with rig.start(max_volumes=2) as again:
        attached = {name: v.attached for name, v in (await again.volumes()).items()}
        assert attached == {"a": "", "b": "rw", "c": "ro"}


# ---- delete ----


async def test_delete_is_idempotent_and_keeps_snapshots(engine: Engine) -> None:
    volume = await engine.create("a")
    snapshot = (await engine.snapshots.create("s", volume.id)).value
    assert await engine.lifecycle.delete(volume.id)
    assert not await engine.lifecycle.delete(volume.id)
    assert not await engine.lifecycle.delete("nonsense")
    assert not await engine.lifecycle.delete("v-aaaaaaaa-aaaaaaaaaaaaaaaa")
    assert await engine.snapshots.select("", "") == [snapshot]
    assert await engine.snapshots.select(volume.id, "") == [snapshot]


async def test_a_name_used_again_does_not_inherit(engine: Engine) -> None:
    old = await engine.create("a")
    snapshot = (await engine.snapshots.create("s", old.id)).value
    await engine.lifecycle.delete(old.id)
    new = await engine.create("a")
    assert new.id == old.id
    assert await engine.snapshots.select(new.id, "") == []
    assert await engine.snapshots.select("", snapshot.id) == [snapshot]
    with pytest.raises(Conflict, match="earlier volume"):
        await engine.snapshots.create("s", new.id)


async def test_what_is_used_is_not_deleted(rig: Rig, engine: Engine) -> None:
    mounted, opened, shown = (
        await engine.create("mounted"),
        await engine.create("opened", block=True),
        await engine.create("shown", block=True),
    )
    await engine.stage(mounted)
    await engine.stage(opened, access=BLOCK)
    rig.machine.open_device(VG, opened.lv_name)
    await engine.stage(shown, access=BLOCK)
    await engine.publish(shown, "device", BLOCK)  # in a pod that has not opened it yet
    for volume in (mounted, opened, shown):
        with pytest.raises(WrongState, match="in use"):
            await engine.lifecycle.delete(volume.id)
    assert len(await engine.volumes()) == 3
    rig.machine.close_device(VG, opened.lv_name)
    assert await engine.lifecycle.delete(opened.id), "active but unused"
    rig.assert_sound()


async def rewound(rig: Rig, engine: Engine, times: int) -> None:
    """Volume `a` with older generations, in one foreign hand: the timeline's rewind will."""
    volume = await engine.create("a")
    digest = volume.id.rpartition("-")[2]
    for generation in range(2, times + 2):
        origin = head_lv(digest, generation - 1)
        lv = rig.machine.group(VG).volumes[origin]
        await rig.administrator.create_snapshot(
            VG, origin, head_lv(digest, generation), tags=sorted(lv.tags), read_only=False
        )
    assert (await engine.volumes())["a"].generation == times + 1


async def test_a_volume_with_more_generations_than_one_line_takes(rig: Rig, engine: Engine) -> None:
    await rewound(rig, engine, 30)
    before = engine.host.lvm.command_lines
    assert await engine.lifecycle.delete(engine.store.naming.volume_id("a"))
    assert engine.host.lvm.command_lines - before == 4  # the mark, 24 and 6 older ones, the head
    assert not rig.machine.group(VG).volumes


async def test_what_a_failed_deletion_left_only_goes_on_being_deleted(
    rig: Rig, engine: Engine
) -> None:
    await rewound(rig, engine, 2)
    volume = (await engine.volumes())["a"]
    rig.machine.faults.stop("remove", Step.STARTED)
    with pytest.raises(EbbError):
        await engine.lifecycle.delete(volume.id)
    assert (await engine.volumes())["a"].deleting
    for refused in (
        engine.create("a"),
        engine.create("b", source=volume.id),
        engine.stage(volume),
        engine.snapshots.create("s", volume.id),
        engine.lifecycle.expand(volume.id, 128 * MIB, 0),
        engine.lifecycle.modify(volume.id, {}),
        engine.attachment.attach(volume.id, NODE, read_only=False),
        engine.groups.create("g", [volume.id]),
    ):
        with pytest.raises(Busy, match="being deleted"):
            await refused
    assert await engine.lifecycle.delete(volume.id)
    assert not rig.machine.group(VG).volumes


async def test_a_deletion_that_cannot_be_finished_does_not_keep_the_daemon_down(
    rig: Rig,
) -> None:
    async with rig.start() as engine:
        await rewound(rig, engine, 2)
        await engine.create("b")
        old = (await engine.volumes())["a"].older_lvs[0]
        rig.machine.faults.stop("remove", Step.STARTED)
        with pytest.raises(EbbError):
            await engine.lifecycle.delete(engine.store.naming.volume_id("a"))
    await rig.administrator.activate(VG, old)
    rig.machine.open_device(VG, old)
    async with rig.start() as engine:
        assert any("left for the next start" in line for line in engine.said)
        assert (await engine.volumes())["a"].deleting, "the head goes last"
        assert isinstance(await engine.request("b"), Unchanged)
    rig.machine.close_device(VG, old)
    async with rig.start() as engine:
        assert set(await engine.volumes()) == {"b"}


async def test_a_pool_that_has_failed_does_not_keep_ebbd_from_starting(rig: Rig) -> None:
    async with rig.start() as engine:
        await engine.create("a")
    rig.machine.pool(VG, POOL).failed = True
    async with rig.start() as engine:
        assert set(await engine.volumes()) == {"a"}
        [seen] = await engine.observer.observe(list((await engine.volumes()).values()))
        assert "failed" in seen.problem
